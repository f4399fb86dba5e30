"""The judge's policy: defaults, signals, weights."""

from typing import Any

import msgspec
import pytest

from modelward.analysis.policy import MetricPolicy, Policy, policy_of, weights
from modelward.api.analysis_policy import AnalysisPolicy, MetricAction, MetricKind
from modelward.api.rollout_policy import RolloutPolicy
from modelward.api.signals import DistributionSignal, LatencySignal, RatioSignal, Signals

ALL = Signals(
    errors=RatioSignal(hits="e", total="t"),
    latency=LatencySignal(histogram="l"),
    predictions=DistributionSignal(histogram="p"),
)


def policy(signals: Signals = ALL, **analysis: Any) -> Policy:
    """The policy of an analysis as a user writes it."""
    return policy_of(msgspec.convert(analysis, AnalysisPolicy), RolloutPolicy(), signals)


def test_defaults_are_the_signals_of_the_runtime() -> None:
    """A user writes nothing."""
    made = policy()
    assert [(m.name, m.kind, m.margin, m.action, m.errors) for m in made.metrics] == [
        ("errors", MetricKind.RATIO, 1.25, MetricAction.ROLL_BACK, True),
        ("latency", MetricKind.LATENCY, 1.25, MetricAction.ROLL_BACK, False),
        ("predictions", MetricKind.DISTRIBUTION, 1.5, MetricAction.HOLD, False),
    ]
    assert (made.alpha, made.interval_seconds) == (0.01, 5)
    assert made.limit == pytest.approx(100)


def test_no_signal_is_no_metric() -> None:
    """Then only the health of the pods is judged."""
    assert policy(Signals()).metrics == ()


def test_what_the_user_writes_counts() -> None:
    """Strictness, interval, and each field of a metric."""
    made = policy(
        source="prometheus",
        confidencePercent="99.9",
        tolerancePercent=10,
        metrics=[
            {
                "name": "sales",
                "kind": "Ratio",
                "hits": "h",
                "total": "t",
                "direction": "HigherIsBetter",
                "share": 3,
            },
            {"name": "slo", "kind": "Guard", "signal": "errors", "limitPercent": "2.5", "dryRun": True},
            {"name": "drift", "signal": "predictions", "action": "RollBack", "tolerancePercent": 100},
        ],
    )
    assert made.alpha == pytest.approx(0.001)
    assert made.interval_seconds == 15
    sales, slo, drift = made.metrics
    assert (sales.margin, sales.higher_is_better, sales.share, sales.errors) == (1.1, True, 3, False)
    assert (slo.kind, slo.limit, slo.dry_run) == (MetricKind.GUARD, 0.025, True)
    assert (drift.kind, drift.margin, drift.action) == (MetricKind.DISTRIBUTION, 2.0, MetricAction.ROLL_BACK)


def metric(name: str, kind: MetricKind = MetricKind.RATIO, **fields: Any) -> MetricPolicy:
    """A metric; errors are known by their name."""
    return MetricPolicy(name=name, kind=kind, errors=name == "errors", **fields)


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        pytest.param([metric("errors")], {"errors": 1}, id="a single one counts alone"),
        pytest.param([metric("latency")], {"latency": 1}, id="also without errors"),
        pytest.param(
            [metric("errors"), metric("a"), metric("b")],
            {"errors": 1 / 2, "a": 1 / 4, "b": 1 / 4},
            id="errors are half",
        ),
        pytest.param(
            [metric("errors", share=1), metric("a", share=3)],
            {"errors": 1 / 4, "a": 3 / 4},
            id="shares are the user's",
        ),
        pytest.param(
            [metric("errors"), metric("a", share=3)], {"errors": 1 / 2, "a": 1 / 2}, id="one share only"
        ),
        pytest.param(
            [metric("errors"), metric("a", dry_run=True)], {"errors": 1}, id="a dry run does not count"
        ),
        pytest.param(
            [metric("errors"), metric("a", action=MetricAction.HOLD), metric("g", MetricKind.GUARD)],
            {"errors": 1},
            id="neither do those that hold, nor guards",
        ),
        pytest.param([], {}, id="none"),
    ],
)
def test_weights(metrics: list[MetricPolicy], expected: dict[str, float]) -> None:
    """They sum to one, so that the average of the evidence is evidence."""
    assert weights(metrics) == pytest.approx(expected)
