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
    if router(observed.model.spec) is not Router.NONE:
        return split(status).weight_percent if in_effect(observed, status).done else None
    if observed.service is None or observed.service.selects is not None:
        return 0
    canary, stable = observed.deployment(status.canary_revision), observed.deployment(status.stable_revision)
    ready = [each.ready if each else 0 for each in (canary, stable)]
    return round(WHOLE * ready[0] / sum(ready)) if sum(ready) else 0


def load_factor(observed: Observed, status: ModelDeploymentStatus) -> float:
    """How many times the load of a stable pod a canary pod carries (below 1: less); 1 when it is not known."""
    weight = split(status).weight_percent
    canary, stable = observed.deployment(status.canary_revision), observed.deployment(status.stable_revision)
    counts = [each.ready if each else 0 for each in (canary, stable)]
    if router(observed.model.spec) is Router.NONE or not all(counts) or not 0 < weight < WHOLE:
        return 1.0
    return (weight / counts[0]) / ((WHOLE - weight) / counts[1])
