"""Who gets which share of the traffic, and whether it is so yet.

With a router (`spec.traffic`) shares are weights of a route. Without one, clients reach the Service, and its
pods share the requests: the canary's share is its share of the ready pods.
"""

from modelward.api.status import ModelDeploymentStatus
from modelward.rollout.observed import Observed
from modelward.rollout.phases import Phase
from modelward.rollout.plan import WHOLE
from modelward.rollout.routing import Reached, reached
from modelward.shares import Router, Split, is_shared_service, router


def split(status: ModelDeploymentStatus) -> Split:
    """What is decided: after a promotion the previous revision gets nothing."""
    if not status.canary_revision:
        return Split(stable=status.stable_revision, other=status.previous_revision)
    weight = status.rollout.weight_percent if status.rollout else 0
    return Split(stable=status.stable_revision, other=status.canary_revision, weight_percent=weight)


def in_effect(observed: Observed, status: ModelDeploymentStatus) -> Reached:
    """Whether requests are split as decided, as far as it can be seen; the message says what it waits for."""
    if router(observed.model.spec) is not Router.NONE:
        return reached(observed, split(status).weight_percent, status=status)
    wants_both = is_shared_service(observed.model.spec, split(status))
    selects_both = observed.service is not None and observed.service.selects is None
    done = wants_both == selects_both
    return Reached(done=done, message="" if done else "the Service is being switched")


def actual_weight_percent(observed: Observed, status: ModelDeploymentStatus) -> int | None:
    """The share in percent that the canary gets now; None when it cannot be known."""
    if not status.rollout:
        return None
    if not status.canary_revision:
        return WHOLE if status.rollout.state in (Phase.WATCHING, Phase.DRAINING, Phase.DEPLOYING) else None
    canary, stable = _ready(observed, status)
    if router(observed.model.spec) is not Router.NONE:
        weight = split(status).weight_percent
        # What a Gateway does with the share of a Service without endpoints is its own affair.
        empty = (weight and not canary) or (weight < WHOLE and not stable)
        return None if empty or not in_effect(observed, status).done else weight
    if observed.service is None or observed.service.selects is not None:
        return 0
    return round(WHOLE * canary / (canary + stable)) if canary + stable else 0


def is_answered(observed: Observed, status: ModelDeploymentStatus) -> bool:
    """Whether each request finds a ready pod: without a router any does, else each share needs one of its own."""
    weight = split(status).weight_percent
    canary, stable = _ready(observed, status)
    if router(observed.model.spec) is Router.NONE and weight:
        return canary + stable > 0
    return (canary > 0 or not weight) and (stable > 0 or weight == WHOLE)


def _ready(observed: Observed, status: ModelDeploymentStatus) -> tuple[int, int]:
    """Ready pods of the canary and of stable."""
    canary, stable = observed.deployment(status.canary_revision), observed.deployment(status.stable_revision)
    return canary.ready if canary else 0, stable.ready if stable else 0


def load_factor(observed: Observed, status: ModelDeploymentStatus) -> float:
    """How many times the load of a stable pod a canary pod carries (below 1: less); 1 when it is not known."""
    weight = split(status).weight_percent
    counts = _ready(observed, status)
    if router(observed.model.spec) is Router.NONE or not all(counts) or not 0 < weight < WHOLE:
        return 1.0
    return (weight / counts[0]) / ((WHOLE - weight) / counts[1])
