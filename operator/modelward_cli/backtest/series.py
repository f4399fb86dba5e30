"""What both versions have counted over time: the one view of a rollout that all rules share."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import inf, nan

from modelward.analysis.counters import BucketCounts, Counts, Increment, RatioCounts, Sample
from modelward.analysis.policy import MetricPolicy, Policy
from modelward.analysis.readings import Arm
from modelward.api.analysis_policy import MetricKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What one version has counted since its canary's traffic began."""

    errors: RatioCounts | None = None
    """None: there is no such metric."""
    latency: BucketCounts | None = None

    def plus(self, errors: Counts | None, latency: Counts | None) -> "Counted":
        """The counts with those of another interval."""
        made = self
        if isinstance(errors, RatioCounts):
            made = replace(made, errors=errors.plus(made.errors or RatioCounts()))
        if isinstance(latency, BucketCounts):
            made = replace(made, latency=latency.plus(made.latency or BucketCounts()))
        return made

    def since(self, before: "Counted") -> "Counted":
        """What was counted after `before`."""
        return Counted(
            errors=_ratio_since(self.errors, before.errors),
            latency=_buckets_since(self.latency, before.latency),
        )


def _ratio_since(now: RatioCounts | None, before: RatioCounts | None) -> RatioCounts | None:
    if now is None or before is None:
        return now
    return RatioCounts(hits=now.hits - before.hits, total=now.total - before.total)


def _buckets_since(now: BucketCounts | None, before: BucketCounts | None) -> BucketCounts | None:
    if now is None or before is None or not before.bounds:
        return now
    # Bounds only ever become fewer: those that all pods share.
    old = before.on(now.bounds)
    pairs = zip(now.cumulative, old.cumulative, strict=True)
    return BucketCounts(bounds=now.bounds, cumulative=tuple(high - low for high, low in pairs))


NOTHING = Counted()


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The names of the two metrics that the rules of others know; empty: there is none."""

    errors: str = ""
    latency: str = ""


def metrics_of(policy: Policy) -> Metrics:
    """The failed requests, or else the first share that is to be low; and the first latency."""
    shares = [each for each in policy.metrics if each.kind is MetricKind.RATIO and not each.higher_is_better]
    latencies = [each for each in policy.metrics if each.kind is MetricKind.LATENCY]
    ranked = sorted(shares, key=lambda metric: not metric.errors)
    return Metrics(errors=_first(ranked), latency=_first(latencies))


def _first(metrics: list[MetricPolicy]) -> str:
    return metrics[0].name if metrics else ""


@dataclass(slots=True, kw_only=True)
class Series:
    """The counts of both versions, with as much of the canary's past as a rule uses."""

    keep_seconds: float
    canary: Counted = NOTHING
    stable: Counted = NOTHING
    _past: deque[tuple[float, Counted]] = field(default_factory=deque)

    def begin(self, time: float, metrics: Metrics) -> None:
        """Count from `time` on. A metric of which nothing comes is one without data, not one that is missing."""
        self.canary = Counted(
            errors=RatioCounts() if metrics.errors else None,
            latency=BucketCounts() if metrics.latency else None,
        )
        self.stable = self.canary
        self._past.append((time, self.canary))

    def take(self, time: float, samples: Iterable[Sample], metrics: Metrics) -> None:
        """Take in what was counted up to `time`."""
        for sample in samples:
            self.canary = self._plus(self.canary, sample, metrics, Arm.CANARY)
            self.stable = self._plus(self.stable, sample, metrics, Arm.STABLE)
        self._past.append((time, self.canary))

    def forget(self, time: float) -> None:
        """Forget what no rule that was checked at `time` will ask for again."""
        while len(self._past) > 1 and self._past[1][0] <= time - self.keep_seconds:
            self._past.popleft()

    def at(self, time: float) -> Counted:
        """What the canary had counted at `time`, as far as it had been read by then."""
        found = self._past[0][1]
        for when, counted in self._past:
            if when > time:
                break
            found = counted
        return found

    def over(self, start: float, end: float) -> Counted:
        """What the canary did between two times."""
        return self.at(end).since(self.at(start))

    def _plus(self, counted: Counted, sample: Sample, metrics: Metrics, arm: Arm) -> Counted:
        return counted.plus(
            _of(sample.metrics.get(metrics.errors), arm), _of(sample.metrics.get(metrics.latency), arm)
        )


def _of(increment: Increment | None, arm: Arm) -> Counts | None:
    if increment is None:
        return None
    return increment.canary if arm is Arm.CANARY else increment.stable


def quantile(counts: BucketCounts, share: float) -> float:
    """As Prometheus' histogram_quantile: linear inside a bucket, the largest bound beyond it; NaN of nothing."""
    if counts.total <= 0:
        return nan
    rank, low, below = share * counts.total, 0.0, 0.0
    for bound, cumulative in zip(counts.bounds, counts.cumulative, strict=True):
        if bound == inf:
            break
        if cumulative >= rank and cumulative > below:
            return low + (bound - low) * (rank - below) / (cumulative - below)
        low, below = bound, cumulative
    return low
