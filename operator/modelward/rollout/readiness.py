"""Is a revision ready, since when is it awaited, and what keeps it. Pods show it, clocks are in `observed.now`."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from modelward.api.conditions import ConditionType
from modelward.api.status import ModelDeploymentStatus
from modelward.api.times import parse
from modelward.rollout.capacity import shared_replicas, shared_target, shared_wanted, sizes
from modelward.rollout.model_identity import fetching
from modelward.rollout.observed import Observed, Pod
from modelward.rollout.traffic import leads_elsewhere
from modelward.traffic_shares import Router, Size, router

LIST_AFTER_SECONDS: Final = 5.0
"""A pod that is not ready after this long is listed; most are ready before, and cost no request."""
POLL_SECONDS: Final = 15.0
SLOWEST_POLL_SECONDS: Final = 60.0
"""Pods are not watched: while a revision is not ready they are read again at this pace, slower with age."""
_STARTING: Final = "starting"
UNAVAILABLE_AFTER_SECONDS: Final = 60
"""A stable revision without a ready pod for this long is unavailable: there is nothing to protect any more."""


def is_ready(observed: Observed, status: ModelDeploymentStatus, revision: str | None) -> bool:
    """Every pod that the revision should have, by this status, is ready."""
    return has_pods(observed, status, revision, sizes(observed, status).get(revision or ""))


def has_pods(
    observed: Observed, status: ModelDeploymentStatus, revision: str | None, size: Size | None
) -> bool:
    """Every pod of a revision of this size is ready. A Deployment that is not seen yet is not ready."""
    deployment = observed.deployment(revision)
    if deployment is None or size is None or deployment.terminating:
        return False
    if size.scale is not None:
        return deployment.replicas == size.scale and deployment.ready >= size.scale
    asked = size.least if revision == status.canary_revision else deployment.replicas
    return deployment.replicas >= size.least and deployment.ready >= max(1, asked)


def is_whole(observed: Observed, revision: str, size: Size | None) -> bool:
    """At least as many pods are ready as it should have; more may be there still."""
    deployment = observed.deployment(revision)
    if deployment is None or size is None:
        return False
    return deployment.ready >= (deployment.replicas if size.scale is None else size.scale)


def has_size_of_step(observed: Observed, status: ModelDeploymentStatus) -> bool:
    """The canary has all pods that its step needs, ready."""
    total = shared_replicas(observed, status)
    if total and shared_target(observed, status, total) < shared_wanted(observed, status, total):
        return False
    return is_ready(observed, status, status.canary_revision)


def serves(observed: Observed, revision: str | None) -> bool:
    """Whether the revision has a ready pod."""
    deployment = observed.deployment(revision)
    return deployment is not None and deployment.ready > 0


def bystander(observed: Observed, status: ModelDeploymentStatus) -> str:
    """A revision that is neither stable nor canary, and whose pods would get requests: its Deployment is deleted and kept.

    Without a router the Service is opened to all pods of the model. Empty if there is none.
    """
    if router(observed.model.spec) is not Router.NONE:
        return ""
    for revision, deployment in observed.deployments.items():
        bystands = revision not in (status.stable_revision, status.canary_revision)
        if bystands and deployment.terminating and deployment.current:
            return revision
    return ""


def unavailable_since(observed: Observed) -> datetime | None:
    """Since when no pod serves. Kubernetes does not keep it, so our own condition's time is the memory."""
    conditions = observed.model.status.conditions
    before = next((each for each in conditions if each.type == ConditionType.AVAILABLE), None)
    if before is None or before.status == "True":
        return None
    return parse(before.last_transition_time)


def goes_on(observed: Observed, status: ModelDeploymentStatus) -> str:
    """What stable does while something happens beside it, as is seen now, to stand after its name.

    It goes out of date with the next pod: nothing that is kept in status may contain it.
    """
    deployment = observed.deployment(status.stable_revision)
    if deployment is None or not deployment.ready:
        keeps = what_keeps(observed, status.stable_revision)
        return f"has no ready pod ({keeps.rstrip('.')})" if keeps != _STARTING else "has no ready pod"
    if any(conflict.kind == "Service" for conflict in observed.conflicts):
        return "has ready pods, and the Service that should lead to them belongs to somebody else"
    if other := leads_elsewhere(observed, status):
        return f"has ready pods and gets no requests, because Service {observed.model.name} still leads to {other}"
    if deployment.ready < deployment.replicas:
        return f"goes on serving, with {deployment.ready} of {deployment.replicas} pods"
    return "goes on serving"


def who_serves(observed: Observed, status: ModelDeploymentStatus) -> str:
    """One sentence about which revision answers requests now; empty before there is any."""
    stable, canary = status.stable_revision, status.canary_revision
    if not stable:
        return ""
    if not serves(observed, stable) and serves(observed, canary) and _has_weight(status):
        return f"Only canary {canary} has ready pods."
    return f"{stable} {goes_on(observed, status)}."


def _has_weight(status: ModelDeploymentStatus) -> bool:
    return status.rollout is not None and status.rollout.weight_percent > 0


def is_unavailable(observed: Observed) -> bool:
    """Whether no pod of stable serves, for so long that it is no mere restart."""
    since = unavailable_since(observed)
    return since is not None and observed.now - since >= timedelta(seconds=UNAVAILABLE_AFTER_SECONDS)


def unready_revisions(observed: Observed) -> tuple[str, ...]:
    """Revisions whose pods are awaited for so long that they are listed."""
    return tuple(
        deployment.revision
        for deployment in observed.deployments.values()
        if deployment.revision
        and deployment.ready < deployment.replicas
        and observed.now - deployment.created >= timedelta(seconds=LIST_AFTER_SECONDS)
    )


def overdue(observed: Observed, revision: str | None) -> str:
    """Why the revision has missed its deadline, or an empty string.

    The clock of each pod runs from the moment it was scheduled, or lost its readiness: waiting for a node is
    not the model's fault. A pod without a node misses no deadline, and keeps no other pod from missing its own;
    `what_keeps` reports it for as long as it waits.
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
    if deployment and deployment.terminating:
        return f"its Deployment is deleted, {deployment.terminating}, and is made anew when it is gone"
    if revision == observed.model.status.canary_revision and (
        other := bystander(observed, observed.model.status)
    ):
        return f"it waits for the pods of {other}, whose Deployment is deleted, to go"
    if deployment and deployment.failure:
        return f"pods cannot be created: {deployment.failure}"
    problems = sorted({pod.problem for pod in pods_of(observed, revision) if not pod.ready and pod.problem})
    return "; ".join(problems[:3]) or fetching(observed, revision or "") or _STARTING


def pods_of(observed: Observed, revision: str | None) -> tuple[Pod, ...]:
    """The pods of a revision, as far as they were listed."""
    return tuple(pod for pod in observed.pods if pod.revision == revision)


def wake_after(observed: Observed, status: ModelDeploymentStatus, live: Mapping[str, Size]) -> float | None:
    """Seconds until the pods of an awaited revision should be read again; None when all are ready."""
    awaited = [name for name in (status.stable_revision, status.canary_revision) if name]
    waits = [
        _wait(observed, name) for name in awaited if not has_pods(observed, status, name, live.get(name))
    ]
    return min(waits, default=None)


def _wait(observed: Observed, revision: str) -> float:
    deployment = observed.deployment(revision)
    if deployment is None:
        return LIST_AFTER_SECONDS
    age = (observed.now - deployment.created).total_seconds()
    pace = POLL_SECONDS if revision == observed.model.status.canary_revision else SLOWEST_POLL_SECONDS
    return min(pace, max(LIST_AFTER_SECONDS, age / 4))
