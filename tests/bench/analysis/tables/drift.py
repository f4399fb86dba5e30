"""Predictions that drift (G12)."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.analysis import scores
from bench.analysis.arrays import Floats
from bench.analysis.found import Found, percent
from bench.analysis.report import Goal, Outcome, Table
from bench.analysis.run import Run

RPS: Final = (1.0, 10.0, 100.0)
ALIKE: Final = "A/A"
COMMON: Final = "both arms drift by 0.5 sd"
CONSTANT: Final = "constant output"
_SHIFTS: Final = {"shift 1 sd": 1.0, "shift 0.5 sd": 0.5, "shift 0.1 sd": 0.1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One cell."""

    name: str
    rps: float
    poll: float


def _shares(case: Case) -> tuple[Floats, Floats]:
    """Shares of the buckets for canary and stable."""
    stable = scores.shifted(0.0)
    if case.name == COMMON:
        steps = np.linspace(0.0, 0.5, round(1800.0 / case.poll))
        drifting = np.stack([scores.shifted(step) for step in steps])[:, None, :]
        return drifting, drifting
    if case.name == CONSTANT:
        return scores.constant(), stable
    return scores.shifted(_SHIFTS.get(case.name, 0.0)), stable


def measure(case: Case, rollouts: int, rng: np.random.Generator) -> dict[str, Found]:
    """Times of one cell, by judge."""
    canary, stable = _shares(case)
    seen = scores.score_counts(canary, stable, rollouts, rng, rps=case.rps, poll=case.poll)
    return {
        "PSI 0.2": Found.of(scores.psi(seen)),
        "PSI 0.2, fixed reference": Found.of(scores.psi_fixed(seen)),
        "chi-squared 5 %": Found.of(scores.chi_squared(seen)),
        "engine": Found.of(scores.engine_scores(seen)),
    }


def outcome(run: Run) -> Outcome:
    """The table of drift and G12."""
    names = (ALIKE, COMMON, CONSTANT, *_SHIFTS)
    cases = [Case(name=name, rps=rps, poll=run.poll) for name in names for rps in RPS]
    cells = dict(zip(cases, run.map(measure, cases, share=0.1), strict=True))
    rows = tuple(
        (case.name, f"{case.rps:g}", *(_words(case, found) for found in cell.values()))
        for case, cell in cells.items()
    )
    title = f"Drift of scores in 10 buckets, weight 10 %: median/p95 in s, {run.some(0.1):,} rollouts"
    table = Table(title=title, header=("change", "rps", *next(iter(cells.values()))), rows=rows)
    return Outcome(tables=(table,), goals=_goals(run, cells))


def _words(case: Case, found: Found) -> str:
    return f"{found.percent} %" if case.name in {ALIKE, COMMON} else found.times


def _goals(run: Run, cells: dict[Case, dict[str, Found]]) -> tuple[Goal, ...]:
    def at(name: str, rps: float) -> Found:
        return cells[Case(name=name, rps=rps, poll=run.poll)]["engine"]

    alike, constant = at(ALIKE, 1.0), at(CONSTANT, 1.0)
    common = max(at(COMMON, rps).share for rps in RPS)
    return (
        Goal(
            number="G12",
            target="drift: A/A at 1 rps <= 0.1 %; in both arms <= 0.1 %",
            measured=f"{alike.percent} %; {percent(common)} % of {alike.rollouts:,}",
            ok=alike.share <= 0.001 and common <= 0.001,
        ),
        Goal(
            number="G12",
            target="constant output at 1 rps: <= 150/240 s",
            measured=f"{constant.times} s",
            ok=constant.median <= 150 and constant.p95 <= 240,
        ),
    )
