"""Latency of the canary (G11)."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.analysis import kayenta, rivals
from bench.analysis.engine import rolled_back
from bench.analysis.found import Found, percent
from bench.analysis.latency import Times, bands, flagger_p99, histograms, latency_tests, quantile_99
from bench.analysis.report import Goal, Outcome, Table
from bench.analysis.run import Run

ALIKE: Final = Times(name="A/A")
HALF: Final = Times(name="+50 %", factor=1.5)
DOUBLE: Final = Times(name="x 2", factor=2.0)
CHANGES: Final = (
    ALIKE,
    Times(name="+20 %", factor=1.2),
    HALF,
    DOUBLE,
    Times(name="2 % take 0.9 s", slow=0.02),
)
RPS: Final = (1.0, 10.0, 100.0, 1000.0)
_ENGINE: Final = "engine"
_MINUTE: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One cell at 10 % weight."""

    times: Times
    rps: float
    poll: float
    rivals: bool


def measure(case: Case, rollouts: int, rng: np.random.Generator) -> dict[str, Found]:
    """Times of one cell, by judge."""
    seen = histograms(case.times, rollouts, rng, rps=case.rps, poll=case.poll)
    times = {_ENGINE: rolled_back(latency_tests(seen))}
    if case.rivals:
        minute = round(_MINUTE / case.poll)
        p99 = [quantile_99(rivals.per_period(counts, minute)) for counts in (seen.canary, seen.stable)]
        times = {
            "Flagger 500 ms": flagger_p99(seen, 500.0),
            "Flagger 350 ms": flagger_p99(seen, 350.0),
            "Kayenta p99": kayenta.kayenta_on(p99[0], p99[1], rng),
            "KS bands": bands(seen),
            **times,
        }
    return {name: Found.of(when) for name, when in times.items()}


def outcome(run: Run) -> Outcome:
    """The table of 4.3 and G11."""
    cases = [Case(times=times, rps=rps, poll=run.poll, rivals=run.rivals) for times in CHANGES for rps in RPS]
    cells = dict(zip(cases, run.map(measure, cases, share=0.1), strict=True))
    rows = tuple(
        (case.times.name, f"{case.rps:g}", *(_words(case, found) for found in cell.values()))
        for case, cell in cells.items()
    )
    title = f"Latency (log-normal, median 60 ms, p99 306 ms), weight 10 %: median/p95 in s, {run.some(0.1):,} rollouts"
    table = Table(title=title, header=("change", "rps", *next(iter(cells.values()))), rows=rows)
    return Outcome(tables=(table,), goals=_goals(run, cells))


def _words(case: Case, found: Found) -> str:
    return f"{found.percent} %" if case.times == ALIKE else found.times


def _goals(run: Run, cells: dict[Case, dict[str, Found]]) -> tuple[Goal, ...]:
    double = cells[Case(times=DOUBLE, rps=10.0, poll=run.poll, rivals=run.rivals)][_ENGINE]
    half = cells[Case(times=HALF, rps=10.0, poll=run.poll, rivals=run.rivals)][_ENGINE]
    alike = max(cell[_ENGINE].share for case, cell in cells.items() if case.times == ALIKE)
    return (
        Goal(
            number="G11",
            target="latency x 2, 10 rps, 10 %: <= 75/120 s; +50 %: <= 210/360 s",
            measured=f"{double.times}; {half.times} s",
            ok=double.median <= 75 and double.p95 <= 120 and half.median <= 210 and half.p95 <= 360,
        ),
        Goal(
            number="G11",
            target="latency A/A: <= 0.2 %",
            measured=f"worst {percent(alike)} %",
            ok=alike <= 0.002,
        ),
    )
