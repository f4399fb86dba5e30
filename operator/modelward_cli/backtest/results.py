"""What a back-test found: the JSON of `-o json`, and what the tables are made of. docs/backtest.md describes it."""

from enum import StrEnum

import msgspec


class Found(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=False):
    """What one rule of others would have done in one rollout."""

    rule: str
    rolled_back: bool
    seconds: float | None
    """Since the canary's traffic began; null: not within the recording."""
    bad_requests: int | None
    """Failed requests of the canary up to then, or to the end of the recording; null: errors are not among the metrics."""


class RolloutResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One rollout, judged anew."""

    rollout: str | int
    verdict: str
    """RollBack, Advance, Promote, Inconclusive or Continue, as `modelward judge` says it."""
    time: float
    """As in the recording."""
    seconds: float | None
    """Since the canary's traffic began; null: it had none."""
    odds: float
    metric: str
    message: str
    requests: int | None
    """Requests of the canary up to then."""
    bad_requests: int | None
    recorded_seconds: float | None
    """How long the canary had traffic in the recording."""
    phi: dict[str, float]
    others: tuple[Found, ...]


class ReplayResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="kind", tag="Replay"):
    """Past rollouts, judged anew."""

    rollouts: tuple[RolloutResult, ...]


class FalseAlarm(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A healthy pod that would have been rolled back."""

    rollout: str | int
    pod: str
    start: float
    """Of the window, as in the recording."""
    seconds: float
    odds: float
    metric: str
    message: str


class Phi(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The noise that was found, over all trials."""

    median: float
    largest: float


class RuleCount(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """In how many trials a rule would have rolled back."""

    rule: str
    rolled_back: int


class Conclusion(StrEnum):
    """What A/A trials say."""

    NONE = "None"
    """No healthy pod would have been rolled back."""
    WITHIN_PROMISE = "WithinPromise"
    """Some would, no more than may happen by chance at the promised rate."""
    MORE_THAN_PROMISED = "MoreThanPromised"
    """More than that: evidence must be discounted more, or a metric left out."""


class AAResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="kind", tag="AA"):
    """Healthy pods in turn as pseudo-canaries."""

    trials: int
    rolled_back: int
    at_most_percent: float | None
    """Upper 95 % bound of the share that is rolled back, if trials were independent."""
    promised_percent: float
    conclusion: Conclusion
    false_alarms: tuple[FalseAlarm, ...]
    others: tuple[RuleCount, ...]
    phi: dict[str, Phi]
    windows: int
    skipped_windows: int
    """Windows with a hole, or with fewer than two pods."""
    window_seconds: float
    reference_seconds: float


class Detection(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How soon a rule found a fault, over all trials."""

    rule: str
    found: int
    median_seconds: float | None
    """Null: fewer than half of the trials."""
    p95_seconds: float | None
    median_bad_requests: float | None
    """Failed requests of the pseudo-canary until it was found, or to the end of the window."""


class FaultResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One fault."""

    fault: str
    trials: int
    rules: tuple[Detection, ...]
    """The first is Modelward's."""


class InjectResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="kind", tag="Inject"):
    """Pseudo-canaries with faults."""

    faults: tuple[FaultResult, ...]
    usual_error_percent: float | None
    """Median over all windows of stable's own; null: errors are not among the metrics."""
    traffic_percent: float | None
    """Median share of the requests that a pseudo-canary had."""
    windows: int
    skipped_windows: int
    window_seconds: float
    seed: int


Result = ReplayResult | AAResult | InjectResult
