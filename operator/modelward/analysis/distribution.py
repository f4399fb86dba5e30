"""Distribution: is any bucket of a score more, or less, frequent in the canary than in stable."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from math import inf
from typing import Final

from modelward.analysis import core
from modelward.analysis.counters import BucketCounts, Increment
from modelward.analysis.latency import SLOW_SHARES, shared
from modelward.analysis.policy import MetricPolicy
from modelward.analysis.strata import whole
from modelward.analysis.table import MetricState, Table
from modelward.api.analysis_policy import MetricKind

MOST_TESTS: Final = 110
"""Tests of all metrics together: the state must fit into status."""
LEAST_BUCKETS: Final = 3
MOST_BUCKETS: Final = 10


def buckets_for(metrics: tuple[MetricPolicy, ...]) -> int:
    """How many buckets each distribution may have, so that all tests together fit into status."""
    drifting = sum(metric.kind is MetricKind.DISTRIBUTION for metric in metrics)
    rest = MOST_TESTS - len(SLOW_SHARES) * (len(metrics) - drifting)
    return min(MOST_BUCKETS, max(LEAST_BUCKETS, rest // (2 * drifting))) if drifting else MOST_BUCKETS


def shaped(state: MetricState, increment: Increment, buckets: int) -> MetricState | None:
    """Two tests for each bucket that both arms have, more and fewer; many buckets are joined to `buckets`."""
    arms = shared(increment)
    if arms is None:
        return None
    stable = arms[1]
    usable = state.history.total and {*stable.bounds} <= {*state.history.bounds}
    bounds = _joined(state.history.on(stable.bounds) if usable else stable, buckets)
    by_bound = dict(zip(state.history.bounds, state.history_phis, strict=False))
    return replace(
        state,
        bounds=bounds,
        phis=tuple(_joined_phi(bounds, index, by_bound, state.phis[0]) for index in range(len(bounds))),
        tests=(core.begun(core.RATIO_BETS),) * (2 * len(bounds)),
        history=BucketCounts(),
        history_phis=(),
    )


def counted(state: MetricState, increment: Increment) -> Table | None:
    """Cases, and those in each bucket; None: an arm does not show the bounds any more."""
    arms = shared(increment)
    if arms is None or not {*state.bounds} <= {*arms[0].bounds}:
        return None
    canary, stable = arms
    return Table(
        whole(canary.total), whole(stable.total), _by_bucket(canary, state), _by_bucket(stable, state)
    )


def _by_bucket(counts: BucketCounts, state: MetricState) -> tuple[int, ...]:
    below = [whole(counts.upto(bound)) for bound in state.bounds]
    return tuple(max(0, high - low) for low, high in pairwise([0, *below]))


def _joined(history: BucketCounts, most: int) -> tuple[float, ...]:
    """At most `most` of the bounds, between which stable's cases are spread as evenly as they allow."""
    bounds = history.bounds
    if len(bounds) <= most:
        return bounds
    even = not history.total
    below = [
        (i + 1) / len(bounds) if even else history.cumulative[i] / history.total
        for i in range(len(bounds) - 1)
    ]
    nearest = {min(range(len(below)), key=lambda i: abs(below[i] - part / most)) for part in range(1, most)}
    return (*(bounds[index] for index in sorted(nearest)), bounds[-1])


def _joined_phi(
    bounds: tuple[float, ...], index: int, by_bound: Mapping[float, float], default: float
) -> float:
    """The noise of a bucket: the largest of those that it joins."""
    low = bounds[index - 1] if index else -inf
    return max((phi for bound, phi in by_bound.items() if low < bound <= bounds[index]), default=default)
