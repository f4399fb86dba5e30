"""Strata: some intervals taken together, judged as one table of cases and hits.

E-values are kept as they are for independent requests, and discounted for noise whenever they are read: noise that shows
later counts for all that came before (docs/design/0016).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import log
from typing import Final

from modelward.analysis import core
from modelward.analysis.core import Logs
from modelward.analysis.policy import MetricPolicy, Policy
from modelward.analysis.table import EMPTY, MetricState, Table
from modelward.api.analysis_policy import MetricKind

STRATUM_CASES: Final = 20
STRATUM_POLLS: Final = 4
"""A stratum closes with so many cases if both arms have some, and at the latest after so many samples."""
STABLE_FAILS: Final = 20.0
"""Odds at which stable itself exceeds a limit: the canary is then not the cause."""
CEILING: Final = log(10 * STABLE_FAILS)
"""Evidence about stable is kept below this, so that an incident that is over is soon forgotten."""


def horizon(seconds: float) -> float:
    """Strata over which half of the late prior weight is spent, when there is one every `seconds`."""
    return core.RESTART_SECONDS / seconds


def with_table(policy: Policy, metric: MetricPolicy, state: MetricState, table: Table) -> MetricState:
    """The memory after the counts of one interval; a stratum that is full is closed."""
    after = replace(
        state,
        open=state.open.plus(table),
        polls=state.polls + 1,
        step=state.step.plus(table),
        total=state.total.plus(table),
    )
    full = after.open.canary and after.open.stable and after.open.canary + after.open.stable >= STRATUM_CASES
    return closed(policy, metric, after) if full or after.polls >= STRATUM_POLLS else after


def closed(policy: Policy, metric: MetricPolicy, state: MetricState) -> MetricState:
    """The memory with the open stratum judged. When to close depends on cases and time, never on hits."""
    if not state.polls or not state.tests:
        return state
    strata = state.strata + 1
    fresh = core.fresh_weight(strata, horizon(policy.interval_seconds))
    cap = core.cap_of(policy.alpha)
    return replace(
        state,
        tests=_TESTS[metric.kind](metric, state, fresh, cap),
        strata=strata,
        open=EMPTY,
        polls=0,
    )


def _fisher(metric: MetricPolicy, state: MetricState, fresh: float, cap: float) -> tuple[Logs, ...]:
    """One test per hit, of a hit that is bad (of one that is good, its opposite)."""
    table = state.open
    return tuple(
        core.multiplied(
            logs,
            _ratios(table, index, metric.margin, opposite=metric.higher_is_better),
            fresh=fresh,
            cap=cap * phi,
        )
        for index, (logs, phi) in enumerate(zip(state.tests, state.phis, strict=True))
    )


def _both_ways(metric: MetricPolicy, state: MetricState, fresh: float, cap: float) -> tuple[Logs, ...]:
    """Two tests per bucket: more cases in it, and fewer."""
    return tuple(
        core.multiplied(
            logs,
            _ratios(state.open, number // 2, metric.margin, opposite=number % 2 == 1),
            fresh=fresh,
            cap=cap * state.phis[number // 2],
        )
        for number, logs in enumerate(state.tests)
    )


def _against_limit(metric: MetricPolicy, state: MetricState, fresh: float, cap: float) -> tuple[Logs, ...]:
    """Two tests: of the canary, and of stable. While stable itself fails, the canary's stands still."""
    canary, stable = state.tests
    limit, phi, table = metric.limit or 0.0, state.phis[0], state.open
    ratios = core.limit_ratios(table.stable_hits[0], table.stable, limit) if table.stable else None
    stable = lowered(core.multiplied(stable, ratios, fresh=fresh, cap=cap * phi), phi)
    ratios = core.limit_ratios(table.canary_hits[0], table.canary, limit) if table.canary else None
    if core.discounted(stable, phi, state.strata) >= log(STABLE_FAILS):
        ratios = None
    return core.multiplied(canary, ratios, fresh=fresh, cap=cap * phi), stable


_TESTS: Final[Mapping[MetricKind, Callable[[MetricPolicy, MetricState, float, float], tuple[Logs, ...]]]] = {
    MetricKind.RATIO: _fisher,
    MetricKind.LATENCY: _fisher,
    MetricKind.DISTRIBUTION: _both_ways,
    MetricKind.GUARD: _against_limit,
}


def lowered(logs: Logs, phi: float = 1.0) -> Logs:
    """The e-values, none much above the ceiling when it is read. Lowering evidence is always allowed."""
    return tuple(min(value, CEILING * phi) for value in logs)


def _ratios(table: Table, index: int, margin: float, *, opposite: bool) -> tuple[float, ...] | None:
    """ln LR for the hits at `index`, or for the cases that are no hits."""
    hits, stable_hits = table.canary_hits[index], table.stable_hits[index]
    if opposite:
        hits, stable_hits = table.canary - hits, table.stable - stable_hits
    return core.likelihood_ratios((hits, table.canary, stable_hits, table.stable), margin)


def log_odds(state: MetricState) -> float:
    """ln of the evidence against the canary: the mean over all tests (of a guard, the canary's)."""
    tests = range(1 if state.kind is MetricKind.GUARD else len(state.tests))
    return core.log_mean(log_odds_of(state, test) for test in tests) if tests else core.START


def log_odds_of(state: MetricState, test: int) -> float:
    """ln of the evidence of one test, as far as the noise that is known lets it count."""
    several = state.kind is MetricKind.DISTRIBUTION and len(state.tests) > len(state.phis)
    return core.discounted(state.tests[test], state.phis[test // 2 if several else test], state.strata)


def whole(number: float) -> int:
    """A count as a whole number: sources may give fractions."""
    return max(0, round(number))
