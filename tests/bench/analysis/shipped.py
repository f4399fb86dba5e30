"""The shipped judge, fed with simulated samples."""

from collections.abc import Sequence
from typing import Final

from bench.analysis.latency import BOUNDS_MS
from modelward.analysis.counters import BucketCounts, Increment, RatioCounts, Sample
from modelward.analysis.noise import MetricReference, Reference
from modelward.analysis.policy import MetricPolicy, Policy
from modelward.api.analysis_policy import MetricKind

ERRORS: Final = MetricPolicy(name="errors", kind=MetricKind.RATIO, errors=True)
LATENCY: Final = MetricPolicy(name="latency", kind=MetricKind.LATENCY)
BOUNDS: Final = (*(float(bound) / 1000.0 for bound in BOUNDS_MS), float("inf"))
_HISTORY_SECONDS: Final = 3600.0


def policy(poll: float, *metrics: MetricPolicy) -> Policy:
    """The defaults, at a distance of polls."""
    return Policy(metrics=metrics, interval_seconds=poll)


def ratio(n_c: int, e_c: int, n_s: int, e_s: int) -> Increment:
    """Requests and errors of both arms."""
    return Increment(
        canary=RatioCounts(hits=int(e_c), total=int(n_c)), stable=RatioCounts(hits=int(e_s), total=int(n_s))
    )


def buckets(counts: Sequence[int]) -> BucketCounts:
    """A histogram from counts by bucket."""
    total, cumulative = 0, []
    for count in counts:
        total += int(count)
        cumulative.append(total)
    return BucketCounts(bounds=BOUNDS, cumulative=tuple(cumulative))


def sample(time: float, weight: float, **metrics: Increment) -> Sample:
    """What both arms did until `time`; `weight` from 0 to 1."""
    return Sample(time=time, weight_percent=100.0 * weight, metrics=metrics)


def reference(rps: float, error_rate: float, shares: Sequence[float]) -> Reference:
    """An hour of stable without noise: its error rate, and its latency by shares of buckets."""
    total = rps * _HISTORY_SECONDS
    slow = buckets([round(total * share) for share in shares])
    return Reference(
        metrics={
            "errors": MetricReference(phi=1.0, hits=round(total * error_rate), total=total),
            "latency": MetricReference(phis=dict.fromkeys(BOUNDS, 1.0), total=slow.total, histogram=slow),
        }
    )
