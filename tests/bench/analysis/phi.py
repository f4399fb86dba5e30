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
    """phi of each rollout from [looks, pods, rollouts], `seconds` apart: the largest of all lengths of blocks.

    Lengths below the distance of looks fall together. With `half_life` (seconds) old blocks count less.
    """
    rows = sorted({max(1, round(length / seconds)) for length in BLOCK_SECONDS})
    halves = [seconds * length / half_life if half_life else 0.0 for length in rows]
    phis = [dispersion(n, e, length, half) for length, half in zip(rows, halves, strict=True)]
    phi: Floats = np.maximum(1.0, np.max(phis, axis=0))
    return phi


def learnt(n: Counts, e: Counts, seconds: float, before: int = 0) -> Floats:
    """phi after each look of a rollout, [looks, rollouts]; the first `before` looks are of the time before it."""
    rows = sorted({max(1, round(length / seconds)) for length in BLOCK_SECONDS})
    looks = len(n) - before
    phi = np.ones((looks, n.shape[2]))
    for length in rows:
        x2, freedom = _scatter(n, e, length)
        none = np.zeros((1, n.shape[2]))
        x2, freedom = (np.cumsum(np.concatenate([none, each]), axis=0) for each in (x2, freedom))
        closed = (before + 1 + np.arange(looks)) // length
        phi = np.maximum(phi, (x2[closed] + _PRIOR_X2) / (freedom[closed] + _PRIOR_FREEDOM))
    return phi


def dispersion(n: Counts, e: Counts, rows: int, half_lives: float = 0.0) -> Floats:
    """Pearson's chi-squared over its degrees of freedom, pods against their common rate, shrunk towards 2.

    A block lasts so many `half_lives`; the last one counts fully.
    """
    x2, freedom = _scatter(n, e, rows)
    counted = 0.5 ** (half_lives * np.arange(len(x2))[::-1, None])
    phi: Floats = ((counted * x2).sum(axis=0) + _PRIOR_X2) / (
        (counted * freedom).sum(axis=0) + _PRIOR_FREEDOM
    )
    return phi


def _scatter(n: Counts, e: Counts, rows: int) -> tuple[Floats, Floats]:
    """X2 and its degrees of freedom, [blocks, rollouts]. A single pod is compared with itself a block before."""
    n, e = per_period(n, rows), per_period(e, rows)
    if n.shape[1] == 1:
        n, e = (np.concatenate([each, np.roll(each, 1, axis=0)], axis=1) for each in (n, e))
        n[:1] = 0
    requests, hits = n.sum(axis=1), e.sum(axis=1)
    telling = (hits > 0) & (hits < requests)
    rate = np.where(telling, hits / np.maximum(requests, 1), 0.5)[:, None]
    expected = n * rate
    squares = np.where(n > 0, (e - expected) ** 2 / np.where(n > 0, expected * (1.0 - rate), 1.0), 0.0)
    x2 = np.where(telling, squares.sum(axis=1), 0.0)
    freedom = np.where(telling, (n > 0).sum(axis=1) - 1, 0).astype(np.float64)
    return x2, freedom
