"""What to expect at the load that a small test cluster carries, for comparison with real servers."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.analysis.engine import Compared, rolled_back
from bench.analysis.found import Found
from bench.analysis.latency import Times, histograms, latency_tests
from bench.analysis.report import Outcome, Table
from bench.analysis.run import Run
from bench.analysis.traffic import Load, arms

RPS: Final = (50.0, 60.0, 100.0, 150.0)
PHIS: Final = (1.0, 1.2, 2.0)
"""As proven; an hour of history without noise; no history."""
CHANGES: Final = (
    ("errors 0.1 -> 5 %", 0.05, Times(name="alike")),
    ("latency x 2", 0.001, Times(name="x 2", factor=2.0)),
    ("A/A", 0.001, Times(name="alike")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One cell at 10 % weight, judged by errors and latency."""

    name: str
    canary: float
    times: Times
    rps: float
    phi: float
    poll: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Caught:
    """Time since the canary's first request, and failed requests until then."""

    found: Found
    failed: tuple[float, float]
    """Median and 95th percentile."""


def measure(case: Case, rollouts: int, rng: np.random.Generator) -> Caught:
    """One cell."""
    load = Load(rps=case.rps, weight=0.1, stable=0.001, canary=case.canary, poll=case.poll, horizon=900.0)
    seen = arms(load, rollouts, rng)
    slow = histograms(case.times, rollouts, rng, rps=case.rps, poll=case.poll, horizon=load.horizon)
    times = rolled_back([Compared(arms=seen, phi=case.phi), *latency_tests(slow, phi=case.phi)])
    failed = seen.bad_until(times)
    return Caught(found=Found.of(times), failed=(float(np.median(failed)), float(np.quantile(failed, 0.95))))


def outcome(run: Run) -> Outcome:
    """A table; no goal. Nothing is added for the reading of the pods and for taking the weight away."""
    cases = [
        Case(name=name, canary=canary, times=times, rps=rps, phi=phi, poll=run.poll)
        for name, canary, times in CHANGES
        for rps in RPS
        for phi in PHIS
    ]
    cells = run.map(measure, cases, share=0.1)
    rows = tuple(_row(case, cell) for case, cell in zip(cases, cells, strict=True))
    title = f"Errors and latency at a small load, weight 10 %, 15 min: {run.some(0.1):,} rollouts"
    header = ("change", "rps", "phi", "median/p95 in s", "failed requests, median/p95")
    return Outcome(tables=(Table(title=title, header=header, rows=rows),))


def _row(case: Case, cell: Caught) -> tuple[str, ...]:
    words = f"{cell.found.percent} % false" if case.name == "A/A" else cell.found.times
    return (case.name, f"{case.rps:g}", f"{case.phi:g}", words, f"{cell.failed[0]:.0f}/{cell.failed[1]:.0f}")
