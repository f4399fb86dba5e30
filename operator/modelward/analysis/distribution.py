"""Distribution: is any bucket of a score more, or less, frequent in the canary than in stable."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from math import inf

from modelward.analysis import core
from modelward.analysis.counters import BucketCounts, Increment
from modelward.analysis.latency import shared
from modelward.analysis.strata import whole
from modelward.analysis.table import MetricState, Table


def shaped(state: MetricState, increment: Increment, buckets: int) -> MetricState | None:
    """Two tests for each bucket that both arms have, more and fewer; many buckets are joined to `buckets`."""
    arms = shared(increment)
    if arms is None:
        return None
    stable, past = arms[1], state.history
    common = tuple(bound for bound in past.bounds if bound in stable.bounds)
    usable = past.total and len(common) >= min(buckets, len(stable.bounds))
    bounds = joined(past.on(common) if usable else stable, buckets)
    by_bound = dict(zip(state.history.bounds, state.history_phis, strict=False))
    return replace(
        state,
        bounds=bounds,
        phis=phis(bounds, by_bound, (state.phis[0],) * len(bounds)),
        tests=(core.begun(core.RATIO_ALTERNATIVES),) * (2 * len(bounds)),
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


def joined(history: BucketCounts, most: int) -> tuple[float, ...]:
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


def phis(
    bounds: tuple[float, ...], by_bound: Mapping[float, float], otherwise: tuple[float, ...]
) -> tuple[float, ...]:
    """The noise of each bucket, from that of the buckets that it joins."""
    return tuple(_joined_phi(bounds, index, by_bound, default) for index, default in enumerate(otherwise))


def _joined_phi(
    bounds: tuple[float, ...], index: int, by_bound: Mapping[float, float], default: float
) -> float:
    """The noise of a bucket: the largest of those that it joins."""
    low = bounds[index - 1] if index else -inf
    return max((phi for bound, phi in by_bound.items() if low < bound <= bounds[index]), default=default)
