"""Prediction scores in ten buckets, and the rules that check their distribution."""

from typing import Final

import numpy as np

from bench.analysis.arrays import NEVER, Counts, Floats, normal_above
from bench.analysis.engine import Compared, Rule, rolled_back
from bench.analysis.latency import Histograms
from bench.analysis.rivals import per_period
from bench.analysis.traffic import Arms

BUCKETS: Final = 10
MARGIN: Final = 1.5
_DECILES: Final = np.array(
    [-1.2815516, -0.8416212, -0.5244005, -0.2533471, 0.0, 0.2533471, 0.5244005, 0.8416212, 1.2815516]
)
"""Of the standard normal distribution: stable puts a tenth of its scores into each bucket."""
_WINDOW_SECONDS: Final = 300.0
_PSI: Final = 0.2
_CHI_SQUARED: Final = 16.919
"""95th percentile with 9 degrees of freedom."""


def shifted(sd: float) -> Floats:
    """Shares of the buckets when all scores move by so many standard deviations."""
    above = np.concatenate([[1.0], normal_above(_DECILES - sd), [0.0]])
    return -np.diff(above)


def constant() -> Floats:
    """Shares of the buckets when the output is always the same."""
    one = np.zeros(BUCKETS)
    one[BUCKETS // 2] = 1.0
    return one


def score_counts(
    canary: Floats, stable: Floats, rollouts: int, rng: np.random.Generator, *, rps: float, poll: float
) -> Histograms:
    """Half an hour at 10 % weight from shares of buckets, [buckets] or [scrapes, 1, buckets]."""
    shape = (round(1800.0 / poll), rollouts, BUCKETS)
    return Histograms(
        seconds=poll,
        weight=0.1,
        canary=rng.poisson(rps * 0.1 * poll * canary, shape),
        stable=rng.poisson(rps * 0.9 * poll * stable, shape),
    )


def engine_scores(seen: Histograms) -> Floats:
    """When the judge holds: too many or too few in any bucket, averaged over all."""
    more = Rule(margin=MARGIN)
    tests = [
        Compared(arms=_bucket(seen, bucket), share=0.5 / BUCKETS, rule=rule)
        for bucket in range(BUCKETS)
        for rule in (more, more.opposite())
    ]
    return rolled_back(tests)


def _bucket(seen: Histograms, bucket: int) -> Arms:
    return Arms(
        seconds=seen.seconds,
        n_c=seen.canary.sum(axis=2),
        e_c=seen.canary[:, :, bucket],
        n_s=seen.stable.sum(axis=2),
        e_s=seen.stable[:, :, bucket],
        weights=(seen.weight,) * len(seen.canary),
    )


def psi(seen: Histograms) -> Floats:
    """When the population stability index of a five-minute window reaches 0.2, canary against stable."""
    return _first(_index(*_windows(seen)) >= _PSI)


def psi_fixed(seen: Histograms) -> Floats:
    """The same against shares of a tenth each, learned before."""
    canary, _ = _windows(seen)
    return _first(_index(canary, np.full_like(canary, 1000)) >= _PSI)


def _index(canary: Counts, stable: Counts) -> Floats:
    """Empty buckets count as half a case."""
    p, q = (
        np.maximum(counts, 0.5) / np.maximum(counts.sum(axis=2, keepdims=True), 1)
        for counts in (canary, stable)
    )
    index: Floats = ((p - q) * np.log(p / q)).sum(axis=2)
    return index


def chi_squared(seen: Histograms) -> Floats:
    """When a chi-squared test of a five-minute window says p < 0.05."""
    canary, stable = _windows(seen)
    n_c, n_s = canary.sum(axis=2, keepdims=True), stable.sum(axis=2, keepdims=True)
    rate = (canary + stable) / np.maximum(n_c + n_s, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        x2 = np.nan_to_num((canary - n_c * rate) ** 2 / (n_c * rate)) + np.nan_to_num(
            (stable - n_s * rate) ** 2 / (n_s * rate)
        )
    return _first(x2.sum(axis=2) > _CHI_SQUARED)


def _windows(seen: Histograms) -> tuple[Counts, Counts]:
    rows = round(_WINDOW_SECONDS / seen.seconds)
    return per_period(seen.canary, rows), per_period(seen.stable, rows)


def _first(alarms: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Floats:
    times: Floats = np.where(alarms.any(axis=0), (alarms.argmax(axis=0) + 1) * _WINDOW_SECONDS, NEVER)
    return times
