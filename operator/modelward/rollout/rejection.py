"""Rejection: a revision is taken back and remembered by its content, so that it is not tried again by itself."""

from dataclasses import replace

from modelward.api.conditions import Blocked, Reason
from modelward.api.status import (
    HISTORY_LENGTH,
    ModelDeploymentStatus,
    RejectedRevision,
    RolloutResult,
    clip,
)
from modelward.api.times import format_seconds
from modelward.rollout.decision import Progress
from modelward.rollout.observed import Observed
from modelward.rollout.phases import Trigger, following
from modelward.rollout.revisions import revision_hash


def rejection(observed: Observed, status: ModelDeploymentStatus) -> RejectedRevision | None:
    """The record that says that what spec asks for was rejected, whatever its nonce."""
    content = revision_hash(observed.model.fields)
    return next((entry for entry in status.rejected_revisions if entry.content == content), None)


def taken_back(
    observed: Observed, progress: Progress, trigger: Trigger, reason: Reason, message: str
) -> Progress:
    """The awaited revision is rejected: remembered by content, so that it is not tried again by itself.

    A restart that failed has the content of the stable revision, which cannot be rejected: it is forgotten.
    """
    status = progress.status
    following(progress.phase, trigger)
    awaited, stable = (
        progress.revisions.get(status.canary_revision),
        progress.revisions.get(status.stable_revision),
    )
    content = awaited.content if awaited else revision_hash(observed.model.fields)
    result = RolloutResult.ABORTED if trigger is Trigger.ABORTED else RolloutResult.ROLLED_BACK
    progress = progress.recording(observed.now, result, message)
    progress = without_canary(progress).telling(result.value, message, warning=True)
    if stable and stable.content == content:
        return progress
    rejected = RejectedRevision(
        revision=status.canary_revision,
        content=content,
        reason=reason,
        message=clip(message),
        time=format_seconds(observed.now),
    )
    others = tuple(each for each in status.rejected_revisions if each.revision != rejected.revision)
    return progress.having(rejected_revisions=(rejected, *others)[:HISTORY_LENGTH])


def without_canary(progress: Progress) -> Progress:
    """Only stable is left, and so its nonce is what the next revision is named by.

    Or a nonce that a failed restart or retry has raised would turn a mere return to stable into a rollout.
    """
    stable = progress.revisions.get(progress.status.stable_revision)
    nonce = stable.nonce if stable else progress.status.revision_nonce
    return progress.having(canary_revision="", rollout=None, revision_nonce=nonce)


def still_rejected(observed: Observed, progress: Progress, entry: RejectedRevision) -> Progress:
    """Nothing starts, and the reason is what it was, with the remedy."""
    known = entry.reason in Reason.__members__.values()
    reason = Reason(entry.reason) if known else Reason.ROLLED_BACK
    model = observed.model
    remedy = (
        f"Change spec, or try it again: kubectl annotate mwd {model.name} -n {model.namespace} --overwrite"
        f" modelward.dev/retry={entry.revision}/1 (another number each time)."
    )
    return replace(progress, blocked=Blocked(reason=reason, message=f"{entry.message} {remedy}"))
