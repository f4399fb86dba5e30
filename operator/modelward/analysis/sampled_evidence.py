"""What a source of metrics hands over: all samples since the last one that was recorded, or why there is none.

Unknown is not success: nothing that is unknown ever counts for a canary.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from modelward.analysis.counters import Sample
from modelward.analysis.idle import Idle
from modelward.analysis.noise import Noise, Reference
from modelward.errors import ModelwardError


class Unknown(StrEnum):
    """What kind of trouble it is. The values are shown to users, and stand in docs/metrics.md."""

    NO_SIGNALS = "NoSignals"
    """Nothing is declared that a canary could be judged by: neither by the runtime nor by the user."""
    NO_ENDPOINT = "NoEndpoint"
    """The runtime says of no page with metrics."""
    NO_PODS = "NoPods"
    """No pod of the canary runs."""
    REFUSED = "Refused"
    """Nobody listens at the address, or the connection broke."""
    TIMEOUT = "Timeout"
    """No whole answer in time."""
    TOO_LARGE = "TooLarge"
    """The answer is longer than what is read."""
    REDIRECTED = "Redirected"
    """The answer points elsewhere; that is never followed."""
    NOT_FOUND = "NotFound"
    """404."""
    UNAUTHORIZED = "Unauthorized"
    """401 or 403."""
    HTTP_STATUS = "HTTPStatus"
    """Another status than 200."""
    NOT_METRICS = "NotMetrics"
    """An answer that is not what was asked for: HTML, say, or text that is cut short."""
    METRIC_MISSING = "MetricMissing"
    """The series that the selector names are not there."""
    METRIC_INVALID = "MetricInvalid"
    """Values that no counter can have: NaN, negative, buckets that fall, the same series twice, the wrong type."""
    SELECTOR_INVALID = "SelectorInvalid"
    """A selector that cannot be used."""
    STALE = "Stale"
    """A server answers, but what it has is old."""
    SOURCE_UNKNOWN = "SourceUnknown"
    """No metric source of that name in the operator's configuration."""
    SOURCE_UNREACHABLE = "SourceUnreachable"
    """The metric source does not answer."""
    QUERY_FAILED = "QueryFailed"
    """The metric source refused the query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsProblem:
    """Why the metrics of a canary are unknown. The words stay the same while the trouble does."""

    reason: Unknown
    message: str


class MetricsUnknown(ModelwardError):
    """Metrics could not be read. Never a verdict: `problem` ends as a condition."""

    def __init__(self, reason: Unknown, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.problem = MetricsProblem(reason=reason, message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Evidence about one rollout."""

    samples: tuple[Sample, ...] = ()
    """In the order of their times."""
    problem: MetricsProblem | None = None
    """Why metrics are unknown; None while they can be had."""
    reference: Reference | None = None
    """What stable did before the rollout; frozen with the first sample."""
    noise: Noise | None = None
    """What is known of the noise of stable's pods by now: it goes on to be learnt."""
    idle: Idle = field(default_factory=Idle)
    """What the canary showed before it had weight."""

    @property
    def is_followed(self) -> bool:
        """Whether somebody reads counters of both revisions."""
        return self.reference is not None and self.problem is None
