"""Sampling where there is nothing to read: which rollouts are followed is noted, and nothing is measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelward.analysis.sampled_evidence import Evidence
from modelward.api.model import Model
from modelward.api.objects import Key
from modelward.api.revision import Revision
from modelward.sampling.sampler_task import Follower
from modelward.sampling.subject import Subject


@dataclass(slots=True)
class NothingMeasured(Follower):
    """No evidence of any rollout."""

    models: dict[Key, tuple[str, str]] = field(default_factory=dict)
    """Stable and canary of the rollouts that are followed."""
    noise: str = ""

    def follow(
        self,
        model: Model,
        revisions: Mapping[str, Revision],  # noqa: ARG002 - also of models without metrics
        *,
        canary: str,
        stable: str,
        weight_percent: float,  # noqa: ARG002
    ) -> Evidence:
        """No evidence."""
        self.models[model.namespace, model.name] = (stable, canary)
        return Evidence()

    def track(self, subject: Subject, since: float | None = None) -> None:
        """There is nothing to read."""

    def evidence(self, key: Key, since: float | None = None) -> Evidence:  # noqa: ARG002
        """No evidence."""
        return Evidence()

    def forget(self, key: Key) -> None:
        """Follow a model no longer."""
        self.models.pop(key, None)

    def learnt(self, key: Key, revision: str) -> str:  # noqa: ARG002
        """What the test says that was learnt of stable's noise."""
        return self.noise
