"""RolloutSucceeded: whether what spec asks for has gone out and is what serves, for pipelines that wait for it.

True only of the revision that spec asks for now. What is on its way, waits, is refused or was rejected is Unknown or
False, whatever the rollout before it came to; and the message says which revision serves meanwhile.
"""

from dataclasses import dataclass

from modelward.api.conditions import Reason, Status
from modelward.api.status import HistoryEntry, RolloutResult
from modelward.rollout import readiness
from modelward.rollout.decision import Decision
from modelward.rollout.observed import Observed
from modelward.rollout.phases import WITH_CANARY, Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Status, reason and message of the condition."""

    status: Status
    reason: Reason
    message: str


def outcome(observed: Observed, decision: Decision) -> Outcome:
    """How it stands with the revision that spec asks for."""
    status, asked = decision.status, decision.asked_for
    state = decision.phase
    going_out = status.canary_revision if state in WITH_CANARY else ""
    first = status.stable_revision if state is Phase.DEPLOYING else ""
    if asked and asked in (going_out, first):
        return _unknown(observed, decision, f"Revision {asked} is going out.")
    if observed.model.problem or asked != status.stable_revision:
        return _elsewhere(observed, decision)
    if state is Phase.ROLLING_BACK:
        return _unknown(observed, decision, f"Traffic leaves revision {status.canary_revision}.")
    return _ended(observed, decision)


def _elsewhere(observed: Observed, decision: Decision) -> Outcome:
    """Spec asks for what does not serve, and is not on its way."""
    if blocked := decision.blocked:
        serving = readiness.who_serves(observed, decision.status)
        message = blocked.message if serving in blocked.message else f"{serving} {blocked.message}"
        return Outcome(status=Status.FALSE, reason=blocked.reason, message=message.strip())
    if decision.waiting:
        return _unknown(observed, decision, f"The change {decision.waiting}.", Reason.QUEUED)
    return _unknown(observed, decision, f"Revision {decision.asked_for} has not set out.")


def _ended(observed: Observed, decision: Decision) -> Outcome:
    """The stable revision is what spec asks for: how its latest rollout ended."""
    stable, serving = decision.status.stable_revision, readiness.who_serves(observed, decision.status)
    entry = _latest(observed, decision)
    if entry and entry.result is not RolloutResult.PROMOTED:
        message = f"{entry.message} {serving}"
        return Outcome(status=Status.FALSE, reason=Reason(entry.result.value), message=message)
    message = f"Revision {stable} has gone out. {serving}"
    if readiness.serves(observed, stable) or decision.replicas == 0:
        return Outcome(status=Status.TRUE, reason=Reason.PROMOTED, message=message)
    return Outcome(status=Status.UNKNOWN, reason=Reason.REPLICAS_NOT_READY, message=message)


def _latest(observed: Observed, decision: Decision) -> HistoryEntry | None:
    """The latest end of a rollout of what spec asks for; a change that was taken back again counts no more."""
    content = observed.asked.content
    for entry in decision.status.history:
        snapshot = decision.revisions.get(entry.revision)
        if entry.revision == decision.status.stable_revision or (snapshot and snapshot.content == content):
            return entry
    return None


def _unknown(
    observed: Observed, decision: Decision, message: str, reason: Reason = Reason.DEPLOYING
) -> Outcome:
    serving = readiness.who_serves(observed, decision.status)
    return Outcome(status=Status.UNKNOWN, reason=reason, message=f"{message} {serving}".strip())
