"""The least mean time that any test with the same guarantee needs."""

import math
from typing import Final

import numpy as np

from bench.analysis.arrays import Floats
from bench.analysis.traffic import Load

_POINTS: Final = 200_001


def information(load: Load, margin: float) -> float:
    """Nats per request: w KL(p_c) + (1 - w) KL(p_s) to the nearest pair with p_c <= margin x p_s.

    Source: Wald's inequality for sequential tests, E[T] >= ln(1/alpha) / (R I).
    """
    inside = np.exp(np.linspace(math.log(load.stable), math.log(load.canary), _POINTS))
    inside = inside[(inside < 1.0) & (margin * inside < 1.0)]
    canary = _divergence(load.canary, margin * inside)
    stable = _divergence(load.stable, inside)
    return float(np.min(load.weight * canary + (1.0 - load.weight) * stable))


def _divergence(p: float, q: Floats) -> Floats:
    """Kullback-Leibler divergence of Bernoulli distributions."""
    hit = p * np.log(p / q) if p > 0.0 else np.zeros_like(q)
    return hit + ((1.0 - p) * np.log((1.0 - p) / (1.0 - q)) if p < 1.0 else 0.0)


def bound(load: Load, margin: float, alpha: float = 0.01) -> float:
    """Seconds."""
    return math.log(1.0 / alpha) / (load.rps * information(load, margin))
