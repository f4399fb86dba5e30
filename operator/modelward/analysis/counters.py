"""From cumulative counters to increments: what both arms did since the sample before, in the same time.

Raw counters are subtracted here rather than by a server's `rate()` or `increase()`, which extrapolate to the
edges of a window and lose the first increment of a new series (prometheus#3746, #1673). Which readings are believed,
and what they count from, is kept counter by counter (modelward.analysis.tracks). A pod that came after the first poll
counts from zero. What a vanished pod did after its last reading is lost.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from math import inf, isfinite
from typing import Final

from modelward.analysis.readings import (
    Arm,
    GaugeReading,
    HistogramReading,
    PodReading,
    Poll,
    RatioReading,
    Reading,
)
from modelward.analysis.tracks import Flaw, Origin, Track, begun
from modelward.api.fields import EXACT_INT_MAX

MOST_POLLS_TO_WAIT: Final = 4
"""Polls that a sample waits for an arm that could not be read."""
WARM_UP_SECONDS: Final = 60.0
"""A pod is left out of latency for so long after it became Ready: caches are cold, models lazily loaded."""
FORGOTTEN_AFTER_SECONDS: Final = 900.0
"""A pod that was not read for so long does not come back: names of pods are not used again."""
_FEW: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioCounts:
    """Hits and cases of one arm in one interval."""

    hits: float = 0
    total: float = 0

    def plus(self, other: "RatioCounts") -> "RatioCounts":
        """The counts of both intervals."""
        return RatioCounts(hits=self.hits + other.hits, total=self.total + other.total)


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketCounts:
    """Cases of one arm in one interval, up to and including each bound; the last bound is infinity."""

    bounds: tuple[float, ...] = ()
    cumulative: tuple[float, ...] = ()

    @property
    def total(self) -> float:
        """All cases."""
        return self.cumulative[-1] if self.cumulative else 0

    @property
    def in_buckets(self) -> tuple[float, ...]:
        """Cases in each bucket by itself."""
        return tuple(high - low for low, high in pairwise((0, *self.cumulative)))

    def upto(self, bound: float) -> float:
        """Cases up to and including `bound`. Raises ValueError for a bound that is not among `bounds`."""
        return self.cumulative[self.bounds.index(bound)]

    def plus(self, other: "BucketCounts") -> "BucketCounts":
        """The counts of both, on the bounds that they share."""
        if not self.bounds or not other.bounds:
            return self if self.bounds else other
        if self.bounds == other.bounds:
            sums = tuple(a + b for a, b in zip(self.cumulative, other.cumulative, strict=True))
            return BucketCounts(bounds=self.bounds, cumulative=sums)
        shared = tuple(bound for bound in self.bounds if bound in other.bounds)
        return self.on(shared).plus(other.on(shared))

    def on(self, bounds: tuple[float, ...]) -> "BucketCounts":
        """The same cases on fewer bounds."""
        return BucketCounts(bounds=bounds, cumulative=tuple(self.upto(bound) for bound in bounds))


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """Sum and number of a gauge's values over the pods of one arm."""

    sum: float = 0
    number: int = 0

    def plus(self, other: "Values") -> "Values":
        """The values of both."""
        return Values(sum=self.sum + other.sum, number=self.number + other.number)

    @property
    def mean(self) -> float:
        """The mean over the pods. Raises ZeroDivisionError when there is none."""
        return self.sum / self.number


Counts = RatioCounts | BucketCounts | Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Increment:
    """What both arms did for one metric since the sample before. Both are of the same type."""

    canary: Counts
    stable: Counts
    pods: tuple[tuple[str, float], ...] = ()
    """Cases by canary pod (hits of a ratio), to say whether one pod is alone in what it does."""
    fresh: float = 0
    """Cases of canary pods from before they were read, or while they were not Ready or could not be believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The increments of both arms since the sample before."""

    time: float
    """End of the interval, as in the poll."""
    weight_percent: float
    metrics: Mapping[str, Increment] = field(default_factory=dict)
    """By name. A metric that is absent could not be read in both arms: unknown, never zero."""
    uncertain: frozenset[str] = frozenset()
    """Metrics of which a canary pod's counter fell, and is not yet as high as it was: no reason to go on."""
    flaws: Mapping[str, Flaw] = field(default_factory=dict)
    """Metrics of which a pod shows what no counter can: what they have shown so far counts no more."""
    nodes: Mapping[str, str] = field(default_factory=dict)
    """Node by canary pod, as far as known."""


def clean(reading: Reading) -> Reading | None:
    """The reading, or None when it has numbers that no counter can have: unknown, never zero."""
    match reading:
        case RatioReading(hits=hits, total=total):
            return reading if 0 <= hits <= EXACT_INT_MAX and 0 <= total <= EXACT_INT_MAX else None
        case GaugeReading(value=value):
            return reading if isfinite(value) else None
        case HistogramReading(buckets=buckets):
            bounds = sorted(buckets)
            counts = [buckets[bound] for bound in bounds]
            sound = (
                bool(bounds) and bounds[-1] == inf and all(0 <= count <= EXACT_INT_MAX for count in counts)
            )
            return reading if sound and all(low <= high for low, high in pairwise(counts)) else None


def increment(before: Reading | None, now: Reading) -> Counts:
    """The increment of one pod's metric; `before` None: it counts from zero. A reset counts from zero, too."""
    match now:
        case RatioReading():
            return _ratio_increment(before, now, 0.0)[0]
        case GaugeReading():
            return Values(sum=now.value, number=1)
        case HistogramReading():
            return _bucket_increment(before, now)


def _ratio_increment(before: Reading | None, now: RatioReading, behind: float) -> tuple[RatioCounts, float]:
    """The increment with the hits that were `behind`, as far as there are cases for them; and those still behind."""
    old = before if isinstance(before, RatioReading) else None
    if old is None or now.total < old.total or now.hits < old.hits:
        old = RatioReading(hits=0, total=0)
    hits, total = now.hits - old.hits + behind, now.total - old.total
    return RatioCounts(hits=min(hits, total), total=total), max(0.0, hits - total)


def _bucket_increment(before: Reading | None, now: HistogramReading) -> BucketCounts:
    old = before.buckets if isinstance(before, HistogramReading) else {}
    # Where bounds have changed, those that were there before give the difference.
    bounds = tuple(sorted(now.buckets.keys() & old.keys() or now.buckets))
    counts = tuple(now.buckets[bound] for bound in bounds)
    if isinstance(before, HistogramReading) and old.keys() >= set(bounds):
        steps = [count - before.buckets[bound] for bound, count in zip(bounds, counts, strict=True)]
        if min(steps) >= 0:
            # Buckets are not read in one instant: a count may be one ahead of the next.
            counts = tuple(accumulate(steps, max))
    return BucketCounts(bounds=bounds, cumulative=counts)


def added(one: Counts | None, other: Counts) -> Counts | None:
    """The counts of both; None when they are not of one kind."""
    match one, other:
        case (None, _):
            return other
        case (Values() as left, Values() as right):
            return left.plus(right)
        case (RatioCounts() as left, RatioCounts() as right):
            return left.plus(right)
        case (BucketCounts() as left, BucketCounts() as right):
            return left.plus(right)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What is known of one pod: a metric that is missing now keeps what was known of it."""

    arm: Arm
    time: float
    tracks: Mapping[str, Track]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arms:
    """What was counted and not yet released, for one metric."""

    counts: Mapping[Arm, Counts] = field(default_factory=dict)
    pods: Mapping[str, float] = field(default_factory=dict)
    """Hits (of a histogram: cases) by canary pod."""
    fresh: float = 0
    """Cases of canary pods that come with their first believed reading."""

    def plus(self, steps: Iterable[tuple[PodReading, Counts]]) -> "_Arms":
        """The counts with those of some pods. Of a gauge only the values of now count."""
        counts: dict[Arm, Counts] = {
            arm: old for arm, old in self.counts.items() if not isinstance(old, Values)
        }
        pods = dict(self.pods)
        for pod, step in steps:
            total = added(counts.get(pod.arm), step)
            if total is None:
                return _Arms()
            counts[pod.arm] = total
            if pod.arm is Arm.CANARY and not isinstance(step, Values):
                pods[pod.pod] = pods.get(pod.pod, 0) + _hits(step)
        return _Arms(counts=counts, pods=pods, fresh=self.fresh)


def _hits(counts: RatioCounts | BucketCounts) -> float:
    return counts.hits if isinstance(counts, RatioCounts) else counts.total


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What was read last of each pod, and what was not yet released. A value: `advance` gives the next one."""

    latency: frozenset[str] = frozenset()
    """Names of the metrics for which a pod must be warm."""
    seen: Mapping[str, _Seen] = field(default_factory=dict)
    pending: Mapping[str, _Arms] = field(default_factory=dict)
    first_time: float | None = None
    last_time: float = -inf
    waited: int = 0
    flaws: Mapping[str, Flaw] = field(default_factory=dict)
    """Metrics of which a pod shows in the last poll what no counter can."""

    def advance(self, poll: Poll) -> tuple["Counters", Sample | None]:
        """The counters after `poll`, and the sample that it completes.

        No sample: the first poll, one that is not later than the last, or an arm is still awaited. A sample
        without metrics says that both arms could not be had together for too long.
        """
        if poll.time <= self.last_time:
            return self, None
        pods = [_cleaned(pod) for pod in poll.pods]
        tracks = {pod.pod: self._tracks(pod) for pod in pods}
        believed = [_believed(pod, tracks[pod.pod]) for pod in pods]
        pending = self.pending
        if self.first_time is not None:
            pending, tracks = _with_increments(self, poll, believed, tracks)
        flaws = _flaws(pods, tracks)
        after = replace(
            self,
            seen=_seen_now(self.seen, pods, tracks, poll.time),
            pending={name: arms for name, arms in pending.items() if name not in flaws},
            first_time=poll.time if self.first_time is None else self.first_time,
            last_time=poll.time,
            flaws=flaws,
        )
        if self.first_time is None:
            return after, None
        uncertain = _uncertain(pods, tracks)
        if _complete(poll, self.waited):
            after, sample = _released(after, poll, believed)
            return after, replace(sample, uncertain=uncertain, flaws=flaws)
        sample = Sample(time=poll.time, weight_percent=poll.weight_percent, uncertain=uncertain, flaws=flaws)
        too_long = self.waited + 1 >= MOST_POLLS_TO_WAIT
        return replace(after, waited=self.waited + 1), sample if too_long else None

    def _tracks(self, pod: PodReading) -> dict[str, Track]:
        """What is known of each counter of a pod that shows it now."""
        seen = self.seen.get(pod.pod)
        old = seen.tracks if seen and seen.arm is pod.arm else {}
        origin = Origin(pod.started, pod.process_started)
        return {
            name: old[name].plus(now, origin) if name in old else begun(now, origin, now)
            for name, now in pod.metrics.items()
        }


def from_zero(latency: frozenset[str] = frozenset()) -> Counters:
    """Counters before a first poll in which both arms have counted since the same moment."""
    return Counters(latency=latency, first_time=-inf)


def _cleaned(pod: PodReading) -> PodReading:
    sound = {name: reading for name, raw in pod.metrics.items() if (reading := clean(raw)) is not None}
    return pod if len(sound) == len(pod.metrics) else replace(pod, metrics=sound)


def _believed(pod: PodReading, tracks: Mapping[str, Track]) -> PodReading:
    """The reading without the counters that are not believed: unknown, never a reset."""
    kept = {name: now for name, now in pod.metrics.items() if tracks[name].is_believed}
    return pod if len(kept) == len(pod.metrics) else replace(pod, metrics=kept)


def _flaws(pods: Iterable[PodReading], tracks: Mapping[str, Mapping[str, Track]]) -> dict[str, Flaw]:
    shown = ((name, tracks[pod.pod][name].flaw) for pod in pods for name in pod.metrics)
    return {name: flaw for name, flaw in shown if flaw}


def _uncertain(pods: Iterable[PodReading], tracks: Mapping[str, Mapping[str, Track]]) -> frozenset[str]:
    canaries = (pod for pod in pods if pod.arm is Arm.CANARY)
    return frozenset(name for pod in canaries for name in pod.metrics if tracks[pod.pod][name].is_uncertain)


def _seen_now(
    seen: Mapping[str, _Seen],
    pods: Iterable[PodReading],
    tracks: Mapping[str, Mapping[str, Track]],
    time: float,
) -> Mapping[str, _Seen]:
    """What is known of all pods; those that are long gone are forgotten."""
    now = {name: pod for name, pod in seen.items() if time - pod.time < FORGOTTEN_AFTER_SECONDS}
    for pod in pods:
        old = now.get(pod.pod)
        kept = old.tracks if old and old.arm is pod.arm else {}
        now[pod.pod] = _Seen(arm=pod.arm, time=time, tracks={**kept, **tracks[pod.pod]})
    return now


def _with_increments(
    before: Counters, poll: Poll, pods: list[PodReading], tracks: Mapping[str, Mapping[str, Track]]
) -> tuple[Mapping[str, _Arms], dict[str, dict[str, Track]]]:
    """What is not yet released, with what the pods did since each was read last; and what is then known of them."""
    pending = dict(before.pending)
    after = {pod: dict(known) for pod, known in tracks.items()}
    for name in {name: None for pod in pods for name in pod.metrics}:
        shown = [pod for pod in pods if name in pod.metrics]
        steps = []
        for pod, base in _bases(before, name, shown, tracks):
            counts, after[pod.pod][name] = _counted(after[pod.pod][name], base)
            cold = name in before.latency and _is_cold(pod, poll.time)
            steps.append((pod, _none_of(counts) if cold else counts))
        first = (_cases(counts) for pod, counts in steps if _is_fresh(before, pod, name))
        arms = pending.get(name, _Arms()).plus(steps)
        pending[name] = replace(arms, fresh=arms.fresh + sum(first))
    return pending, after


def _bases(
    before: Counters, name: str, pods: list[PodReading], tracks: Mapping[str, Mapping[str, Track]]
) -> list[tuple[PodReading, Reading | None]]:
    """What each pod's counter counts from; None: from zero."""
    known = [(pod, tracks[pod.pod][name].base) for pod in pods if _is_known(before, pod, name)]
    usual = max((_cases(increment(base, pod.metrics[name])) for pod, base in known), default=inf)
    new = [pod for pod in pods if not _is_known(before, pod, name)]
    return [*known, *((pod, _start(before, pod, name, usual)) for pod in new)]


def _is_known(counters: Counters, pod: PodReading, name: str) -> bool:
    seen = counters.seen.get(pod.pod)
    return seen is not None and seen.arm is pod.arm and name in seen.tracks


def _is_fresh(counters: Counters, pod: PodReading, name: str) -> bool:
    """Whether a canary pod is read for the first time, or again, or was not Ready since the last poll.

    Nobody knows how much of what it has counted is of users.
    """
    known = _is_known(counters, pod, name) and not counters.seen[pod.pod].tracks[name].waits
    ready = pod.ready_since is not None and pod.ready_since <= counters.last_time
    return pod.arm is Arm.CANARY and not (known and ready)


def _counted(track: Track, base: Reading | None) -> tuple[Counts, Track]:
    """The increment of one counter, and what is known of it then: hits that have no cases yet are carried."""
    now = track.last
    if not isinstance(now, RatioReading):
        return increment(base, now), track
    counts, behind = _ratio_increment(base, now, track.behind)
    return counts, track.counted(behind)


def _start(counters: Counters, pod: PodReading, name: str, usual: float) -> Reading | None:
    """Where a series starts that was not read before: at zero (None), or at what it shows now.

    A pod that came after the first poll counts from zero. When nobody knows its age, one of stable that shows
    far more than its neighbours did is taken to be old and read for the first time: its past would dilute.
    """
    now = pod.metrics[name]
    if pod.started is not None and counters.first_time is not None:
        return None if pod.started >= counters.first_time else now
    old = pod.arm is Arm.STABLE and _cases(increment(None, now)) > 4 * usual + _FEW
    return now if old else None


def _cases(counts: Counts) -> float:
    return counts.number if isinstance(counts, Values) else counts.total


def _is_cold(pod: PodReading, time: float) -> bool:
    return pod.ready_since is not None and time - pod.ready_since < WARM_UP_SECONDS


def _none_of(counts: Counts) -> Counts:
    """No case, of the same kind: the metric is there, and says nothing yet."""
    if isinstance(counts, BucketCounts):
        return BucketCounts(bounds=counts.bounds, cumulative=(0,) * len(counts.bounds))
    return RatioCounts() if isinstance(counts, RatioCounts) else counts


def _complete(poll: Poll, waited: int) -> bool:
    """Whether both arms were read, as far as they should have traffic. A pod of stable is not awaited for ever."""
    awaited = {arm for _, arm in poll.unread if arm is Arm.CANARY or waited + 1 < MOST_POLLS_TO_WAIT}
    needed = {Arm.CANARY} if poll.weight_percent >= 100 else {Arm.CANARY, Arm.STABLE}
    return not awaited and needed <= {pod.arm for pod in poll.pods}


def _released(counters: Counters, poll: Poll, pods: list[PodReading]) -> tuple[Counters, Sample]:
    """The sample of all metrics that both arms show now; the others go on waiting."""
    metrics: dict[str, Increment] = {}
    pending = dict(counters.pending)
    for name, arms in counters.pending.items():
        shown = {pod.arm for pod in pods if name in pod.metrics}
        made = _increment_of(arms, alone=poll.weight_percent >= 100)
        if Arm.CANARY in shown and made and (Arm.STABLE in shown or poll.weight_percent >= 100):
            metrics[name] = made
            del pending[name]
    sample = Sample(
        time=poll.time,
        weight_percent=poll.weight_percent,
        metrics=metrics,
        nodes={pod.pod: pod.node for pod in pods if pod.arm is Arm.CANARY and pod.node},
    )
    return replace(counters, pending=pending, waited=0), sample


def _increment_of(arms: _Arms, *, alone: bool) -> Increment | None:
    """Both arms' counts; None while one is missing, unless the canary has all the traffic."""
    canary, stable = arms.counts.get(Arm.CANARY), arms.counts.get(Arm.STABLE)
    if canary is not None and stable is None and alone:
        stable = Values() if isinstance(canary, Values) else _none_of(canary)
    if canary is None or stable is None or type(canary) is not type(stable):
        return None
    return Increment(canary=canary, stable=stable, pods=tuple(sorted(arms.pods.items())), fresh=arms.fresh)
