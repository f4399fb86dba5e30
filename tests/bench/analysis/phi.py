"""Overdispersion of stable's pods before the rollout, many rollouts at once."""

from typing import Final

import numpy as np

from bench.analysis.arrays import Counts, Floats
from bench.analysis.rivals import per_period

BLOCK_SECONDS: Final = (5.0, 15.0, 60.0, 300.0)
HALF_LIFE_SECONDS: Final = 1800.0
WITHOUT_HISTORY: Final = 2.0
_PRIOR_X2: Final = 40.0
_PRIOR_FREEDOM: Final = 20.0


def calibrated(n: Counts, e: Counts, seconds: float, half_life: float | None = None) -> Floats:
    """phi of each rollout from [polls, pods, rollouts], `seconds` apart: the largest of all lengths of blocks.

    Lengths below the distance of polls fall together. With `half_life` (seconds) old blocks count less.
    """
    rows = sorted({max(1, round(length / seconds)) for length in BLOCK_SECONDS})
    halves = [seconds * length / half_life if half_life else 0.0 for length in rows]
    phis = [dispersion(n, e, length, half) for length, half in zip(rows, halves, strict=True)]
    phi: Floats = np.maximum(1.0, np.max(phis, axis=0))
    return phi


def dispersion(n: Counts, e: Counts, rows: int, half_lives: float = 0.0) -> Floats:
    """Pearson's chi-squared over its degrees of freedom, pods against their common rate, shrunk towards 2.

    A block lasts so many `half_lives`; the last one counts fully.
    """
    n, e = per_period(n, rows), per_period(e, rows)
    requests, hits = n.sum(axis=1), e.sum(axis=1)
    informative = (hits > 0) & (hits < requests)
    rate = np.where(informative, hits / np.maximum(requests, 1), 0.5)[:, None]
    expected = n * rate
    squares = np.where(n > 0, (e - expected) ** 2 / np.where(n > 0, expected * (1.0 - rate), 1.0), 0.0)
    counted = 0.5 ** (half_lives * np.arange(len(n))[::-1, None])
    x2 = (counted * np.where(informative, squares.sum(axis=1), 0.0)).sum(axis=0)
    freedom = (counted * np.where(informative, (n > 0).sum(axis=1) - 1, 0)).sum(axis=0)
    phi: Floats = (x2 + _PRIOR_X2) / (freedom + _PRIOR_FREEDOM)
    return phi
