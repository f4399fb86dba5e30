"""The kinds of metric: what is a case, what is a hit, and which tests are made of them."""

from dataclasses import replace
from math import nan
from typing import Final

from modelward.analysis import core, distribution, gauge, latency
from modelward.analysis.allotment import Allotment
from modelward.analysis.counters import BucketCounts, Increment, RatioCounts, Values
from modelward.analysis.gauge import GRID_SECONDS
from modelward.analysis.noise import PHI_WITHOUT_HISTORY, MetricReference, Reference
from modelward.analysis.policy import MetricPolicy, Policy
from modelward.analysis.strata import whole, with_table
from modelward.analysis.table import MetricState, Table
from modelward.api.analysis_policy import MetricKind

TESTS: Final = {
    MetricKind.RATIO: 1,
    MetricKind.LATENCY: len(latency.SLOW_SHARES),
    MetricKind.DISTRIBUTION: 1,
    MetricKind.GUARD: 2,
    MetricKind.GAUGE: 1,
}
"""Tests at the beginning. A distribution gets its own when its buckets are known; a guard judges both arms."""


def begun(metric: MetricPolicy, reference: Reference, allotment: Allotment) -> MetricState:
    """The memory of a metric before anything was seen."""
    known = reference.metrics.get(metric.name)
    history = _thinned(metric.kind, known.histogram, allotment) if known else BucketCounts()
    tests = TESTS[metric.kind]
    alternatives = core.SIGN_ALTERNATIVES if metric.kind is MetricKind.GAUGE else core.RATIO_ALTERNATIVES
    return MetricState(
        name=metric.name,
        kind=metric.kind,
        phis=(_phi_at_first(metric, reference),) * tests,
        freedom=known.freedom if known else 0,
        tests=(core.begun(alternatives),) * tests,
        bounds=_bounds(metric.kind, known.spacing_seconds if known else GRID_SECONDS),
        history=history,
        history_phis=tuple(reference.phi(metric.name, bound) for bound in history.bounds),
    )


def _phi_at_first(metric: MetricPolicy, reference: Reference) -> float:
    match metric.kind:
        case MetricKind.LATENCY | MetricKind.DISTRIBUTION:
            return reference.phi_without_history
        case MetricKind.RATIO | MetricKind.GUARD:
            return reference.phi(metric.name)
        case MetricKind.GAUGE:
            return 1.0  # its values are taken so far apart that each shows something new


def informed(state: MetricState, today: Reference) -> MetricState:
    """The memory with the noise that is known by now.

    Whoever has just begun to poll the pods, after a restart, knows less than is remembered: more noise counts at
    once, less only when it is known half as well.
    """
    known = today.metrics.get(state.name)
    if known is None or not known.freedom or state.kind is MetricKind.GAUGE:
        return state
    phis, history_phis = _phis_by(state, known)
    if known.freedom >= state.freedom / 2:
        return replace(state, phis=phis, history_phis=history_phis, freedom=known.freedom)
    return replace(
        state,
        phis=tuple(map(_no_less, state.phis, phis)),
        history_phis=tuple(map(_no_less, state.history_phis, history_phis)),
    )


def _no_less(before: float, now: float) -> float:
    return max(before, now) if now > PHI_WITHOUT_HISTORY else before


def _phis_by(state: MetricState, known: MetricReference) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The noise of each test, and at each bound of the past, as it is known; what is not stays as it was."""
    past = zip(state.history.bounds, state.history_phis, strict=True)
    history_phis = tuple(known.phis.get(bound, before) for bound, before in past)
    match state.kind:
        case MetricKind.LATENCY:
            each = zip(state.bounds, state.phis, strict=True)
            return tuple(known.phis.get(bound, before) for bound, before in each), history_phis
        case MetricKind.DISTRIBUTION if state.bounds:
            return distribution.phis(state.bounds, known.phis, state.phis), history_phis
        case MetricKind.RATIO | MetricKind.GUARD:
            return (known.phi,) * len(state.phis), history_phis
    return state.phis, history_phis


def _bounds(kind: MetricKind, spacing_seconds: float) -> tuple[float, ...]:
    match kind:
        case MetricKind.LATENCY:
            return (nan,) * TESTS[kind]
        case MetricKind.GAUGE:
            return (spacing_seconds,)
    return ()


def _thinned(kind: MetricKind, history: BucketCounts, allotment: Allotment) -> BucketCounts:
    """The past on as many bounds as may be kept."""
    most = allotment.bounds(kind)
    thin = latency.informative if kind is MetricKind.LATENCY else distribution.joined
    return history if len(history.bounds) <= most else history.on(thin(history, most))


def within(state: MetricState, allotment: Allotment) -> MetricState:
    """The memory without what is beyond its allotment: bounds that a page shows, or an earlier version kept."""
    history = _thinned(state.kind, state.history, allotment)
    if history is state.history:
        return state
    by_bound = dict(zip(state.history.bounds, state.history_phis, strict=True))
    return replace(state, history=history, history_phis=tuple(by_bound[bound] for bound in history.bounds))


def shaped(state: MetricState, increment: Increment, allotment: Allotment) -> MetricState | None:
    """The memory with its tests laid out for what the arms show; None: it cannot be judged by that."""
    match state.kind:
        case MetricKind.LATENCY:
            laid_out = latency.shaped(state, increment)
            return within(laid_out, allotment) if laid_out else None
        case MetricKind.DISTRIBUTION:
            return distribution.shaped(state, increment, allotment.buckets)
        case MetricKind.GAUGE:
            return state if isinstance(increment.canary, Values) else None
        case MetricKind.RATIO | MetricKind.GUARD:
            return state if isinstance(increment.canary, RatioCounts) else None


def observed(
    policy: Policy, metric: MetricPolicy, state: MetricState, increment: Increment, time: float
) -> MetricState | None:
    """The memory after an interval; None: what is shown is not what was shown before."""
    if isinstance(increment.canary, Values) and isinstance(increment.stable, Values):
        if state.kind is not MetricKind.GAUGE:
            return None
        return gauge.observed(policy, metric, state, (increment.canary, increment.stable), time)
    table = counted(state, increment)
    if table is None:
        return None
    after = with_table(policy, metric, _with_leader(state, increment), table)
    return latency.learned(after, increment) if state.kind is MetricKind.LATENCY else after


def counted(state: MetricState, increment: Increment) -> Table | None:
    """Cases and hits of both arms; None: they cannot be counted."""
    match state.kind:
        case MetricKind.LATENCY:
            return latency.counted(state, increment)
        case MetricKind.DISTRIBUTION:
            return distribution.counted(state, increment)
        case MetricKind.RATIO | MetricKind.GUARD:
            return _ratio(increment)
        case MetricKind.GAUGE:
            return None


def _ratio(increment: Increment) -> Table | None:
    canary, stable = increment.canary, increment.stable
    if not isinstance(canary, RatioCounts) or not isinstance(stable, RatioCounts):
        return None
    cases, stable_cases = whole(canary.total), whole(stable.total)
    hits, stable_hits = min(whole(canary.hits), cases), min(whole(stable.hits), stable_cases)
    return Table(cases, stable_cases, (hits,), (stable_hits,))


def _with_leader(state: MetricState, increment: Increment) -> MetricState:
    """The memory of the pod with the most hits, by a vote that keeps one name (Boyer and Moore 1981)."""
    pod, lead = state.pod, state.lead
    for name, hits in increment.pods:
        lead += whole(hits) if name == pod else -whole(hits)
        if lead < 0:
            pod, lead = name, -lead
    return state if lead == state.lead and pod == state.pod else replace(state, pod=pod, lead=lead)
