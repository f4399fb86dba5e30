"""The evidence of all metrics together, and the metrics that take part."""

from collections.abc import Iterable
from functools import lru_cache
from math import exp, log

from modelward.analysis import core
from modelward.analysis.policy import MetricPolicy, Policy, weights
from modelward.analysis.state import State
from modelward.analysis.strata import log_odds
from modelward.analysis.table import MetricState
from modelward.api.analysis_policy import MetricKind


def pairs(policy: Policy, state: State) -> Iterable[tuple[MetricPolicy, MetricState]]:
    """The metrics of the frozen set, with their memory."""
    both = zip(policy.metrics, state.metrics, strict=True)
    return ((metric, memory) for metric, memory in both if memory.joined)


@lru_cache(maxsize=1024)
def _weights(metrics: tuple[MetricPolicy, ...], joined: tuple[bool, ...]) -> dict[str, float]:
    return weights(metric for metric, among in zip(metrics, joined, strict=True) if among)


def weights_of(policy: Policy, state: State) -> dict[str, float]:
    """The weight of each metric that counts in this rollout, by name."""
    return _weights(policy.metrics, tuple(metric.joined for metric in state.metrics))


def total_log_odds(policy: Policy, state: State) -> float:
    """ln of the weighted mean of the evidence: however the metrics depend on each other, it stays fair."""
    weight = weights_of(policy, state)
    parts = [log(weight[m.name]) + log_odds(m) for m in state.metrics if m.name in weight]
    if not parts:
        return core.START
    top = max(parts)
    return top + log(sum(exp(part - top) for part in parts))


def limit_of(policy: Policy, metrics: Iterable[MetricState]) -> float:
    """The odds that the evidence of these metrics together must reach.

    Evidence that is discounted is at most what it is without discount, or the prior weight of its e-values. So a mean of several can
    be ahead of what is fair, by less than one (docs/design/0016).
    """
    return policy.limit + any(phi > 1 for metric in metrics for phi in metric.phis)


def total_limit(policy: Policy, state: State) -> float:
    """The odds at which the evidence of all metrics together rolls the canary back."""
    weight = weights_of(policy, state)
    return limit_of(policy, (metric for metric in state.metrics if metric.name in weight))


def heaviest(policy: Policy, state: State) -> str:
    """The name of the metric with most of the evidence; empty when none counts."""
    weight = weights_of(policy, state)
    counting = [metric for metric in state.metrics if metric.name in weight]
    if not counting:
        return ""
    return max(counting, key=lambda metric: log(weight[metric.name]) + log_odds(metric)).name


def lead(policy: Policy, state: State) -> tuple[MetricPolicy, MetricState] | None:
    """The metric that bounds the harm: errors, else another ratio, else latency, else a guard."""
    candidates = [pair for pair in pairs(policy, state) if not pair[0].higher_is_better]
    ranks = {MetricKind.RATIO: 1, MetricKind.LATENCY: 2, MetricKind.GUARD: 3}
    fit = [pair for pair in candidates if pair[0].kind in ranks]
    return min(fit, key=lambda pair: 0 if pair[0].errors else ranks[pair[0].kind], default=None)
