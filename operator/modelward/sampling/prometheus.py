"""Polls out of a server that remembers: raw counters as they stood at the end of each interval.

Times are multiples of the interval, and pods are told by the names that Kubernetes gives them, so a look at
the past gives what a look at that time gave: after a restart the same samples follow, and the same verdict.
Raw counters are asked for, never `rate()` or `increase()` (see modelward.analysis.counters).
"""

import asyncio
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from modelward.analysis.problem import MetricsProblem, Unknown
from modelward.analysis.readings import Arm, PodReading, Poll, Reading
from modelward.api import names
from modelward.clients.prometheus import Series
from modelward.clients.unknown import MetricsUnknown
from modelward.rollout.observed import Pod
from modelward.sampling.duplicates import REPLICA_LABELS, differing, untimely
from modelward.sampling.exposition import PROCESS_START, gauge, histogram, missing, ratio, without_labels
from modelward.sampling.lines import Line, Page
from modelward.sampling.pods import Polled
from modelward.sampling.queries import Asked, PodsOf, Queries
from modelward.sampling.selectors import Selector
from modelward.sampling.spelling import as_shown, spellings, unmeant
from modelward.sampling.subject import Key, Side
from modelward.sampling.wanted import Wanted, WantedGauge, WantedHistogram, WantedRatio

STALE_INTERVALS: Final = 4
STALE_LEAST_SECONDS: Final = 75.0
"""Values older than so many intervals, and than this (scrapes once a minute are common), are stale."""
HISTORY_SECONDS: Final = 3600.0
HISTORY_CHUNK_SECONDS: Final = 900.0
"""The hour is asked for in parts, to keep each answer small."""
MOST_TIMES: Final = 60
"""Looks that are made up for in one query after a pause."""
_GENERATED: Final = 58
"""Kubernetes cuts a pod's name there, before five random characters (apiserver's names.SimpleNameGenerator)."""
_TARGET: Final = ("job", "instance")
"""Which scrape a series comes from."""
_UP: Final = Selector("up")
_SCRAPES_BEFORE: Final = 4
_SCRAPES_APART_SECONDS: Final = 60.0
"""Looks before a single one, to see whether series share a scrape: minutes, since that is how far apart scrapes are."""


def boundary(time: float, interval: float) -> float:
    """The last multiple of `interval` that is not after `time`."""
    return math.floor(time / interval + 1e-9) * interval


def pod_pattern(key: Key, revision: str) -> str:
    """RE2 pattern of the names of a revision's pods: `<model>-<revision>-<hash>-<5 letters>`.

    Raises MetricsUnknown where the name is so long that Kubernetes cuts the revision off.
    """
    deployment = names.child_name(key[1], revision)
    if len(deployment) + 2 > _GENERATED:
        raise MetricsUnknown(
            Unknown.NO_PODS,
            "the model's name is too long to tell its revisions apart by the names of pods: use the source Pods,"
            f" or a name of at most {_GENERATED - len(revision) - 3} characters",
        )
    return deployment.replace(".", "[.]") + "-[a-z0-9-]{5,16}"  # a name has nothing else to be escaped


_Cells = list[tuple[str, tuple[str, ...], float]]
"""Of one pod at one time: `le`, the scrape it comes from (its target, and who made it where several do), the value."""
_Table = Mapping[tuple[float, str], _Cells]
"""By time and pod."""
_NOTHING: Final[_Cells] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """What came in for one metric of one revision."""

    wanted: Wanted
    first: _Table
    """Its total, its buckets, or its value."""
    second: _Table = field(default_factory=dict)
    """Its hits, or how many series make its value."""
    problem: MetricsUnknown | None = None
    """Why it says nothing, although there may be series."""

    @property
    def missing(self) -> MetricsProblem:
        """What is said while no pod shows it."""
        return (self.problem or missing(self.wanted.name, _main(self.wanted))).problem

    def read(self, time: float, pod: str, scraped: _Cells = _NOTHING) -> Reading:
        """The reading of a pod, of the replica that scraped it last. Raises MetricsUnknown."""
        first, second = self.first.get((time, pod), _NOTHING), self.second.get((time, pod), _NOTHING)
        replica = _newest(first, scraped)
        first, second = _of(replica, first), _of(replica, second)
        if len({target for _, target, _ in first}) > 1:
            raise MetricsUnknown(
                Unknown.METRIC_INVALID,
                f"metric {self.wanted.name}: the source scrapes the same pod more than once (job, instance)",
            )
        values = [value for _, _, value in first]
        match self.wanted:
            case WantedRatio():
                if self.problem and not values:
                    raise self.problem
                found = ratio(self.wanted, [value for _, _, value in second], values, declared=False)
                if self.problem:
                    raise self.problem
                return found
            case WantedHistogram():
                return histogram(self.wanted, [(le, value) for le, _, value in first])
            case WantedGauge():
                # Of several series an average came back, which says nothing: they are shown as more than one.
                series = 0 if not second else 1 if second[0][2] == 1 else 2
                return gauge(self.wanted, values * series)


def _newest(cells: _Cells, scraped: _Cells) -> tuple[str, ...]:
    """The replica with the latest scrape: whoever ends or misses one, time goes on, and counters rise."""
    last = {_replica(target): value for _, target, value in scraped}
    replicas = {_replica(target) for _, target, _ in cells}
    return max(replicas, key=lambda replica: (last.get(replica, -math.inf), replica), default=())


def _joined(tables: Iterable[_Table]) -> _Table:
    joined: dict[tuple[float, str], _Cells] = defaultdict(list)
    for table in tables:
        for place, cells in table.items():
            joined[place] += cells
    return joined


def _of(replica: tuple[str, ...], cells: _Cells) -> _Cells:
    return [cell for cell in cells if _replica(cell[1]) == replica]


def _replica(target: tuple[str, ...]) -> tuple[str, ...]:
    return target[len(_TARGET) :]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What is asked: of which pods, at which times."""

    whose: PodsOf
    times: tuple[float, ...]
    replicas: tuple[str, ...] = REPLICA_LABELS
    """Labels by which several scrapes of one page are told apart."""


@dataclass(slots=True, kw_only=True)
class PrometheusSource:
    """Polls of one server."""

    queries: Queries

    async def polls(
        self,
        key: Key,
        sides: Mapping[Arm, Side],
        times: tuple[float, ...],
        *,
        interval: float,
        weight_percent: float = 0,
        pods: Collection[Pod] = (),
    ) -> list[Polled]:
        """What the counters were at these evenly spaced times; `pods` tells more of those that are there now.

        Raises MetricsUnknown if the server does not give an answer that can be used.
        """
        arms = list(sides)
        read = await asyncio.gather(*(self._arm(key, sides[arm], times, interval) for arm in arms))
        known = {pod.name: pod for pod in pods}
        return [
            _polled(
                time,
                weight_percent,
                [(arm, *each[time]) for arm, each in zip(arms, read, strict=True)],
                known,
            )
            for time in times
        ]

    async def history(self, key: Key, side: Side, end: float, interval: float) -> list[Poll]:
        """Stable's counters over the hour before `end`."""
        steps = max(1, int(HISTORY_CHUNK_SECONDS // interval))
        times = [end - interval * number for number in range(int(HISTORY_SECONDS // interval), -1, -1)]
        polls: list[Poll] = []
        for at in range(0, len(times), steps):
            part = tuple(times[at : at + steps])
            found = await self.polls(key, {Arm.STABLE: side}, part, interval=interval)
            polls += [each.poll for each in found]
        return polls

    async def _arm(
        self, key: Key, side: Side, times: tuple[float, ...], interval: float
    ) -> "dict[float, tuple[list[_Read], dict[str, MetricsProblem]]]":
        """By time: what each pod shows, and what none of them does."""
        main = _main(side.wanted[0])
        look = _Look(whose=PodsOf(namespace=key[0], pattern=pod_pattern(key, side.revision)), times=times)
        look = replace(look, replicas=await self._replicas(look, main))
        scraped, starts, columns = await asyncio.gather(
            self._values(look, main, operator="max", function="timestamp"),
            self._values(look, Selector(PROCESS_START), operator="max"),
            asyncio.gather(*(self._column(look, wanted) for wanted in side.wanted)),
        )
        oldest = max(STALE_LEAST_SECONDS, STALE_INTERVALS * interval)
        return {time: _read_pods(time, columns, scraped, starts, time - oldest) for time in times}

    async def _replicas(self, look: _Look, main: Selector) -> tuple[str, ...]:
        """The labels that tell scrapes of one page apart. Raises MetricsUnknown if none can be taken for the truth."""
        target = (self.queries.labels.namespace, self.queries.labels.pod, *_TARGET)
        up = await self._scrapes(look, _UP)
        if up:
            return tuple(sorted({*REPLICA_LABELS, *differing(up, target)}))
        step = look.times[1] - look.times[0] if len(look.times) > 1 else _SCRAPES_APART_SECONDS
        before = (look.times[0] - step * number for number in range(_SCRAPES_BEFORE, 0, -1))
        times = await self._scrapes(replace(look, times=(*before, *look.times)), main)
        if unknown := untimely(times, target) - {*REPLICA_LABELS}:
            raise MetricsUnknown(
                Unknown.METRIC_INVALID,
                f"the metric source has {main.name} of one pod from several scrapes, which differ in the label"
                f" {', '.join(sorted(unknown))}: name one of them in the selector, or let the source keep `up`",
            )
        return REPLICA_LABELS

    async def _scrapes(self, look: _Look, selector: Selector) -> list[Series]:
        """When each series was scraped, with all labels."""
        asked = Asked(selector=selector, operator="max", by=None, function="timestamp", times=look.times)
        return await self.queries.ask(asked, look.whose)

    async def _column(self, look: _Look, wanted: Wanted) -> _Column:
        match wanted:
            case WantedRatio():
                return await self._ratio(look, wanted)
            case WantedHistogram():
                return _Column(wanted=wanted, first=await self._values(look, wanted.buckets, "le"))
            case WantedGauge():
                value, count = await asyncio.gather(
                    self._values(look, wanted.gauge, operator="avg"),
                    self._values(look, wanted.gauge, operator="count"),
                )
                return _Column(wanted=wanted, first=value, second=count)

    async def _ratio(self, look: _Look, wanted: WantedRatio) -> _Column:
        """Hits and cases. What matches nothing is looked at closer, and hits that whatever lacks a label would be."""
        parts, totals = (*wanted.total.parts, *wanted.hits.parts), len(wanted.total.parts)
        tables = list(await asyncio.gather(*(self._values(look, each) for each in parts)))
        negative = {part for part in wanted.hits.parts if any(each.accepts("") for each in part.matchers)}
        odd = [part for part, table in zip(parts, tables, strict=True) if not table or part in negative]
        page = await self._page(look, odd)
        for number, part in enumerate(parts):
            if not tables[number] and (shown := as_shown(page, part)) != part:
                tables[number] = await self._values(look, shown)
        total, hits = _joined(tables[:totals]), _joined(tables[totals:])
        problem = unmeant(page, wanted) if not total else None
        return _Column(
            wanted=wanted, first=total, second=hits, problem=problem or without_labels(page, wanted)
        )

    async def _page(self, look: _Look, selectors: Iterable[Selector]) -> Page:
        """All series of these names, and of what else they may be spelled like, at the last time."""
        last = replace(look, times=look.times[-1:])
        names = sorted({name for selector in selectors for name in spellings(selector.name)})
        found = await asyncio.gather(*(self._scrapes(last, Selector(name)) for name in names))
        series = {
            name: [Line(name, each.labels, 0.0) for each in of_name]
            for name, of_name in zip(names, found, strict=True)
            if of_name
        }
        return Page(series=series, types={})

    async def _values(
        self, look: _Look, selector: Selector, *by: str, operator: str = "sum", function: str = ""
    ) -> _Table:
        asked = Asked(
            selector=selector,
            operator=operator,
            by=(*_TARGET, *look.replicas, *by),
            function=function,
            times=look.times,
        )
        table: dict[tuple[float, str], _Cells] = defaultdict(list)
        for series in await self.queries.ask(asked, look.whose):
            target = tuple(series.labels.get(label, "") for label in (*_TARGET, *look.replicas))
            pod = series.labels.get(self.queries.labels.pod, "")
            for at, value in series.points:
                table[round(at, 3), pod].append((series.labels.get("le", ""), target, value))
        return table


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    pod: str
    metrics: Mapping[str, Reading]
    stale: bool
    process_started: float | None = None


def _main(wanted: Wanted) -> Selector:
    """The series by which is seen when a pod was last scraped."""
    match wanted:
        case WantedRatio():
            return wanted.total.parts[0]
        case WantedHistogram():
            return wanted.buckets
        case WantedGauge():
            return wanted.gauge


def _read_pods(
    time: float, columns: Collection[_Column], scraped: _Table, starts: _Table, oldest: float
) -> tuple[list[_Read], dict[str, MetricsProblem]]:
    pods = sorted({pod for column in columns for at, pod in column.first if at == time})
    read: list[_Read] = []
    problems: dict[str, MetricsProblem] = {each.wanted.name: each.missing for each in columns}
    shown: set[str] = set()
    for pod in pods:
        seen = scraped.get((time, pod), _NOTHING)
        metrics: dict[str, Reading] = {}
        for column in columns:
            try:
                metrics[column.wanted.name] = column.read(time, pod, seen)
            except MetricsUnknown as unknown:
                problems[column.wanted.name] = unknown.problem
        shown |= metrics.keys()
        last = max((value for _, _, value in seen), default=time)
        started = _started(starts.get((time, pod), _NOTHING), seen)
        read.append(_Read(pod=pod, metrics=metrics, stale=last < oldest, process_started=started))
    return read, {name: problem for name, problem in problems.items() if name not in shown}


def _started(cells: _Cells, scraped: _Cells) -> float | None:
    """When the process of a pod started, as who scraped it last has it; None: nobody says, or several do."""
    found = {value for _, _, value in _of(_newest(cells, scraped), cells) if math.isfinite(value)}
    return found.pop() if len(found) == 1 else None


_STALE: Final = MetricsProblem(
    reason=Unknown.STALE, message="what the metric source has of it is old: it is not scraped any more"
)


def _polled(
    time: float,
    weight_percent: float,
    arms: list[tuple[Arm, list[_Read], dict[str, MetricsProblem]]],
    known: Mapping[str, Pod],
) -> Polled:
    return Polled(
        poll=Poll(
            time=time,
            weight_percent=weight_percent,
            pods=tuple(
                _reading(each, arm, known.get(each.pod))
                for arm, read, _ in arms
                for each in read
                if not each.stale
            ),
            unread=tuple((each.pod, arm) for arm, read, _ in arms for each in read if each.stale),
        ),
        unread={each.pod: _STALE for _, read, _ in arms for each in read if each.stale},
        lacking={arm: problems for arm, _, problems in arms},
    )


def _reading(read: _Read, arm: Arm, pod: Pod | None) -> PodReading:
    ready = pod.ready_since if pod and pod.ready and not pod.deleting else None
    return PodReading(
        pod=read.pod,
        arm=arm,
        metrics=read.metrics,
        node=pod.node if pod else "",
        started=pod.started.timestamp() if pod and pod.started else None,
        process_started=read.process_started,
        ready_since=ready.timestamp() if ready else None,
    )
