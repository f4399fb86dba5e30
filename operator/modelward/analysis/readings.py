"""What is read: the counters of pods, as they stand at one time. Sources make it, the judge takes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

LARGEST_GAUGE: Final = 1e100
"""Sums and differences of values up to this are far from the end of what a float holds; larger ones are unknown."""


class Arm(StrEnum):
    """Which version a pod runs."""

    CANARY = "canary"
    STABLE = "stable"


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioReading:
    """Two counters since the pod's start."""

    hits: float
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramReading:
    """A classic histogram since the pod's start."""

    buckets: Mapping[float, float]
    """Cases up to and including each bound (`le`), in seconds or in the unit of a score; infinity is all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GaugeReading:
    """A value as it is now."""

    value: float


Reading = RatioReading | HistogramReading | GaugeReading


@dataclass(frozen=True, slots=True, kw_only=True)
class PodReading:
    """The metrics of one pod at one time."""

    pod: str
    arm: Arm
    metrics: Mapping[str, Reading]
    """By the metric's name. A metric that the pod does not show is absent: unknown, never zero."""
    node: str = ""
    started: float | None = None
    """When its container started, Unix seconds; None when it is not known."""
    process_started: float | None = None
    """When the process that answered started (`process_start_time_seconds`); None when it does not say."""
    ready_since: float | None = None
    """Since when it is Ready and is to stay, Unix seconds; None when it is not, or when it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """All pods that could be read, at one time."""

    time: float
    """Unix seconds; in a saved stream any seconds that rise."""
    weight_percent: float
    """Share of the traffic that the canary is meant to get (0-100)."""
    pods: tuple[PodReading, ...]
    unread: tuple[tuple[str, Arm], ...] = ()
    """Pods that should have been read and could not."""
