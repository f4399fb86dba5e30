"""What has come in about a rollout since it was last recorded: what `decide` hands to the judge."""

from dataclasses import dataclass

from modelward.analysis.counters import Sample
from modelward.analysis.noise import NO_HISTORY, Reference
from modelward.analysis.problem import MetricsProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Samples in the order of their times, what stable used to do, and why nothing fresh comes, if it does not."""

    samples: tuple[Sample, ...] = ()
    """Those that are later than what was recorded."""
    problem: MetricsProblem | None = None
    """Set when for four looks nothing could be read that the canary could be judged by."""
    reference: Reference = NO_HISTORY
    """As of now. The judge freezes it when the canary gets its first requests."""
