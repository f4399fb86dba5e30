"""The copy of the judge in numpy against the shipped one."""

from dataclasses import replace

import numpy as np
import pytest

from bench.analysis import shipped
from bench.analysis.arrays import NEVER, Floats
from bench.analysis.engine import Compared, Ratio, Rule, engine, rolled_back
from bench.analysis.latency import Histograms, Times, histograms, latency_tests, shares
from bench.analysis.scores import engine_scores, score_counts, shifted
from bench.analysis.traffic import Arms, Load, arms
from modelward.analysis import judge
from modelward.analysis.counters import BucketCounts, Increment
from modelward.analysis.noise import MetricReference, Reference
from modelward.analysis.policy import MetricPolicy
from modelward.analysis.verdict import Step, Verdict
from modelward.api.analysis_policy import MetricKind

STEP = Step(time=0.0, started=0.0, weight_percent=10.0, next_weight_percent=25.0)


def from_first_canary_request(seen: Arms) -> Arms:
    """One rollout from where the judge begins to listen."""
    start = int(np.argmax(seen.n_c[:, 0] > 0))
    parts = (counts[start:] for counts in (seen.n_c, seen.e_c, seen.n_s, seen.e_s))
    n_c, e_c, n_s, e_s = parts
    return Arms(seconds=seen.seconds, n_c=n_c, e_c=e_c, n_s=n_s, e_s=e_s, weights=seen.weights[start:])


def shipped_odds(seen: Arms, phi: float, *, opposite: bool) -> tuple[list[float], float]:
    """The evidence after each poll, and the time of the rollback."""
    metric = replace(shipped.ERRORS, higher_is_better=opposite)
    policy = shipped.policy(seen.seconds, metric)
    state = judge.begin(policy, Reference(phi_without_history=phi))
    odds = []
    for number, weight in enumerate(seen.weights):
        row = shipped.ratio(*(int(counts[number, 0]) for counts in (seen.n_c, seen.e_c, seen.n_s, seen.e_s)))
        state = judge.observe(policy, state, shipped.sample((number + 1) * seen.seconds, weight, errors=row))
        odds.append(judge.assess(policy, state, STEP).odds)
    return odds, state.decided.time if state.decided else NEVER


def copied_odds(seen: Arms, phi: float, *, opposite: bool) -> list[float]:
    """The evidence of the copy after each poll."""
    rule = Rule().opposite() if opposite else Rule()
    ratio = Ratio(1, rule.at(seen.seconds), phi)
    odds = []
    for number, weight in enumerate(seen.weights):
        if number and weight != seen.weights[number - 1]:
            ratio.weight_changed()
        ratio.observe(*(counts[number] for counts in (seen.n_c, seen.e_c, seen.n_s, seen.e_s)))
        odds.append(float(ratio.evidence[0]))
    return odds


@pytest.mark.parametrize("poll", [5.0, 15.0])
@pytest.mark.parametrize("phi", [1.0, 3.7])
@pytest.mark.parametrize(
    ("rps", "stable", "canary"),
    [
        pytest.param(0.5, 0.01, 0.3, id="few requests, open strata"),
        pytest.param(10.0, 0.01, 0.01, id="alike"),
        pytest.param(100.0, 0.001, 0.01, id="worse"),
        pytest.param(100.0, 0.3, 0.33, id="many errors"),
        pytest.param(1000.0, 0.05, 0.05, id="many requests"),
    ],
)
def test_evidence_is_the_shipped_judges(
    poll: float, phi: float, rps: float, stable: float, canary: float
) -> None:
    """After every poll until it decides, to nine digits, and the same time of rollback."""
    load = Load(rps=rps, weight=0.1, stable=stable, canary=canary, poll=poll, horizon=900.0)
    seen = from_first_canary_request(arms(load, 1, np.random.default_rng(3)))
    expected, time = shipped_odds(seen, phi, opposite=False)
    until = len(expected) if time == NEVER else round(time / poll)
    copied = copied_odds(seen, phi, opposite=False)
    np.testing.assert_allclose(copied[:until], expected[:until], rtol=1e-9)
    assert engine(share=1.0, phi=phi)(seen)[0] == time


def test_too_few_instead_of_too_many() -> None:
    """The opposite test of a metric of which more is better."""
    load = Load(rps=50.0, weight=0.2, stable=0.4, canary=0.4, horizon=600.0)
    seen = from_first_canary_request(arms(load, 1, np.random.default_rng(5)))
    expected, _ = shipped_odds(seen, 1.0, opposite=True)
    np.testing.assert_allclose(copied_odds(seen, 1.0, opposite=True), expected, rtol=1e-9)


def test_a_change_of_weight_closes_what_is_open() -> None:
    """Three steps, with so few requests that strata take several polls."""
    parts = [
        arms(
            Load(rps=0.8, weight=weight, stable=0.02, canary=0.05, horizon=90.0), 1, np.random.default_rng(8)
        )
        for weight in (0.5, 0.25, 0.6)
    ]
    n_c, e_c, n_s, e_s = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("n_c", "e_c", "n_s", "e_s")
    )
    weights = tuple(weight for part in parts for weight in part.weights)
    seen = from_first_canary_request(Arms(seconds=15.0, n_c=n_c, e_c=e_c, n_s=n_s, e_s=e_s, weights=weights))
    expected, _ = shipped_odds(seen, 1.0, opposite=False)
    np.testing.assert_allclose(copied_odds(seen, 1.0, opposite=False), expected, rtol=1e-9)


def shipped_time(
    seen: Histograms, metric: MetricPolicy, reference: Reference, bounds: tuple[float, ...]
) -> float:
    """When the judge rolls back or holds by a histogram alone."""
    policy, time = shipped.policy(seen.seconds, metric), NEVER
    state = judge.begin(policy, reference)
    for number in range(len(seen.canary)):
        now = (number + 1) * seen.seconds
        arms_now = (
            BucketCounts(bounds=bounds, cumulative=tuple(counts[number, 0].cumsum().tolist()))
            for counts in (seen.canary, seen.stable)
        )
        canary, stable = arms_now
        fed = shipped.sample(now, seen.weight, **{metric.name: Increment(canary=canary, stable=stable)})
        state = judge.observe(policy, state, fed)
        said = judge.assess(policy, state, replace(STEP, time=now))
        if said.verdict in {Verdict.ROLL_BACK, Verdict.HOLD}:
            return now
    return time


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("factor", [1.0, 1.5, 2.0])
def test_latency_is_rolled_back_at_the_same_time(seed: int, factor: float) -> None:
    """Three bounds, chosen from stable's hour before, averaged."""
    seen = histograms(
        Times(name="slower", factor=factor), 1, np.random.default_rng(seed), rps=20.0, horizon=600.0
    )
    reference = shipped.reference(20.0, 0.0, [float(share) for share in shares(Times(name="stable"))])
    expected = shipped_time(seen, shipped.LATENCY, reference, shipped.BOUNDS)
    assert rolled_back(latency_tests(seen, share=1.0))[0] == expected


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shift", [0.0, 0.6, 1.0])
def test_drift_is_held_at_the_same_time(seed: int, shift: float) -> None:
    """Ten buckets, both ways, averaged."""
    seen = score_counts(shifted(shift), shifted(0.0), 1, np.random.default_rng(seed), rps=20.0, poll=15.0)
    metric = MetricPolicy(name="score", kind=MetricKind.RATIO)
    bounds = (*(0.1 * number for number in range(1, 10)), float("inf"))
    history = BucketCounts(bounds=bounds, cumulative=tuple(1000.0 * number for number in range(1, 11)))
    known = MetricReference(phis=dict.fromkeys(bounds, 1.0), total=10_000.0, histogram=history)
    metric = replace(metric, kind=MetricKind.DISTRIBUTION, margin=1.5)
    expected = shipped_time(seen, metric, Reference(metrics={"score": known}), bounds)
    assert engine_scores(seen)[0] == expected


def test_several_metrics_are_added_with_their_weights() -> None:
    """Two halves of the same evidence are the evidence."""
    seen = arms(Load(rps=100.0, weight=0.1, stable=0.001, canary=0.01), 20, np.random.default_rng(2))
    halves: Floats = rolled_back([Compared(arms=seen, share=0.5), Compared(arms=seen, share=0.5)])
    np.testing.assert_array_equal(halves, engine(share=1.0)(seen))
