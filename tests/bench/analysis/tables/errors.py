"""Errors of the canary: time to rollback and bad requests (G6, G7, G10), beside the least possible time (G8)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.analysis import kayenta, rivals
from bench.analysis.bound import bound, information
from bench.analysis.engine import Rule, engine
from bench.analysis.found import Found
from bench.analysis.report import Goal, Outcome, Table
from bench.analysis.run import Run
from bench.analysis.traffic import Load, arms

EFFECTS: Final = ((0.001, 0.005), (0.01, 0.02), (0.001, 0.05), (0.001, 0.5), (0.001, 1.0))
RPS: Final = (1.0, 10.0, 100.0, 1000.0)
WEIGHTS: Final = (0.1, 0.05, 0.5)
_ENGINE: Final = "engine"
_BOUND_EFFECTS: Final = ((0.001, 0.005), (0.01, 0.02), (0.001, 0.05), (0.01, 0.05))
_BOUND_SECONDS: Final = 300.0
_BOUND_HORIZONS: Final = 25
"""Mean times need an end far away: 25 times the bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One cell."""

    load: Load
    rivals: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Caught:
    """How one judge did in one cell."""

    found: Found
    bad: float
    """Median of the canary's errors until the rollback, or in half an hour."""


Cell = dict[str, Caught]


def measure(case: Case, rollouts: int, rng: np.random.Generator) -> Cell:
    """Time and bad requests of one cell, by judge."""
    judges = {_ENGINE: engine()}
    if case.rivals:
        judges = {
            "Flagger": rivals.flagger,
            "Argo 1m": rivals.argo,
            "Argo 5m": rivals.argo_example,
            "Kayenta": kayenta.judge(rng),
            "naive z": rivals.z_test,
            "Bayes 0.99": rivals.bayes,
            "Netflix": rivals.netflix,
            **judges,
        }
    seen = arms(case.load, rollouts, rng)
    times = {name: judge(seen) for name, judge in judges.items()}
    return {
        name: Caught(found=Found.of(when), bad=float(np.median(seen.bad_until(when))))
        for name, when in times.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundCase:
    """A load whose bound is 300 s, and how the judge is set."""

    load: Load
    rule: Rule
    share: float


def ratio_to_bound(case: BoundCase, rollouts: int, rng: np.random.Generator) -> float:
    """Mean time over the bound; what is never found counts as the whole horizon."""
    seen = arms(case.load, rollouts, rng)
    times = engine(case.rule, share=case.share)(seen)
    return float(np.minimum(times, case.load.horizon).mean()) / bound(case.load, case.rule.margin)


def bound_cases(poll: float, margin: float, share: float) -> list[BoundCase]:
    """Twelve pairs of effect and weight; those that would need less than a request per second are left out."""
    cases = []
    for stable, canary in _BOUND_EFFECTS:
        for weight in WEIGHTS:
            unit = Load(rps=1.0, weight=weight, stable=stable, canary=canary)
            rps = float(np.log(100.0)) / (information(unit, margin) * _BOUND_SECONDS)
            horizon = _BOUND_HORIZONS * _BOUND_SECONDS
            load = Load(rps=rps, weight=weight, stable=stable, canary=canary, poll=poll, horizon=horizon)
            if rps >= 1.0:
                cases.append(BoundCase(load=load, rule=Rule(margin=margin), share=share))
    return cases


def outcome(run: Run) -> Outcome:
    """The table of 4.2 in every weight, and its goals."""
    loads = [
        Load(rps=rps, weight=weight, stable=stable, canary=canary, poll=run.poll)
        for weight in WEIGHTS
        for stable, canary in EFFECTS
        for rps in RPS
    ]
    cells = dict(
        zip(
            loads,
            run.map(measure, [Case(load=load, rivals=run.rivals) for load in loads], share=0.2),
            strict=True,
        )
    )
    ratios = {
        (margin, share): run.map(ratio_to_bound, bound_cases(run.poll, margin, share), share=0.05)
        for share in (0.5, 1.0)
        for margin in (1.0, 1.25)
    }
    tables = tuple(_table(run, weight, cells) for weight in WEIGHTS)
    return Outcome(
        tables=(*tables, _bound_table(ratios)),
        goals=(*speed_goals(cells), *_slow_goals(cells), _bound_goal(ratios), *_bad_goals(cells)),
    )


def quick(run: Run) -> Outcome:
    """G6 alone."""
    severe = ((0.05, 10.0), (0.05, 100.0), (0.05, 1000.0), (1.0, 1.0))
    loads = [Load(rps=rps, weight=0.1, stable=0.001, canary=canary, poll=run.poll) for canary, rps in severe]
    cells = run.map(measure, [Case(load=load, rivals=False) for load in loads])
    return Outcome(goals=speed_goals(dict(zip(loads, cells, strict=True))))


def _table(run: Run, weight: float, cells: dict[Load, Cell]) -> Table:
    chosen = {load: cell for load, cell in cells.items() if load.weight == weight}
    names = list(next(iter(chosen.values())))
    rows = []
    for load, cell in chosen.items():
        bad = " / ".join(f"{cell[name].bad:,.0f}" for name in ("Flagger", "Argo 1m", _ENGINE) if name in cell)
        bounds = f"{bound(load, 1.0):.0f} / {bound(load, 1.25):.0f}"
        effect = f"{100 * load.stable:g} -> {100 * load.canary:g} %"
        rows.append((effect, f"{load.rps:g}", bounds, *(cell[name].found.times for name in names), bad))
    bad_header = "bad requests Flagger / Argo / engine" if "Flagger" in names else "bad requests"
    return Table(
        title=f"Errors, canary weight {100 * weight:g} %: median/p95 in s, {run.some(0.2):,} rollouts",
        header=("error rate", "rps", "bound r=1 / 1.25", *names, bad_header),
        rows=tuple(rows),
    )


def find(cells: dict[Load, Cell], *, canary: float, rps: float, stable: float = 0.001) -> Cell:
    """The cell at 10 % weight."""
    return next(
        cell
        for load, cell in cells.items()
        if (load.stable, load.canary, load.rps, load.weight) == (stable, canary, rps, 0.1)
    )


def _timed(number: str, what: str, found: Sequence[Found], median: float, p95: float) -> Goal:
    worst = max(found, key=lambda cell: (cell.p95, cell.median))
    ok = all(cell.median <= median and cell.p95 <= p95 for cell in found)
    return Goal(number=number, target=f"{what}: <= {median:g}/{p95:g} s", measured=f"{worst.times} s", ok=ok)


def speed_goals(cells: dict[Load, Cell]) -> tuple[Goal, ...]:
    """G6: severe regressions."""
    at_10 = [find(cells, canary=0.05, rps=10.0)[_ENGINE].found]
    fast = [find(cells, canary=0.05, rps=rps)[_ENGINE].found for rps in (100.0, 1000.0)]
    broken = [find(cells, canary=1.0, rps=1.0)[_ENGINE].found]
    return (
        _timed("G6", "0.1 -> 5 %, 10 rps, 10 %", at_10, 120, 240),
        _timed("G6", "0.1 -> 5 %, >= 100 rps, 10 %", fast, 30, 45),
        _timed("G6", "100 % broken, 1 rps, 10 %", broken, 75, 120),
    )


def _slow_goals(cells: dict[Load, Cell]) -> tuple[Goal, ...]:
    small = [find(cells, canary=0.005, rps=100.0)[_ENGINE].found]
    double = [find(cells, stable=0.01, canary=0.02, rps=1000.0)[_ENGINE].found]
    return (
        _timed("G7", "0.1 -> 0.5 %, 100 rps, 10 %", small, 330, 660),
        _timed("G7", "1 -> 2 %, 1000 rps, 10 %", double, 75, 135),
    )


def _bound_table(ratios: dict[tuple[float, float], list[float]]) -> Table:
    rows = tuple(
        (f"{margin:g}", f"{share:g}", f"{min(values):.2f}-{max(values):.2f}", f"{len(values)}")
        for (margin, share), values in ratios.items()
    )
    return Table(
        title="Mean time over the bound, where the bound is 300 s",
        header=("margin", "weight of the metric", "ratio", "pairs"),
        rows=rows,
    )


def _bound_goal(ratios: dict[tuple[float, float], list[float]]) -> Goal:
    default = max(max(values) for (_, share), values in ratios.items() if share == 0.5)
    alone = max(max(values) for (_, share), values in ratios.items() if share == 1.0)
    return Goal(
        number="G8",
        target="mean time <= 2.0 x bound; one metric <= 1.8 x",
        measured=f"{default:.2f}; {alone:.2f}",
        ok=default <= 2.0 and alone <= 1.8,
    )


def _bad_goals(cells: dict[Load, Cell]) -> tuple[Goal, ...]:
    """G10, where the rivals were run on the same traffic."""
    severe = [(0.05, 100.0), (0.05, 1000.0), *((canary, rps) for canary in (0.5, 1.0) for rps in RPS[1:])]
    chosen = [find(cells, canary=canary, rps=rps) for canary, rps in severe]
    if "Flagger" not in chosen[0]:
        return ()
    flagger = min(cell["Flagger"].bad / cell[_ENGINE].bad for cell in chosen)
    argo = min(cell["Argo 1m"].bad / cell[_ENGINE].bad for cell in chosen)
    at_10 = find(cells, canary=0.05, rps=10.0)
    small = at_10["Flagger"].bad / at_10[_ENGINE].bad
    return (
        Goal(
            number="G10",
            target="bad requests, severe: <= 1/8 of Flagger, <= 1/6 of Argo",
            measured=f"1/{flagger:.1f}, 1/{argo:.1f}",
            ok=flagger >= 8 and argo >= 6,
        ),
        Goal(
            number="G10",
            target="bad requests, 0.1 -> 5 % at 10 rps, 10 %: <= 1/3 of Flagger",
            measured=f"1/{small:.1f}",
            ok=small >= 3,
        ),
    )
