"""How a measurement is run: which seeds, how many rollouts, on how many processors."""

import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

C = TypeVar("C")
R = TypeVar("R")

Measure = Callable[[C, int, np.random.Generator], R]
"""A case, a number of rollouts, a source of chance: a result that can be sent to another process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run."""

    seed: int
    rollouts: int = 10_000
    """Of the measurements that look for rare events; the others take a share of it."""
    poll: float = 15.0
    jobs: int = 1
    rivals: bool = True
    """Whether they are judged, too."""

    def some(self, share: float) -> int:
        """A share of the rollouts, at least 100 (or all)."""
        return max(min(100, self.rollouts), round(share * self.rollouts))

    def map(self, measure: Measure[C, R], cases: Sequence[C], share: float = 1.0) -> list[R]:
        """The result of every case. Each has its own stream of chance, whatever else is run."""
        name = f"{measure.__module__}.{measure.__qualname__} {self.poll}"
        streams = [
            np.random.default_rng([self.seed, zlib.crc32(f"{name} {number}".encode())])
            for number in range(len(cases))
        ]
        rollouts = [self.some(share)] * len(cases)
        if self.jobs == 1:
            return list(map(measure, cases, rollouts, streams))
        with ProcessPoolExecutor(self.jobs) as pool:
            return list(pool.map(measure, cases, rollouts, streams))
