"""Whom to read: the two revisions of a rollout, and what is wanted of each.

Everything here comes from the pinned snapshot of a revision, so a canary with another runtime is read at its
own port and by its own names of the same signals.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from modelward.analysis.policy import MetricPolicy, policy_of
from modelward.analysis.problem import Unknown
from modelward.analysis.readings import Arm
from modelward.api.analysis_policy import PODS, AnalysisPolicy
from modelward.api.decode import decode_spec
from modelward.api.model import Model
from modelward.api.model_deployment import RuntimeOverrides
from modelward.api.model_runtime import ModelRuntimeSpec
from modelward.api.pod import MetricsEndpoint
from modelward.api.revision import Revision
from modelward.api.signals import Signals
from modelward.clients.unknown import MetricsUnknown
from modelward.errors import InvalidSpec
from modelward.runtimes.choose import pinned
from modelward.runtimes.render import DEFAULT_HTTP_PORT
from modelward.sampling.wanted import Wanted, WantedHistogram, wanted_metrics

Key = tuple[str, str]
"""(namespace, name) of a ModelDeployment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where each pod of a revision shows its metrics."""

    port: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One revision of a model."""

    revision: str
    wanted: tuple[Wanted, ...]
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
    interval_seconds: float
    metrics: tuple[MetricPolicy, ...] = ()
    """The judge's view of them, for what stable's noise is measured by."""

    @property
    def key(self) -> Key:
        """Whose rollout it is."""
        return self.namespace, self.name

    @property
    def rollout(self) -> tuple[str, str, str]:
        """What makes it another rollout: the two revisions, and who is asked."""
        return self.canary.revision, self.stable.revision, self.source

    def side(self, arm: Arm) -> Side:
        """The revision of an arm."""
        return self.canary if arm is Arm.CANARY else self.stable

    def latencies(self) -> frozenset[str]:
        """Names of the histograms: new pods are left out of them until they are warm."""
        return frozenset(each.name for each in self.stable.wanted if isinstance(each, WantedHistogram))


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
        source=analysis.source,
        interval_seconds=policy.interval_seconds,
        metrics=policy.metrics,
    )


def signals_of(name: str, revision: Revision | None) -> Signals:
    """The signals of a revision: the user's, else its runtime's. Raises MetricsUnknown if it cannot be read."""
    runtime, overrides = _runtime(name, revision)
    return overrides.signals or runtime.signals or Signals()


def side_of(name: str, revision: Revision | None, policy: AnalysisPolicy) -> Side:
    """What is to be read of a revision. Raises MetricsUnknown."""
    runtime, overrides = _runtime(name, revision)
    wanted = wanted_metrics(policy, signals_of(name, revision))
    if not wanted:
        raise MetricsUnknown(
            Unknown.NO_SIGNALS,
            f"revision {name}: its runtime declares no signals, and spec.analysis.metrics names no others",
        )
    endpoint = _endpoint(runtime, overrides)
    if endpoint is None and policy.source == PODS:
        raise MetricsUnknown(
            Unknown.NO_ENDPOINT,
            f"revision {name}: its runtime names no page with metrics (metrics.port, .path)",
        )
    return Side(revision=name, wanted=wanted, endpoint=endpoint)


def _runtime(name: str, revision: Revision | None) -> tuple[ModelRuntimeSpec, RuntimeOverrides]:
    if revision is None or not revision.runtime:
        raise MetricsUnknown(Unknown.NO_ENDPOINT, f"revision {name}: its snapshot is gone")
    try:
        spec = decode_spec(revision.spec)
        return pinned(revision.runtime).spec, spec.runtime or RuntimeOverrides()
    except InvalidSpec as error:
        raise MetricsUnknown(Unknown.NO_ENDPOINT, f"revision {name}: its snapshot cannot be read") from error


def _endpoint(runtime: ModelRuntimeSpec, overrides: RuntimeOverrides) -> Endpoint | None:
    page: MetricsEndpoint | None = overrides.metrics or runtime.metrics
    if page is None:
        return None
    port = page.port if isinstance(page.port, int) else _port(page.port, runtime, overrides)
    return Endpoint(port=port, path=page.path) if port else None


def _port(name: str, runtime: ModelRuntimeSpec, overrides: RuntimeOverrides) -> int | None:
    for ports in (overrides.ports, runtime.container.ports):
        number: int | None = getattr(ports, name) if ports else None
        if number:
            return number
    return DEFAULT_HTTP_PORT if name == "http" else None
