"""Room for pods: what stable waits for, what a canary holds of it, and when the canary gives it up.

Pods of the same priority wait for each other: a canary cannot take room that stable has. But stable can lose it (a
node is lost, a quota is lowered, it is scaled up), and a canary of a higher priority takes it by preemption
(https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/). Therefore

1. a change to a priority that may preempt stable starts only once a person has approved it;
2. a canary that outranks stable is taken back as soon as stable waits for what the canary's pods hold;
3. a canary on its way back that still answers, because no pod of stable is ready, gives up one pod after the other
   while stable waits for what they hold. Nothing more is given up while a pod of stable loads its model, or before
   the room of the previous pod could be used;
4. a previous revision that is kept warm goes as soon as stable waits for what its pods hold.

A canary that does not outrank stable and is not on its way back keeps its pods: together they serve more than either.
"""

import re
from datetime import timedelta
from typing import Final

from modelward.api.revision import Revision
from modelward.api.status import ModelDeploymentStatus
from modelward.api.times import format_micro, parse
from modelward.rollout.decision import Progress
from modelward.rollout.observed import Observed, Pod, PriorityClass

PODS: Final = "pods"
"""The resource of which each pod takes one."""
SETTLE_SECONDS: Final = 15.0
"""From free room to a pod that has it: kube-scheduler tries a pod again after at most 10 s."""
PREEMPTED_SECONDS: Final = 5.0
"""A pod of stable that has found no room for so long beside a canary of a higher priority has lost it to that."""
_DEFAULT_GRACE_SECONDS: Final = 30
_INSUFFICIENT: Final = re.compile(r"Insufficient ([^\s,]+?)\.?(?=[\s,]|$)")
_TOO_MANY_PODS: Final = "Too many pods"
_EXCEEDED: Final = re.compile(r"exceeded quota: [^,]+, requested: (\S+?),? ")
_QUOTA_PREFIX: Final = re.compile(r"^(?:requests\.|limits\.|count/)")


def lacked_on_nodes(message: str) -> frozenset[str]:
    """The resources that no node has enough of, by what kube-scheduler says in the condition PodScheduled."""
    pods = {PODS} if _TOO_MANY_PODS in message else set()
    return frozenset(pods.union(_INSUFFICIENT.findall(message)))


def lacked_in_quota(message: str) -> frozenset[str]:
    """The resources that a ResourceQuota has not enough of, by the API server's refusal of a pod."""
    requested = _EXCEEDED.search(message)
    pairs = requested[1].split(",") if requested else ()
    return frozenset(_QUOTA_PREFIX.sub("", pair.partition("=")[0]) for pair in pairs)


def in_the_way(observed: Observed, status: ModelDeploymentStatus) -> frozenset[str]:
    """The resources that stable waits for and the pods beside it hold; empty when those could not help.

    Beside it are the canary's, or those of the previous revision.
    """
    stable = observed.deployment(status.stable_revision)
    refused = lacked_in_quota(stable.failure) if stable else frozenset()
    lacked = refused.union(*(pod.lacks for pod in _living(observed, status.stable_revision)))
    return lacked & _held(observed, status)


# --- before it starts ---------------------------------------------------------------------------------------


def asks_for_new_revision(observed: Observed) -> bool:
    """Whether spec asks for a revision that is neither stable nor on its way, and was not rejected."""
    asked, status = observed.asked, observed.model.status
    if any(entry.content == asked.content for entry in status.rejected_revisions):
        return False
    started = (status.stable_revision, status.canary_revision)
    return bool(status.stable_revision) and asked.revision not in started


def may_preempt(observed: Observed, stable: Revision | None, new: Revision) -> str:
    """Why pods of a new revision may preempt those of stable, as a clause; empty when they cannot.

    A pod keeps the priority that it was admitted with, whatever becomes of its class: pods of stable show theirs. A
    class that is not known, or where none may be read, may have any priority.
    """
    if stable is None:
        return ""
    mine, theirs = _priority(observed, _class_of(new)), _priority_of_pods(observed, stable)
    if mine and theirs is not None:
        outranks = mine.preempts and mine.value > theirs
        return f"its priority is {mine.value}, and that of stable {theirs}" if outranks else ""
    if _class_of(new) == _class_of(stable):
        return ""
    names = (_class_of(new) or "the default", _class_of(stable) or "the default")
    return (
        f"its priority class is {names[0]}, that of stable {names[1]}, and which one is higher cannot be read"
    )


def _priority_of_pods(observed: Observed, stable: Revision) -> int | None:
    """The lowest priority of stable's pods; without any that of its class, None when that is not known."""
    living = [pod.priority for pod in _living(observed, stable.name)]
    by_class = _priority(observed, _class_of(stable))
    return min(living, default=by_class.value if by_class else None)


def _class_of(revision: Revision) -> str:
    return str((revision.template.get("spec") or {}).get("priorityClassName", ""))


def _priority(observed: Observed, name: str) -> PriorityClass | None:
    """The class that pods get by name, or without one; None when it is not known."""
    classes = observed.priority_classes
    if classes is None or name:
        return next((each for each in classes or () if each.name == name), None)
    return next((each for each in classes if each.is_default), PriorityClass(name="", value=0))


# --- while it runs ------------------------------------------------------------------------------------------


def preempted(observed: Observed, status: ModelDeploymentStatus) -> str:
    """What stable lost to a canary that outranks it, as a clause; empty when it lost nothing.

    Pods of stable count that were made since the rollout began, and have waited for long enough that room which is
    on its way, as with shared capacity, would have come.
    """
    if not (status.rollout and status.rollout.start_time):
        return ""
    began = parse(status.rollout.start_time).replace(microsecond=0)
    shared = status.rollout.shared_replicas is not None
    seconds = _waits_for_room(observed, status.stable_revision) if shared else PREEMPTED_SECONDS
    latest = observed.now - timedelta(seconds=seconds)
    rank = max((pod.priority for pod in _placed(observed, status) if pod.preempts), default=0)
    held = _held(observed, status)
    for pod in _living(observed, status.stable_revision):
        if pod.lacks & held and pod.priority < rank and pod.created and began <= pod.created <= latest:
            return (
                f"pod {pod.name} of stable found no room ({pod.problem.rstrip('.')}) beside the canary's pods, which"
                f" have a higher priority ({rank}, stable {pod.priority})"
            )
    return ""


# --- on the way back ----------------------------------------------------------------------------------------


def making_room(observed: Observed, progress: Progress) -> Progress:
    """The same, or with one pod less for a canary that was taken back and still answers."""
    rollout, canary = progress.rollout, observed.deployment(progress.status.canary_revision)
    held = canary.replicas if canary else 0
    kept = held if rollout.kept_replicas is None else min(held, rollout.kept_replicas)
    if kept == 0 or not in_the_way(observed, progress.status) or _is_loading(observed, progress.status):
        return progress
    if rollout.step_start_time and observed.now < parse(rollout.step_start_time) + timedelta(
        seconds=_pause(observed, progress, kept)
    ):
        return progress
    return progress.rolling(kept_replicas=kept - 1, step_start_time=format_micro(observed.now))


def _pause(observed: Observed, progress: Progress, kept: int) -> float:
    """Seconds until one more pod is given up: the last one, which ends all service, not on the first sight."""
    if progress.rollout.kept_replicas is not None:
        return _waits_for_room(observed, progress.status.canary_revision)
    return SETTLE_SECONDS if kept == 1 else 0.0


def _waits_for_room(observed: Observed, revision: str) -> float:
    """Seconds from the end of a pod of this revision to the start of another one in its place."""
    snapshot = observed.revisions.get(revision)
    spec = (snapshot.template.get("spec") if snapshot else None) or {}
    return float(spec.get("terminationGracePeriodSeconds", _DEFAULT_GRACE_SECONDS)) + SETTLE_SECONDS


def _is_loading(observed: Observed, status: ModelDeploymentStatus) -> bool:
    """A pod of stable has a node, and has not been ready yet."""
    return any(
        pod.scheduled and not pod.ready and not _was_ready(pod)
        for pod in _living(observed, status.stable_revision)
    )


def _was_ready(pod: Pod) -> bool:
    """It lost its readiness, or its node: nothing to wait for."""
    changed_later = pod.started is not None and pod.ready_since is not None and pod.ready_since > pod.started
    return pod.lost_readiness or bool(pod.crash_looping) or changed_later


# --- pods ---------------------------------------------------------------------------------------------------


def _held(observed: Observed, status: ModelDeploymentStatus) -> frozenset[str]:
    """What the canary's pods on nodes, or those of the previous revision, have for themselves."""
    return frozenset[str]().union(*(pod.holds for pod in _placed(observed, status)))


def _placed(observed: Observed, status: ModelDeploymentStatus) -> list[Pod]:
    beside = status.canary_revision or status.previous_revision
    return [pod for pod in _living(observed, beside) if pod.scheduled]


def _living(observed: Observed, revision: str) -> list[Pod]:
    return [pod for pod in observed.pods if pod.revision == revision and not pod.failed]
