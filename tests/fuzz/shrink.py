"""A smaller input with a finding of the same sort: bytes taken away, and made smaller, as long as it stays."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fuzz.finding import Finding, Target, tried

MOST_ATTEMPTS: Final = 3000


@dataclass(slots=True)
class _Budget:
    left: int


def smaller(target: Target, finding: Finding, attempts: int = MOST_ATTEMPTS) -> Finding:
    """The smallest such finding that is found within so many attempts."""
    best, budget = finding, _Budget(attempts)
    while (found := _next(target, best, budget)) is not None:
        best = found
    return best


def _next(target: Target, best: Finding, budget: _Budget) -> Finding | None:
    """One that is simpler, or None: there is none nearby, or the budget is used up."""
    for data in _simpler(best.data):
        if budget.left <= 0:
            return None
        budget.left -= 1
        found = tried(target, data)
        if found is not None and found.sort == best.sort:
            return found
    return None


def _simpler(data: bytes) -> Iterator[bytes]:
    """Shorter ones first, then those of the same length with smaller bytes."""
    size = len(data)
    while size:
        for start in range(0, len(data), size):
            yield data[:start] + data[start + size :]
        size //= 2
    for index, byte in enumerate(data):
        for value in {0, byte // 2, byte - 1}:
            if 0 <= value < byte:
                yield data[:index] + bytes([value]) + data[index + 1 :]
