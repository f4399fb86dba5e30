"""The phases of a rollout as one table: what may follow what. Tests and documentation read it from here.

Phase is an internal term: users read conditions. It is stored in `status.rollout.state`; a model without a
rollout is SERVING and has no `status.rollout`. How a rollout ended (Promoted, RolledBack, Superseded,
Aborted) is in `status.history`, and shown by conditions until spec changes.
"""

from enum import StrEnum
from itertools import product
from typing import Final

from modelward.api.status import ModelDeploymentStatus


class Phase(StrEnum):
    """Where a rollout is."""

    SERVING = "Serving"
    """One revision, the stable one; no rollout."""
    DEPLOYING = "Deploying"
    """The first revision is being started: there is nothing to protect, it is stable from the start."""
    SCALING_UP = "ScalingUp"
    """Pods of the canary are being started, for its first step or for the next one; the weight stays."""
    ANALYZING = "Analyzing"
    """The canary has the weight of its step and is judged."""
    AWAITING_APPROVAL = "AwaitingApproval"
    """The next step begins when a person approves it."""
    PAUSED = "Paused"
    """A person has asked to stop at the present step."""
    INCONCLUSIVE = "Inconclusive"
    """The evidence does not suffice, and `onInconclusive` says to wait."""
    METRICS_UNAVAILABLE = "MetricsUnavailable"
    """Metrics cannot be had, and `onMetricsUnavailable` says to wait."""
    PROMOTING = "Promoting"
    """The canary gets its full size and then all traffic; then the roles switch."""
    WATCHING = "Watching"
    """The canary is stable now; the previous revision stays warm, and a rollback is one switch away."""
    DRAINING = "Draining"
    """The new revision is stable; the previous one finishes what it has, and goes."""
    ROLLING_BACK = "RollingBack"
    """Traffic leaves the canary; its pods end as soon as it has."""


RENAMED: Final = {"Warming": Phase.SCALING_UP}
"""Phases in the status of earlier versions, and what they are called now."""


class Trigger(StrEnum):
    """What happened."""

    FIRST_REVISION = "FirstRevision"
    """Spec asks for the first revision: none is stable yet."""
    CHANGED = "Changed"
    """Spec asks for a revision that is neither stable nor on its way."""
    SUPERSEDED = "Superseded"
    """Spec asks for something else than the canary."""
    READY = "Ready"
    """All pods of the first revision are ready."""
    STEP_BEGINS = "StepBegins"
    """The canary has the pods that its step needs."""
    STEP_PASSED = "StepPassed"
    """The evidence of this step allows the next one."""
    PODS_LOST = "PodsLost"
    """No pod of the canary is ready any more."""
    APPROVAL_NEEDED = "ApprovalNeeded"
    """The next step wants a person's approval."""
    APPROVED = "Approved"
    """A person has approved the next step."""
    PAUSED = "Paused"
    """`spec.rollout.paused` is true."""
    RESUMED = "Resumed"
    """`spec.rollout.paused` is false again: the step goes on."""
    STEP_AHEAD = "StepAhead"
    """`spec.rollout.paused` is false again, and the step has not begun."""
    INCONCLUSIVE = "Inconclusive"
    """The longest time of the step is over without enough evidence."""
    CONCLUSIVE = "Conclusive"
    """There is enough evidence after all, or another policy for what to do without."""
    METRICS_LOST = "MetricsLost"
    """Metrics cannot be had."""
    METRICS_BACK = "MetricsBack"
    """Metrics can be had again."""
    LAST_STEP_PASSED = "LastStepPassed"
    """Nothing but the whole traffic is left to be given; or no pod of stable is left to take any."""
    PROMOTED = "Promoted"
    """A person wants the canary to get all traffic now."""
    SWITCHED = "Switched"
    """The canary has all traffic and the roles switch; the previous revision is kept warm."""
    SWITCHED_FOR_GOOD = "SwitchedForGood"
    """The same, and the previous revision is not kept."""
    KEPT = "Kept"
    """The previous revision was kept for as long as asked."""
    DRAINED = "Drained"
    """The revision that lost its traffic had its time to finish."""
    WORSE = "Worse"
    """The judge has found the canary to be worse than stable."""
    UNHEALTHY = "Unhealthy"
    """Pods crash, run out of memory or do not come back."""
    DEADLINE = "Deadline"
    """The canary did not get ready in time."""
    PREEMPTS = "Preempts"
    """The canary, of a higher priority, holds the room that stable waits for."""
    ABORTED = "Aborted"
    """A person took the canary back."""
    ROLLED_BACK_BY_USER = "RolledBackByUser"
    """A person went back to an earlier revision."""
    UNKNOWN = "Unknown"
    """Nothing can be said about the canary, and the policy is to roll back then."""


WAITING: Final = (
    Phase.AWAITING_APPROVAL,
    Phase.PAUSED,
    Phase.INCONCLUSIVE,
    Phase.METRICS_UNAVAILABLE,
)
"""The canary stays at its weight until something is said, or seen."""

WITH_CANARY: Final = (Phase.SCALING_UP, Phase.ANALYZING, *WAITING, Phase.PROMOTING)
"""There is a canary, and it is judged as long as it has any weight."""

TAKES_BACK: Final = (
    Trigger.WORSE,
    Trigger.UNHEALTHY,
    Trigger.DEADLINE,
    Trigger.PREEMPTS,
    Trigger.ABORTED,
    Trigger.ROLLED_BACK_BY_USER,
    Trigger.SUPERSEDED,
)
"""What ends a canary, in whatever phase it is."""

_JUDGED: Final = (Phase.ANALYZING, Phase.INCONCLUSIVE, Phase.METRICS_UNAVAILABLE)
"""The next step depends on the evidence alone, so a want of it counts."""

TRANSITIONS: Final[dict[tuple[Phase, Trigger], Phase]] = {
    (Phase.SERVING, Trigger.FIRST_REVISION): Phase.DEPLOYING,
    (Phase.SERVING, Trigger.CHANGED): Phase.SCALING_UP,
    (Phase.DEPLOYING, Trigger.READY): Phase.SERVING,
    (Phase.DEPLOYING, Trigger.CHANGED): Phase.SCALING_UP,
    (Phase.SCALING_UP, Trigger.STEP_BEGINS): Phase.ANALYZING,
    (Phase.ANALYZING, Trigger.STEP_PASSED): Phase.SCALING_UP,
    **{
        (phase, Trigger.PODS_LOST): Phase.SCALING_UP for phase in (Phase.ANALYZING, *WAITING, Phase.PROMOTING)
    },
    **{
        (phase, Trigger.PAUSED): Phase.PAUSED
        for phase in (Phase.SCALING_UP, Phase.AWAITING_APPROVAL, *_JUDGED)
    },
    (Phase.SCALING_UP, Trigger.APPROVAL_NEEDED): Phase.AWAITING_APPROVAL,
    (Phase.ANALYZING, Trigger.APPROVAL_NEEDED): Phase.AWAITING_APPROVAL,
    (Phase.ANALYZING, Trigger.INCONCLUSIVE): Phase.INCONCLUSIVE,
    (Phase.ANALYZING, Trigger.METRICS_LOST): Phase.METRICS_UNAVAILABLE,
    (Phase.INCONCLUSIVE, Trigger.METRICS_LOST): Phase.METRICS_UNAVAILABLE,
    (Phase.AWAITING_APPROVAL, Trigger.APPROVED): Phase.SCALING_UP,
    (Phase.PAUSED, Trigger.RESUMED): Phase.ANALYZING,
    (Phase.PAUSED, Trigger.STEP_AHEAD): Phase.SCALING_UP,
    (Phase.INCONCLUSIVE, Trigger.CONCLUSIVE): Phase.ANALYZING,
    (Phase.METRICS_UNAVAILABLE, Trigger.METRICS_BACK): Phase.ANALYZING,
    (Phase.SCALING_UP, Trigger.LAST_STEP_PASSED): Phase.PROMOTING,
    (Phase.ANALYZING, Trigger.LAST_STEP_PASSED): Phase.PROMOTING,
    **{
        (phase, Trigger.LAST_STEP_PASSED): Phase.PROMOTING
        for phase in (Phase.AWAITING_APPROVAL, Phase.INCONCLUSIVE, Phase.METRICS_UNAVAILABLE)
    },
    **{(phase, Trigger.PROMOTED): Phase.PROMOTING for phase in (Phase.SCALING_UP, Phase.ANALYZING, *WAITING)},
    (Phase.PROMOTING, Trigger.SWITCHED): Phase.WATCHING,
    (Phase.PROMOTING, Trigger.SWITCHED_FOR_GOOD): Phase.DRAINING,
    (Phase.WATCHING, Trigger.KEPT): Phase.SERVING,
    (Phase.WATCHING, Trigger.CHANGED): Phase.SCALING_UP,
    (Phase.DRAINING, Trigger.DRAINED): Phase.SERVING,
    (Phase.DRAINING, Trigger.CHANGED): Phase.SCALING_UP,
    # Every phase in which a canary runs can roll back, and so can the watch after its promotion.
    **dict.fromkeys(product(WITH_CANARY, TAKES_BACK), Phase.ROLLING_BACK),
    **dict.fromkeys(product(_JUDGED, (Trigger.UNKNOWN,)), Phase.ROLLING_BACK),
    **{
        (Phase.WATCHING, trigger): Phase.ROLLING_BACK
        for trigger in (Trigger.WORSE, Trigger.UNHEALTHY, Trigger.ABORTED, Trigger.ROLLED_BACK_BY_USER)
    },
    (Phase.ROLLING_BACK, Trigger.DRAINED): Phase.SERVING,
}


def phase_of(status: ModelDeploymentStatus) -> Phase:
    """Where the rollout is that a status remembers."""
    return Phase(status.rollout.state) if status.rollout else Phase.SERVING


def next_phase(phase: Phase, trigger: Trigger) -> Phase:
    """The phase after `trigger` in `phase`. Raises KeyError for what the table does not have."""
    return TRANSITIONS[phase, trigger]
