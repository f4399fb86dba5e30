"""Pods as a signal: what is wrong with a revision, by its pods, compared with those of the revision beside it.

No statistics: what counts here does not happen to a healthy pod. An illness is a reason to roll back at once,
in every state and at every weight. The rules, the first that applies wins. "Recently" is since the rollout
began; an older exit of a stable pod says nothing about today, and only the latest of each pod is known. Pods that
are being deleted, and pods that are over because of their node (evicted, preempted, shut down, rejected), are
left out of all counts: that is not the model's fault. Nor is an end of a container that nobody saw ("Unknown":
the node or the container engine was restarted).

1. OutOfMemory: a container was killed for its use of memory (OOMKilled), once: it will be again.
2. CrashLooping: the kubelet holds a container back (CrashLoopBackOff), which it does from the second end within
   ten minutes on. One pod of many suffices. A container that ends at its start gets there in seconds. An init
   container counts after five restarts only (about three minutes): storage that is away for a minute is
   no reason to reject a model for good, and nothing gets traffic meanwhile.
3. OutOfStorage: a pod was evicted for using more disk than its own limit.
4. Restarting: the canary's pods restarted three times in all, whoever made them (a failed liveness probe does),
   and no pod of stable has recently.
5. NotReady, only of a revision with traffic: pods that had been ready, or restarted, are not. All of them for 3 s, or
   some for 60 s. The probes that Modelward sets take two failures 5 s apart before the kubelet says
   so; 3 s more keep a blink of a single pod from ending a rollout, and leave room below the 15 s that
   a rollback may take. A pod that is new and still loads has nothing to do with it.

Rules 1, 2, 3 and 5 ask for a larger share of the canary's pods than of stable's. If stable's share is as large, both
suffer from the same thing (a database, a node pool, bad requests), and the canary is not to blame:
`shared` says so. It is no reason to go on either (see `holding`) until it is over: all pods that showed it have been
ready again, or gone, for a minute. Restarts (4) in both arms count in the same way.

Not unhealthy, by themselves: a pod without a node, an image that cannot be pulled, a model that loads for long. They
run into the deadline, whose clock begins when a pod has a node (see `readiness.overdue`). A pod that never
gets a node waits for ever, by intent: capacity may come. The conditions say what it waits for, all the time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from modelward.api.conditions import Reason
from modelward.api.status import ModelDeploymentStatus
from modelward.api.times import parse
from modelward.rollout.observed import Observed, Pod
from modelward.rollout.readiness import pods_of

RESTARTS: Final = 3
INIT_RESTARTS: Final = 5
ALL_LOST_SECONDS: Final = 3.0
SOME_LOST_SECONDS: Final = 60.0
CALM_SECONDS: Final = 60.0
"""So long after its last mishap a pod counts as well: the kubelet reports that mishap for as long as the pod lives."""

_OUT_OF_MEMORY: Final = "OOMKilled"
_UNSEEN: Final = frozenset({"Unknown", "ContainerStatusUnknown"})
"""The container was there, and then it was not; the kubelet did not see how it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Illness:
    """What is wrong with a revision's pods."""

    reason: Reason
    message: str
    """One sentence without its full stop, with names and counts."""


@dataclass(frozen=True, slots=True)
class _Arm:
    """The pods of one revision that count, and since when their mishaps do."""

    name: str
    pods: tuple[Pod, ...]
    began: datetime | None

    def suffering(self, sign: "_Sign") -> tuple[Pod, ...]:
        return tuple(pod for pod in self.pods if sign(pod, self.began))

    def exceeds(self, other: "_Arm", sign: "_Sign", others: "_Sign") -> bool:
        """Whether a larger share of these pods has the sign than of the other's, by a sign of their own."""
        mine, theirs = len(self.suffering(sign)), len(other.suffering(others))
        return mine * max(1, len(other.pods)) > theirs * max(1, len(self.pods))


_Sign = Callable[[Pod, datetime | None], bool]


@dataclass(frozen=True, slots=True)
class _Rule:
    """One way to be unhealthy."""

    reason: Reason
    sign: _Sign
    """Whether a pod of the canary shows it."""
    stables: _Sign
    """Whether a pod of stable does. Wider: nobody waits for stable to be seen at the worst moment."""
    words: str


# --- signs of single pods -----------------------------------------------------------------------------------


def _ran_out_of_memory(pod: Pod, began: datetime | None) -> bool:
    return pod.ended is not None and pod.ended.reason == _OUT_OF_MEMORY and _recently(pod, began)


def _loops(pod: Pod, _began: datetime | None) -> bool:
    if not pod.crash_looping or _ended_unseen(pod) or _lacks_its_model(pod):
        return False
    return pod.restarts > 0 or pod.init_restarts >= INIT_RESTARTS


def _lacks_its_model(pod: Pod) -> bool:
    """It cannot fetch it: the store's fault or the address's, which `model_identity` judges, and no crash of the model."""
    return pod.fetched is not None and pod.fetched.reason is not None


def _has_ended(pod: Pod, began: datetime | None) -> bool:
    """It loops, or a container of it ended recently by its own fault: while it runs again a loop is not seen."""
    if _ended_unseen(pod) or _lacks_its_model(pod):
        return False
    return bool(pod.crash_looping) or (pod.ended is not None and pod.restarts > 0 and _recently(pod, began))


def _ended_unseen(pod: Pod) -> bool:
    return pod.ended is not None and pod.ended.reason in _UNSEEN


def _outgrew_its_storage(pod: Pod, _began: datetime | None) -> bool:
    return pod.over_storage_limit


def _recently(pod: Pod, began: datetime | None) -> bool:
    """Times of the kubelet have no fractions: an end in the second in which the rollout began counts."""
    if began is None or pod.ended is None or pod.ended.time is None:
        return True
    return pod.ended.time >= began.replace(microsecond=0)


_RULES: Final = (
    _Rule(Reason.OUT_OF_MEMORY, _ran_out_of_memory, _ran_out_of_memory, "ran out of memory"),
    _Rule(Reason.CRASH_LOOPING, _loops, _has_ended, "is crash-looping"),
    _Rule(Reason.OUT_OF_STORAGE, _outgrew_its_storage, _outgrew_its_storage, "used more disk than its limit"),
)


# --- the verdict --------------------------------------------------------------------------------------------


def problem(observed: Observed, status: ModelDeploymentStatus) -> Illness | None:
    """What is wrong with the canary and not as much with stable; None if nothing is, as far as pods show.

    Without a canary: with the promoted revision, beside the previous one. A revision without pods compares with
    nothing: any illness is the other's own then. `status` is the one that is being decided: a canary that sets
    out in this very reconcile has had no traffic, whatever its pods went through before.
    """
    mine, other = _arms(observed, status)
    return next(_unhealthy_pods(observed, status, mine, other), None)


def shared(observed: Observed, status: ModelDeploymentStatus) -> str:
    """One sentence about what both revisions suffer from, so that neither is to blame; empty if there is nothing."""
    mine, other = _arms(observed, status)
    for words, pods in _alike(observed, status, mine, other):
        if not all(_is_over(observed, pod) for pod in pods):
            return f"{words}: {mine.name} is not to blame"
    return ""


def _alike(
    observed: Observed, status: ModelDeploymentStatus, mine: _Arm, other: _Arm
) -> Iterator[tuple[str, tuple[Pod, ...]]]:
    """What both suffer from in words, and the pods of both that do."""
    for rule in (*_RULES, *(_lost_rules(observed, mine) if _has_traffic(status) else ())):
        if (unhealthy := mine.suffering(rule.sign)) and not mine.exceeds(other, rule.sign, rule.stables):
            words = f"a pod of {mine.name} {rule.words}, and so does as large a share of {other.name}'s pods"
            yield words, (*unhealthy, *other.suffering(rule.stables))
    ended, others = mine.suffering(_has_ended), other.suffering(_has_ended)
    if others and sum(pod.restarts for pod in ended) >= RESTARTS:
        yield f"{mine.name}'s pods were restarted, and so were {other.name}'s", (*ended, *others)


def _is_over(observed: Observed, pod: Pod) -> bool:
    """Whether a pod that had a mishap is well again, or gone for good with others in its place, for long enough."""
    times = [time for time in (pod.ready_since, pod.ended.time if pod.ended else None) if time]
    calm = timedelta(seconds=CALM_SECONDS)
    return (pod.ready or bool(pod.failed)) and bool(times) and observed.now - max(times) >= calm


def requeue_after(observed: Observed, status: ModelDeploymentStatus) -> float | None:
    """Seconds until the clock alone can make a compared revision unhealthy; None while no pod has lost its readiness.

    Everything else comes as an event: pods are watched (docs/design/0007).
    """
    waits = [
        max(0.5, seconds - _lost_for(observed, pod))
        for revision in compared(status)
        for pod in _counted(observed, revision)
        for seconds in (ALL_LOST_SECONDS, SOME_LOST_SECONDS)
        if _has_lost_readiness(pod) and _lost_for(observed, pod) < seconds
    ]
    return min(waits, default=None)


def compared(status: ModelDeploymentStatus) -> tuple[str, ...]:
    """The revisions whose pods are compared just now: the canary and stable, or stable and the previous one."""
    beside = status.canary_revision or status.previous_revision
    return (status.stable_revision, beside) if beside else ()


def _arms(observed: Observed, status: ModelDeploymentStatus) -> tuple[_Arm, _Arm]:
    roles = (("the canary", status.canary_revision), ("stable", status.stable_revision))
    if not status.canary_revision:
        roles = (
            ("the promoted revision", status.stable_revision),
            ("the previous one", status.previous_revision),
        )
    began = _began(observed, status, roles[0][1])
    mine, other = (_Arm(name, _counted(observed, revision), began) for name, revision in roles)
    return mine, other


def _counted(observed: Observed, revision: str | None) -> tuple[Pod, ...]:
    """Pods that show something about their model."""
    pods = pods_of(observed, revision)
    return tuple(pod for pod in pods if not pod.deleting and (not pod.failed or pod.over_storage_limit))


def _began(observed: Observed, status: ModelDeploymentStatus, revision: str) -> datetime | None:
    rollout, deployment = status.rollout, observed.deployment(revision)
    if rollout and rollout.start_time:
        return parse(rollout.start_time)
    return deployment.created if deployment else None


def _unhealthy_pods(
    observed: Observed, status: ModelDeploymentStatus, mine: _Arm, other: _Arm
) -> Iterator[Illness]:
    for rule in _RULES:
        if mine.exceeds(other, rule.sign, rule.stables):
            yield _unhealthy_pod(mine, other, rule)
    if restarting := _restarting(mine, other):
        yield restarting
    if _has_traffic(status):
        for rule in _lost_rules(observed, mine):
            if mine.exceeds(other, rule.sign, rule.stables):
                yield _unhealthy_pod(mine, other, rule)


def _restarting(mine: _Arm, other: _Arm) -> Illness | None:
    ended = mine.suffering(_has_ended)
    restarts = sum(pod.restarts for pod in ended)
    if restarts < RESTARTS or other.suffering(_has_ended):
        return None
    first = max(ended, key=lambda pod: (pod.restarts, pod.name))
    message = (
        f"{mine.name}'s pods were restarted {restarts} times{_within(first)} "
        f"({first.name}: {_ending(first)}); {other.name}'s pods were not"
    )
    return Illness(reason=Reason.RESTARTING, message=message)


def _lost_rules(observed: Observed, arm: _Arm) -> tuple[_Rule, ...]:
    """Both ways to lose readiness; the first only while no pod at all is ready.

    Of pods that are unready because a container of theirs ended, it is the end that is compared: those of stable that
    suffer from the same come back at other moments.
    """

    def lost_for(seconds: float) -> _Sign:
        return lambda pod, _: _has_lost_readiness(pod) and _lost_for(observed, pod) >= seconds

    def lost_or_restarted_for(seconds: float) -> _Sign:
        return lambda pod, began: lost_for(seconds)(pod, began) or _has_ended(pod, began)

    restarted = all(_has_ended(pod, arm.began) for pod in arm.pods if _has_lost_readiness(pod))
    others = lost_or_restarted_for if restarted else lost_for

    def rule(seconds: float, words: str) -> _Rule:
        return _Rule(Reason.NOT_READY, lost_for(seconds), others(seconds), words)

    some = rule(SOME_LOST_SECONDS, f"has not been ready again for {SOME_LOST_SECONDS:.0f} s")
    if any(pod.ready for pod in arm.pods):
        return (some,)
    return (rule(ALL_LOST_SECONDS, "is not ready any more, and no other pod is"), some)


def _has_lost_readiness(pod: Pod) -> bool:
    """After a restart of its node a pod loads anew: no fault of its own."""
    return pod.lost_readiness and not _ended_unseen(pod)


def _lost_for(observed: Observed, pod: Pod) -> float:
    """Seconds; a clock of a node that is ahead of ours makes it less, never negative."""
    since = pod.ready_since
    return max(timedelta(0), observed.now - since).total_seconds() if since else 0.0


def _has_traffic(status: ModelDeploymentStatus) -> bool:
    """Whether requests reach the first of the two: as the canary by its weight, once promoted always."""
    if not status.canary_revision:
        return True
    # A canary that has lost its pods has no weight meanwhile; its step still shows that it had some.
    return bool(status.rollout and (status.rollout.weight_percent > 0 or status.rollout.step_start_time))


# --- words --------------------------------------------------------------------------------------------------


def _unhealthy_pod(mine: _Arm, other: _Arm, rule: _Rule) -> Illness:
    unhealthy, theirs = mine.suffering(rule.sign), other.suffering(rule.stables)
    worst = max(unhealthy, key=lambda pod: (pod.restarts, pod.name))
    counts = (
        f"{len(unhealthy)} of its {_pods(len(mine.pods))}; {other.name}: {len(theirs)} of {len(other.pods)}"
    )
    message = f"pod {worst.name} of {mine.name} {rule.words}{_details(worst)} ({counts})"
    return Illness(reason=rule.reason, message=message)


def _pods(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"


def _details(pod: Pod) -> str:
    if pod.ended is None:
        return f": {pod.problem}" if pod.problem else ""
    restarts = pod.restarts or pod.init_restarts
    times = f", {restarts} restart{'s' if restarts > 1 else ''}{_within(pod)}" if restarts else ""
    return f": {_ending(pod)}{times}"


def _within(pod: Pod) -> str:
    """Over which time, where it is known: from the pod's creation to its last end."""
    end = pod.ended.time if pod.ended else None
    if pod.created is None or end is None or end <= pod.created:
        return ""
    return f" in {(end - pod.created).total_seconds():.0f} s"


def _ending(pod: Pod) -> str:
    if (ended := pod.ended) is None:
        return "how it ended is not known"
    return f"{ended.container} {ended.words}"
