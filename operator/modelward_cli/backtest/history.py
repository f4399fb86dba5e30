"""The past of a model out of a Prometheus, as the lines of a recording.

Which revisions served, and which share of the traffic the canary got, the operator's own metrics show
(`modelward_model_info`, `modelward_canary_weight_percent`), if the server has them; else they are given.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from math import isnan, nan
from typing import Final

from modelward.analysis.readings import Arm, HistogramReading, PodReading, Poll, RatioReading
from modelward.analysis.sampled_evidence import MetricsUnknown, Unknown
from modelward.clients.prometheus import Prometheus, Series
from modelward.sampling.prometheus import PrometheusSource, boundary
from modelward.sampling.queries import LabelNames, Queries
from modelward.sampling.scrapes import Newest
from modelward.sampling.selectors import Matcher, Operator, Selector, aggregated
from modelward.sampling.subject import Side
from modelward_cli.backtest.recording import header_line, poll_line
from modelward_cli.backtest.subject import Asked

CHUNK_SECONDS: Final = 900.0
"""What is asked for in one query."""
_UNLINKED_INTERVALS: Final = 3
"""The reference ends so long before the first poll. The operator, too, begins to count with the first poll that it
makes of a rollout, and not with the last of its reference."""
_OWN_LABELS: Final = ("exported_namespace", "namespace", "stable", "canary")
_INFO: Final = "modelward_model_info"
_WEIGHT: Final = "modelward_canary_weight_percent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Who served at one time."""

    stable: str
    canary: str = ""
    """Empty: no canary had traffic."""
    weight_percent: float = 0.0

    @property
    def arms(self) -> dict[Arm, str]:
        """The revision of each version that there is."""
        return {Arm.STABLE: self.stable} | ({Arm.CANARY: self.canary} if self.canary else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """When, and how often; who served, where the operator's metrics shall not be asked."""

    start: float
    end: float
    interval: float
    stable: str | None = None
    canary: str | None = None
    weight_percent: float | None = None

    def chunks(self) -> Iterator[tuple[float, ...]]:
        """The times of the polls, as many at a time as are asked for at once."""
        first = boundary(self.start, self.interval)
        number = int((self.end - first) / self.interval + 1e-9) + 1
        size = max(2, int(CHUNK_SECONDS // self.interval))
        for at in range(0, number, size):
            yield tuple(first + self.interval * index for index in range(at, min(at + size, number)))


@dataclass(slots=True)
class Readiness:
    """Since when pods are Ready, as far as counters show: a new one since the poll before its first request.

    The operator leaves pods out of latency until they are warm, so a back-test has to.
    """

    _since: dict[str, float | None] = field(default_factory=dict)
    """By pod; None: longer than is known."""
    _before: float | None = None
    """Time of the poll before."""

    def reported(self, poll: Poll) -> Poll:
        """The poll, with what is known now."""
        for pod in poll.pods:
            if pod.pod not in self._since and (self._before is None or _has_counted(pod)):
                self._since[pod.pod] = self._before
        self._before = poll.time
        pods = tuple(replace(pod, ready_since=self._since.get(pod.pod)) for pod in poll.pods)
        return replace(poll, pods=pods)


def _has_counted(pod: PodReading) -> bool:
    for reading in pod.metrics.values():
        match reading:
            case RatioReading(total=total) if total > 0:
                return True
            case HistogramReading(buckets=buckets) if max(buckets.values(), default=0) > 0:
                return True
    return False


@dataclass(slots=True, kw_only=True)
class History:
    """Reads the past of one model."""

    server: Prometheus
    labels: LabelNames
    asked: Asked
    period: Period
    _rollout: str = ""
    _served: tuple[str, str] = ("", "")
    _names: dict[str, int] = field(default_factory=dict)
    _ready: Readiness = field(default_factory=Readiness)
    _newest: Newest = field(default_factory=Newest)

    async def record(self, write: Callable[[bytes], object]) -> None:
        """Write the recording, line by line. Raises MetricsUnknown."""
        source = PrometheusSource(queries=Queries(server=self.server, labels=self.labels))
        for times in self.period.chunks():
            served = await self._served_at(times)
            for who, run in _runs(times, served):
                if (who.stable, who.canary) != self._served:
                    write(await self._begin(source, who, run[0]))
                for poll in await self._polls(source, who, run):
                    reported = replace(poll, weight_percent=served[poll.time].weight_percent)
                    write(poll_line(self._rollout, self._ready.reported(reported)))
        if not self._names:
            raise MetricsUnknown(
                Unknown.NO_PODS,
                f"the source has no {_INFO} of {self.asked.namespace}/{self.asked.name} in that time: name the"
                " revisions by --stable, and for a rollout --canary and --weight-percent",
            )

    async def _polls(self, source: PrometheusSource, who: Served, times: tuple[float, ...]) -> list[Poll]:
        key, interval = (self.asked.namespace, self.asked.name), self.period.interval
        sides = {arm: self._side(revision) for arm, revision in who.arms.items()}
        found = await source.polls(key, sides, times, interval=interval, newest=self._newest)
        return [polled.poll for polled in found]

    async def _begin(self, source: PrometheusSource, who: Served, time: float) -> bytes:
        """The line that begins a rollout, or a time at rest, with the hour of stable before a canary."""
        self._served = who.stable, who.canary
        name = who.canary or f"{who.stable}-at-rest"
        self._names[name] = self._names.get(name, 0) + 1
        self._rollout = name if self._names[name] == 1 else f"{name}-{self._names[name]}"
        self._ready = Readiness()
        interval = self.period.interval
        reference = None
        if who.canary:
            key = self.asked.namespace, self.asked.name
            end = time - _UNLINKED_INTERVALS * interval
            reference = await source.history(key, self._side(who.stable), end, interval)
        policy = {**self.asked.policy, "intervalSeconds": interval}
        return header_line(self._rollout, policy, reference)

    def _side(self, revision: str) -> Side:
        return Side(revision=revision, wanted=self.asked.wanted, endpoint=None)

    async def _served_at(self, times: tuple[float, ...]) -> dict[float, Served]:
        given = self.period
        if given.stable and not given.canary:
            return dict.fromkeys(times, Served(stable=given.stable))
        weights = await self._weights(times)
        if given.stable:
            found = dict.fromkeys(times, (given.stable, given.canary or ""))
        else:
            found = await self._revisions(times)
        return {
            time: self._as_served(stable, canary, weights.get(time, nan))
            for time, (stable, canary) in found.items()
        }

    def _as_served(self, stable: str, canary: str, reported: float) -> Served:
        """A canary without traffic is not yet one that is judged, and then one no more."""
        weight = reported if self.period.weight_percent is None else self.period.weight_percent
        if canary and isnan(weight):
            raise MetricsUnknown(
                Unknown.METRIC_MISSING,
                f"the source has no {_WEIGHT} of {self.asked.namespace}/{self.asked.name}: give --weight-percent",
            )
        if not canary or weight <= 0:
            return Served(stable=stable)
        return Served(stable=stable, canary=canary, weight_percent=weight)

    async def _weights(self, times: tuple[float, ...]) -> dict[float, float]:
        if self.period.weight_percent is not None:
            return {}
        return {time: max(values) for time, values in _by_time(await self._own(_WEIGHT, times)).items()}

    async def _revisions(self, times: tuple[float, ...]) -> dict[float, tuple[str, str]]:
        found: dict[float, tuple[str, str]] = {}
        for series in await self._own(_INFO, times):
            reported = series.labels.get("stable", ""), series.labels.get("canary", "")
            for time, _ in series.points:
                at = round(time, 3)
                # At a change both are shown for a moment: the canary is news.
                if reported[0] and (at not in found or reported[1]):
                    found[at] = reported
        return found

    async def _own(self, name: str, times: tuple[float, ...]) -> list[Series]:
        """Series of the operator about this model. A server puts labels of its own before ours."""
        ours = Selector(name, (Matcher("name", Operator.EQUAL, self.asked.name),))
        query = aggregated("max", _OWN_LABELS, "", ours)
        if len(times) == 1:
            found = await self.server.instant(query, times[0])
        else:
            found = await self.server.range(query, times[0], times[-1], times[1] - times[0])
        return [each for each in found if self._is_ours(each)]

    def _is_ours(self, series: Series) -> bool:
        labels = series.labels
        return labels.get("exported_namespace", labels.get("namespace")) == self.asked.namespace


def _runs(
    times: tuple[float, ...], served: Mapping[float, Served]
) -> Iterator[tuple[Served, tuple[float, ...]]]:
    """Stretches in which the same revisions served; times of which nobody knows are left out."""
    known = [(replace(served[time], weight_percent=0.0), time) for time in times if time in served]
    for who, run in groupby(known, lambda each: each[0]):
        yield who, tuple(time for _, time in run)


def _by_time(found: Iterable[Series]) -> dict[float, list[float]]:
    values: dict[float, list[float]] = {}
    for series in found:
        for time, value in series.points:
            values.setdefault(round(time, 3), []).append(value)
    return values
