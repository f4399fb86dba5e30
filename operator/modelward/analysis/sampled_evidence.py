"""What a source of metrics hands over: all samples since the last one that was recorded, or why there is none."""

from dataclasses import dataclass, field

from modelward.analysis.counters import Sample
from modelward.analysis.idle import Idle
from modelward.analysis.noise import Noise, Reference
from modelward.analysis.problem import MetricsProblem


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
