"""Overdispersion of stable's pods before the rollout, many rollouts at once."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from bench.analysis.arrays import Counts, Flags, Floats
from bench.analysis.rivals import per_period

BLOCK_SECONDS: Final = (5.0, 15.0, 60.0, 300.0)
HALF_LIFE_SECONDS: Final = 1800.0
WITHOUT_HISTORY: Final = 2.0
_PRIOR_X2: Final = 40.0
_PRIOR_FREEDOM: Final = 20.0
_INFLATION: Final = 24.0
_HALF_INFLATION: Final = 16.0
_BLOCKS_OF_CLUMPS: Final = 6
_FIRST_FREEDOM: Final = 4.0
_CHANCE: Final = 0.5
_CHANCE_IN_LONGEST: Final = 1.0


def calibrated(n: Counts, e: Counts, seconds: float, half_life: float | None = None) -> Floats:
    """phi of each rollout from [polls, pods, rollouts], `seconds` apart: the largest of all lengths of blocks.

    Lengths below the distance of polls fall together. With `half_life` (seconds) old blocks count less.
    """
    rows = sorted({max(1, round(length / seconds)) for length in BLOCK_SECONDS})
    halves = [seconds * length / half_life if half_life else 0.0 for length in rows]
    sums = [dispersion(n, e, length, half) for length, half in zip(rows, halves, strict=True)]
    return _known(sums, [True] * len(rows), sums[-1][1] > 0, n.shape[1])


def learnt(n: Counts, e: Counts, seconds: float, before: int = 0) -> Floats:
    """phi after each poll of a rollout, [polls, rollouts]; the first `before` polls are of the time before it.

    Blocks count up to the first length that is no shorter than the rollout has lasted.
    """
    now = np.arange(before + 1, len(n) + 1)
    rows = sorted({max(1, round(length / seconds)) for length in BLOCK_SECONDS})
    summed = [np.concatenate([np.zeros_like(each[:1]), np.cumsum(each, axis=0)]) for each in (n, e)]
    sums = []
    for length in rows:
        closed, begun = now // length, now // length * length
        still_open = _of_rows(*(_open(each, now, begun, length) for each in summed))
        none = np.zeros((1, n.shape[2]))
        over = [np.cumsum(np.concatenate([none, each]), axis=0)[closed] for each in _scatter(n, e, length)]
        x2, freedom = (closed_ones + more for closed_ones, more in zip(over, still_open, strict=True))
        sums.append((x2, freedom))
    lasted = (now - before)[:, None]
    return _known(sums, [lasted > shorter for shorter in (0, *rows)], over[1] > 0, n.shape[1])


def _open(summed: Counts, now: Counts, begun: Counts, length: int) -> Counts:
    """Counts of the block that is open at each poll; a single pod stands beside itself in the block before."""
    counts = summed[now] - summed[begun]
    if counts.shape[1] > 1:
        return counts
    before = summed[begun] - summed[np.maximum(0, begun - length)]
    return np.concatenate([counts, before], axis=1)


def _known(
    sums: Sequence[tuple[Floats, Floats]], counting: Sequence[Flags | bool], over: Flags, pods: int
) -> Floats:
    """phi from X2 and degrees of freedom of each length, the shortest first; whether it counts, and one of the longest is over."""
    first, *longer = sums
    usual: Floats = _shrunk(*first)
    half_of_clumps = max(_HALF_INFLATION, _BLOCKS_OF_CLUMPS * (pods - 1))
    phi: Floats = _inflated(*first, np.ones_like(usual), half_of_clumps, _CHANCE)
    for number, (x2, freedom) in enumerate(longer, 1):
        chance = np.where(over, _CHANCE_IN_LONGEST, _CHANCE) if number == len(longer) else _CHANCE
        of_length = _inflated(x2, freedom, usual, _HALF_INFLATION, chance)
        phi = np.where(counting[number], np.maximum(phi, of_length), phi)
    return phi


def _shrunk(x2: Floats, freedom: Floats) -> Floats:
    shrunk: Floats = (np.maximum(x2, freedom) + _PRIOR_X2) / (freedom + _PRIOR_FREEDOM)
    return shrunk


def _inflated(x2: Floats, freedom: Floats, usual: Floats, half: float, chance: Floats | float) -> Floats:
    known = freedom + _FIRST_FREEDOM
    mark_inflated = _INFLATION / (1.0 + (known / half) ** 2)
    by_chance = (freedom + chance * np.sqrt(2.0 * freedom)) * usual
    inflated: Floats = _shrunk(x2, freedom) + mark_inflated * np.maximum(0.0, x2 - by_chance) / known
    return inflated


def dispersion(n: Counts, e: Counts, rows: int, half_lives: float = 0.0) -> tuple[Floats, Floats]:
    """Pearson's chi-squared and its degrees of freedom over all blocks, pods against their common rate.

    A block lasts so many `half_lives`; the last one counts fully.
    """
    x2, freedom = _scatter(n, e, rows)
    counted = 0.5 ** (half_lives * np.arange(len(x2))[::-1, None])
    return (counted * x2).sum(axis=0), (counted * freedom).sum(axis=0)


def _scatter(n: Counts, e: Counts, rows: int) -> tuple[Floats, Floats]:
    """X2 and its degrees of freedom, [blocks, rollouts]. A single pod is compared with itself a block before."""
    n, e = per_period(n, rows), per_period(e, rows)
    if n.shape[1] == 1:
        n, e = (np.concatenate([each, np.roll(each, 1, axis=0)], axis=1) for each in (n, e))
        n[:1] = 0
    return _of_rows(n, e)


def _of_rows(n: Counts, e: Counts) -> tuple[Floats, Floats]:
    """The same of counts that are summed by block already."""
    requests, hits = n.sum(axis=1), e.sum(axis=1)
    informative = (hits > 0) & (hits < requests)
    rate = np.where(informative, hits / np.maximum(requests, 1), 0.5)[:, None]
    expected = n * rate
    squares = np.where(n > 0, (e - expected) ** 2 / np.where(n > 0, expected * (1.0 - rate), 1.0), 0.0)
    x2 = np.where(informative, squares.sum(axis=1), 0.0)
    freedom = np.where(informative, (n > 0).sum(axis=1) - 1, 0).astype(np.float64)
    return x2, freedom
