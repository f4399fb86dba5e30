"""A decision: what it consists of, and how it is put together step by step. Values only; what is decided is in decide."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Self

import msgspec

from modelward.api.conditions import Blocked
from modelward.api.revision import Revision
from modelward.api.status import (
    HISTORY_LENGTH,
    HistoryEntry,
    ModelDeploymentStatus,
    RolloutResult,
    RolloutStatus,
    clip,
)
from modelward.api.times import format_micro
from modelward.rollout.phases import Phase, Trigger, next_phase, phase_of
from modelward.traffic_shares import Size

_LONGEST_WORD: Final = 128
"""Characters of a version and of a tool's name that status takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """One Event to publish: what happened, for `kubectl describe`."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A decision in the making, handed from step to step."""

    status: ModelDeploymentStatus
    revisions: Mapping[str, Revision] = field(default_factory=dict)
    """The known snapshots and those that this decision makes."""
    announcements: tuple[Announcement, ...] = ()
    blocked: Blocked | None = None
    waiting: str = ""
    """Why a change has not set out yet; empty when none waits for its turn."""

    @property
    def phase(self) -> Phase:
        """Where the rollout is."""
        return phase_of(self.status)

    def having(self, **changes: object) -> Self:
        """The same with some fields of status changed."""
        return replace(self, status=msgspec.structs.replace(self.status, **changes))

    def going(self, trigger: Trigger, **changes: object) -> Self:
        """The same in the phase that follows, with some fields of the rollout changed; Serving ends the rollout."""
        going = self.rolling(state=next_phase(self.phase, trigger), **changes)
        return going.having(rollout=None) if going.phase is Phase.SERVING else going

    def rolling(self, **changes: object) -> Self:
        """The same in the same phase, with some fields of the rollout changed."""
        return self.having(rollout=msgspec.structs.replace(self.rollout, **changes))

    def weightless(self) -> Self:
        """The same with no weight for the canary, and a note of what it had."""
        had = self.rollout.weight_percent or self.rollout.withdrawn_weight_percent
        return self.rolling(weight_percent=0, withdrawn_weight_percent=had)

    def announcing(self, reason: str, message: str, *, warning: bool = False) -> Self:
        """The same with one more Event to publish."""
        reported = Announcement(reason=reason, message=message, warning=warning)
        return replace(self, announcements=(*self.announcements, reported))

    @property
    def rollout(self) -> RolloutStatus:
        """The rollout that is under way; an empty one when there is none."""
        return self.status.rollout or RolloutStatus()

    def recording(self, now: datetime, result: RolloutResult, message: str) -> Self:
        """The same with an entry in history, newest first: how the rollout that is going on ended."""
        status = self.status
        revision = status.canary_revision or status.stable_revision
        fetched = next((each for each in status.fetched if each.revision == revision), None)
        entry = HistoryEntry(
            revision=revision,
            model_version=clip(self.model_version(revision), _LONGEST_WORD),
            model_uri=fetched.uri if fetched else "",
            model_digest=fetched.digest if fetched else "",
            changed_by=self.changed_by(revision),
            result=result,
            start_time=status.rollout.start_time if status.rollout else None,
            end_time=format_micro(now),
            message=clip(message),
        )
        return self.having(history=(entry, *status.history)[:HISTORY_LENGTH])

    def changed_by(self, revision: str) -> str:
        """Which tool asked for a revision, as far as it fits into status."""
        snapshot = self.revisions.get(revision)
        return clip(snapshot.cause, _LONGEST_WORD) if snapshot else ""

    def model_version(self, revision: str) -> str:
        """What the user calls the version of a revision, or an empty string."""
        snapshot = self.revisions.get(revision)
        return snapshot.model_version if snapshot else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Progress):
    """What is to be: the next status (conditions apart), what to announce, and after how long to requeue.

    What follows from the status is computed once, for its messages, conditions and objects.
    """

    sizes: Mapping[str, Size] = field(default_factory=dict)
    """Of every revision that runs, by name."""
    replicas: int | None = None
    """How many pods the user asks for; None when an autoscaler owns the count."""
    asked_for: str = ""
    """The revision that spec asks for, whether it serves or not."""
    wake_after: float | None = None
    """Seconds until something has to be decided again even if nothing happens."""
    runtime_outdated: bool = False
