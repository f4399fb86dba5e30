"""A/A: the canary is identical to stable, so that every rollback is false (G2, G3)."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.analysis import kayenta, rivals
from bench.analysis.arrays import Floats
from bench.analysis.engine import Compared, engine, rolled_back
from bench.analysis.found import Found, percent
from bench.analysis.latency import Times, histograms, latency_tests
from bench.analysis.report import Goal, Outcome, Table
from bench.analysis.rivals import Judge
from bench.analysis.run import Run
from bench.analysis.traffic import Load, arms, chunks

RATES: Final = (0.001, 0.005, 0.01)
RPS: Final = (1.0, 10.0, 100.0, 1000.0)
WEIGHTS: Final = (0.05, 0.1, 0.5)
SLOW_RIVALS: Final = 2000
"""Most rollouts for the rules that take long to simulate."""
_HOUR: Final = 3600.0
_MARGIN: Final = 1.25
ENGINE: Final = "engine"
ALONE: Final = "engine, one metric"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One cell."""

    load: Load
    rivals: bool


def odds_times(rate: float, ratio: float) -> float:
    """The rate whose odds are so many times those of another."""
    odds = ratio * rate / (1.0 - rate)
    return odds / (1.0 + odds)


def cells(poll: float, *, ratio: float = 1.0, horizon: float = 1800.0) -> list[Load]:
    """Every rate, load and weight."""
    return [
        Load(rps=rps, weight=weight, stable=rate, canary=odds_times(rate, ratio), poll=poll, horizon=horizon)
        for rate in RATES
        for rps in RPS
        for weight in WEIGHTS
    ]


def judges(*, with_rivals: bool) -> dict[str, Judge]:
    """The quick ones, by name."""
    ours = {ENGINE: engine(), ALONE: engine(share=1.0)}
    others = {
        "Flagger": rivals.flagger,
        "Argo 1m": rivals.argo,
        "Argo 5m": rivals.argo_example,
        "naive z": rivals.z_test,
        "Netflix": rivals.netflix,
    }
    return {**(others if with_rivals else {}), **ours}


def measure(case: Case, rollouts: int, rng: np.random.Generator) -> dict[str, Found]:
    """False rollbacks of one cell, by judge."""
    times: dict[str, list[Floats]] = defaultdict(list)
    for number, size in enumerate(chunks(rollouts)):
        seen = arms(case.load, size, rng)
        chosen = judges(with_rivals=case.rivals)
        if case.rivals and number == 0:
            chosen |= {"Kayenta": kayenta.judge(rng), "Bayes 0.99": rivals.bayes}
        for name, judge in chosen.items():
            times[name].append(judge(seen))
    return {name: Found.of(np.concatenate(parts)) for name, parts in times.items()}


def four_metrics(load: Load, rollouts: int, rng: np.random.Generator) -> Found:
    """False rollbacks with errors, latency and two more ratios, weighted as by default."""
    times = []
    for size in chunks(rollouts):
        slow = histograms(
            Times(name="alike"),
            size,
            rng,
            rps=load.rps,
            weight=load.weight,
            poll=load.poll,
            horizon=load.horizon,
        )
        more = [
            Load(rps=load.rps, weight=load.weight, stable=rate, canary=rate, poll=load.poll)
            for rate in (0.01, 0.2)
        ]
        tests = [
            Compared(arms=arms(load, size, rng)),
            *latency_tests(slow, share=1 / 6),
            *(Compared(arms=arms(other, size, rng), share=1 / 6) for other in more),
        ]
        times.append(rolled_back(tests))
    return Found.of(np.concatenate(times))


def outcome(run: Run) -> Outcome:
    """Tables of false rollbacks, G2 and G3."""
    loads = cells(run.poll)
    found = run.map(measure, [Case(load=load, rivals=run.rivals) for load in loads])
    at_margin = cells(run.poll, ratio=_MARGIN, horizon=_HOUR)
    margin = run.map(measure, [Case(load=load, rivals=False) for load in at_margin])
    several = [load for load in loads if load.stable == RATES[1]]
    four = run.map(four_metrics, several, share=0.2)
    return Outcome(
        tables=(_table(run, loads, found),),
        goals=(*_goals_alike(found), _goal_four(four), _goal_margin(margin)),
    )


def quick(run: Run) -> Outcome:
    """G2 with few rollouts: the hard limit in every cell, the goal on average."""
    found = run.map(measure, [Case(load=load, rivals=False) for load in cells(run.poll)])
    shares = [cell[name].share for cell in found for name in (ENGINE, ALONE)]
    mean = float(np.mean(shares))
    return Outcome(
        goals=(
            Goal(
                number="G2",
                target="A/A, one metric: every cell <= 1 %, on average <= 0.1 %",
                measured=f"worst {percent(max(shares))} %, mean {percent(mean)} % ({run.rollouts:,} rollouts per cell)",
                ok=max(shares) <= 0.01 and mean <= 0.001,
            ),
        )
    )


def _table(run: Run, loads: list[Load], found: list[dict[str, Found]]) -> Table:
    names = list(found[0])
    rows = []
    for rate in RATES:
        of_rate = [cell for load, cell in zip(loads, found, strict=True) if load.stable == rate]
        shares = {name: [cell[name].share for cell in of_rate] for name in names}
        words = (f"{percent(float(np.mean(part)))} ({percent(max(part))}) %" for part in shares.values())
        rows.append((f"{100 * rate:g} %", *words))
    title = f"A/A, 30 min: false rollbacks, mean (worst) of {len(RPS) * len(WEIGHTS)} cells, {run.rollouts:,} rollouts each"
    return Table(title=title, header=("base error", *names), rows=tuple(rows))


def _goals_alike(found: list[dict[str, Found]]) -> tuple[Goal, ...]:
    worst = max(cell[name].share for cell in found for name in (ENGINE, ALONE))
    every = float(np.mean([cell[ENGINE].share for cell in found]))
    count = sum(cell[ENGINE].rollouts for cell in found)
    return (
        Goal(
            number="G2",
            target="A/A, one metric, every cell: <= 0.1 %, hard limit 1 %",
            measured=f"worst {percent(worst)} %, mean {percent(every)} % of {count:,}",
            ok=worst <= 0.001,
        ),
    )


def _goal_four(found: list[Found]) -> Goal:
    worst = max(cell.share for cell in found)
    return Goal(
        number="G2",
        target="A/A, four metrics: <= 0.3 %",
        measured=f"worst {percent(worst)} % ({found[0].rollouts:,} rollouts per cell)",
        ok=worst <= 0.003,
    )


def _goal_margin(found: list[dict[str, Found]]) -> Goal:
    beside, alone = (max(cell[name].share for cell in found) for name in (ENGINE, ALONE))
    return Goal(
        number="G3",
        target="at the margin (odds ratio 1.25), 1 h: <= 0.5 %",
        measured=f"worst {percent(beside)} %, one metric {percent(alone)} % ({found[0][ENGINE].rollouts:,} rollouts per cell)",
        ok=max(beside, alone) <= 0.005,
    )
