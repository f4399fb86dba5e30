"""Many inputs for one target, the same ones for the same seed."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from fuzz.finding import Finding, Target, tried

LENGTHS: Final = (16, 64, 256, 1024, 4096)
MOST_SORTS: Final = 20
"""Findings that are kept; one of a sort."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one target."""

    target: str
    inputs: int
    seconds: float
    failures: int
    """Inputs with a finding."""
    findings: tuple[Finding, ...] = field(default=())
    """The first of each sort."""

    @property
    def per_second(self) -> float:
        """Inputs a second."""
        return self.inputs / self.seconds if self.seconds else 0.0


def input_of(seed: int, target: str, number: int) -> bytes:
    """The input of this number: it depends on nothing else."""
    draw = random.Random(f"{seed}/{target}/{number}")
    return draw.randbytes(draw.randrange(draw.choice(LENGTHS)))


def campaign(
    name: str, target: Target, inputs: int, seed: int, progress: Callable[[int], None] = lambda _: None
) -> Outcome:
    """Try so many inputs; `progress` is reported now and then how many were tried."""
    began = time.monotonic()
    findings: dict[str, Finding] = {}
    failures = 0
    for number in range(inputs):
        found = tried(target, input_of(seed, name, number))
        if found is not None:
            failures += 1
            if len(findings) < MOST_SORTS:
                findings.setdefault(found.sort, found)
        if number % 1000 == 999:
            progress(number + 1)
    return Outcome(
        target=name,
        inputs=inputs,
        seconds=time.monotonic() - began,
        failures=failures,
        findings=tuple(findings.values()),
    )
