"""The least mean time of any test."""

import math

import numpy as np
import pytest

from bench.analysis.arrays import Floats
from bench.analysis.bound import bound, information
from bench.analysis.traffic import Load


def away(p: float, q: Floats) -> Floats:
    """Kullback-Leibler divergence of a rate from others."""
    divergence: Floats = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    return divergence


@pytest.mark.parametrize("margin", [1.0, 1.25])
def test_no_pair_inside_the_null_is_nearer(margin: float) -> None:
    """Against a search over both rates, also away from the edge p_c = margin x p_s."""
    load = Load(rps=1.0, weight=0.1, stable=0.01, canary=0.03)
    rates = np.exp(np.linspace(math.log(0.005), math.log(0.05), 1600))
    p_c, p_s = rates[:, None], rates[None, :]
    every = 0.1 * away(load.canary, p_c) + 0.9 * away(load.stable, p_s)
    nearest = float(every[np.broadcast_to(p_c <= margin * p_s, every.shape)].min())
    assert information(load, margin) <= nearest == pytest.approx(information(load, margin), rel=0.01)


def test_twice_the_requests_need_half_the_time() -> None:
    """And a canary that always fails is found by a few of its requests."""
    slow, fast = (Load(rps=rps, weight=0.1, stable=0.001, canary=1.0) for rps in (1.0, 2.0))
    assert bound(slow, 1.0) == pytest.approx(2 * bound(fast, 1.0))
    assert 10 < bound(slow, 1.0) < 20
