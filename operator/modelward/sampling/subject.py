"""Whom to read: the two revisions of a rollout, and what is wanted of each.

Everything here comes from the pinned snapshot of a revision, so a canary with another runtime is read at its
own port and by its own names of the same signals.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from modelward.analysis.policy import MetricPolicy, policy_of
from modelward.analysis.readings import Arm
from modelward.analysis.sampled_evidence import MetricsUnknown, Unknown
from modelward.api.analysis_policy import PODS, AnalysisPolicy
from modelward.api.model import Model
from modelward.api.objects import Key
from modelward.api.revision import Revision
from modelward.api.signals import Signals
from modelward.runtimes.metric_endpoints import MetricEndpoints, measured
from modelward.sampling.targets import HistogramTarget, SampleTarget, sample_targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where each pod of a revision shows its metrics."""

    port: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One revision of a model."""

    revision: str
    wanted: tuple[SampleTarget, ...]
    endpoint: Endpoint | None
    """None: it has no page; a metric source may know its metrics all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A rollout to be followed."""

    namespace: str
    name: str
    canary: Side
    stable: Side
    weight_percent: float
    """Share of the traffic that the canary is meant to get now."""
    source: str = PODS
    idle: bool = False
    """Whether the canary starts, and has had no weight yet: what it counts then is of no user."""
    interval_seconds: float
    metrics: tuple[MetricPolicy, ...] = ()
    """The judge's view of them, for what stable's noise is measured by."""

    @property
    def key(self) -> Key:
        """Whose rollout it is."""
        return self.namespace, self.name

    @property
    def rollout(self) -> tuple[Side, Side, str, bool]:
        """What makes it another rollout: the two revisions, what is wanted of them, and who is asked.

        Whoever changes `spec.analysis` in mid-canary has it judged anew, by the new metrics.
        """
        return self.canary, self.stable, self.source, self.idle

    def begins(self, before: "Subject") -> bool:
        """Whether the canary that had none `before` has got its first weight."""
        return before.idle and (before.canary, before.stable, before.source) == self.rollout[:3]

    def side(self, arm: Arm) -> Side:
        """The revision of an arm."""
        return self.canary if arm is Arm.CANARY else self.stable

    def latencies(self) -> frozenset[str]:
        """Names of the histograms: new pods are left out of them until they are warm."""
        return frozenset(each.name for each in self.stable.wanted if isinstance(each, HistogramTarget))


def is_idle(model: Model) -> bool:
    """Whether the canary has had no weight yet."""
    rollout = model.status.rollout
    return rollout is not None and not rollout.weight_percent and not rollout.withdrawn_weight_percent


def subject_of(
    model: Model,
    revisions: Mapping[str, Revision],
    *,
    canary: str,
    stable: str,
    weight_percent: float,
) -> Subject:
    """The rollout from `stable` to `canary` (names of revisions). Raises MetricsUnknown if nothing can be read."""
    analysis = model.spec.analysis
    signals = signals_of(stable, revisions.get(stable))
    policy = policy_of(analysis, model.spec.rollout, signals)
    return Subject(
        namespace=model.namespace,
        name=model.name,
        canary=side_of(canary, revisions.get(canary), analysis),
        stable=side_of(stable, revisions.get(stable), analysis),
        weight_percent=weight_percent,
        idle=is_idle(model),
        source=analysis.source,
        interval_seconds=policy.interval_seconds,
        metrics=policy.metrics,
    )


def signals_of(name: str, revision: Revision | None) -> Signals:
    """The signals of a revision: the user's, else its runtime's. Raises MetricsUnknown if it is gone."""
    return _metric_endpoints(name, revision).signals


def side_of(name: str, revision: Revision | None, policy: AnalysisPolicy) -> Side:
    """What is to be read of a revision. Raises MetricsUnknown."""
    shown = _metric_endpoints(name, revision)
    wanted = sample_targets(policy, shown.signals, shown.variables)
    if not wanted:
        raise MetricsUnknown(
            Unknown.NO_SIGNALS,
            f"revision {name}: its runtime declares no signals, and spec.analysis.metrics names no others",
        )
    if shown.port is None and policy.source == PODS:
        raise MetricsUnknown(
            Unknown.NO_ENDPOINT,
            f"revision {name}: its runtime names no page with metrics (metrics.port, .path)",
        )
    endpoint = Endpoint(port=shown.port, path=shown.path) if shown.port is not None else None
    return Side(revision=name, wanted=wanted, endpoint=endpoint)


def _metric_endpoints(name: str, revision: Revision | None) -> MetricEndpoints:
    if revision is None:
        raise MetricsUnknown(Unknown.NO_ENDPOINT, f"revision {name}: its snapshot is gone")
    return measured(revision)
