"""What the judge must know of a spec: strictness, times, and the metrics with their tests."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from modelward.analysis.idle import NOTHING, Own
from modelward.api.analysis_policy import (
    PODS,
    AnalysisPolicy,
    Direction,
    Metric,
    MetricAction,
    MetricKind,
    SignalName,
)
from modelward.api.rollout_policy import RolloutPolicy
from modelward.api.signals import Signals

INTERVAL_OF_PODS: Final = 5.0
INTERVAL_OF_A_SOURCE: Final = 15.0
"""Seconds between two polls, where the user gives none."""
DISTRIBUTION_TOLERANCE_PERCENT: Final = 50
"""Buckets of scores differ for many harmless reasons: only an odds ratio above 1.5 counts."""
DEFAULT_KINDS: Final = {
    SignalName.ERRORS: MetricKind.RATIO,
    SignalName.LATENCY: MetricKind.LATENCY,
    SignalName.PREDICTIONS: MetricKind.DISTRIBUTION,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPolicy:
    """One metric and the test it is put to."""

    name: str
    kind: MetricKind
    margin: float = 1.25
    """Odds ratio up to which the arms count as equal; for a gauge the ratio of values. At least 1."""
    higher_is_better: bool = False
    action: MetricAction = MetricAction.ROLL_BACK
    dry_run: bool = False
    share: float | None = None
    """Weight relative to the other metrics; None is the default of `weights`."""
    limit: float | None = None
    """Of a guard: the share of hits (0-1) that the canary must not exceed."""
    errors: bool = False
    """Whether these are failed requests: they weigh as much as all else, and bound the harm of a next step."""

    @property
    def counts(self) -> bool:
        """Whether its evidence is summed towards a rollback. Guards act on their own."""
        return (
            not self.dry_run and self.action is MetricAction.ROLL_BACK and self.kind is not MetricKind.GUARD
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How strictly, how often and by which metrics a rollout is judged."""

    metrics: tuple[MetricPolicy, ...] = ()
    alpha: float = 0.01
    """Probability at most which a good version is rolled back, over all metrics, polls and steps."""
    interval_seconds: float = INTERVAL_OF_A_SOURCE
    step_min_seconds: float = 120
    step_max_seconds: float = 600
    own: Own = NOTHING
    """Requests that the kubelet and the operator make of each canary pod, if its server counts them."""

    @property
    def limit(self) -> float:
        """The odds at which a canary is rolled back: 100 means 100:1."""
        return 1 / self.alpha


def policy_of(analysis: AnalysisPolicy, rollout: RolloutPolicy, signals: Signals) -> Policy:
    """The judge's policy of a ModelDeployment; without metrics of the user's, those the runtime declares."""
    metrics = analysis.metrics or tuple(_declared(signals))
    default = INTERVAL_OF_PODS if analysis.source == PODS else INTERVAL_OF_A_SOURCE
    return Policy(
        metrics=tuple(metric_policy(metric, analysis.tolerance_percent) for metric in metrics),
        alpha=round(1 - float(analysis.confidence_percent) / 100, 9),
        interval_seconds=analysis.interval_seconds or default,
        step_min_seconds=rollout.step_min_seconds,
        step_max_seconds=rollout.step_max_seconds,
    )


def _declared(signals: Signals) -> Iterable[Metric]:
    return (Metric(name=name.value, signal=name) for name in SignalName if getattr(signals, name.value))


def metric_policy(metric: Metric, tolerance_percent: int) -> MetricPolicy:
    """The test of one metric of a spec; `tolerance_percent` is that of the whole analysis."""
    kind = metric.kind or DEFAULT_KINDS[metric.signal or SignalName.ERRORS]
    drift = kind is MetricKind.DISTRIBUTION
    tolerance = DISTRIBUTION_TOLERANCE_PERCENT if drift else tolerance_percent
    if metric.tolerance_percent is not None:
        tolerance = metric.tolerance_percent
    return MetricPolicy(
        name=metric.name,
        kind=kind,
        margin=1 + tolerance / 100,
        higher_is_better=metric.direction is Direction.HIGHER_IS_BETTER,
        action=metric.action or (MetricAction.HOLD if drift else MetricAction.ROLL_BACK),
        dry_run=metric.dry_run,
        share=metric.share,
        limit=float(metric.limit_percent) / 100 if metric.limit_percent is not None else None,
        errors=kind is MetricKind.RATIO and SignalName.ERRORS in {metric.signal, metric.name},
    )


def weights(metrics: Iterable[MetricPolicy]) -> dict[str, float]:
    """The weight of each metric that counts, by name; they sum to 1 (or there is none).

    Errors weigh as much as all others together, a single metric 1, unless the user gives shares.
    """
    counting = [metric for metric in metrics if metric.counts]
    errors = [metric for metric in counting if metric.errors]
    others = sum(metric.share or 1 for metric in counting if not metric.errors)
    default = (others or 1) / max(1, len(errors))
    raw = {metric.name: metric.share or (default if metric.errors else 1) for metric in counting}
    return {name: share / sum(raw.values()) for name, share in raw.items()}
