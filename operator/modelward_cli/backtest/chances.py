"""Chances of counts, without a library: the binomial distribution, and bounds of a share."""

from collections.abc import Sequence
from math import ceil


def at_most(hits: int, number: int, share: float) -> float:
    """The probability of at most `hits` out of `number`: the binomial distribution, summed up."""
    if share >= 1:
        return float(hits >= number)
    term = (1 - share) ** number
    total = term
    for k in range(1, hits + 1):
        term *= (number - k + 1) / k * share / (1 - share)
        total += term
    return min(1.0, total)


def upper_bound(hits: int, number: int, significance: float = 0.05) -> float:
    """The largest share with which so few hits are not yet unlikely (Clopper and Pearson 1934, one-sided)."""
    low, high = hits / number, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if at_most(hits, number, middle) > significance else (low, middle)
    return high


def rank(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed."""
    return sorted(values)[max(0, ceil(share * len(values)) - 1)]
