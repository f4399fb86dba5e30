"""Kayenta's classifier against its own way: roots of a step function."""

import math

import numpy as np
from numpy.typing import NDArray

from bench.analysis import kayenta

Z = 2.3263478740408408
Series = NDArray[np.float64]


def statistic(x: Series, y: Series, shift: float) -> float:
    """Mann-Whitney's z of x moved down by `shift` against y, with corrections for continuity and ties."""
    moved = x - shift
    ranks = np.concatenate([moved, y])
    above = float((moved[:, None] > y).sum() + 0.5 * (moved[:, None] == y).sum())
    ties = float(sum(count**3 - count for count in np.unique(ranks, return_counts=True)[1]))
    n = len(ranks)
    sigma = math.sqrt(len(x) * len(y) / 12 * (n + 1 - ties / (n * (n - 1))))
    away = above - len(x) * len(y) / 2
    return (away - math.copysign(0.5, away)) / sigma if away else 0.0


def root(x: Series, y: Series, quantile: float) -> float:
    """Where the statistic falls through a quantile, by bisection."""
    low, high = float(x.min() - y.max()), float(x.max() - y.min())
    if statistic(x, y, low) <= quantile:
        return low
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if statistic(x, y, middle) > quantile else (low, middle)
    return high


def test_limit_of_the_shift_is_the_root_that_kayenta_finds() -> None:
    """For series of every length that is judged."""
    rng = np.random.default_rng(11)
    for length in (5, 10, 15, 30):
        x, y = rng.normal(1.0, 1.0, (length, 40)), rng.normal(0.0, 1.0, (length, 40))
        lower, _ = kayenta.shift(x, y)
        expected = [root(x[:, column], y[:, column], Z) for column in range(40)]
        np.testing.assert_allclose(lower, expected, atol=1e-9)


def test_all_points_above_are_high_after_five_minutes() -> None:
    """Five points against five just suffice for 98 %."""
    canary, stable = np.linspace(5.0, 6.0, 30)[:, None], np.linspace(0.0, 1.0, 30)[:, None]
    assert kayenta.kayenta_on(canary, stable, np.random.default_rng(1))[0] == 300.0


def test_equal_series_pass_and_missing_ones_fail() -> None:
    """Nothing against a copy; everything against silence."""
    series, silence = np.zeros((30, 1)), np.full((30, 1), np.nan)
    rng = np.random.default_rng(1)
    assert np.isinf(kayenta.kayenta_on(series, series, rng)[0])
    assert kayenta.kayenta_on(silence, series, rng)[0] == 300.0
