"""The one exception of those who read metrics: it carries what is to be said about it."""

from modelward.analysis.problem import MetricsProblem, Unknown
from modelward.errors import ModelwardError


class MetricsUnknown(ModelwardError):
    """Metrics could not be read. Never a verdict: `problem` ends as a condition."""

    def __init__(self, reason: Unknown, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.problem = MetricsProblem(reason=reason, message=message)
