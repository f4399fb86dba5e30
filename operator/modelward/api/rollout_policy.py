"""How a change goes out: strategy, steps, times, and what happens when nothing can be said."""

from collections.abc import Collection
from enum import StrEnum
from typing import Annotated, ClassVar, Final

from msgspec import Meta

from modelward.api.fields import ApiStruct, Day, Rule, RuleReason, atomic

WHOLE: Final = 100
"""All traffic in percent: the weight of what follows the last step."""


class Strategy(StrEnum):
    """How traffic moves to a new revision."""

    CANARY = "Canary"
    BLUE_GREEN = "BlueGreen"
    DIRECT = "Direct"


class Approval(StrEnum):
    """Whether a person must agree before a step begins."""

    REQUIRED = "Required"
    NOT_REQUIRED = "NotRequired"


class OnDeadline(StrEnum):
    """What to do with a canary that does not become ready in time."""

    ROLL_BACK = "RollBack"
    PAUSE = "Pause"


class OnInconclusive(StrEnum):
    """What to do when the evidence does not suffice."""

    PAUSE = "Pause"
    PROMOTE = "Promote"
    ROLL_BACK = "RollBack"


class OnMetricsUnavailable(StrEnum):
    """What to do when metrics cannot be had. Going on is not among it: unknown is not success."""

    PAUSE = "Pause"
    ROLL_BACK = "RollBack"


class Capacity(StrEnum):
    """Where the canary's pods come from."""

    SURGE = "Surge"
    SHARED = "Shared"


class Step(ApiStruct, frozen=True, kw_only=True):
    """One share of the traffic that the canary gets."""

    weight_percent: Annotated[
        Annotated[int, Meta(ge=1, le=99)],
        Meta(description="Share of the traffic for the canary, above the step before. Required."),
    ]
    approval: Annotated[
        Approval,
        Meta(description="Required: the step waits for a person's approval. Default NotRequired."),
    ] = Approval.NOT_REQUIRED


class PlannedSteps(tuple[Step, ...]):
    """The steps on the way to 100 percent, by number from 0.

    They go by weight, so that they may be edited while a canary is on its way: the next step is the first one above what
    the canary has.
    """

    __slots__ = ()

    @property
    def promotion_step(self) -> int:
        """The number of what follows the last step: all traffic."""
        return len(self)

    def weight_of(self, step: int) -> int:
        """Weight of a step in percent; past the last it is 100."""
        return self[step].weight_percent if step < len(self) else WHOLE

    def step_above(self, weight_percent: int) -> int:
        """The first step whose weight is above `weight_percent`; `promotion_step` when only 100 is left."""
        return next((i for i, step in enumerate(self) if step.weight_percent > weight_percent), len(self))

    def awaits_approval(self, step: int, approvals: Collection[int]) -> bool:
        """Whether a person must agree before the step begins, and has not."""
        return step < len(self) and self[step].approval is Approval.REQUIRED and step not in approvals

    def place_of(self, step: int) -> str:
        """A step as people count, where its weight is written anyway: `step 2 of 4`."""
        return f"step {step + 1} of {len(self) + 1}"

    def name_of(self, step: int) -> str:
        """A step as people count: `step 2 of 4 (25%)`."""
        return f"{self.place_of(step)} ({self.weight_of(step)}%)"


DEFAULT_STEPS = (Step(weight_percent=5), Step(weight_percent=25), Step(weight_percent=50))

_STRATEGY = "(has(self.strategy) ? self.strategy : 'Canary')"
_STEPS_ONLY_FOR_CANARY = f"{_STRATEGY} == 'Canary' || !has(self.steps) || size(self.steps) == 0"
_CANARY_HAS_STEPS = f"{_STRATEGY} != 'Canary' || !has(self.steps) || size(self.steps) > 0"
_STEPS_RISE = (
    "!has(self.steps) || self.steps.map(s, s.weightPercent).isSorted()"
    " && self.steps.all(s, self.steps.exists_one(t, t.weightPercent == s.weightPercent))"
)
_MIN_BELOW_MAX = "(has(self.stepMinSeconds) ? self.stepMinSeconds : 120) <= (has(self.stepMaxSeconds) ? self.stepMaxSeconds : 600)"


class RolloutPolicy(ApiStruct, frozen=True, kw_only=True):
    """How a change goes out."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            expression=_STEPS_ONLY_FOR_CANARY,
            message="must be left out with the strategies BlueGreen and Direct, which have no steps",
            field="steps",
            reason=RuleReason.FORBIDDEN,
        ),
        Rule(
            expression=_CANARY_HAS_STEPS,
            message="must have at least one step with the strategy Canary; leave it out for 5, 25 and 50",
            field="steps",
        ),
        Rule(
            expression=_STEPS_RISE,
            message="must rise from step to step in weightPercent (the step to 100 follows by itself)",
            field="steps",
        ),
        Rule(
            expression=_MIN_BELOW_MAX,
            message="must be at least stepMinSeconds (120 if left out); 600 if left out itself",
            field="stepMaxSeconds",
        ),
    )

    strategy: Annotated[
        Strategy,
        Meta(
            description="Canary: traffic in steps. BlueGreen: all traffic at once when the new pods are ready"
            " and judged by their health. Direct: like BlueGreen, without keeping the old version. Default Canary."
        ),
    ] = Strategy.CANARY
    steps: Annotated[
        tuple[Step, ...],
        atomic(20),
        Meta(
            description="Shares of the traffic in turn, rising; 100 follows the last. Default 5, 25 and 50."
        ),
    ] = DEFAULT_STEPS
    step_min_seconds: Annotated[
        Day, Meta(description="Shortest time at a step, with a full window of metrics. Default 120.")
    ] = 120
    step_max_seconds: Annotated[
        Day, Meta(description="Time at a step after which it counts as inconclusive. Default 600.")
    ] = 600
    progress_deadline_seconds: Annotated[
        Day, Meta(description="Time from pods scheduled to pods ready; models load slowly. Default 1800.")
    ] = 1800
    on_deadline: Annotated[
        OnDeadline, Meta(description="What to do when pods are not ready in time. Default RollBack.")
    ] = OnDeadline.ROLL_BACK
    on_inconclusive: Annotated[
        OnInconclusive, Meta(description="What to do when the evidence does not suffice. Default Pause.")
    ] = OnInconclusive.PAUSE
    on_metrics_unavailable: Annotated[
        OnMetricsUnavailable, Meta(description="What to do when metrics cannot be had. Default Pause.")
    ] = OnMetricsUnavailable.PAUSE
    keep_previous_seconds: Annotated[
        Annotated[int, Meta(ge=0, le=604_800)],
        Meta(
            description="How long the previous version stays warm, and the watch goes on, after a promotion."
            " Default 600."
        ),
    ] = 600
    capacity: Annotated[
        Capacity,
        Meta(
            description="Surge: stable keeps all its pods and the canary comes on top. Shared: no extra pods"
            " (scarce GPUs), needs at least 2 replicas. Default Surge."
        ),
    ] = Capacity.SURGE
    paused: Annotated[
        bool, Meta(description="Stop at the present step until it is false again. Default false.")
    ] = False
    revision_history_limit: Annotated[
        Annotated[int, Meta(ge=1, le=50)],
        Meta(description="How many past revisions are kept to go back to. Default 10."),
    ] = 10

    @property
    def planned_steps(self) -> PlannedSteps:
        """The steps on the way to 100 percent: none unless the strategy is Canary."""
        return PlannedSteps(self.steps if self.strategy is Strategy.CANARY else ())
