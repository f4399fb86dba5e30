"""How many pods: who says so, the user or an autoscaler, and what happens when that changes hands."""

from modelward.api.status import ModelDeploymentStatus, ScalingStatus
from modelward.rollout.observed import Observed


def next_scaling(observed: Observed) -> ScalingStatus | None:
    """What status must remember about replicas, so that switching an autoscaler off is no jump.

    While one is on, `spec.replicas` is ignored, and remembered. When it goes and the user has not changed
    `spec.replicas` since, the count that it left behind is held until they do: 10 pods stay 10 pods.
    """
    spec, before = observed.model.spec, observed.model.status.scaling
    if spec.autoscaling:
        return ScalingStatus(ignored_replicas=spec.replicas)
    if not before or before.ignored_replicas != spec.replicas:
        return None
    stable = observed.deployment(observed.model.status.stable_revision)
    if before.held_replicas is not None or stable is None:
        return before  # what cannot be seen just now is not forgotten
    return ScalingStatus(ignored_replicas=spec.replicas, held_replicas=stable.replicas)


def replicas_of_user(observed: Observed, status: ModelDeploymentStatus) -> int | None:
    """How many pods the user's word asks for; None when an autoscaler owns the count."""
    if observed.model.spec.autoscaling:
        return None
    if status.scaling and status.scaling.held_replicas is not None:
        return status.scaling.held_replicas
    return observed.model.spec.replicas


def first_replicas(observed: Observed, status: ModelDeploymentStatus, revision: str) -> int:
    """How many pods the Deployment of `revision` is created with.

    A new revision takes over what the stable one carries, so it starts as large as that is now.
    """
    asked = replicas_of_user(observed, status)
    if asked is not None:
        return asked
    autoscaling = observed.model.spec.autoscaling
    least = autoscaling.min_replicas if autoscaling else 1
    most = autoscaling.max_replicas if autoscaling else least
    stable = observed.deployment(status.stable_revision) if revision != status.stable_revision else None
    return min(most, max(least, stable.replicas)) if stable else least
