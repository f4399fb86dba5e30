"""What the simulation says of the same load, weight, interval and phi, if requests are independent."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from bench.analysis.engine import Compared, rolled_back
from bench.analysis.found import Found
from bench.analysis.latency import Times, histograms, latency_tests
from bench.analysis.traffic import Arms, Load, arms
from modelward.analysis.counters import WARM_UP_SECONDS

ROLLOUTS: Final = 2_000
SEED: Final = 20_261_122
HORIZON_SECONDS: Final = 600.0
ERROR_METRIC_SHARE: Final = 0.5
"""Errors count as much as all other metrics together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Of one scenario."""

    seconds: Found
    """From the canary's first request to the verdict."""
    phi: tuple[float, ...]
    """By which evidence was divided, for each test of the metric."""
    failed: float | None = None
    """Failed requests until then, median; None: none fails for this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What both the cluster and the simulation are given."""

    rps: float
    weight_percent: int
    interval: int

    @property
    def weight(self) -> float:
        """From 0 to 1."""
        return self.weight_percent / 100


def errors(about: Circumstances, phi: tuple[float, ...], stable: float, canary: float) -> Prediction:
    """Errors of a canary, from its first request on."""
    load = Load(
        rps=about.rps,
        weight=about.weight,
        stable=stable,
        canary=canary,
        poll=about.interval,
        horizon=HORIZON_SECONDS,
    )
    seen = arms(load, ROLLOUTS, np.random.default_rng(SEED))
    times = rolled_back([Compared(arms=seen, share=ERROR_METRIC_SHARE, phi=phi[0])])
    return Prediction(phi=phi, seconds=Found.of(times), failed=_median_failed(seen, times))


def _median_failed(seen: Arms, times: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    return float(np.median(seen.bad_until(np.minimum(times, seen.horizon))))


def latency(about: Circumstances, phi: tuple[float, ...], factor: float) -> Prediction:
    """A canary that takes so many times as long, once its pods count as warm."""
    seen = histograms(
        Times(name="canary", factor=factor),
        ROLLOUTS,
        np.random.default_rng(SEED),
        rps=about.rps,
        weight=about.weight,
        poll=about.interval,
        horizon=HORIZON_SECONDS,
    )
    tests = latency_tests(seen)
    noisy = [replace(test, phi=phi[min(number, len(phi) - 1)]) for number, test in enumerate(tests)]
    return Prediction(phi=phi, seconds=Found.of(rolled_back(noisy) + WARM_UP_SECONDS))
