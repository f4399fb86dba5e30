"""decide(observed) -> Decision: the one place where anything is decided. Pure: same input, same decision.

It reads the world anew each time and never a condition that was written earlier. What cannot be seen again
(which revision is stable, when a rollout began, what was rejected) is a plain field of status and so part of
`Observed`. Steps run to a fixed point: what follows at once is decided at once, and recorded in one write.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import msgspec

from modelward.api.conditions import Blocked, Reason
from modelward.api.rollout_policy import OnDeadline
from modelward.api.status import (
    ModelDeploymentStatus,
    RolloutResult,
    RolloutStatus,
)
from modelward.api.times import format_micro, parse
from modelward.rollout import capacity, commands, readiness
from modelward.rollout.decision import Decision, Progress
from modelward.rollout.not_yet import how_it_goes_out
from modelward.rollout.observed import Observed
from modelward.rollout.phases import Phase, Trigger, following
from modelward.rollout.rejection import rejection, still_rejected, taken_back, without_canary
from modelward.rollout.revisions import revision_hash
from modelward.rollout.snapshot import take_snapshot

DRAIN_SECONDS: Final = 5
"""How long the previous revision stays after the Service has left it: endpoints and kube-proxy follow within
about a second, and clients that were just about to connect still find it."""


def decide(observed: Observed) -> Decision:
    """The next status of a model and all that follows from it. Never raises for anything a user wrote."""
    if observed.model.problem:
        return held(observed, observed.model.problem)
    progress = Progress(status=observed.model.status, revisions=observed.revisions)
    progress = _recovered(observed, progress)
    progress = _commanded(observed, progress)
    progress = _scaled(observed, progress)
    if observed.conflicts:
        return _finished(observed, replace(_drained(observed, progress), blocked=_conflict(observed)))
    progress = _converged(observed, progress)
    return _finished(observed, progress)


def held(observed: Observed, blocked: Blocked) -> Decision:
    """No decision but to wait: everything stays as it is, and the reason is shown."""
    progress = Progress(status=observed.model.status, revisions=observed.revisions, blocked=blocked)
    return _finished(observed, progress)


# --- what was lost, what people ask for ---------------------------------------------------------------------


def _recovered(observed: Observed, progress: Progress) -> Progress:
    """Status was lost (a restored backup, an object recreated by a tool): what serves is stable."""
    if progress.status.stable_revision or not observed.deployments:
        return progress
    selected = observed.service.selects if observed.service else None
    stable = selected if selected and selected in observed.deployments else _oldest(observed)
    snapshot = observed.revisions.get(stable)
    return progress.having(
        stable_revision=stable,
        revision_nonce=snapshot.nonce if snapshot else 0,
        decision=max(child.decision for child in observed.children),
        commands=commands.present(observed.model),  # a lost memory is no reason to carry out an old one again
    )


def _oldest(observed: Observed) -> str:
    return min(observed.deployments, key=lambda name: (observed.deployments[name].created, name))


def _commanded(observed: Observed, progress: Progress) -> Progress:
    """Commands that came since the last decision; each value is handled once."""
    order = commands.pending(observed.model, progress.status)
    status = msgspec.structs.replace(
        progress.status,
        commands=order.acknowledged,
        revision_nonce=_new_nonce(observed, progress.status)
        if order.starts_anew
        else progress.status.revision_nonce,
        rejected_revisions=tuple(
            entry
            for entry in progress.status.rejected_revisions
            if not order.retried or entry.content != order.retried
        ),
    )
    progress = replace(progress, status=status)
    for message in order.ignored:
        progress = progress.telling("CommandIgnored", message, warning=True)
    if order.aborted and progress.phase is Phase.WARMING:
        message = (
            f"Revision {order.aborted} was aborted by annotation. {status.stable_revision} goes on serving."
        )
        return taken_back(observed, progress, Trigger.ABORTED, Reason.ABORTED, message)
    return progress


def _new_nonce(observed: Observed, status: ModelDeploymentStatus) -> int:
    """The next nonce whose revision has not been out: its snapshot would bring back what it pinned then."""
    tried = {entry.revision for entry in status.history}
    nonce = status.revision_nonce + 1
    while revision_hash(observed.model.fields, nonce) in tried:
        nonce += 1
    return nonce


def _scaled(observed: Observed, progress: Progress) -> Progress:
    """Who says how many replicas: the user, an autoscaler, or the count that the autoscaler left behind."""
    return progress.having(scaling=capacity.next_scaling(observed))


# --- the rollout --------------------------------------------------------------------------------------------


def _converged(observed: Observed, progress: Progress) -> Progress:
    """Take step after step until none applies. The phases' table has no cycle without a change of spec."""
    for _ in range(2):
        progress = _follow_spec(observed, progress)
        if progress.blocked:
            return _drained(observed, progress)
        progress = _follow_pods(observed, progress)
    return progress


def _follow_spec(observed: Observed, progress: Progress) -> Progress:
    """Compare the revision that spec asks for with the stable and the awaited one."""
    status = progress.status
    wanted = _wanted(observed, progress)
    if wanted == status.stable_revision and status.canary_revision:
        return _reverted(observed, progress, f"spec asks for {wanted} again")
    known = wanted in (status.stable_revision, status.canary_revision)
    if known and wanted in progress.revisions:
        return progress
    if not known and (rejected := rejection(observed, status)):
        if not status.canary_revision:
            return still_rejected(observed, progress, rejected)
        return _reverted(observed, progress, f"spec asks for {rejected.revision}, which was rejected")
    taken = take_snapshot(observed, progress.revisions, status, wanted)
    if isinstance(taken, Blocked):
        # Whatever is on its way is not what spec asks for any more.
        if status.canary_revision and not known:
            progress = _reverted(observed, progress, "spec asks for something that cannot be started")
        return replace(progress, blocked=taken)
    progress = replace(progress, revisions={**progress.revisions, wanted: taken})
    # Somebody deleted both snapshot and Deployment of a known revision: both are made anew.
    return progress if known else _started(observed, progress, wanted)


def _wanted(observed: Observed, progress: Progress) -> str:
    """The revision that spec asks for. A nonce that was raised for other content does not count."""
    status = progress.status
    stable = progress.revisions.get(status.stable_revision)
    awaited = progress.revisions.get(status.canary_revision)
    content = revision_hash(observed.model.fields)
    if stable and awaited and stable.content == content != awaited.content:
        return stable.name
    return revision_hash(observed.model.fields, status.revision_nonce)


def _started(observed: Observed, progress: Progress, wanted: str) -> Progress:
    """A new revision sets out: as the first one, or beside the stable one."""
    status, now = progress.status, format_micro(observed.now)
    version = _version(progress, wanted)
    if not status.stable_revision:
        rollout = RolloutStatus(state=Phase.DEPLOYING, start_time=now)
        return progress.having(stable_revision=wanted, rollout=rollout).telling(
            "RevisionCreated", f"Deploying the first revision, {wanted}{version}."
        )
    if status.canary_revision:
        message = f"Revision {status.canary_revision} was superseded by {wanted} before it was ready."
        progress = progress.recording(observed.now, RolloutResult.SUPERSEDED, message).telling(
            "Superseded", message
        )
    state = following(progress.phase, Trigger.CHANGED)
    return progress.having(
        canary_revision=wanted,
        previous_revision="",
        rollout=RolloutStatus(state=state, start_time=now),
    ).telling(
        "RevisionCreated",
        f"Revision {wanted}{version} is started beside {status.stable_revision}, {_meanwhile(observed, status)}."
        + how_it_goes_out(observed.model.spec),
    )


def _meanwhile(observed: Observed, status: ModelDeploymentStatus) -> str:
    stable = observed.deployment(status.stable_revision)
    return "which goes on serving" if stable and stable.ready else "which has no ready pod"


def _reverted(observed: Observed, progress: Progress, why: str) -> Progress:
    message = f"Revision {progress.status.canary_revision} was superseded: {why}."
    progress = progress.recording(observed.now, RolloutResult.SUPERSEDED, message).telling(
        "Superseded", message
    )
    following(progress.phase, Trigger.REVERTED)
    return without_canary(progress)


def _follow_pods(observed: Observed, progress: Progress) -> Progress:
    """Look at the pods of the awaited revision, or at the clock of a previous one."""
    match progress.phase:
        case Phase.DEPLOYING if readiness.is_ready(
            observed, progress.status, progress.status.stable_revision
        ):
            return _deployed(observed, progress)
        case Phase.WARMING:
            return _warmed(observed, progress)
        case _:
            return _drained(observed, progress)


def _drained(observed: Observed, progress: Progress) -> Progress:
    """The previous revision's time runs whatever keeps the rest: a refused spec does not hold its pods."""
    if progress.phase is not Phase.DRAINING or drain_seconds_left(observed, progress.status) > 0:
        return progress
    following(progress.phase, Trigger.DRAINED)
    return progress.having(previous_revision="", rollout=None)


def _deployed(observed: Observed, progress: Progress) -> Progress:
    message = f"Revision {progress.status.stable_revision} is ready and serves."
    following(progress.phase, Trigger.READY)
    return (
        progress.recording(observed.now, RolloutResult.PROMOTED, message)
        .having(rollout=None)
        .telling("Promoted", message)
    )


def _warmed(observed: Observed, progress: Progress) -> Progress:
    status = progress.status
    awaited = status.canary_revision
    if readiness.is_ready(observed, status, awaited):
        return _switched(observed, progress)
    overdue = readiness.overdue(observed, awaited)
    if overdue and observed.model.spec.rollout.on_deadline is OnDeadline.ROLL_BACK:
        message = f"Revision {awaited} was rejected: {overdue}. {status.stable_revision} goes on serving."
        return taken_back(observed, progress, Trigger.DEADLINE, Reason.DEADLINE_EXCEEDED, message)
    return progress


def _switched(observed: Observed, progress: Progress) -> Progress:
    """The roles switch: the awaited revision's running pods are the stable ones from now on."""
    status = progress.status
    now = format_micro(observed.now)
    message = f"Revision {status.canary_revision} is ready and serves in place of {status.stable_revision}."
    progress = progress.recording(observed.now, RolloutResult.PROMOTED, message).telling("Promoted", message)
    start = status.rollout.start_time if status.rollout else now
    state = following(progress.phase, Trigger.READY)
    return progress.having(
        stable_revision=status.canary_revision,
        canary_revision="",
        previous_revision=status.stable_revision,
        rollout=RolloutStatus(state=state, start_time=start, step_start_time=now),
    )


# --- bookkeeping --------------------------------------------------------------------------------------------


def _version(progress: Progress, revision: str) -> str:
    version = progress.model_version(revision)
    return f" (version {version})" if version else ""


def drain_seconds_left(observed: Observed, status: ModelDeploymentStatus) -> float:
    """Seconds that the previous revision still has."""
    if not status.rollout or not status.rollout.step_start_time:
        return 0.0
    gone = observed.now - parse(status.rollout.step_start_time)
    return max(0.0, min(DRAIN_SECONDS, (timedelta(seconds=DRAIN_SECONDS) - gone).total_seconds()))


def _conflict(observed: Observed) -> Blocked:
    first = observed.conflicts[0]
    more = f" (and {len(observed.conflicts) - 1} more)" if len(observed.conflicts) > 1 else ""
    message = (
        f"{first.kind} {observed.model.namespace}/{first.name} exists and belongs to {first.owner}{more}. "
        "It is left alone; delete or rename it, or rename this ModelDeployment."
    )
    return Blocked(reason=Reason.NAME_CONFLICT, message=message)


def _finished(observed: Observed, progress: Progress) -> Decision:
    status = msgspec.structs.replace(progress.status, observed_generation=observed.model.generation)
    if status != observed.model.status:
        stamped = max((child.decision for child in observed.children), default=0)
        status = msgspec.structs.replace(status, decision=max(status.decision, stamped) + 1)
    return Decision(
        status=status,
        revisions=progress.revisions,
        announcements=progress.announcements,
        blocked=progress.blocked,
        wake_after=_wake_after(observed, status),
        runtime_outdated=_runtime_outdated(observed, progress),
    )


def _wake_after(observed: Observed, status: ModelDeploymentStatus) -> float | None:
    if status.rollout and status.rollout.state == Phase.DRAINING:
        return drain_seconds_left(observed, status)
    if observed.conflicts:
        return readiness.POLL_SECONDS
    return readiness.wake_after(observed, status)


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
