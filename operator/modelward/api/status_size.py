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

    What decisions are made from is never touched: revisions, numbers, times, the judge's state.
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


_STAGES: Final[tuple[Callable[[ModelDeploymentStatus], ModelDeploymentStatus], ...]] = (
    _short_messages_of_the_past,
    _recent_history,
    _no_single_metrics,
    _short_messages_of_conditions,
)


def _short(entries: tuple[Spoken, ...]) -> tuple[Spoken, ...]:
    return tuple(replace(entry, message=clip(entry.message, _SHORT)) for entry in entries)
