"""Is a revision ready, since when is it awaited, and what keeps it. Pods tell, clocks are in `observed.now`."""

from datetime import datetime, timedelta
from typing import Final

from modelward.api.status import ModelDeploymentStatus
from modelward.rollout.capacity import replicas_of_user
from modelward.rollout.observed import Observed, Pod

LOOK_AFTER_SECONDS: Final = 5.0
"""A pod that is not ready after this long is looked at; most are ready before, and cost no request."""
POLL_SECONDS: Final = 15.0
SLOWEST_POLL_SECONDS: Final = 60.0
"""Pods are not watched: while a revision is not ready they are read again at this pace, slower with age."""


def is_ready(observed: Observed, status: ModelDeploymentStatus, revision: str | None) -> bool:
    """Every pod that the revision should have is ready. A Deployment that is not seen yet is not ready."""
    deployment = observed.deployment(revision)
    if deployment is None:
        return False
    asked = replicas_of_user(observed, status)
    if asked is None:
        return deployment.ready >= max(1, deployment.replicas)
    return deployment.replicas == asked and deployment.ready >= asked


def unready_revisions(observed: Observed) -> tuple[str, ...]:
    """Revisions whose pods are awaited for so long that somebody should look at them."""
    return tuple(
        deployment.revision
        for deployment in observed.deployments.values()
        if deployment.revision
        and deployment.ready < deployment.replicas
        and observed.now - deployment.created >= timedelta(seconds=LOOK_AFTER_SECONDS)
    )


def overdue(observed: Observed, revision: str | None) -> str:
    """Why the revision has missed its deadline, or an empty string.

    The clock of each pod runs from the moment it was scheduled, or lost its readiness: waiting for a node is
    not the model's fault. A pod without a node misses no deadline, and keeps no other pod from missing its own;
    `what_keeps` tells of it for as long as it waits.
    """
    seconds = observed.model.spec.rollout.progress_deadline_seconds
    limit = observed.now - timedelta(seconds=seconds)
    if not any(_waits_since(pod, limit) for pod in pods_of(observed, revision)):
        return ""
    return f"not ready {seconds} s after its pods were scheduled ({what_keeps(observed, revision)})"


def _waits_since(pod: Pod, limit: datetime) -> bool:
    """Whether the pod has had a node, and has not been ready, since `limit` at the latest."""
    if pod.ready or pod.failed or pod.scheduled is None:
        return False
    return max(pod.scheduled, pod.ready_since or pod.scheduled) <= limit


def what_keeps(observed: Observed, revision: str | None) -> str:
    """One phrase about why a revision is not ready; `starting` when nothing is known to be wrong."""
    deployment = observed.deployment(revision)
    if deployment and deployment.failure:
        return f"pods cannot be created: {deployment.failure}"
    problems = sorted({pod.problem for pod in pods_of(observed, revision) if not pod.ready and pod.problem})
    return "; ".join(problems[:3]) or "starting"


def pods_of(observed: Observed, revision: str | None) -> tuple[Pod, ...]:
    """The pods of a revision, as far as they were looked at."""
    return tuple(pod for pod in observed.pods if pod.revision == revision)


def wake_after(observed: Observed, status: ModelDeploymentStatus) -> float | None:
    """Seconds until the pods of an awaited revision should be read again; None when all are ready."""
    awaited = [name for name in (status.stable_revision, status.canary_revision) if name]
    waits = [_wait(observed, name) for name in awaited if not is_ready(observed, status, name)]
    return min(waits, default=None)


def _wait(observed: Observed, revision: str) -> float:
    deployment = observed.deployment(revision)
    if deployment is None:
        return LOOK_AFTER_SECONDS
    age = (observed.now - deployment.created).total_seconds()
    pace = POLL_SECONDS if revision == observed.model.status.canary_revision else SLOWEST_POLL_SECONDS
    return min(pace, max(LOOK_AFTER_SECONDS, age / 4))
