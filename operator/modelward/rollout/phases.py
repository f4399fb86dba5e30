"""The phases of a rollout as one table: what may follow what. Tests and documentation read it from here.

Phase is an internal word: users read conditions. It is stored in `status.rollout.state`; a model without a
rollout is SERVING and has no `status.rollout`.

This table has the phases of the strategy `Direct`: the new revision is started beside the old one, awaited,
switched to, and the old one is removed.
"""

from enum import StrEnum
from typing import Final


class Phase(StrEnum):
    """Where a rollout is."""

    SERVING = "Serving"
    """One revision, the stable one; no rollout."""
    DEPLOYING = "Deploying"
    """The first revision is being started: there is nothing to protect, it is stable from the start."""
    WARMING = "Warming"
    """The new revision is being started; the stable one serves."""
    DRAINING = "Draining"
    """The new revision is stable and gets all new requests; the previous one finishes what it has."""


class Trigger(StrEnum):
    """What happened."""

    CHANGED = "Changed"
    """Spec asks for a revision that is neither stable nor on its way."""
    REVERTED = "Reverted"
    """Spec asks for the stable revision again."""
    READY = "Ready"
    """All pods of the awaited revision are ready."""
    DRAINED = "Drained"
    """The previous revision had its time to finish."""
    DEADLINE = "Deadline"
    """The awaited revision did not get ready in time."""
    ABORTED = "Aborted"
    """A person took the awaited revision back."""


TRANSITIONS: Final[dict[tuple[Phase, Trigger], Phase]] = {
    (Phase.SERVING, Trigger.CHANGED): Phase.WARMING,
    (Phase.DEPLOYING, Trigger.READY): Phase.SERVING,
    (Phase.DEPLOYING, Trigger.CHANGED): Phase.WARMING,
    (Phase.WARMING, Trigger.CHANGED): Phase.WARMING,
    (Phase.WARMING, Trigger.REVERTED): Phase.SERVING,
    (Phase.WARMING, Trigger.READY): Phase.DRAINING,
    (Phase.WARMING, Trigger.DEADLINE): Phase.SERVING,
    (Phase.WARMING, Trigger.ABORTED): Phase.SERVING,
    (Phase.DRAINING, Trigger.DRAINED): Phase.SERVING,
    (Phase.DRAINING, Trigger.CHANGED): Phase.WARMING,
}


def following(phase: Phase, trigger: Trigger) -> Phase:
    """The phase after `trigger` in `phase`. Raises KeyError for what the table does not have."""
    return TRANSITIONS[phase, trigger]
