"""Polls out of a server that remembers: raw counters as they stood at the end of each interval.

Times are multiples of the interval, and pods are known by the names that Kubernetes gives them, so a query of
the past gives what a query at that time gave: after a restart the same samples follow, and the same verdict.
Raw counters are asked for, never `rate()` or `increase()` (see modelward.analysis.counters).
"""

import asyncio
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from modelward.analysis.idle import stale_seconds
from modelward.analysis.readings import Arm, GaugeReading, PodReading, Poll, Reading
from modelward.analysis.sampled_evidence import MetricsProblem, MetricsUnknown, Unknown
from modelward.api import names
from modelward.api.objects import Key
from modelward.rollout.observed import Pod
from modelward.sampling import meaning
from modelward.sampling.columns import TARGET, Answer, Column, Grouping, mains, scrapes_of, tables_of
from modelward.sampling.exposition import PROCESS_START
from modelward.sampling.pods import Polled
from modelward.sampling.queries import Asked, PodsOf, Queries
from modelward.sampling.scrapes import REPLICA_LABELS, Newest, Scrape, differing, untimely
from modelward.sampling.selectors import Selector
from modelward.sampling.subject import Side
from modelward.sampling.targets import GaugeTarget, RatioTarget, SampleTarget

HISTORY_SECONDS: Final = 3600.0
HISTORY_CHUNK_SECONDS: Final = 360.0
"""The hour is asked for in parts, to keep each answer small."""
MOST_TIMES: Final = 20
"""Polls that are made up for in one query after a pause."""
_GENERATED: Final = 58
"""Kubernetes cuts a pod's name there, before five random characters (apiserver's names.SimpleNameGenerator)."""
_SCRAPES_OF_UP: Final = scrapes_of(Selector("up"))
_MOST_GROUPINGS: Final = 3
_PROCESS: Final = GaugeTarget(name=PROCESS_START, gauge=Selector(PROCESS_START))
"""Asked for like any other metric: it is of the same scrape. No metric of a user has an underscore in its name."""
_STALE: Final = MetricsProblem(
    reason=Unknown.STALE, message="what the metric source has of it is old: it is not scraped any more"
)
_SCRAPES_BEFORE: Final = 4
_SCRAPES_APART_SECONDS: Final = 60.0
"""Polls before a single one, to see whether series share a scrape: minutes, since that is how far apart scrapes are."""


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
            "the model's name is too long to distinguish its revisions by the names of pods: use the source Pods,"
            f" or a name of at most {_GENERATED - len(revision) - 3} characters",
        )
    return deployment.replace(".", "[.]") + "-[a-z0-9-]{5,16}"  # a name has nothing else to be escaped


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
        newest: Newest | None = None,
    ) -> list[Polled]:
        """What the counters were at these evenly spaced times; `pods` has more of those that are there now.

        `newest` is what polls before this one have seen of the same pods. Raises MetricsUnknown if the server does not
        give an answer that can be used.
        """
        arms = list(sides)
        found = await asyncio.gather(*(self._columns(key, sides[arm], times) for arm in arms))
        known = {pod.name: pod for pod in pods}
        newest = newest or Newest()
        polls = []
        for time in times:
            oldest = time - stale_seconds(interval)
            newest.forget(oldest)
            read = {arm: _read(each, time, oldest, newest) for arm, each in zip(arms, found, strict=True)}
            polls.append(_polled(time, weight_percent, read, known))
        return polls

    async def history(
        self, key: Key, side: Side, end: float, interval: float, newest: Newest | None = None
    ) -> list[Poll]:
        """Stable's counters over the hour before `end`."""
        steps = max(1, int(HISTORY_CHUNK_SECONDS // interval))
        times = [end - interval * number for number in range(int(HISTORY_SECONDS // interval), -1, -1)]
        polls: list[Poll] = []
        newest = newest or Newest()
        for at in range(0, len(times), steps):
            part = tuple(times[at : at + steps])
            found = await self.polls(key, {Arm.STABLE: side}, part, interval=interval, newest=newest)
            polls += [each.poll for each in found]
        return polls

    async def _columns(self, key: Key, side: Side, times: tuple[float, ...]) -> list[Column]:
        """All that is wanted of a revision, and when the processes of its pods began."""
        whose = PodsOf(namespace=key[0], pattern=pod_pattern(key, side.revision))
        wanted = (*side.wanted, _PROCESS)
        answer, is_up_kept = await self._answer(whose, times, wanted)
        return await asyncio.gather(
            *(self._column(whose, times, each, answer, is_up_kept=is_up_kept) for each in wanted)
        )

    async def _answer(
        self, whose: PodsOf, times: tuple[float, ...], wanted: Collection[SampleTarget]
    ) -> tuple[Answer, bool]:
        """What one server says of all that is wanted, and whether it keeps `up`. Raises MetricsUnknown.

        `up` is a part of it: whoever asks for it before may learn of one replica, and then be answered by two.
        """
        replicas = frozenset(REPLICA_LABELS)
        for _ in range(_MOST_GROUPINGS):
            grouping = Grouping(tuple(sorted(replicas)))
            parts = dict.fromkeys(part for each in wanted for part in grouping.parts(each))
            asked = Asked(parts=(_SCRAPES_OF_UP, *parts), times=times)
            found = await self.queries.ask(asked, whose)
            up = found.pop(_SCRAPES_OF_UP)
            more = differing(up, self._target) - replicas
            if not more:
                return tables_of(found, grouping, self.queries.labels.pod), bool(up)
            replicas |= more
        raise MetricsUnknown(
            Unknown.METRIC_INVALID, "the metric source has other replicas each time that it is asked"
        )

    async def _column(
        self,
        whose: PodsOf,
        times: tuple[float, ...],
        wanted: SampleTarget,
        answer: Answer,
        *,
        is_up_kept: bool,
    ) -> Column:
        try:
            if not is_up_kept and wanted is not _PROCESS:
                await self._require_one_scraper(whose, times, answer, wanted)
        except MetricsUnknown as unknown:
            return Column(wanted=wanted, answer=answer, problem=unknown)
        if isinstance(wanted, RatioTarget):
            return await meaning.column(self.queries, whose, times[-1], wanted, answer)
        return Column(wanted=wanted, answer=answer)

    async def _require_one_scraper(
        self, whose: PodsOf, times: tuple[float, ...], answer: Answer, wanted: SampleTarget
    ) -> None:
        """Raise MetricsUnknown if series of one pod are of several scrapes, and none can be taken for the truth."""
        if answer.are_of_one_scrape(wanted):
            return
        step = times[1] - times[0] if len(times) > 1 else _SCRAPES_APART_SECONDS
        before = tuple(times[0] - step * number for number in range(_SCRAPES_BEFORE, 0, -1))
        for part in (scrapes_of(selector) for selector in mains(wanted)):
            found = await self.queries.ask(Asked(parts=(part,), times=(*before, *times)), whose)
            if unknown := untimely(found[part], self._target) - {*REPLICA_LABELS}:
                raise MetricsUnknown(
                    Unknown.METRIC_INVALID,
                    f"the metric source has {part.selector.name} of one pod from several scrapes, which differ in the"
                    f" label {', '.join(sorted(unknown))}: name one of them in the selector, or let the source keep `up`",
                )

    @property
    def _target(self) -> tuple[str, ...]:
        return (self.queries.labels.namespace, self.queries.labels.pod, *TARGET)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What is known of the pods of a revision at one time."""

    metrics: Mapping[str, Mapping[str, Reading]]
    """By pod and metric; of a pod that has old values only, nothing."""
    lacking: Mapping[str, MetricsProblem]
    """By metric: why none of the pods shows it."""
    stale: Collection[str]
    started: Mapping[str, float]
    """When the process of a pod began."""


def _read(columns: Sequence[Column], time: float, oldest: float, newest: Newest) -> _Read:
    """The newest scrape of each pod that is there, be it of this answer or of one before."""
    *wanted, process = columns
    scrapes = {
        (pod, column.wanted.name): _scrape(column, time, pod, newest)
        for column in wanted
        for pod in sorted(column.pods(time))
    }
    metrics: dict[str, dict[str, Reading]] = {pod: {} for pod, _ in scrapes}
    problems = {column.wanted.name: column.missing for column in wanted}
    for (pod, name), scrape in scrapes.items():
        if scrape.time < oldest:
            problems[name] = _STALE
        elif isinstance(scrape.outcome, MetricsUnknown):
            problems[name] = scrape.outcome.problem
        else:
            metrics[pod][name] = scrape.outcome
    shown = {name for each in metrics.values() for name in each}
    fresh = {pod for (pod, _), scrape in scrapes.items() if scrape.time >= oldest}
    return _Read(
        metrics={pod: metrics[pod] for pod in sorted(fresh)},
        lacking={name: problem for name, problem in problems.items() if name not in shown},
        stale=sorted(metrics.keys() - fresh),
        started=_started(process, time, newest),
    )


def _scrape(column: Column, time: float, pod: str, newest: Newest) -> Scrape:
    """The newest scrape. That a metric says nothing at all is of no scrape, and over once it is."""
    scrape = column.scrape(time, pod)
    return scrape if column.problem else newest.of(pod, column.wanted.name, scrape)


def _started(process: Column, time: float, newest: Newest) -> dict[str, float]:
    """When the process of each pod began; of a pod with several nothing."""
    outcomes = {pod: _scrape(process, time, pod, newest).outcome for pod in process.pods(time)}
    return {pod: read.value for pod, read in outcomes.items() if isinstance(read, GaugeReading)}


def _polled(
    time: float, weight_percent: float, read: Mapping[Arm, _Read], known: Mapping[str, Pod]
) -> Polled:
    poll = Poll(
        time=time,
        weight_percent=weight_percent,
        pods=tuple(
            _reading(pod, arm, each, known.get(pod)) for arm, each in read.items() for pod in each.metrics
        ),
        unread=tuple((pod, arm) for arm, each in read.items() for pod in each.stale),
    )
    return Polled(
        poll=poll,
        unread={pod: _STALE for pod, _ in poll.unread},
        lacking={arm: each.lacking for arm, each in read.items()},
    )


def _reading(name: str, arm: Arm, read: _Read, pod: Pod | None) -> PodReading:
    ready = pod.ready_since if pod and pod.ready and not pod.deleting else None
    return PodReading(
        pod=name,
        arm=arm,
        metrics=read.metrics[name],
        node=pod.node if pod else "",
        started=pod.started.timestamp() if pod and pod.started else None,
        process_started=read.started.get(name),
        ready_since=ready.timestamp() if ready else None,
    )
