"""Noise that is simulated, and its calibration against the shipped one."""

from math import inf

import numpy as np
import pytest

from bench.analysis.phi import HALF_LIFE_SECONDS, calibrated, learnt
from bench.analysis.pods import FOR_GOOD, Noise, PodCounts, Wander, pod_counts
from bench.analysis.traffic import Load
from modelward.analysis import noise as shipped
from modelward.analysis.policy import MetricPolicy
from modelward.analysis.readings import Arm, PodReading, Poll, RatioReading
from modelward.api.analysis_policy import MetricKind

LOAD = Load(rps=50.0, weight=0.1, stable=0.02, canary=0.02)


def counts_of(noise: Noise, seed: int) -> PodCounts:
    """One rollout."""
    return pod_counts(LOAD, noise, 1, np.random.default_rng(seed))


def shipped_phi(counts: PodCounts, half_life: float | None, lasted: float = inf) -> float:
    """What the operator makes of the same hour of cumulative counters."""
    metric = MetricPolicy(name="errors", kind=MetricKind.RATIO, errors=True)
    noise = shipped.Noise(metrics=(metric,), half_life_seconds=half_life)
    n, e = (
        np.concatenate([np.zeros_like(part[:1]), part.cumsum(axis=0)])
        for part in (counts.before_n, counts.before_e)
    )
    for poll in range(len(n)):
        pods = tuple(
            PodReading(
                pod=f"pod-{pod}",
                arm=Arm.STABLE,
                metrics={"errors": RatioReading(hits=float(e[poll, pod, 0]), total=float(n[poll, pod, 0]))},
            )
            for pod in range(n.shape[1])
        )
        noise = noise.plus(Poll(time=LOAD.poll * poll, weight_percent=0.0, pods=pods))
    return noise.reference(lasted).phi("errors")


@pytest.mark.parametrize("polls", [1, 5, 27, 63])
@pytest.mark.parametrize("pods", [1, 9])
def test_what_is_learnt_meanwhile_is_the_shipped_phi(polls: int, pods: int) -> None:
    """Blocks that are open count, and only those that are no longer than they need be."""
    counts = counts_of(Noise(name="pods that wander", pod=Wander(sd=0.5)), 2)
    n, e = (part[:polls, :pods] for part in (counts.before_n, counts.before_e))
    before = PodCounts(before_n=n, before_e=e, n=n, e=e)
    assert learnt(n, e, LOAD.poll)[-1, 0] == pytest.approx(shipped_phi(before, None, polls * LOAD.poll))


@pytest.mark.parametrize(
    "noise",
    [
        Noise(name="none"),
        Noise(name="bursts", burst=5.0),
        Noise(name="pods that wander", pod=Wander(sd=0.5)),
        Noise(name="pods that differ", pod=Wander(sd=0.3, memory=FOR_GOOD)),
    ],
    ids=lambda noise: noise.name,
)
def test_phi_is_the_shipped_one(noise: Noise) -> None:
    """An hour of scrapes, all counted the same."""
    counts = counts_of(noise, 1)
    assert calibrated(counts.before_n, counts.before_e, LOAD.poll)[0] == pytest.approx(
        shipped_phi(counts, None)
    )


def test_phi_with_a_half_life_is_the_shipped_one() -> None:
    """But for the age inside a block, which the copy does not check."""
    counts = counts_of(Noise(name="pods that wander", pod=Wander(sd=0.5)), 2)
    copied = calibrated(counts.before_n, counts.before_e, LOAD.poll, HALF_LIFE_SECONDS)[0]
    assert copied == pytest.approx(shipped_phi(counts, HALF_LIFE_SECONDS), rel=0.05)


def test_noise_changes_no_mean() -> None:
    """Bursts and wandering pods have the same errors on average, and more scatter."""
    rng = np.random.default_rng(3)
    for noise in (Noise(name="bursts", burst=5.0), Noise(name="wander", pod=Wander(sd=0.5))):
        counts = pod_counts(LOAD, noise, 200, rng)
        assert counts.before_e.sum() / counts.before_n.sum() == pytest.approx(LOAD.stable, rel=0.03)
        assert np.median(calibrated(counts.before_n, counts.before_e, LOAD.poll)) > 1.5
