"""Whether requests follow the weights, by what the pods themselves have counted.

A Gateway may report a route before it sends by it: Traefik, for one, gathers changes for its
`providersThrottleDuration`. What the pods count is the only proof that it does.
"""

from datetime import UTC, datetime
from typing import Final

from modelward.analysis.counters import Sample, Values
from modelward.api.status import RolloutStatus
from modelward.rollout import steps
from modelward.rollout.observed import Observed

_CERTAIN: Final = 10.0
"""So many requests were to come to the canary by its former weight, and none has: it has none any more. By chance
alone that happens once in 20,000 times (e to the power of -10)."""


def arrived(observed: Observed, rollout: RolloutStatus) -> datetime | None:
    """When requests were seen to come to the canary by its present weight; None: not yet.

    At its first step any request shows it; later a share that is nearer to its weight than to that of the step before.
    """
    step, weight = rollout.step, rollout.weight_percent
    before = min(weight, steps.weight_of(observed.asked.steps, step - 1)) if step else -weight
    least = (before + weight) / 2
    for sample in observed.evidence.samples:
        canary, stable = _requests(sample)
        of_weight = sample.weight_percent == weight
        if of_weight and canary and canary * steps.WHOLE >= least * (canary + stable):
            return datetime.fromtimestamp(sample.time, UTC)
    return None


def is_quiet(observed: Observed, former_percent: int) -> bool:
    """Whether no request has come to the canary of late, though by its former weight some would have."""
    expected = 0.0
    for sample in reversed(observed.evidence.samples):
        canary, stable = _requests(sample)
        if canary or sample.weight_percent:
            break
        expected += stable * former_percent / steps.WHOLE
    return expected >= _CERTAIN


def _requests(sample: Sample) -> tuple[float, float]:
    """How many requests came to the canary and to stable, by the metric that has counted the most."""
    counted = [
        (each.canary.total, each.stable.total)
        for each in sample.metrics.values()
        if not isinstance(each.canary, Values) and not isinstance(each.stable, Values)
    ]
    return max(counted, key=sum, default=(0.0, 0.0))
