"""Conditions, from what was decided and what was seen. The only place that makes a condition.

The table of situations is that of the API reference, section "Status". Everything is computed from the world
anew; the old conditions only give the time of the last change, so that it moves only when a status does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import msgspec

from modelward.api import names
from modelward.api.conditions import Blocked, ConditionType, Reason, Status
from modelward.api.status import Condition, ModelDeploymentStatus, clip
from modelward.api.times import format_seconds
from modelward.projection.service import KIND as SERVICE
from modelward.projection.service import url
from modelward.rollout import model_identity, readiness, routing, traffic
from modelward.rollout.decide import without_evidence
from modelward.rollout.decision import Decision
from modelward.rollout.messages import count
from modelward.rollout.observed import Autoscaler, Observed
from modelward.rollout.outcome import outcome
from modelward.rollout.phases import WAITING, WITH_CANARY, Phase

_T, _F, _U = Status.TRUE, Status.FALSE, Status.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class _Situation:
    """One row of the table: the status of Ready and what goes with it."""

    reason: Reason
    message: str
    ready: Status
    progressing: Status
    stalled: bool = False


def complete(observed: Observed, decision: Decision) -> ModelDeploymentStatus:
    """The decided status with counts and conditions."""
    live = [
        deployment
        for deployment in map(observed.deployment, _live(decision.status))
        if deployment is not None
    ]
    status = msgspec.structs.replace(
        decision.status,
        replicas=sum(deployment.current for deployment in live),
        ready_replicas=sum(deployment.ready for deployment in live),
        selector=names.model_selector(observed.model.name),
        url=url(observed.model),
        model_uri=_uri_of_stable(decision.status),
    )
    return msgspec.structs.replace(status, conditions=_conditions(observed, decision))


def _uri_of_stable(status: ModelDeploymentStatus) -> str:
    fetched = model_identity.model_of(status, status.stable_revision)
    return fetched.uri if fetched else ""


def only_counts_differ(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> bool:
    """Whether pods were counted anew and nothing else: no decision, no other status or reason of a condition."""
    return before != after and _without_counts(before) == _without_counts(after)


def wake_after(observed: Observed, status: ModelDeploymentStatus) -> float | None:
    """Seconds until a condition changes by the clock alone: the minute before "unavailable"."""
    since = readiness.unavailable_since(observed)
    if since is None or not status.stable_revision:
        return None
    left = timedelta(seconds=readiness.UNAVAILABLE_AFTER_SECONDS) - (observed.now - since)
    return left.total_seconds() if left > timedelta(0) else None


def _without_counts(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    conditions = tuple(msgspec.structs.replace(each, message="") for each in status.conditions)
    quiet = without_evidence(status)
    return msgspec.structs.replace(quiet, replicas=0, ready_replicas=0, conditions=conditions)


def refusal(refusals: Sequence[str]) -> Blocked:
    """The API server's message; the write is retried automatically."""
    message = f"The API server refuses an object that is needed. {'; '.join(refusals)}"
    return Blocked(reason=Reason.REFUSED, message=message)


def failure(failures: Sequence[str]) -> Blocked:
    """What could not be written though nobody refuses it; the write is retried automatically."""
    message = f"An object that is needed could not be written again and again. {'; '.join(failures)}"
    return Blocked(reason=Reason.REFUSED, message=message)


def blockers(refusals: Sequence[str], failures: Sequence[str]) -> tuple[Blocked, ...]:
    """What keeps objects from being written: what is refused, and what fails again and again."""
    refused = (refusal(refusals),) if refusals else ()
    return (*refused, failure(failures)) if failures else refused


def _blocker(observed: Observed) -> Blocked | None:
    """The same in one; None when nothing keeps them."""
    found = blockers(observed.refusals, observed.failures)
    message = " ".join(each.message for each in found)
    return Blocked(reason=Reason.REFUSED, message=message) if found else None


def _live(status: ModelDeploymentStatus) -> list[str]:
    return [
        name for name in (status.stable_revision, status.canary_revision, status.previous_revision) if name
    ]


# --- the table ----------------------------------------------------------------------------------------------


_CANARY_REASONS: Final = {
    Phase.AWAITING_APPROVAL: Reason.APPROVAL_REQUIRED,
    Phase.PAUSED: Reason.PAUSED,
    Phase.INCONCLUSIVE: Reason.INCONCLUSIVE,
    Phase.METRICS_UNAVAILABLE: Reason.METRICS_UNAVAILABLE,
}


def _situation(observed: Observed, decision: Decision) -> _Situation:
    refused = _blocker(observed)
    if blocked := decision.blocked or refused or routing.problem(observed):
        besides = refused.message if refused and refused != blocked else ""
        waits = f"The change {decision.waiting}." if decision.waiting else ""
        return _stalled(blocked.reason, " ".join(part for part in (blocked.message, besides, waits) if part))
    phase = decision.phase
    if phase is Phase.DEPLOYING or phase in WITH_CANARY:
        return _changing(observed, decision, phase)
    if phase is Phase.ROLLING_BACK:
        message = " ".join((_reported(decision), *_terminating(observed)))
        return _Situation(reason=Reason.CANARY_STEP, message=message, ready=_U, progressing=_T)
    if decision.waiting:
        stable = decision.status.stable_revision
        message = f"The change {decision.waiting}. {stable} {readiness.goes_on(observed, decision.status)}."
        return _Situation(reason=Reason.QUEUED, message=message, ready=_U, progressing=_T)
    return _serving(observed, decision)


def _changing(observed: Observed, decision: Decision, phase: Phase) -> _Situation:
    """A revision is on its way."""
    status = decision.status
    awaited = status.canary_revision or status.stable_revision
    lacking = model_identity.cannot_fetch(observed, awaited) or model_identity.planted(
        observed, status, awaited
    )
    if phase is Phase.DEPLOYING and lacking:
        again = "It is tried again by itself."
        return _stalled(lacking.reason, f"Revision {awaited}: {lacking.message}. {again}")
    if overdue := readiness.overdue(observed, awaited):
        return _stalled(Reason.DEADLINE_EXCEEDED, f"Revision {awaited} is {overdue}.")
    if phase in WAITING:
        return _Situation(
            reason=_CANARY_REASONS[phase], message=_reported(decision), ready=_U, progressing=_U
        )
    first = phase is Phase.DEPLOYING
    starting = first or (phase is Phase.SCALING_UP and not _weight(status))
    return _Situation(
        reason=Reason.DEPLOYING if starting else Reason.CANARY_STEP,
        message=_reported(decision),
        ready=_F if first else _U,
        progressing=_T,
    )


def _reported(decision: Decision) -> str:
    """What `status.rollout.message` says."""
    return decision.status.rollout.message if decision.status.rollout else ""


def _weight(status: ModelDeploymentStatus) -> int:
    return status.rollout.weight_percent if status.rollout else 0


def _serving(observed: Observed, decision: Decision) -> _Situation:
    status = decision.status
    stable = status.stable_revision
    if elsewhere := _elsewhere(observed, status):
        return _Situation(reason=Reason.CANARY_STEP, message=elsewhere, ready=_U, progressing=_T)
    if readiness.has_pods(observed, status, stable, decision.sizes.get(stable)):
        if decision.replicas == 0:
            return _Situation(
                reason=Reason.SCALED_TO_ZERO,
                message=f"Revision {stable} is scaled to zero, as spec.replicas asks.",
                ready=_T,
                progressing=_F,
            )
        return _Situation(
            reason=Reason.AVAILABLE, message=_serves(observed, decision), ready=_T, progressing=_F
        )
    counted = _count(observed, decision, stable)
    keeps = readiness.what_keeps(observed, stable).rstrip(".")
    message = f"Revision {stable}: {counted}; {keeps}."
    if readiness.is_unavailable(observed):
        return _stalled(Reason.UNAVAILABLE, message)
    return _Situation(reason=Reason.REPLICAS_NOT_READY, message=message, ready=_F, progressing=_T)


def _stalled(reason: Reason, message: str) -> _Situation:
    return _Situation(reason=reason, message=message, ready=_F, progressing=_F, stalled=True)


def _answers(observed: Observed, decision: Decision) -> str:
    """Who answers requests: stable, or a canary alone while no pod of stable is ready."""
    status = decision.status
    serves, canary = _serves(observed, decision), status.canary_revision
    if elsewhere := _elsewhere(observed, status):
        return f"{serves} {elsewhere}"
    if readiness.serves(observed, status.stable_revision) or not readiness.serves(observed, canary):
        return serves
    return f"{serves} Only canary {canary} answers: {_count(observed, decision, canary)}."


def _elsewhere(observed: Observed, status: ModelDeploymentStatus) -> str:
    """Who gets all requests while the Service may not be switched; empty where it is as it should be."""
    other = traffic.leads_elsewhere(observed, status)
    if not other:
        return ""
    return f"Service {observed.model.name} still leads to {other}, which gets all requests: {count(observed, None, other)}."


def _serves(observed: Observed, decision: Decision) -> str:
    return _noted(observed, _serving_pods(observed, decision))


def _noted(observed: Observed, message: str) -> str:
    """The message, and what a person should know besides."""
    return " ".join((message, *_idle_autoscalers(observed), *_terminating(observed)))


def _terminating(observed: Observed) -> Iterator[str]:
    """What was deleted and is still there: its pods run on, and its name is taken."""
    for child in observed.children:
        if child.terminating:
            yield f"{child.kind} {child.name} is deleted, {child.terminating}."


def _idle_autoscalers(observed: Observed) -> Iterator[str]:
    """Of revisions that serve: one without a ready pod has nothing to measure yet."""
    for child in observed.children:
        if isinstance(child, Autoscaler) and child.problem and readiness.serves(observed, child.revision):
            yield f"The autoscaler of revision {child.revision} does not scale: {child.problem.rstrip('.')}."


def _serving_pods(observed: Observed, decision: Decision) -> str:
    status = decision.status
    held = status.scaling.held_replicas if status.scaling else None
    counted = _count(observed, decision, status.stable_revision)
    if held is not None and held != observed.model.spec.replicas:
        return (
            f"Revision {status.stable_revision}: {counted}. {held} replicas are kept from the autoscaler that"
            " was switched off; change spec.replicas to set another number."
        )
    message = f"Revision {status.stable_revision}: {counted}."
    if status.previous_revision and status.rollout and status.rollout.message:
        return f"{message} {status.rollout.message}"
    return message


def _count(observed: Observed, decision: Decision, revision: str) -> str:
    return count(observed, decision.sizes.get(revision), revision)


# --- conditions ---------------------------------------------------------------------------------------------


def _conditions(observed: Observed, decision: Decision) -> tuple[Condition, ...]:
    situation = _situation(observed, decision)
    available = _is_available(observed, decision)
    written = [
        (ConditionType.READY, situation.ready, situation.reason, situation.message),
        (
            ConditionType.AVAILABLE,
            _T if available else _F,
            Reason.AVAILABLE if available else situation.reason,
            _answers(observed, decision) if available else _noted(observed, situation.message),
        ),
        (ConditionType.PROGRESSING, situation.progressing, situation.reason, situation.message),
    ]
    if situation.progressing is not _F:
        written.append((ConditionType.RECONCILING, _T, situation.reason, situation.message))
    if situation.stalled:
        written.append((ConditionType.STALLED, _T, situation.reason, situation.message))
    ended = outcome(observed, decision)
    written.append((ConditionType.ROLLOUT_SUCCEEDED, ended.status, ended.reason, ended.message))
    if decision.runtime_outdated:
        message = "The runtime has changed since this revision was made; modelward.dev/refresh rolls it out."
        written.append((ConditionType.RUNTIME_OUTDATED, _T, Reason.RUNTIME_CHANGED, message))
    written += [
        (kind, _T, reason, message) for kind, reason, message in model_identity.conditions(decision.status)
    ]
    return tuple(_condition(observed, *each) for each in written)


def _condition(
    observed: Observed, kind: ConditionType, status: Status, reason: Reason, message: str
) -> Condition:
    before = _previous(observed.model.status, kind)
    unchanged = before is not None and before.status == status
    return Condition(
        type=kind.value,
        status=status.value,
        reason=reason.value,
        message=clip(message),
        last_transition_time=before.last_transition_time
        if before and unchanged
        else format_seconds(observed.now),
        observed_generation=observed.model.generation,
    )


def _previous(status: ModelDeploymentStatus, kind: ConditionType) -> Condition | None:
    return next((condition for condition in status.conditions if condition.type == kind), None)


def _is_available(observed: Observed, decision: Decision) -> bool:
    """Requests are answered: every revision that gets them has a ready pod, or stable is to have none."""
    if any(conflict.kind == SERVICE for conflict in observed.conflicts):
        return False
    if traffic.is_answered(observed, decision.status):
        return True
    stable = observed.deployment(decision.status.stable_revision)
    return stable is not None and stable.replicas == 0 == decision.replicas
