"""The status in 32 KiB: what is least missed goes first.

Every field is bounded by the schema, but all at their bounds at once would be three times as much, and each
status is written often and kept in etcd and in every watcher.
"""

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from msgspec.structs import replace

from modelward.api.decode import encode
from modelward.api.fields import ApiStruct
from modelward.api.status import Condition, HistoryEntry, ModelDeploymentStatus, RejectedRevision, clip

LIMIT_BYTES: Final = 32 * 1024
_SHORT: Final = 160
"""Characters that keep the gist of a message."""
_RECENT: Final = 3

Spoken = TypeVar("Spoken", HistoryEntry, RejectedRevision, Condition)


def size_bytes(status: ApiStruct) -> int:
    """Return the size as compact JSON, which is what is sent."""
    return len(msgspec.json.encode(encode(status)))


def within_limit(status: ModelDeploymentStatus, limit: int = LIMIT_BYTES) -> ModelDeploymentStatus:
    """Return `status` itself if it is small enough, else with as little as possible taken away.

    What decisions are made from is never touched: revisions, numbers, times. The judge's state is the very last
    thing to go, and only one that no judge wrote is so large; without it judging begins anew.
    """
    for lighter in _STAGES:
        if size_bytes(status) <= limit:
            return status
        status = lighter(status)
    return status


def _short_messages_of_the_past(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    return replace(
        status, history=_short(status.history), rejected_revisions=_short(status.rejected_revisions)
    )


def _recent_history(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    return replace(status, history=status.history[:_RECENT])


def _no_single_metrics(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    return replace(status, analysis=replace(status.analysis, metrics=())) if status.analysis else status


def _short_messages_of_conditions(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    return replace(status, conditions=_short(status.conditions))


def _short_messages_of_the_present(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    rollout, analysis = status.rollout, status.analysis
    return replace(
        status,
        rollout=replace(rollout, message=clip(rollout.message, _SHORT)) if rollout else None,
        analysis=replace(analysis, message=clip(analysis.message, _SHORT)) if analysis else None,
    )


def _no_words_of_the_past(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    return replace(
        status,
        history=tuple(
            replace(each, message="", model_version="", model_uri="", changed_by="")
            for each in status.history
        ),
        rejected_revisions=tuple(replace(each, message="") for each in status.rejected_revisions),
    )


def _no_evidence(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    return replace(status, analysis=None)


_STAGES: Final[tuple[Callable[[ModelDeploymentStatus], ModelDeploymentStatus], ...]] = (
    _short_messages_of_the_past,
    _recent_history,
    _no_single_metrics,
    _short_messages_of_conditions,
    _short_messages_of_the_present,
    _no_words_of_the_past,
    _no_evidence,
)


def _short(entries: tuple[Spoken, ...]) -> tuple[Spoken, ...]:
    return tuple(replace(entry, message=clip(entry.message, _SHORT)) for entry in entries)
