"""Kayenta's judge on one critical metric: a Mann-Whitney test of two time series, many rollouts at once.

`NetflixACAJudge` and `MannWhitneyClassifier` (spinnaker/kayenta): confidence 0.98, High if the lower limit of the
location shift is above a quarter of the Hodges-Lehmann estimate. One point a minute, judged every five minutes on a
window that grows from the start; the first High ends the rollout. Kayenta finds limit and estimate as roots of a
step function of the shift; its steps are at the differences of all pairs, so they are order statistics of these.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from bench.analysis.arrays import NEVER, Counts, Flags, Floats
from bench.analysis.rivals import MINUTE, per_period
from bench.analysis.traffic import Arms

Points = Floats
"""[minutes, rollouts]; NaN where there was no data."""

_EVERY_MINUTES: Final = 5
_QUANTILE: Final = 2.3263478740408408
"""Of the standard normal distribution at 0.99."""
_TOLERANCE: Final = 0.25
_NOISE: Final = 1e-5


def kayenta(arms: Arms, rng: np.random.Generator) -> Floats:
    """When the error rate, in percent, is High."""
    return kayenta_on(_rates(arms, arms.e_c, arms.n_c), _rates(arms, arms.e_s, arms.n_s), rng)


def judge(rng: np.random.Generator) -> Callable[[Arms], Floats]:
    """The same as a function of the arms alone."""
    return lambda arms: kayenta(arms, rng)


def _rates(arms: Arms, errors: Counts, requests: Counts) -> Points:
    rows = round(MINUTE / arms.seconds)
    with np.errstate(invalid="ignore"):
        rates: Points = 100.0 * per_period(errors, rows) / per_period(requests, rows)
    return rates


def kayenta_on(canary: Points, stable: Points, rng: np.random.Generator) -> Floats:
    """When two series of minutes are distinguished."""
    times = np.full(canary.shape[1], NEVER)
    for minutes in range(_EVERY_MINUTES, len(canary) + 1, _EVERY_MINUTES):
        open_still = np.flatnonzero(np.isinf(times))
        if not open_still.size:
            break
        high = is_high(canary[:minutes, open_still], stable[:minutes, open_still], rng)
        times[open_still[high]] = minutes * MINUTE
    return times


def is_high(canary: Points, stable: Points, rng: np.random.Generator) -> Flags:
    """Whether each canary's series is above its baseline by the classifier's rule; no data fails."""
    nothing = np.isnan(canary).all(axis=0) | np.isnan(stable).all(axis=0)
    constant = (_spread(canary) == 0.0) & (_spread(stable) == 0.0)
    noise = np.where(constant, _NOISE, 0.0)
    x = canary + noise * rng.random(canary.shape)
    y = stable + noise * rng.random(stable.shape)
    lower, estimate = shift(x, y)
    same = _mean(canary) == _mean(stable)
    high = (lower > _TOLERANCE * np.abs(estimate)) & (_mean(canary) >= _mean(stable)) & ~(constant & same)
    failed: Flags = high | nothing
    return failed


def _mean(points: Points) -> Floats:
    count = np.maximum(1, (~np.isnan(points)).sum(axis=0))
    mean: Floats = np.nan_to_num(points).sum(axis=0) / count
    return mean


def _spread(points: Points) -> Floats:
    """Largest minus smallest."""
    there = ~np.isnan(points)
    largest = np.where(there, points, -np.inf).max(axis=0)
    smallest = np.where(there, points, np.inf).min(axis=0)
    spread: Floats = np.where(there.any(axis=0), largest - smallest, 0.0)
    return spread


def shift(x: Points, y: Points) -> tuple[Floats, Floats]:
    """Lower limit of the location shift of x against y, and its Hodges-Lehmann estimate."""
    n_x, n_y = (~np.isnan(x)).sum(axis=0), (~np.isnan(y)).sum(axis=0)
    pairs = n_x * n_y
    differences = np.sort((x[:, None] - y[None, :]).reshape(-1, x.shape[1]), axis=0)
    above = pairs / 2.0 + 0.5 + _QUANTILE * _deviation(x, y, n_x, n_y)
    lower = _order_statistic(differences, pairs, pairs - above)
    return lower, _order_statistic(differences, pairs, pairs / 2.0)


def _deviation(x: Points, y: Points, n_x: Counts, n_y: Counts) -> Floats:
    """Standard deviation of Mann-Whitney's U, corrected for ties within each series."""
    n = n_x + n_y
    ties = _ties(x) + _ties(y)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = n_x * n_y / 12.0 * ((n + 1) - ties / (n * (n - 1)))
    deviation: Floats = np.sqrt(np.nan_to_num(variance))
    return deviation


def _ties(points: Points) -> Counts:
    """Sum of t^3 - t over groups of t equal values."""
    alike = (points[:, None] == points[None, :]).sum(axis=0)
    ties: Counts = np.where(alike > 0, alike * alike - 1, 0).sum(axis=0)
    return ties


def _order_statistic(ordered: Floats, count: Counts, below: Floats) -> Floats:
    """The value with so many below it; the ends where there are not so many."""
    index = np.clip(np.floor(below), 0, np.maximum(count - 1, 0)).astype(np.int64)
    value: Floats = np.nan_to_num(np.take_along_axis(ordered, index[None, :], axis=0)[0])
    return value
