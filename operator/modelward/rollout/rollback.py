"""How a canary ends without being promoted: taken back, superseded, or switched back from after its promotion.

What was taken back is remembered by its content, so that it is not tried again by itself. Weight goes first:
the canary's pods end when no new request is sent to them any more.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from modelward.api.conditions import Blocked, Reason, reason_of
from modelward.api.revision import Revision
from modelward.api.status import (
    HISTORY_LENGTH,
    ModelDeploymentStatus,
    RejectedRevision,
    RolloutResult,
    clip,
)
from modelward.api.times import format_micro, format_seconds, is_time, parse
from modelward.rollout.decision import Progress
from modelward.rollout.observed import Observed
from modelward.rollout.phases import Phase, Trigger
from modelward.rollout.readiness import goes_on, serves
from modelward.rollout.room import making_room
from modelward.rollout.routing import is_written
from modelward.rollout.traffic import in_effect, is_over, is_quiet, is_selected
from modelward.traffic_shares import Router, router

UNWRITTEN_SECONDS: Final = 5
"""How long a write that takes the canary's traffic may be refused, or come too late; then its pods end without it:
what sends to all pods alike has only stable's left."""
LEAVING_SECONDS: Final = 10
"""How long a Gateway may take to report that the weight is 0; then it counts as reported."""
_TO_THE_SECOND: Final = timedelta(seconds=1)
"""The API server notes the time of a write without its fraction."""
_SHOWN_AS_THEY_ARE: Final = (Reason.ABORTED, Reason.DEADLINE_EXCEEDED)
"""Reasons of a rejection that conditions name. All others are RolledBack there; the record distinguishes them."""


def rejection(observed: Observed, status: ModelDeploymentStatus) -> RejectedRevision | None:
    """The record that says that what spec asks for was rejected, whatever its nonce."""
    content = observed.asked.content
    return next((entry for entry in status.rejected_revisions if entry.content == content), None)


def noted_rejections(revisions: Iterable[Revision]) -> tuple[RejectedRevision, ...]:
    """What the snapshots' notes say was rejected, newest first: the memory when status is lost."""
    found = []
    for revision in revisions:
        reason, _, rest = revision.verdict.partition(" ")
        time, _, message = rest.partition(" ")
        if reason:
            found.append(
                RejectedRevision(
                    revision=revision.name,
                    content=revision.content,
                    reason=reason_of(reason) or Reason.ROLLED_BACK,
                    message=clip(message),
                    time=time if is_time(time) else None,
                )
            )
    return tuple(sorted(found, key=lambda entry: entry.time or "", reverse=True)[:HISTORY_LENGTH])


def still_rejected(observed: Observed, progress: Progress, entry: RejectedRevision) -> Progress:
    """Nothing starts, and the reason is what it was, with what is seen of stable now, and the remedy."""
    known = entry.reason in Reason.__members__.values()
    reason = Reason(entry.reason) if known else Reason.ROLLED_BACK
    model = observed.model
    remedy = (
        f"Change spec, or try it again: kubectl annotate mwd {model.name} -n {model.namespace} --overwrite"
        f" modelward.dev/retry={entry.revision}/1 (another number each time)."
    )
    reason = reason if reason in _SHOWN_AS_THEY_ARE else Reason.ROLLED_BACK
    message = f"{entry.message} {_stable_goes_on(observed, progress)} {remedy}"
    return replace(progress, blocked=Blocked(reason=reason, message=message))


def taken_back(
    observed: Observed, progress: Progress, trigger: Trigger, reason: Reason, message: str
) -> Progress:
    """The canary is rejected and loses its traffic."""
    progress = progress.recording(observed.now, _result(trigger), message)
    progress = _announced(observed, progress, trigger, message)
    progress = rejected(observed, progress, progress.status.canary_revision, reason, message)
    return left(observed, _leaving(observed, progress, trigger))


def switched_back(
    observed: Observed, progress: Progress, trigger: Trigger, reason: Reason, message: str
) -> Progress:
    """The roles switch once more: the previous revision, still warm, is stable again."""
    status = progress.status
    promoted, previous = status.stable_revision, status.previous_revision
    progress = progress.recording(observed.now, _result(trigger), message)
    progress = _leaving(observed, progress, trigger).having(
        stable_revision=previous, previous_revision="", canary_revision=promoted
    )
    progress = _announced(observed, progress, trigger, message)
    return left(observed, rejected(observed, progress, promoted, reason, message))


def superseded(observed: Observed, progress: Progress, why: str, *, at_once: bool) -> Progress:
    """Something else is asked for, and nothing is held against the canary.

    It goes `at_once` if something new is asked for; if it is stable, stable must have a ready pod to go back to.
    """
    message = f"Revision {progress.status.canary_revision} was superseded: {why}."
    progress = progress.recording(observed.now, RolloutResult.SUPERSEDED, message)
    progress = progress.announcing("Superseded", message)
    return left(observed, _leaving(observed, progress, Trigger.SUPERSEDED), at_once=at_once)


def rejected(observed: Observed, progress: Progress, revision: str, reason: Reason, message: str) -> Progress:
    """The revision is remembered by content, newest first.

    A restart that failed has the content of the stable revision, which cannot be rejected: it is forgotten.
    """
    status = progress.status
    snapshot, stable = progress.revisions.get(revision), progress.revisions.get(status.stable_revision)
    content = snapshot.content if snapshot else observed.asked.content
    if stable and stable.name != revision and stable.content == content:
        return progress
    entry = RejectedRevision(
        revision=revision,
        content=content,
        reason=reason,
        message=clip(message),
        time=format_seconds(observed.now),
    )
    others = tuple(each for each in status.rejected_revisions if each.revision != revision)
    return progress.having(rejected_revisions=(entry, *others)[:HISTORY_LENGTH])


def left(observed: Observed, progress: Progress, *, at_once: bool = False) -> Progress:
    """Traffic leaves a canary that was taken back; without traffic, the canary goes.

    It keeps its weight while stable has no ready pod and the canary has one: a bad answer is better than none. It
    gives up its pods meanwhile if stable needs their room.
    `at_once` does not wait for stable: what comes next is the way out when stable is broken.
    """
    if progress.phase is not Phase.ROLLING_BACK:
        return progress
    status = progress.status
    stable_serves, canary_serves = (
        serves(observed, name) for name in (status.stable_revision, status.canary_revision)
    )
    if progress.rollout.weight_percent and canary_serves and not (stable_serves or at_once):
        return making_room(observed, progress)
    if progress.rollout.weight_percent:  # what is to be written has its time from now on, not from the abort
        progress = progress.weightless().rolling(step_start_time=format_micro(observed.now))
    if not _has_left(observed, progress):
        return progress
    return without_canary(progress.going(Trigger.DRAINED))


def without_canary(progress: Progress) -> Progress:
    """Only stable is left, and so its nonce is what the next revision is named by.

    Or a nonce that a failed restart or retry has raised would turn a mere return to stable into a rollout. One
    that was raised after the canary set out is for what comes next.
    """
    status, nonce = progress.status, progress.status.revision_nonce
    stable, canary = (
        progress.revisions.get(each) for each in (status.stable_revision, status.canary_revision)
    )
    if stable and (canary is None or canary.nonce >= nonce):
        nonce = stable.nonce
    return progress.having(canary_revision="", analysis=None, revision_nonce=nonce)


def _result(trigger: Trigger) -> RolloutResult:
    return RolloutResult.ABORTED if trigger is Trigger.ABORTED else RolloutResult.ROLLED_BACK


def _announced(observed: Observed, progress: Progress, trigger: Trigger, message: str) -> Progress:
    """With an Event, which may say what is seen of stable: it speaks of its own moment."""
    whole = f"{message} {_stable_goes_on(observed, progress)}"
    return progress.announcing(_result(trigger).value, whole, warning=True)


def _stable_goes_on(observed: Observed, progress: Progress) -> str:
    stable = progress.status.stable_revision
    return f"{stable} {goes_on(observed, progress.status)}."


def _leaving(observed: Observed, progress: Progress, trigger: Trigger) -> Progress:
    return progress.going(trigger, step_start_time=format_micro(observed.now))


def _has_left(observed: Observed, progress: Progress) -> bool:
    """No new request comes to the canary, or nothing that can be written keeps one from coming."""
    status, since = progress.status, parse(progress.rollout.step_start_time or format_micro(observed.now))
    if is_selected(observed, status.canary_revision):
        return False
    done, routed = in_effect(observed, status).done, router(observed.model.spec) is not Router.NONE
    if not (is_written(observed, 0, status) if routed else done):
        return is_over(observed, since, UNWRITTEN_SECONDS)
    former = progress.rollout.withdrawn_weight_percent
    if not (routed and former) or _nobody_serves(observed, status):
        return True
    reported = done or is_over(observed, since, LEAVING_SECONDS)
    return reported and (is_quiet(observed, former) or _has_lagged(observed, since))


def _nobody_serves(observed: Observed, status: ModelDeploymentStatus) -> bool:
    """No pod would answer what a Gateway still sends to the canary, and stable's neither."""
    return not any(serves(observed, each) for each in (status.stable_revision, status.canary_revision))


def _has_lagged(observed: Observed, since: datetime) -> bool:
    """A Gateway has had all its time since the weights were written.

    A route that is written again and again, in a fight about it, does not make it longer.
    """
    route, lag = observed.route, observed.lag_seconds
    written = route.written + _TO_THE_SECOND if route and route.written else since
    return is_over(observed, written, lag) or is_over(observed, since, lag + UNWRITTEN_SECONDS)
