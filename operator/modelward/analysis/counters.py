"""From cumulative counters to increments: what both arms did since the sample before, in the same time.

Raw counters are subtracted here rather than by a server's `rate()` or `increase()`, which extrapolate to the
edges of a window and lose the first increment of a new series (prometheus#3746, #1673). A counter that fell was
reset: its value is the increment - but not where the container is known to have run on. Then it is not believed in
that poll, or a page whose counters fall again and again would show every request as often as it is read. A pod
that came after the first poll counts from zero. What a vanished pod did after its last reading is lost.
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
    """Cases of canary pods that were read for the first time: what they counted since they started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The increments of both arms since the sample before."""

    time: float
    """End of the interval, as in the poll."""
    weight_percent: float
    metrics: Mapping[str, Increment] = field(default_factory=dict)
    """By name. A metric that is absent could not be read in both arms: unknown, never zero."""
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
            old = before if isinstance(before, RatioReading) else None
            if old is None or now.total < old.total or now.hits < old.hits:
                return RatioCounts(hits=min(now.hits, now.total), total=now.total)
            total = now.total - old.total
            return RatioCounts(hits=min(now.hits - old.hits, total), total=total)
        case GaugeReading():
            return Values(sum=now.value, number=1)
        case HistogramReading():
            return _bucket_increment(before, now)


def _bucket_increment(before: Reading | None, now: HistogramReading) -> BucketCounts:
    bounds = tuple(sorted(now.buckets))
    counts = tuple(now.buckets[bound] for bound in bounds)
    if isinstance(before, HistogramReading) and before.buckets.keys() == now.buckets.keys():
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
    """The last readings of one pod: a metric that is missing now keeps the reading it had."""

    arm: Arm
    time: float
    started: float | None
    metrics: Mapping[str, Reading]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arms:
    """What was counted and not yet released, for one metric."""

    counts: Mapping[Arm, Counts] = field(default_factory=dict)
    pods: Mapping[str, float] = field(default_factory=dict)
    """Hits (of a histogram: cases) by canary pod."""
    fresh: float = 0
    """Cases of canary pods that were read for the first time."""

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

    def advance(self, poll: Poll) -> tuple["Counters", Sample | None]:
        """The counters after `poll`, and the sample that it completes.

        No sample: the first poll, one that is not later than the last, or an arm is still awaited. A sample
        without metrics says that both arms could not be had together for too long.
        """
        if poll.time <= self.last_time:
            return self, None
        read = [_cleaned(pod) for pod in poll.pods]
        pods = [_believed(self, pod) for pod in read]
        after = replace(
            self,
            seen=_seen_now(self.seen, read, poll.time),
            pending=self.pending if self.first_time is None else _with_increments(self, poll, pods),
            first_time=poll.time if self.first_time is None else self.first_time,
            last_time=poll.time,
        )
        if self.first_time is None:
            return after, None
        if _complete(poll, self.waited):
            return _released(after, poll, pods)
        sample = Sample(time=poll.time, weight_percent=poll.weight_percent)
        too_long = self.waited + 1 >= MOST_POLLS_TO_WAIT
        return replace(after, waited=self.waited + 1), sample if too_long else None


def from_zero(latency: frozenset[str] = frozenset()) -> Counters:
    """Counters before a first poll in which both arms have counted since the same moment."""
    return Counters(latency=latency, first_time=-inf)


def _cleaned(pod: PodReading) -> PodReading:
    sound = {name: reading for name, raw in pod.metrics.items() if (reading := clean(raw)) is not None}
    return pod if len(sound) == len(pod.metrics) else replace(pod, metrics=sound)


def _believed(counters: Counters, pod: PodReading) -> PodReading:
    """The reading without counters that fell although nobody started them anew: unknown, never a reset."""
    old = counters.seen.get(pod.pod)
    if old is None or old.arm is not pod.arm or pod.started is None or pod.started != old.started:
        return pod
    kept = {name: now for name, now in pod.metrics.items() if not _fell(old.metrics.get(name), now)}
    return pod if len(kept) == len(pod.metrics) else replace(pod, metrics=kept)


def _fell(before: Reading | None, now: Reading) -> bool:
    match before, now:
        case RatioReading() as old, RatioReading():
            return now.total < old.total or now.hits < old.hits
        case HistogramReading() as old, HistogramReading():
            same = old.buckets.keys() == now.buckets.keys()
            return same and any(now.buckets[bound] < count for bound, count in old.buckets.items())
    return False


def _seen_now(seen: Mapping[str, _Seen], pods: Iterable[PodReading], time: float) -> Mapping[str, _Seen]:
    """The last readings of all pods; those that are long gone are forgotten."""
    now = {name: pod for name, pod in seen.items() if time - pod.time < FORGOTTEN_AFTER_SECONDS}
    for pod in pods:
        old = now.get(pod.pod)
        metrics = {**old.metrics, **pod.metrics} if old and old.arm is pod.arm else pod.metrics
        now[pod.pod] = _Seen(arm=pod.arm, time=time, started=pod.started, metrics=metrics)
    return now


def _with_increments(before: Counters, poll: Poll, pods: list[PodReading]) -> Mapping[str, _Arms]:
    """What is not yet released, with what the pods did since each was read last."""
    pending = dict(before.pending)
    for name in {name: None for pod in pods for name in pod.metrics}:
        shown = [(pod, _before(before, pod, name)) for pod in pods if name in pod.metrics]
        steps = [(pod, increment(old, pod.metrics[name])) for pod, old in shown if old is not None]
        usual = max((_cases(counts) for _, counts in steps), default=inf)
        first = [
            (pod, increment(_start(before, pod, name, usual), pod.metrics[name]))
            for pod, old in shown
            if old is None
        ]
        if name in before.latency:
            steps, first = _without_cold(steps, poll.time), _without_cold(first, poll.time)
        after = pending.get(name, _Arms()).plus([*steps, *first])
        fresh = sum(_cases(counts) for pod, counts in first if pod.arm is Arm.CANARY)
        pending[name] = replace(after, fresh=after.fresh + fresh)
    return pending


def _without_cold(steps: list[tuple[PodReading, Counts]], time: float) -> list[tuple[PodReading, Counts]]:
    return [(pod, _none_of(counts) if _is_cold(pod, time) else counts) for pod, counts in steps]


def _before(counters: Counters, pod: PodReading, name: str) -> Reading | None:
    """The reading to subtract; None: there is none, or the container was started anew."""
    old = counters.seen.get(pod.pod)
    if old is None or old.arm is not pod.arm:
        return None
    restarted = pod.started is not None and old.started is not None and pod.started > old.started
    return None if restarted else old.metrics.get(name)


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
