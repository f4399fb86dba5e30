"""Latency: requests slower than stable's p90, p99 and p99.9, as near as the bounds of the buckets allow.

Three tests, averaged. A share beyond a bound is compared exactly; a quantile inside a wide bucket is a guess.
"""

from dataclasses import replace
from math import inf, isnan, nan
from typing import Final

from modelward.analysis.counters import BucketCounts, Increment
from modelward.analysis.strata import whole
from modelward.analysis.table import MetricState, Table

SLOW_SHARES: Final = (0.1, 0.01, 0.001)
_INFORMATIVE_SHARES: Final = (*SLOW_SHARES, 0.03, 0.003, 0.3, 0.0003)
LEAST_SLOW: Final = 10
"""Slow requests that stable must have shown beyond a bound before it is chosen."""


def shaped(state: MetricState, increment: Increment) -> MetricState | None:
    """The tests with the bounds that stable's past allows to choose; None: the arms have no bound in common."""
    arms = shared(increment)
    if arms is None:
        return None
    bounds, past = arms[0].bounds, state.history
    common = tuple(bound for bound in bounds if bound in past.bounds)
    by_bound = dict(zip(past.bounds, state.history_phis, strict=False))
    history = BucketCounts(bounds=bounds, cumulative=(0,) * len(bounds))
    if common and len(common) >= min(
        len(bounds), len(past.bounds)
    ):  # the past may have kept fewer than are shown
        bounds, history = common, past.on(common)
    phis = tuple(by_bound.get(bound, state.phis[0]) for bound in bounds)
    open_bounds = (nan,) * len(SLOW_SHARES)
    return _chosen(replace(state, bounds=open_bounds, history=history, history_phis=phis), at_once=True)


def counted(state: MetricState, increment: Increment) -> Table | None:
    """Requests, and those beyond each bound; None: an arm does not show the bounds any more."""
    arms = shared(increment)
    needed = {bound for bound in state.bounds if not isnan(bound)}
    if arms is None or not needed <= {*arms[0].bounds}:
        return None
    canary, stable = arms
    return Table(whole(canary.total), whole(stable.total), _slower(canary, state), _slower(stable, state))


def learned(state: MetricState, increment: Increment) -> MetricState:
    """The memory with what stable did in an interval that is judged: it helps to choose what is not chosen yet.

    Only bounds that both arms still have can be chosen: the past goes on with those.
    """
    arms = shared(increment)
    if not state.history.bounds or arms is None:
        return state
    by_bound = dict(zip(state.history.bounds, state.history_phis, strict=True))
    bounds = tuple(bound for bound in arms[1].bounds if bound in by_bound)
    if len(bounds) < 2:
        return state
    history = state.history.on(bounds).plus(arms[1].on(bounds))
    return _chosen(replace(state, history=history, history_phis=tuple(by_bound[bound] for bound in bounds)))


def informative(history: BucketCounts, most: int) -> tuple[float, ...]:
    """At most `most` of the bounds: those that may be chosen to judge by, then others spread evenly."""
    bounds = history.bounds
    if len(bounds) <= most:
        return bounds
    finite, kept = bounds[:-1], {bounds[-1]}
    if history.total:
        kept |= {_outermost(history, share * history.total) for share in _INFORMATIVE_SHARES[: most - 1]}
    for parts in range(2, len(finite) + 1):
        for part in range(parts):
            if len(kept) >= most:
                return tuple(sorted(kept))
            kept.add(finite[part * len(finite) // parts])
    return tuple(sorted(kept))


def p99(history: BucketCounts) -> float:
    """The p99 in the unit of the bounds, straight within its bucket; 0 without a request."""
    low, below = 0.0, 0.0
    for bound, count in zip(history.bounds, history.cumulative, strict=True):
        if history.total and count >= 0.99 * history.total:
            inside = (0.99 * history.total - below) / (count - below) if count > below else 0.0
            return low if bound == inf else low + inside * (bound - low)
        low, below = bound, count
    return 0.0


def shared(increment: Increment) -> tuple[BucketCounts, BucketCounts] | None:
    """Both arms' buckets on the bounds that both have; None: they are no histograms, or nothing but all is shared."""
    canary, stable = increment.canary, increment.stable
    if not isinstance(canary, BucketCounts) or not isinstance(stable, BucketCounts):
        return None
    bounds = canary.bounds
    if bounds != stable.bounds:
        bounds = tuple(bound for bound in canary.bounds if bound in stable.bounds)
        canary, stable = canary.on(bounds), stable.on(bounds)
    return (canary, stable) if len(bounds) > 1 else None


def _slower(counts: BucketCounts, state: MetricState) -> tuple[int, ...]:
    total = whole(counts.total)
    return tuple(0 if isnan(bound) else max(0, total - whole(counts.upto(bound))) for bound in state.bounds)


def _chosen(state: MetricState, *, at_once: bool = False) -> MetricState:
    """The memory with each bound chosen that enough of stable's requests speak for; then the past is dropped.

    A bound is chosen before the requests that it judges, so it takes nothing from the guarantee. A tail for which
    the past at the start is too short, and would be for hours, takes the outermost bound that the past allows.
    """
    history = state.history
    bounds, phis = list(state.bounds), list(state.phis)
    for index, share in enumerate(SLOW_SHARES):
        enough = history.total * share >= LEAST_SLOW
        if isnan(bounds[index]) and (enough or (at_once and history.total * SLOW_SHARES[1] >= LEAST_SLOW)):
            least = max(share * history.total, LEAST_SLOW)
            bounds[index] = _outermost(history, least)
            phis[index] = state.history_phis[history.bounds.index(bounds[index])]
    if any(isnan(bound) for bound in bounds):
        return replace(state, bounds=tuple(bounds), phis=tuple(phis))
    return replace(state, bounds=tuple(bounds), phis=tuple(phis), history=BucketCounts(), history_phis=())


def _outermost(history: BucketCounts, least: float) -> float:
    """The highest bound that at least so many requests exceed; else the lowest."""
    slow = [bound for bound in history.bounds[:-1] if history.total - history.upto(bound) >= least]
    return slow[-1] if slow else history.bounds[0]
