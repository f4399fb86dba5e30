"""The plan of a rollout: which share of the traffic comes next.

Steps go by weight, so that they may be edited while a canary is on its way: the next step is the first one
above what the canary has.
"""

from collections.abc import Sequence
from typing import Final

from modelward.api.rollout_policy import Approval, Step
from modelward.api.status import RolloutStatus

WHOLE: Final = 100
"""Percent; what follows the last step."""


def weight_of(steps: Sequence[Step], step: int) -> int:
    """Weight of a step (0-based) in percent; past the last it is 100."""
    return steps[step].weight_percent if step < len(steps) else WHOLE


def whole(steps: Sequence[Step]) -> int:
    """The number of what follows the last step: all traffic."""
    return len(steps)


def step_above(steps: Sequence[Step], weight_percent: int) -> int:
    """The first step whose weight is above `weight_percent`; the number of steps when only 100 is left."""
    return next((i for i, step in enumerate(steps) if step.weight_percent > weight_percent), len(steps))


def awaits_approval(steps: Sequence[Step], rollout: RolloutStatus, step: int) -> bool:
    """Whether a person must agree before the step begins, and has not."""
    return step < len(steps) and steps[step].approval is Approval.REQUIRED and step not in rollout.approvals


def place_of(steps: Sequence[Step], step: int) -> str:
    """A step as people count, where its weight is written anyway: `step 2 of 4`."""
    return f"step {step + 1} of {len(steps) + 1}"


def name_of(steps: Sequence[Step], step: int) -> str:
    """A step as people count: `step 2 of 4 (25%)`."""
    return f"{place_of(steps, step)} ({weight_of(steps, step)}%)"
