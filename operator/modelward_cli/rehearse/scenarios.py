"""What may happen to a change: the scenarios of `modelward rehearse`, each with the end that it should come to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from modelward.simulator.world import Version


class End(StrEnum):
    """How a rehearsal ends. The values are part of the output."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    WAITING = "Waiting"
    """For a person, for metrics, for requests, for room: nothing more happens by itself."""
    NO_ROLLOUT = "NoRollout"
    """The change makes no new revision, so it needs no rollout."""
    UNFINISHED = "Unfinished"
    """The longest time that is rehearsed is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One thing that may happen."""

    name: str
    summary: str
    behaviour: Mapping[str, Any] = field(default_factory=dict)
    """How the new version differs from a good one."""
    after_promotion: Mapping[str, Any] = field(default_factory=dict)
    """The same, from half a minute after it was promoted."""
    requests_per_second: float | None = None
    room: bool = True
    """Whether the cluster has room for more pods than stable's."""
    ends: tuple[End, ...] = (End.ROLLED_BACK,)
    """The ends that are right."""

    def version(self, good: Version) -> Version:
        """The new version."""
        return Version(**{**_fields(good), **self.behaviour})


def _fields(version: Version) -> dict[str, Any]:
    return {name: getattr(version, name) for name in Version.__dataclass_fields__}


_NOT_PROMOTED: Final = (End.ROLLED_BACK, End.WAITING)

SCENARIOS: Final = {
    each.name: each
    for each in (
        Scenario(
            name="good", summary="the new version is as good as the one that serves", ends=(End.PROMOTED,)
        ),
        Scenario(
            name="bad",
            summary="5 % of its answers are errors (stable: 0.1 %)",
            behaviour={"error_percent": 5.0},
        ),
        Scenario(
            name="slightly-bad",
            summary="1 % of its answers are errors (stable: 0.1 %)",
            behaviour={"error_percent": 1.0},
        ),
        Scenario(
            name="slow",
            summary="its answers take three times as long",
            behaviour={"latency_milliseconds": 180.0},
        ),
        Scenario(
            name="crash",
            summary="it crashes two seconds after its start",
            behaviour={"crash_after_seconds": 2.0},
        ),
        Scenario(
            name="crash-later",
            summary="it crashes after a minute and a half, again and again",
            behaviour={"crash_after_seconds": 90.0},
        ),
        Scenario(
            name="out-of-memory",
            summary="it is killed for its use of memory after half a minute",
            behaviour={"crash_after_seconds": 30.0, "out_of_memory": True},
        ),
        Scenario(
            name="never-ready",
            summary="it never gets ready",
            behaviour={"load_seconds": None},
            ends=_NOT_PROMOTED,
        ),
        Scenario(
            name="no-room",
            summary="the cluster has no room for more pods than there are",
            room=False,
            ends=(*_NOT_PROMOTED, End.PROMOTED),
        ),
        Scenario(
            name="no-metrics",
            summary="the new version's metrics cannot be read",
            behaviour={"shows_metrics": False},
            ends=_NOT_PROMOTED,
        ),
        Scenario(
            name="no-traffic",
            summary="nobody sends a request",
            requests_per_second=0.0,
            ends=(*_NOT_PROMOTED, End.PROMOTED),
        ),
        Scenario(
            name="bad-after-promotion",
            summary="it crashes half a minute after it was promoted",
            after_promotion={"crash_after_seconds": 0.0},
        ),
    )
}
