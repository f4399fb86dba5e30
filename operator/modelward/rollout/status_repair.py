"""Status as it can be gone on from: what contradicts itself in it is repaired, once, where it is read.

The operator never writes such a status. Another version may have, which names phases and reasons otherwise; or
a person. What it says of the revisions is believed first; a canary of which nothing sure is said scales up again
at its step, and is judged before it goes on. Names of earlier versions become those of this one.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from modelward.api.conditions import Status, reason_of
from modelward.api.fields import MOST_REPLICAS
from modelward.api.status import (
    AnalysisStatus,
    Condition,
    MetricStatus,
    ModelDeploymentStatus,
    RejectedRevision,
    RolloutStatus,
    ScalingStatus,
    number,
)
from modelward.api.times import is_time
from modelward.rollout.phases import RENAMED, WITH_CANARY, Phase

_OF_CANARY: Final = (*WITH_CANARY, Phase.ROLLING_BACK)
_FIGURES: Final = (
    "canary_hits",
    "canary_total",
    "canary_rate",
    "stable_hits",
    "stable_total",
    "stable_rate",
    "odds",
)
_STATUSES: Final = frozenset(Status)
_OF_PREVIOUS: Final = (Phase.WATCHING, Phase.DRAINING)


def repaired(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """The same status; where it makes no sense, the nearest that does."""
    canary = status.canary_revision if status.stable_revision != status.canary_revision else ""
    canary = canary if status.stable_revision else ""
    state = _state(status, canary)
    return msgspec.structs.replace(
        status,
        canary_revision=canary,
        previous_revision=status.previous_revision if state in _OF_PREVIOUS else "",
        rollout=_rollout(status.rollout, state),
        rejected_revisions=tuple(_rejected(status.rejected_revisions)),
        analysis=_analysis(status.analysis),
        conditions=tuple(_dated(status.conditions)),
        scaling=_scaling(status.scaling),
    )


def _state(status: ModelDeploymentStatus, canary: str) -> Phase:
    """The phase that fits the revisions."""
    stored = status.rollout.state if status.rollout else Phase.SERVING
    stored = RENAMED.get(stored, stored)
    if canary:
        return Phase(stored) if stored in _OF_CANARY else Phase.SCALING_UP
    if status.previous_revision not in {"", status.stable_revision} and status.stable_revision:
        return Phase(stored) if stored in _OF_PREVIOUS else Phase.SERVING
    return Phase.DEPLOYING if stored == Phase.DEPLOYING and status.stable_revision else Phase.SERVING


def _rejected(entries: Iterable[RejectedRevision]) -> Iterator[RejectedRevision]:
    """With the reasons of this version; one of a later version stays as it is."""
    for entry in entries:
        reason = reason_of(entry.reason)
        yield msgspec.structs.replace(entry, reason=reason) if reason else entry


def _rollout(rollout: RolloutStatus | None, state: Phase) -> RolloutStatus | None:
    if state is Phase.SERVING:
        return None
    rollout = rollout or RolloutStatus()
    return msgspec.structs.replace(
        rollout,
        state=state,
        shared_replicas=rollout.shared_replicas if (rollout.shared_replicas or 0) <= MOST_REPLICAS else None,
        start_time=_time(rollout.start_time),
        step_start_time=_time(rollout.step_start_time),
    )


def _scaling(scaling: ScalingStatus | None) -> ScalingStatus | None:
    """What is held, unless it is more than spec could ask for: whoever writes status is not to have a million pods."""
    return scaling if scaling and (scaling.held_replicas or 0) <= MOST_REPLICAS else None


def _analysis(analysis: AnalysisStatus | None) -> AnalysisStatus | None:
    if analysis is None:
        return None
    return msgspec.structs.replace(
        analysis,
        last_sample_time=_time(analysis.last_sample_time),
        odds=_figure(analysis.odds),
        metrics=tuple(_metric(each) for each in {each.name: each for each in analysis.metrics}.values()),
    )


def _metric(metric: MetricStatus) -> MetricStatus:
    figures = {name: _figure(getattr(metric, name)) for name in _FIGURES}
    return msgspec.structs.replace(metric, **figures)


def _figure(text: str) -> str:
    """The figure, if it is a number."""
    return text if number(text) is not None else ""


def _dated(conditions: Iterable[Condition]) -> Iterable[Condition]:
    """Of each type one whose status and time can be read; the others are made anew."""
    readable = (each for each in conditions if each.status in _STATUSES and _time(each.last_transition_time))
    return {each.type: each for each in readable}.values()


def _time(text: str | None) -> str | None:
    """The time, if it is one that can be counted with."""
    return text if text and is_time(text) else None
