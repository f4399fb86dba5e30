"""What holds a canary where it is though nothing is held against it: stable suffers from the same.

It gets no more traffic than it has, and is not promoted: while both fail nobody knows what it does by itself. It goes
on by itself when both have been well for a while. Nothing is held where there is nothing to protect, because the
change may be the way out of the outage, or where a person has asked for the promotion.
"""

from modelward.api.status import ModelDeploymentStatus
from modelward.rollout import capacity, health, readiness
from modelward.rollout.observed import Observed


def is_held(observed: Observed, status: ModelDeploymentStatus) -> bool:
    """Whether the canary goes no further for now."""
    if _is_promoted_by_hand(observed, status) or nothing_to_protect(observed, status):
        return False
    return bool(health.shared(observed, status))


def nothing_to_protect(observed: Observed, status: ModelDeploymentStatus) -> bool:
    """No pod of stable serves, and that is no mere restart, or it is to have none."""
    if capacity.whole(observed, status) == 0:
        return True
    return not readiness.serves(observed, status.stable_revision) and readiness.is_unavailable(observed)


def _is_promoted_by_hand(observed: Observed, status: ModelDeploymentStatus) -> bool:
    approvals = status.rollout.approvals if status.rollout else ()
    return observed.asked.steps.promotion_step in approvals
