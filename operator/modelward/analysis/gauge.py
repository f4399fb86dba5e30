"""Gauge: a sign test of the difference between two values, in samples that are far enough apart.

Exact if the samples are independent and the canary is as often below stable (with the margin) as above; it does
not ask how large a difference is, and so needs no idea of the variance.
"""

from dataclasses import replace

from modelward.analysis import core
from modelward.analysis.counters import Values
from modelward.analysis.policy import MetricPolicy, Policy
from modelward.analysis.strata import horizon
from modelward.analysis.table import MetricState, Table


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
