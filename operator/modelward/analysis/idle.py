"""Requests that no user makes: probes of the kubelet and scrapes, where a server counts them as it counts all others.

They come to a canary without any traffic, too, so they are no evidence for giving it more. How many may come is known
from the pod template (`own_requests`). Whether the server counts them is learned from its pods, before and after they have
weight: a pod that counted less than some of the probes alone would have made does not count all of these. Only pods
that are Ready count: before that, the page may be open although nobody asks anything yet.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from math import inf
from typing import Any, Final, NamedTuple

from modelward.analysis.counters import Values, clean, increment
from modelward.analysis.readings import Arm, PodReading, Poll, Reading
from modelward.api.analysis_policy import PODS

MARGIN: Final = 1.2
"""Probes are never exactly evenly spaced: requests count as users' beyond so many times what comes without any."""
_INTERVALS: Final = 2
"""The last so many without weight show what else asks: servers warm themselves up when they start."""
_SPANS: Final = 12
"""Spans of past time, from mark to mark."""
_SPAN_SECONDS: Final = 5.0
"""Marks are at least so far apart, however often pages are read."""
_LATE_SECONDS: Final = 0.1
"""Readings come so much sooner or later than they are due."""
MOST_COMBINED: Final = 8
"""Of more sources than these each is judged by itself."""

_PROBES: Final = ("readinessProbe", "livenessProbe")
"""The startup probe ends before there is traffic: what a pod counts until it is Ready is never of users."""
_REQUESTS: Final = ("httpGet", "grpc", "exec")
"""Probes that a server may answer as it does any request; a command may send one. A mere connection is none."""
_PERIOD_SECONDS: Final = 10.0
_TIMEOUT_SECONDS: Final = 1.0
"""Kubernetes' defaults."""
_MORE_SECONDS: Final = 0.5
"""Periods and intervals are whole seconds: so which of two is longer never depends on a reading's milliseconds."""
_SCRAPE_SECONDS: Final = 5.0
"""How often a metric source, or several replicas of it, may read a page at most: it does not say."""
STALE_LEAST_SECONDS: Final = 75.0
_STALE_INTERVALS: Final = 4
"""What a metric source knows is stale when it is older than so many intervals, and than this: scrapes once a minute are common."""

Fewest = Mapping[int, float]
"""By whole seconds the fewest cases that any pod, Ready throughout, has counted in so long a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Who asks each pod again and again: a probe, or who reads the metrics."""

    period_seconds: float
    first_seconds: float
    """Within any time of this length it has asked, and was answered, at least once."""

    @property
    def per_second(self) -> float:
        """How often it asks."""
        return 1 / self.period_seconds

    def least(self, seconds: float) -> int:
        """How often it asks at least within so long a time."""
        beyond = seconds - self.first_seconds
        return int(beyond / (MARGIN * self.period_seconds)) + 1 if beyond >= 0 else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What is asked of each pod by the kubelet and by who reads its metrics."""

    sources: tuple[Source, ...] = ()

    @property
    def per_second(self) -> float:
        """Requests a second, if the server counts all of them."""
        return sum(source.per_second for source in self.sources)

    @property
    def longest_seconds(self) -> float:
        """Time within which each of them has asked once."""
        return max((source.first_seconds for source in self.sources), default=0.0)

    def possible(self, fewest: Fewest) -> float:
        """The most requests a second of these that a server can count whose pods have counted so few."""
        left = [source for source in self.sources if _fits([source], fewest)]
        if len(left) > MOST_COMBINED or _fits(left, fewest):
            return _rate(left)
        chosen = (some for number in range(len(left) + 1) for some in combinations(left, number))
        return max(_rate(some) for some in chosen if _fits(some, fewest))


NOTHING: Final = Own()


def stale_seconds(interval_seconds: float) -> float:
    """How old what a metric source knows may be."""
    return max(STALE_LEAST_SECONDS, _STALE_INTERVALS * interval_seconds)


def own_requests(template: Mapping[str, Any], interval_seconds: float, source: str = PODS) -> Own:
    """What the kubelet asks by a pod template, and who reads the metrics: the operator, or a metric source."""
    containers = (template.get("spec") or {}).get("containers") or ()
    probes = [each[name] for each in containers for name in _PROBES if each.get(name)]
    late, scrape = 0.0, interval_seconds
    if source != PODS:
        late = stale_seconds(interval_seconds)
        scrape = min(interval_seconds, _SCRAPE_SECONDS)
    asked = [_source(probe, late) for probe in probes if any(kind in probe for kind in _REQUESTS)]
    read = Source(period_seconds=scrape, first_seconds=scrape + late + _MORE_SECONDS)
    return Own(sources=(*asked, read))


def _source(probe: Mapping[str, Any], late: float) -> Source:
    """A probe. One answer may take as long as it is allowed to, and the next one no time."""
    period = float(probe.get("periodSeconds") or _PERIOD_SECONDS)
    timeout = float(probe.get("timeoutSeconds") or _TIMEOUT_SECONDS)
    delay = float(probe.get("initialDelaySeconds") or 0)
    return Source(period_seconds=period, first_seconds=delay + period + timeout + late + _MORE_SECONDS)


def _fits(sources: Collection[Source], fewest: Fewest) -> bool:
    """Whether a server that counts all of these can have counted so few."""
    return all(sum(source.least(seconds) for source in sources) <= cases for seconds, cases in fewest.items())


def _rate(sources: Iterable[Source]) -> float:
    return sum(source.per_second for source in sources)


class Mark(NamedTuple):
    """How many cases a pod had counted at one time."""

    time: float
    cases: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """One metric of one pod since it is Ready, as long as nothing of it was started anew."""

    origin: tuple[float | None, ...]
    last: Mark
    marks: tuple[Mark, ...]

    def plus(self, now: Mark) -> "Watch":
        """With a reading; it is a mark if it is far enough from the last."""
        if now.time - self.marks[-1].time < _SPAN_SECONDS - _LATE_SECONDS:
            return Watch(origin=self.origin, last=now, marks=self.marks)
        return Watch(origin=self.origin, last=now, marks=(*self.marks, now)[-_SPANS - 1 :])


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a metric of the canary showed over some time without weight."""

    cases: float = 0
    seconds: float = 0
    """Of all pods together."""

    def plus(self, before: Mark, now: Mark) -> "Shown":
        """With what one more pod showed."""
        return Shown(
            cases=self.cases + now.cases - before.cases, seconds=self.seconds + now.time - before.time
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """What the canary's pods have shown of requests without users. A value: `plus` gives the next one."""

    watched: Mapping[tuple[str, str], Watch] = field(default_factory=dict)
    """By pod and metric."""
    fewest: Mapping[str, Fewest] = field(default_factory=dict)
    unsteady: frozenset[str] = frozenset()
    """Metrics that fell although nothing was started anew: what they show is not believed."""
    intervals: tuple[Mapping[str, Shown], ...] = ()
    """The last ones without weight."""

    def plus(self, poll: Poll) -> "Idle":
        """With a poll, whether the canary has weight or not."""
        watched = {}
        fewest, shown = dict(self.fewest), dict[str, Shown]()
        unsteady = set(self.unsteady)
        for key, watch in _begun(poll):
            name, now, before = key[1], watch.last, self.watched.get(key)
            if before is None or before.origin != watch.origin:
                watched[key] = watch
                continue
            if now.cases < before.last.cases:
                unsteady.add(name)
                continue
            shown[name] = shown.get(name, Shown()).plus(before.last, now)
            watched[key] = before.plus(now)
            if watched[key].marks is not before.marks:
                fewest[name] = _fewer(fewest.get(name, {}), watched[key].marks)
        kept = {name: counts for name, counts in shown.items() if name not in unsteady}
        return Idle(
            watched=watched,
            fewest={name: counts for name, counts in fewest.items() if name not in unsteady},
            unsteady=frozenset(unsteady),
            intervals=(*self.intervals, kept)[-_INTERVALS:]
            if kept and not poll.weight_percent
            else self.intervals,
        )

    def differs_from(self, before: "Idle") -> bool:
        """Whether more is known than `before`."""
        return (self.fewest, self.unsteady) != (before.fewest, before.unsteady)

    def rate(self, name: str, own: Own, known: float) -> float:
        """Requests a second that come to each pod without users and may be counted, where so many were `known`.

        What is not explained by probes and scrapes is only seen without weight, and at most what any pod shows.
        """
        usual, fewest = own.per_second, self.fewest.get(name, {})
        possible = min(known, own.possible(fewest))
        seen = self._seen(name)
        seen = known if seen is None else seen
        if seen <= usual:
            return possible
        return max(possible, min(seen, _at_most(fewest)))

    def _seen(self, name: str) -> float | None:
        """Requests a second of a pod without weight; None: it was not seen, or is not believed."""
        shown = [each[name] for each in self.intervals if name in each]
        seconds = sum(each.seconds for each in shown)
        return sum(each.cases for each in shown) / seconds if seconds and name not in self.unsteady else None


def _begun(poll: Poll) -> Iterator[tuple[tuple[str, str], Watch]]:
    """What the Ready pods of the canary show, each as if it was read for the first time."""
    for pod in poll.pods:
        if pod.arm is not Arm.CANARY or pod.ready_since is None or pod.ready_since > poll.time:
            continue
        for name, reading in pod.metrics.items():
            if (cases := _cases(reading)) is not None:
                mark = Mark(poll.time, cases)
                yield (pod.pod, name), Watch(origin=_origin(pod), last=mark, marks=(mark,))


def _origin(pod: PodReading) -> tuple[float | None, ...]:
    return pod.ready_since, pod.started, pod.process_started


def _cases(reading: Reading) -> float | None:
    """All cases since the start; None for what does not count any, or cannot be a counter."""
    sound = clean(reading)
    counts = increment(None, sound) if sound else None
    return None if counts is None or isinstance(counts, Values) else counts.total


def _fewer(fewest: Fewest, marks: tuple[Mark, ...]) -> Fewest:
    """The fewest cases with the spans that end at the last mark; without what others show already."""
    *earlier, now = marks
    counts = dict(fewest)
    for mark in earlier:
        seconds, cases = int(now.time - mark.time + _LATE_SECONDS), now.cases - mark.cases
        counts[seconds] = min(cases, counts.get(seconds, inf))
    kept: dict[int, float] = {}
    for seconds in sorted(counts, reverse=True):
        if counts[seconds] < min(kept.values(), default=inf):
            kept[seconds] = counts[seconds]
    return kept


def _at_most(fewest: Fewest) -> float:
    """The rate at which something may have asked all the time, where so few were counted."""
    return min(((cases + 1) / seconds for seconds, cases in fewest.items() if seconds), default=inf)
