"""Gauge: a sign test of the difference between two values, in samples that are far enough apart.

Exact if the samples are independent and the canary is as often below stable (with the margin) as above; it does
not ask how large a difference is, and so needs no idea of the variance.

Samples are independent when stable's pods have forgotten the one before (`Spacing`). A gauge that is itself an average over
minutes gives nearly the same value at each poll, and a test of the sign of a difference that hardly moves would be won or
lost by chance all at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import sqrt
from typing import Final

from modelward.analysis import core
from modelward.analysis.counters import Values
from modelward.analysis.policy import MetricPolicy, Policy
from modelward.analysis.strata import horizon
from modelward.analysis.table import MetricState, Table

GRID_SECONDS: Final = 60.0
LAGS: Final = (1, 2, 4, 8, 16)
"""Distances that are tried, in minutes."""
FORGOTTEN: Final = 0.1
"""Correlation below which values count as independent."""
LEAST_PAIRS: Final = 20
"""Fewer pairs than this say nothing about a distance."""

_ByPod = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lag:
    """Sums over pairs of deviations at one distance."""

    both: float = 0.0
    first: float = 0.0
    second: float = 0.0
    pairs: int = 0

    def plus(self, earlier: _ByPod, later: _ByPod) -> "_Lag":
        """The sums with the pairs of two moments."""
        shared = [(earlier[pod], later[pod]) for pod in later if pod in earlier]
        return _Lag(
            both=self.both + sum(a * b for a, b in shared),
            first=self.first + sum(a * a for a, _ in shared),
            second=self.second + sum(b * b for _, b in shared),
            pairs=self.pairs + len(shared),
        )

    @property
    def correlation(self) -> float:
        """The correlation; 0 for values that never move."""
        scale = sqrt(self.first * self.second)
        return self.both / scale if scale > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spacing:
    """Running sums over the values of stable's pods. A value: `plus` gives the next one."""

    lags: tuple[_Lag, ...] = (_Lag(),) * len(LAGS)
    recent: tuple[_ByPod, ...] = ()
    """Deviations of the last minutes, newest last."""
    time: float | None = None
    mean: float = 0.0
    polls: int = 0

    def plus(self, values: _ByPod, time: float) -> "Spacing":
        """The sums after one more poll; those within a minute of the last are left aside."""
        if not values or (self.time is not None and time - self.time < GRID_SECONDS - 1):
            return self
        now = sum(values.values()) / len(values)
        mean = self.mean + (now - self.mean) / (self.polls + 1)
        # Pods are compared with each other, for the arms are; a single pod only with what it used to be.
        centre = now if len(values) > 1 else mean
        deviations = {pod: value - centre for pod, value in values.items()}
        lags = tuple(
            sums.plus(self.recent[-lag], deviations) if lag <= len(self.recent) else sums
            for lag, sums in zip(LAGS, self.lags, strict=True)
        )
        recent = (*self.recent, deviations)[-LAGS[-1] :]
        return replace(self, lags=lags, recent=recent, time=time, mean=mean, polls=self.polls + 1)

    @property
    def seconds(self) -> float:
        """The least distance at which the values are forgotten; a minute while too little is known."""
        for lag, sums in zip(LAGS, self.lags, strict=True):
            if sums.pairs < LEAST_PAIRS:
                return GRID_SECONDS if lag == LAGS[0] else lag * GRID_SECONDS
            if sums.correlation < FORGOTTEN:
                return lag * GRID_SECONDS
        return LAGS[-1] * GRID_SECONDS


def observed(
    policy: Policy, metric: MetricPolicy, state: MetricState, values: tuple[Values, Values], time: float
) -> MetricState:
    """The memory after the values of canary and stable; they count when the last that did are long enough ago."""
    canary, stable = values
    if not canary.number or not stable.number or (state.due is not None and time < state.due):
        return state
    sign = sign_of(canary.mean, stable.mean, metric)
    spacing = max(state.bounds[0], policy.interval_seconds)
    fresh = core.fresh_weight(state.strata + 1, horizon(spacing))
    cap = core.cap_of(policy.alpha)
    table = Table(1, 1, (int(sign > 0),), (int(sign < 0),))
    return replace(
        state,
        tests=(core.multiplied(state.tests[0], core.sign_ratios(sign), fresh=fresh, cap=cap),),
        strata=state.strata + 1,
        step=state.step.plus(table),
        total=state.total.plus(table),
        # Half an interval early is on time: polls are never exactly a minute apart.
        due=time + spacing - policy.interval_seconds / 2,
        values=(canary.mean, stable.mean),
    )


def sign_of(canary: float, stable: float, metric: MetricPolicy) -> int:
    """+1 when the canary's value is worse than stable's by more than the margin, -1 when not, 0 on the line."""
    slack = (metric.margin - 1) * abs(stable)
    worse = stable - slack - canary if metric.higher_is_better else canary - stable - slack
    return (worse > 0) - (worse < 0)
