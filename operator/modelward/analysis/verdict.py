"""What the judge answers."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What the evidence allows."""

    ROLL_BACK = "RollBack"
    """The canary is worse: odds at the limit, or a guard's limit is exceeded."""
    ADVANCE = "Advance"
    """No sign of harm, and the next step's harm is bounded."""
    CONTINUE = "Continue"
    """Not yet known: go on at this step."""
    HOLD = "Hold"
    """Do not go on for now: stable itself is failing, a metric with the action Hold objects, metrics are missing."""
    INCONCLUSIVE = "Inconclusive"
    """The longest time at this step has passed without an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where a rollout is when it is judged."""

    time: float
    """Now, on the clock of the samples."""
    started: float
    """When this step began."""
    weight_percent: float
    next_weight_percent: float | None
    """100: promotion is next. None: the canary has all the traffic, there is nothing to advance to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured for one metric since the canary began."""

    name: str
    canary_hits: float | None = None
    """None: not a thing that is counted (a gauge)."""
    canary_total: float | None = None
    canary_rate: float | None = None
    """Hits per case, or a gauge's value; None: nothing yet."""
    stable_hits: float | None = None
    stable_total: float | None = None
    stable_rate: float | None = None
    odds: float = 0
    unknown: bool = False
    """Whether it could not be had in both arms, lately or at all."""
    message: str = ""
    """What is special about it, in one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What the evidence says at one time."""

    verdict: Verdict
    odds: float
    """Odds against chance over all metrics that count; 1/odds is a p-value at any time."""
    metric: str = ""
    """The metric that weighs most, or that decided."""
    message: str = ""
    """The verdict in one sentence."""
    metrics: tuple[Figures, ...] = ()
    unknown: tuple[str, ...] = ()
    """Metrics of the policy that could not be had: never a success."""
    may_advance: bool = False
    """With INCONCLUSIVE: the next step may be taken although nothing is known; never the last one."""
    time: float | None = None
    """With ROLL_BACK: the time of the sample that decided."""
