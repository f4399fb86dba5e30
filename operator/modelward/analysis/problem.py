"""Why there is nothing to judge by. Unknown is not success: nothing of this ever counts for a canary."""

from dataclasses import dataclass
from enum import StrEnum


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
