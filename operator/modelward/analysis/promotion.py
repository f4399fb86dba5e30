"""When the canary may get more traffic: how much harm the next step could do at most, and whether stable is well.

The bounds hold at any time: they are where a mixture of binomial e-values, Beta(1/2, 20), reaches odds of 20:1 against
a rate. Source: Robbins 1970; Waudby-Smith and Ramdas 2024 call it a beta-binomial confidence sequence.
"""

from dataclasses import dataclass
from math import inf, lgamma, log
from typing import Final

from modelward.analysis import core
from modelward.analysis.core import Logs
from modelward.analysis.strata import STABLE_FAILS, lowered
from modelward.analysis.table import MetricState

TOLERABLE_SHARE: Final = 0.02
"""h: so many additional bad requests, of all, are risked to learn more."""
USUAL_FACTOR: Final = 2.0
"""Stable is in an incident when its rate is beyond so many times its usual one."""
_PRIOR_HITS: Final = 0.5
_PRIOR_OTHERS: Final = 20.0
_BOUND_ODDS: Final = 20.0
"""Bounds of 95 %."""
_HALVINGS: Final = 50
_MOST_CASES: Final = 1 << 30


def upper_bound(hits: float, cases: float) -> float:
    """The rate that is excluded from above, at 95 % and at any time; 1 without a case."""
    return _root(hits, cases, hits / cases, 1.0) if cases > 0 else 1.0


def lower_bound(hits: float, cases: float) -> float:
    """The rate that is excluded from below, at 95 % and at any time; 0 without a hit."""
    return _root(hits, cases, hits / cases, 0.0) if hits > 0 else 0.0


def _root(hits: float, cases: float, inside: float, outside: float) -> float:
    """Where the odds against a rate reach the bound's, between one that is `inside` and one that is not."""
    limit = _log_beta(_PRIOR_HITS + hits, _PRIOR_OTHERS + cases - hits) - _log_beta(
        _PRIOR_HITS, _PRIOR_OTHERS
    )
    limit -= log(_BOUND_ODDS)
    if _log_likelihood(hits, cases, outside) >= limit:
        return outside
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if _log_likelihood(hits, cases, middle) >= limit:
            inside = middle
        else:
            outside = middle
    return outside


def _log_likelihood(hits: float, cases: float, rate: float) -> float:
    good = (cases - hits) * log(1 - rate) if rate < 1 else (0.0 if cases == hits else -inf)
    bad = hits * log(rate) if rate > 0 else (0.0 if not hits else -inf)
    return good + bad


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """What more traffic could do: the worst that is not excluded, and what is allowed."""

    canary_upper: float
    stable_lower: float
    allowed_upper: float
    """The canary's bound that would be low enough."""
    cases: int
    """In the canary, in this step, beyond what comes without users."""
    hits: int
    unasked: int = 0
    """Cases that may come of probes and scrapes, or of pods that were not Ready."""
    own_rate: float = 0
    """Requests a second of each pod that may be probes and scrapes."""

    @property
    def bounded(self) -> bool:
        """Whether the next step's harm is bounded: w' (U_c - L_s) <= max(h, L_s)."""
        return self.canary_upper <= self.allowed_upper


def harm(state: MetricState, test: int, next_weight_percent: float, pod_seconds: float = 0.0) -> Harm:
    """The harm of the next step by one metric in this step: both arms saw the same time.

    `pod_seconds`: for how long the canary's pods were counted in it, all together.
    """
    phi, step = state.phis[test], state.step
    hits, stable_hits = (step.canary_hits[test], step.stable_hits[test]) if step.canary_hits else (0, 0)
    cases = max(hits, state.users_cases(pod_seconds))
    lower = lower_bound(stable_hits / phi, step.stable / phi)
    return Harm(
        canary_upper=upper_bound(hits / phi, cases / phi),
        stable_lower=lower,
        allowed_upper=min(1.0, lower + max(TOLERABLE_SHARE, lower) * 100 / next_weight_percent),
        cases=cases,
        hits=hits,
        unasked=step.canary - cases,
        own_rate=state.own_rate,
    )


def cases_needed(allowed_upper: float, phi: float) -> int:
    """How many canary cases without a hit would bring the upper bound down to `allowed_upper`."""
    cases = 1
    while upper_bound(0, cases / phi) > allowed_upper and cases < _MOST_CASES:
        cases *= 2
    low = cases // 2
    while cases - low > 1:
        middle = (low + cases) // 2
        low, cases = (middle, cases) if upper_bound(0, middle / phi) > allowed_upper else (low, middle)
    return cases


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Evidence that stable itself fails more than it used to, begun anew at each step."""

    usual: float | None = None
    """Stable's usual share of hits; None: not known."""
    logs: Logs = (core.START,) * len(core.RATIO_ALTERNATIVES)
    strata: int = 0

    def plus(self, hits: int, cases: int, *, phi: float, horizon: float, cap: float) -> "Incident":
        """The evidence after an interval."""
        if self.usual is None or not cases:
            return self
        ratios = core.limit_ratios(hits / phi, cases / phi, min(1.0, USUAL_FACTOR * self.usual))
        fresh = core.fresh_weight(self.strata + 1, horizon)
        logs = lowered(core.multiplied(self.logs, ratios, fresh=fresh, cap=cap))
        return Incident(usual=self.usual, logs=logs, strata=self.strata + 1)

    @property
    def lasts(self) -> bool:
        """Whether stable is in an incident."""
        return core.log_mean(self.logs) >= log(STABLE_FAILS)


def usual_share(hits: float, cases: float) -> float | None:
    """Stable's usual share of hits, a little above what was seen; None: too little was seen to say."""
    return (hits + 1) / cases if cases >= 100 else None
