"""Status in words: conditions from what was decided and what was seen. The only place that makes a condition.

The table of situations is that of the API reference, section "Status". Everything is computed from the world
anew; the old conditions only give the time of the last change, so that it moves only when a status does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from modelward.api import names
from modelward.api.conditions import Blocked, ConditionType, Reason, Status
from modelward.api.status import Condition, ModelDeploymentStatus, RolloutResult, clip
from modelward.api.times import format_seconds, parse
from modelward.projection.service import KIND as SERVICE
from modelward.projection.service import url
from modelward.rollout import readiness
from modelward.rollout.capacity import replicas_of_user
from modelward.rollout.decision import Decision
from modelward.rollout.not_yet import how_it_goes_out, without_effect
from modelward.rollout.observed import Observed
from modelward.rollout.phases import Phase

UNAVAILABLE_AFTER_SECONDS: Final = 60
"""A revision without a ready pod for this long is said to be unavailable, rather than not ready yet."""

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
    )
    return msgspec.structs.replace(status, conditions=_conditions(observed, decision))


def only_counts_differ(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> bool:
    """Whether pods were counted anew and nothing else: no decision, no other status or reason of a condition."""
    return before != after and _without_counts(before) == _without_counts(after)


def wake_after(observed: Observed, status: ModelDeploymentStatus) -> float | None:
    """Seconds until a condition changes by the clock alone: the minute before "unavailable"."""
    since = _unavailable_since(observed)
    if since is None or not status.stable_revision:
        return None
    left = timedelta(seconds=UNAVAILABLE_AFTER_SECONDS) - (observed.now - since)
    return left.total_seconds() if left > timedelta(0) else None


def _without_counts(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    conditions = tuple(msgspec.structs.replace(each, message="") for each in status.conditions)
    return msgspec.structs.replace(status, replicas=0, ready_replicas=0, conditions=conditions)


def refusal(refusals: Sequence[str]) -> Blocked:
    """What the API server says, in its own words; it is tried again by itself."""
    message = f"The API server refuses an object that is needed. {'; '.join(refusals)}"
    return Blocked(reason=Reason.REFUSED, message=message)


def _live(status: ModelDeploymentStatus) -> list[str]:
    return [
        name for name in (status.stable_revision, status.canary_revision, status.previous_revision) if name
    ]


# --- the table ----------------------------------------------------------------------------------------------


def _situation(observed: Observed, decision: Decision) -> _Situation:
    if decision.blocked:
        return _stalled(decision.blocked.reason, decision.blocked.message)
    if observed.refusals:
        return _stalled(Reason.REFUSED, refusal(observed.refusals).message)
    phase = Phase(decision.status.rollout.state) if decision.status.rollout else Phase.SERVING
    if phase in (Phase.DEPLOYING, Phase.WARMING):
        return _starting(observed, decision, phase)
    return _serving(observed, decision)


def _starting(observed: Observed, decision: Decision, phase: Phase) -> _Situation:
    status = decision.status
    first = phase is Phase.DEPLOYING
    awaited = status.stable_revision if first else status.canary_revision
    if overdue := readiness.overdue(observed, awaited):
        return _stalled(Reason.DEADLINE_EXCEEDED, f"Revision {awaited} is {overdue}.")
    count = _count(observed, awaited)
    beside = "" if first else f" {status.stable_revision} goes on serving."
    keeps = readiness.what_keeps(observed, awaited)
    return _Situation(
        reason=Reason.DEPLOYING,
        message=f"Revision {awaited}: {count}; {keeps}.{beside}{'' if first else how_it_goes_out(observed.model.spec)}",
        ready=_F if first else _U,
        progressing=_T,
    )


def _serving(observed: Observed, decision: Decision) -> _Situation:
    status = decision.status
    stable = status.stable_revision
    if readiness.is_ready(observed, status, stable):
        if replicas_of_user(observed, status) == 0:
            return _Situation(
                reason=Reason.SCALED_TO_ZERO,
                message=f"Revision {stable} is scaled to zero, as spec.replicas asks.",
                ready=_T,
                progressing=_F,
            )
        return _Situation(
            reason=Reason.AVAILABLE, message=_serves(observed, status), ready=_T, progressing=_F
        )
    message = f"Revision {stable}: {_count(observed, stable)}; {readiness.what_keeps(observed, stable)}."
    since = _unavailable_since(observed)
    if since and observed.now - since >= timedelta(seconds=UNAVAILABLE_AFTER_SECONDS):
        return _stalled(Reason.UNAVAILABLE, message)
    return _Situation(reason=Reason.REPLICAS_NOT_READY, message=message, ready=_F, progressing=_T)


def _stalled(reason: Reason, message: str) -> _Situation:
    return _Situation(reason=reason, message=message, ready=_F, progressing=_F, stalled=True)


def _serves(observed: Observed, status: ModelDeploymentStatus) -> str:
    held = status.scaling.held_replicas if status.scaling else None
    count = _count(observed, status.stable_revision)
    if held is not None and held != observed.model.spec.replicas:
        return (
            f"Revision {status.stable_revision}: {count}. {held} replicas are kept from the autoscaler that"
            " was switched off; change spec.replicas to set another number."
        )
    return f"Revision {status.stable_revision}: {count}.{without_effect(observed.model.spec)}"


def _count(observed: Observed, revision: str) -> str:
    deployment = observed.deployment(revision)
    if deployment is None:
        return "its pods are being created"
    # While pods are being ended there may be more than asked for.
    return f"{min(deployment.ready, deployment.replicas)} of {deployment.replicas} pods ready"


# --- conditions ---------------------------------------------------------------------------------------------


def _conditions(observed: Observed, decision: Decision) -> tuple[Condition, ...]:
    situation = _situation(observed, decision)
    available = _is_available(observed, decision.status)
    written = [
        (ConditionType.READY, situation.ready, situation.reason, situation.message),
        (
            ConditionType.AVAILABLE,
            _T if available else _F,
            Reason.AVAILABLE if available else situation.reason,
            _serves(observed, decision.status) if available else situation.message,
        ),
        (ConditionType.PROGRESSING, situation.progressing, situation.reason, situation.message),
    ]
    if situation.progressing is not _F:
        written.append((ConditionType.RECONCILING, _T, situation.reason, situation.message))
    if situation.stalled:
        written.append((ConditionType.STALLED, _T, situation.reason, situation.message))
    written.extend(_outcome(decision.status))
    if decision.runtime_outdated:
        message = "The runtime has changed since this revision was made; modelward.dev/refresh rolls it out."
        written.append((ConditionType.RUNTIME_OUTDATED, _T, Reason.RUNTIME_CHANGED, message))
    return tuple(_condition(observed, *each) for each in written)


def _outcome(status: ModelDeploymentStatus) -> list[tuple[ConditionType, Status, Reason, str]]:
    """RolloutSucceeded: Unknown while a rollout runs, then how the latest one ended."""
    kind = ConditionType.ROLLOUT_SUCCEEDED
    if status.rollout and status.rollout.state in (Phase.DEPLOYING, Phase.WARMING):
        awaited = status.canary_revision or status.stable_revision
        return [(kind, _U, Reason.DEPLOYING, f"Revision {awaited} is going out.")]
    if not status.history:
        return []
    last = status.history[0]
    succeeded = _T if last.result is RolloutResult.PROMOTED else _F
    return [(kind, succeeded, Reason(last.result.value), last.message)]


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


def _is_available(observed: Observed, status: ModelDeploymentStatus) -> bool:
    """Requests are answered: the revision that the Service selects has a ready pod, or is to have none."""
    stable = observed.deployment(status.stable_revision)
    if stable is None or any(conflict.kind == SERVICE for conflict in observed.conflicts):
        return False
    return stable.ready > 0 or (stable.replicas == 0 and replicas_of_user(observed, status) == 0)


def _unavailable_since(observed: Observed) -> datetime | None:
    """Since when no pod serves. Kubernetes does not keep it, so our own condition's time is the memory."""
    before = _previous(observed.model.status, ConditionType.AVAILABLE)
    if before is None or before.status == _T:
        return None
    return parse(before.last_transition_time)
