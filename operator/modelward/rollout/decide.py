"""decide(observed) -> Decision: the one place where anything is decided. Pure: same input, same decision.

It reads the world anew each time and never a condition that was written earlier. What cannot be seen again
(which revision is stable, when a rollout began, what was rejected) is a plain field of status and so part of
`Observed`. Steps run to a fixed point: what follows at once is decided at once, and recorded in one write.

What spec asks for is compared here; the way of a canary is in `canary`, how it ends without being promoted
in `ending`.
"""

from dataclasses import replace
from typing import Final

import msgspec

from modelward.api.conditions import Blocked, Reason
from modelward.api.revision import Revision, revision_hash
from modelward.api.status import ModelDeploymentStatus, RolloutStatus
from modelward.api.times import format_micro
from modelward.rollout import (
    adoption,
    capacity,
    commands,
    fleet,
    health,
    model_identity,
    readiness,
    room,
    traffic,
)
from modelward.rollout.canary import drains, followed, guarded, promoted_by_hand, seconds_left
from modelward.rollout.decision import Decision, Progress
from modelward.rollout.messages import with_message
from modelward.rollout.observed import Observed
from modelward.rollout.phases import WITH_CANARY, Phase, Trigger, next_phase
from modelward.rollout.rollback import (
    left,
    noted_rejections,
    rejected,
    rejection,
    still_rejected,
    superseded,
    switched_back,
    taken_back,
)
from modelward.rollout.snapshot import take_snapshot

_MOST_STEPS: Final = 12
"""More transitions than any reconcile can need; each is checked against the table of phases."""
REQUEUE_SECONDS: Final = 5.0
"""How often a rollout is reconciled even if nothing is seen to happen."""


def decide(observed: Observed) -> Decision:
    """The next status of a model and all that follows from it. Never raises for anything a user wrote."""
    problem = observed.model.problem
    if problem and not observed.model.is_guarded:
        return held(observed, problem)
    progress = Progress(status=observed.model.status, revisions=observed.revisions)
    progress = model_identity.learned(observed, _recovered(observed, progress))
    progress = _commanded(observed, progress)
    progress = progress.having(scaling=capacity.next_scaling(observed, progress.status.stable_revision))
    left = adoption.blocker(observed)
    if blocker := problem or left or (_conflict(observed) if observed.conflicts else None):
        return _finished(observed, replace(guarded(observed, progress), blocked=blocker))
    return _finished(observed, _converged(observed, progress))


def held(observed: Observed, blocked: Blocked) -> Decision:
    """No decision but to wait: everything stays as it is, and the reason is shown."""
    progress = Progress(status=observed.model.status, revisions=observed.revisions, blocked=blocked)
    return _finished(observed, progress)


# --- what was lost, what people ask for ---------------------------------------------------------------------


def _recovered(observed: Observed, progress: Progress) -> Progress:
    """Status was lost (a restored backup, an object recreated by a tool): what serves is stable."""
    if progress.status.stable_revision:
        return progress
    if not observed.deployments:  # snapshots alone remember what was rejected
        return progress.having(
            rejected_revisions=noted_rejections(progress.revisions.values())
            or progress.status.rejected_revisions
        )
    selected = observed.service.selects if observed.service else None
    adopted = observed.model.commands.get("adopt", "")
    stable = next((each for each in (selected, adopted) if each in observed.deployments), None) or _oldest(
        observed
    )
    snapshot = observed.revisions.get(stable)
    return progress.having(
        stable_revision=stable,
        revision_nonce=snapshot.nonce if snapshot else 0,
        decision=max(progress.status.decision, *(child.decision for child in observed.children)),
        rejected_revisions=noted_rejections(progress.revisions.values()),
        commands=commands.present(observed.model),  # a lost memory is no reason to carry out an old one again
    )


def _oldest(observed: Observed) -> str:
    """Of those that are there to stay, if any is."""
    found = observed.deployments
    return min(found, key=lambda name: (bool(found[name].terminating), found[name].created, name))


def _commanded(observed: Observed, progress: Progress) -> Progress:
    """Commands that came since the last decision; each value is handled once."""
    before = progress.status
    order = commands.pending(observed.model, before, progress.revisions)
    progress = progress.having(
        commands=order.acknowledged,
        revision_nonce=_new_nonce(observed, before) if order.starts_anew else before.revision_nonce,
        rejected_revisions=tuple(
            entry
            for entry in before.rejected_revisions
            if not order.retried or entry.content != order.retried
        ),
    )
    for message in order.ignored:
        progress = progress.announcing("CommandIgnored", message, warning=True)
    if order.aborted:
        return _aborted(observed, progress, order.aborted)
    if order.rolled_back_to:
        return _rolled_back_by_user(observed, progress, order.rolled_back_to)
    if order.promoted:
        return promoted_by_hand(observed, progress)
    if order.approved is not None:
        return progress.rolling(approvals=tuple(sorted({*progress.rollout.approvals, order.approved})))
    return progress


def _new_nonce(observed: Observed, status: ModelDeploymentStatus) -> int:
    """The next nonce whose revision has not been out: its snapshot would bring back what it pinned then."""
    tried = {entry.revision for entry in status.history}
    nonce = status.revision_nonce + 1
    while revision_hash(observed.model.fields, nonce) in tried:
        nonce += 1
    return nonce


def _aborted(observed: Observed, progress: Progress, revision: str) -> Progress:
    message = f"Revision {revision} was aborted by annotation."
    end = switched_back if progress.phase is Phase.WATCHING else taken_back
    return end(observed, progress, Trigger.ABORTED, Reason.ABORTED, message)


def _rolled_back_by_user(observed: Observed, progress: Progress, target: str) -> Progress:
    """A person wants a kept revision back while spec stays. What spec asks for is rejected until it changes.

    The previous revision, still warm, serves at once; another one is started first, in full.
    """
    status = progress.status
    message = f"Rolled back to {target} by annotation."
    if progress.phase is Phase.WATCHING and target == status.previous_revision:
        return switched_back(
            observed, progress, Trigger.ROLLED_BACK_BY_USER, Reason.ROLLED_BACK_BY_USER, message
        )
    if progress.phase in WITH_CANARY:
        progress = taken_back(
            observed, progress, Trigger.ROLLED_BACK_BY_USER, Reason.ROLLED_BACK_BY_USER, message
        )
    wanted = observed.asked_under(progress.status.revision_nonce)
    if wanted == target:
        return progress
    return rejected(observed, progress, wanted, Reason.ROLLED_BACK_BY_USER, message)


# --- what spec asks for -------------------------------------------------------------------------------------


def _converged(observed: Observed, progress: Progress) -> Progress:
    """Take step after step until none applies."""
    for _ in range(_MOST_STEPS):
        before = progress.status
        progress = followed(observed, _follow_spec(observed, progress))
        if progress.status == before:
            return progress
    return progress


def _follow_spec(observed: Observed, progress: Progress) -> Progress:
    """Compare the revision that spec asks for with the stable one and the canary."""
    progress = replace(progress, blocked=None)
    status = progress.status
    wanted = _wanted(observed, progress)
    refused = rejection(observed, status)
    if refused:
        progress = still_rejected(observed, progress, refused)
        if wanted == observed.asked_under(status.revision_nonce):
            wanted = status.stable_revision  # nothing is started
    if progress.phase is Phase.ROLLING_BACK and wanted in (status.stable_revision, status.canary_revision):
        return progress
    if wanted == status.stable_revision:
        if not status.canary_revision:
            return _with_snapshot(observed, progress, wanted)
        why = f"spec asks for {refused.revision if refused else wanted}"
        why = f"{why}, which was rejected" if refused else f"{why} again"
        return superseded(observed, progress, why, at_once=False)
    if wanted == status.canary_revision:
        return _with_snapshot(observed, progress, wanted)
    return _changed(observed, progress, wanted)


def _with_snapshot(observed: Observed, progress: Progress, wanted: str) -> Progress:
    """Somebody deleted both snapshot and Deployment of a known revision: both are made anew."""
    if wanted in progress.revisions or progress.blocked:
        return progress
    taken = take_snapshot(observed, progress.revisions, progress.status, wanted)
    if isinstance(taken, Blocked):
        return replace(progress, blocked=taken)
    return replace(progress, revisions={**progress.revisions, wanted: taken})


def _changed(observed: Observed, progress: Progress, wanted: str) -> Progress:
    """Something new is asked for: whatever is on its way ends, and the new revision sets out in its turn."""
    taken = take_snapshot(observed, progress.revisions, progress.status, wanted)
    if progress.status.canary_revision:
        why = f"spec asks for {wanted}"
        if isinstance(taken, Blocked):
            why = "spec asks for something that cannot be started"
        if progress.phase is Phase.ROLLING_BACK:
            progress = left(observed, progress, at_once=True)  # what comes next is the way out
        else:
            progress = superseded(observed, progress, why, at_once=True)
        if progress.phase is Phase.ROLLING_BACK:
            return progress  # its traffic leaves it first
    if isinstance(taken, Blocked):
        return replace(progress, blocked=taken)
    if blocker := _still_sent_to(observed, progress, wanted):
        return replace(progress, waiting=blocker)
    if risk := _risk_to_stable(observed, progress, taken):
        return replace(progress, blocked=Blocked(reason=Reason.PREEMPTS_STABLE, message=risk))
    if _must_wait(observed, progress, wanted):
        return replace(progress, blocked=None, waiting=observed.turn.message)
    progress = replace(progress, revisions={**progress.revisions, wanted: taken})
    return _started(observed, progress, wanted)


def _still_sent_to(observed: Observed, progress: Progress, wanted: str) -> str:
    """Which requests keep a change from setting out: a message; empty when none do.

    Those that may still come to the previous revision, whose pods would go; and those that would come to the new
    one before it has any weight, because the Service could not be switched back to stable.
    """
    previous = progress.status.previous_revision
    if previous not in ("", wanted) and drains(observed, progress):
        return f"waits until no request comes to {previous} any more"
    if traffic.is_open(observed) and not readiness.is_unavailable(observed):
        return f"waits until Service {observed.model.name} selects {progress.status.stable_revision} alone"
    if share := traffic.weight_left(observed, wanted):
        return f"waits until HTTPRoute {share} gives the canary's Service no weight any more"
    return ""


def _must_wait(observed: Observed, progress: Progress, wanted: str) -> bool:
    """Whether the change waits for its turn. No limit holds up a way back, or what may end an outage."""
    if observed.turn.granted or not progress.status.stable_revision:
        return False
    return not readiness.is_unavailable(observed) and wanted != _return_target(observed, progress)


def _risk_to_stable(observed: Observed, progress: Progress, new: Revision) -> str:
    """Why a new revision does not start, whose pods may preempt those of stable; empty when it may start.

    A person's approval of it lets it start, and so does what needs no protection: a way back, or no pod that serves.
    """
    status, model = progress.status, observed.model
    stable = status.stable_revision
    why = room.may_preempt(observed, progress.revisions.get(stable), new)
    approved = status.commands.approve.partition("/")[0] == new.name
    if not why or approved or new.name == _return_target(observed, progress):
        return ""
    if not capacity.whole(observed, status) or readiness.is_unavailable(observed):
        return ""
    return (
        f"Revision {new.name} is not started: where there is no room for both, its pods may preempt those of stable"
        f" ({why}). {stable} {readiness.goes_on(observed, status)}. Change scheduling.priorityClassName, or start it"
        f" all the same: kubectl annotate mwd {model.name} -n {model.namespace} --overwrite"
        f" modelward.dev/approve={new.name}/0"
    )


def _wanted(observed: Observed, progress: Progress) -> str:
    """The revision that spec asks for, or the one that a person has gone back to.

    A nonce that was raised for other content does not count.
    """
    return _return_target(observed, progress) or _asked_for(observed, progress)


def _asked_for(observed: Observed, progress: Progress) -> str:
    """The revision that spec itself asks for, whatever a person has gone back to."""
    status = progress.status
    stable = progress.revisions.get(status.stable_revision)
    awaited = progress.revisions.get(status.canary_revision)
    content = observed.asked.content
    if stable and awaited and stable.content == content != awaited.content:
        return stable.name
    return observed.asked_under(status.revision_nonce)


def _return_target(observed: Observed, progress: Progress) -> str:
    """The revision that `modelward.dev/rollback` named, as long as spec asks for what was rejected then."""
    status, refused = progress.status, rejection(observed, progress.status)
    if refused is None or refused.reason != Reason.ROLLED_BACK_BY_USER:
        return ""
    target = status.commands.rollback.partition("/")[0]
    failed = any(entry.revision == target for entry in status.rejected_revisions)
    return target if target in progress.revisions and not failed else ""


def _started(observed: Observed, progress: Progress, wanted: str) -> Progress:
    """A new revision sets out: as the first one, or beside the stable one."""
    status, now = progress.status, format_micro(observed.now)
    version = _version(progress, wanted)
    if not status.stable_revision:
        rollout = RolloutStatus(state=next_phase(progress.phase, Trigger.FIRST_REVISION), start_time=now)
        return progress.having(stable_revision=wanted, rollout=rollout).announcing(
            "RevisionCreated", f"Deploying the first revision, {wanted}{version}."
        )
    is_return = wanted == _return_target(observed, progress)
    steps = len(observed.asked.steps)
    rollout = RolloutStatus(
        state=next_phase(progress.phase, Trigger.CHANGED),
        step=steps if is_return else 0,  # what has served before needs no steps
        start_time=now,
        approvals=(0,) if status.commands.approve == f"{wanted}/0" else (),
        shared_replicas=capacity.shares(observed, status),
    )
    meanwhile = readiness.goes_on(observed, status)
    return progress.having(
        canary_revision=wanted, previous_revision="", rollout=rollout, analysis=None
    ).announcing(
        "RevisionCreated",
        f"Revision {wanted}{version} is started beside {status.stable_revision}, which {meanwhile}.",
    )


# --- bookkeeping --------------------------------------------------------------------------------------------


def _version(progress: Progress, revision: str) -> str:
    version = progress.model_version(revision)
    return f" (version {version})" if version else ""


def _conflict(observed: Observed) -> Blocked:
    first = observed.conflicts[0]
    more = f" (and {len(observed.conflicts) - 1} more)" if len(observed.conflicts) > 1 else ""
    message = (
        f"{first.kind} {observed.model.namespace}/{first.name} exists and belongs to {first.owner}{more}. "
        "It is left alone; delete or rename it, or rename this ModelDeployment."
    )
    return Blocked(reason=Reason.NAME_CONFLICT, message=message)


def _finished(observed: Observed, progress: Progress) -> Decision:
    progress = model_identity.learned(observed, progress)
    decision = Decision(
        status=progress.status,
        revisions=progress.revisions,
        announcements=progress.announcements,
        blocked=progress.blocked,
        waiting=progress.waiting,
        sizes=capacity.sizes(observed, progress.status),
        replicas=capacity.replicas_of_user(observed, progress.status),
        asked_for=_asked_for(observed, progress),
        runtime_outdated=_runtime_outdated(observed, progress),
    )
    decision = _numbered(observed, with_message(observed, decision))
    return replace(decision, wake_after=_wake_after(observed, decision))


def _numbered(observed: Observed, decision: Decision) -> Decision:
    """The same with its number, which is a new one if anything was decided."""
    decision = decision.having(observed_generation=observed.model.generation)
    if not _is_decision(observed.model.status, decision.status):
        return decision
    stamped = max((child.decision for child in observed.children), default=0)
    return decision.having(decision=max(decision.status.decision, stamped) + 1)


def _is_decision(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> bool:
    """Whether anything was decided: newer evidence and other messages alone are no decision."""
    return without_evidence(before) != without_evidence(after)


def without_evidence(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """Status without what only reports: evidence, and the message about the rollout."""
    rollout = status.rollout
    if rollout is not None:
        rollout = msgspec.structs.replace(rollout, message="", actual_weight_percent=None)
    return msgspec.structs.replace(status, analysis=None, rollout=rollout)


def _wake_after(observed: Observed, decision: Decision) -> float | None:
    waits: list[float | None] = [readiness.wake_after(observed, decision.status, decision.sizes)]
    waits.append(health.requeue_after(observed, decision.status))
    if decision.phase in (Phase.DRAINING, Phase.WATCHING):
        waits.append(seconds_left(observed, decision, traffic.drain_seconds(observed)) or REQUEUE_SECONDS)
    if decision.phase is Phase.WATCHING:
        keep = observed.model.spec.rollout.keep_previous_seconds
        waits.append(min(REQUEUE_SECONDS, seconds_left(observed, decision, keep) or REQUEUE_SECONDS))
    if decision.phase is Phase.ROLLING_BACK:
        waits.append(1.0)
    if decision.phase in WITH_CANARY:
        waits.append(REQUEUE_SECONDS)
    if decision.waiting:
        waits.append(fleet.requeue_after(observed.turn))
    if observed.conflicts or (decision.blocked and decision.blocked.reason is Reason.NAME_CONFLICT):
        waits.append(readiness.POLL_SECONDS)
    return min((wait for wait in waits if wait is not None), default=None)


def _runtime_outdated(observed: Observed, progress: Progress) -> bool:
    """The runtime that the stable revision pinned reads differently now."""
    stable = progress.revisions.get(progress.status.stable_revision)
    if not stable or not stable.runtime.get("name"):
        return False
    current = [
        runtime
        for runtime in observed.runtimes
        if (runtime.kind, runtime.name) == (stable.runtime.get("kind"), stable.runtime["name"])
    ]
    return bool(current) and current[0].spec != stable.runtime.get("spec")
