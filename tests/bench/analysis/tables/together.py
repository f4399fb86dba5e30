"""Both arms hit together: every rollback is false (G5)."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.analysis import kayenta, rivals
from bench.analysis.arrays import Floats
from bench.analysis.engine import Rule, engine
from bench.analysis.found import Found, percent
from bench.analysis.incidents import Incident, arms_in
from bench.analysis.report import Goal, Outcome, Table
from bench.analysis.rivals import Judge
from bench.analysis.run import Run

RPS: Final = (10.0, 100.0, 1000.0)
NOT_ALIGNED: Final = {15.0: 15.0, 5.0: 0.5}
"""Seconds between the first and the last pod that is read, by distance of polls: at 5 s all are read together."""
_STEP_SECONDS: Final = 600.0
_NO_CAP: Final = Rule(cap=np.inf)


def _usual(second: Floats) -> Floats:
    return np.full_like(second, 0.001)


def _ten_minutes(second: Floats) -> Floats:
    return np.where((second >= 300) & (second < 900), 0.05, 0.001)


def _last_step(second: Floats) -> Floats:
    return np.where(second >= 2 * _STEP_SECONDS, 0.05, 0.001)


def _blips(second: Floats) -> Floats:
    return np.where(second % 120 < 20, 0.3, 0.001)


def _at_ten_percent(second: Floats) -> Floats:
    return np.full_like(second, 0.1)


def _at_two_percent(second: Floats) -> Floats:
    return np.full_like(second, 0.02)


def _steps(second: Floats) -> Floats:
    return np.where(second < _STEP_SECONDS, 0.05, np.where(second < 2 * _STEP_SECONDS, 0.25, 0.5))


def incidents(poll: float) -> tuple[Incident, ...]:
    """All of 4.4; the scrapes of pods lie as far apart as the source lets them."""
    apart = NOT_ALIGNED[poll]
    return (
        Incident(name="0.1 -> 5 % for 10 min, pods read at once", rate=_ten_minutes),
        Incident(name=f"0.1 -> 5 % for 10 min, within {apart:g} s", rate=_ten_minutes, apart=apart),
        Incident(name="0.1 -> 5 % for 10 min, anywhere in the interval", rate=_ten_minutes, apart=poll),
        Incident(
            name="0.1 -> 5 % for 10 min, every fifth scrape fails", rate=_ten_minutes, apart=apart, gaps=0.2
        ),
        Incident(name=f"20 s blips to 30 % every 2 min, within {apart:g} s", rate=_blips, apart=apart),
        Incident(name="20 s blips to 30 %, anywhere in the interval", rate=_blips, apart=poll),
        Incident(
            name="weight 5 -> 25 -> 50 %, incident at 50 %", rate=_last_step, apart=apart, weight=_steps
        ),
        Incident(name="weight 5 -> 25 -> 50 %, no incident", rate=_usual, apart=apart, weight=_steps),
        Incident(name="hotfix: stable 10 %, canary 2 %", rate=_at_ten_percent, canary_rate=_at_two_percent),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One incident, by its place in the list, at one load."""

    number: int
    rps: float
    poll: float
    rivals: bool


def measure(case: Case, rollouts: int, rng: np.random.Generator) -> dict[str, Found]:
    """False rollbacks by judge."""
    incident = incidents(case.poll)[case.number]
    seen = arms_in(incident, rollouts, rng, rps=case.rps, poll=case.poll)
    judges: dict[str, Judge] = {}
    if case.rivals:
        judges = {
            "Flagger": rivals.flagger,
            "Argo 1m": rivals.argo,
            "Kayenta": kayenta.judge(rng),
            "naive z": rivals.z_test,
            "Bayes 0.99": rivals.bayes,
        }
    if case.rivals and len(set(seen.weights)) == 1:
        judges["Netflix"] = rivals.netflix
    judges |= {"engine, no cap": engine(_NO_CAP), "engine": engine()}
    return {name: Found.of(judge(seen)) for name, judge in judges.items()}


def outcome(run: Run) -> Outcome:
    """The table of 4.4 and G5."""
    names = [incident.name for incident in incidents(run.poll)]
    cases = [
        Case(number=number, rps=rps, poll=run.poll, rivals=run.rivals)
        for number in range(len(names))
        for rps in RPS
    ]
    cells = run.map(measure, cases, share=0.2)
    header = list(cells[0])
    rows = []
    for number, name in enumerate(names):
        of_name = [cell for case, cell in zip(cases, cells, strict=True) if case.number == number]
        shares = (
            " / ".join(percent(cell[judge].share) if judge in cell else "-" for cell in of_name)
            for judge in header
        )
        rows.append((name, *(f"{words} %" for words in shares)))
    title = f"Both arms hit together: false rollbacks at {' / '.join(f'{rps:g}' for rps in RPS)} rps, {run.some(0.2):,} rollouts"
    table = Table(title=title, header=("scenario", *header), rows=tuple(rows))
    worst = max(range(len(cases)), key=lambda index: cells[index]["engine"].share)
    share = cells[worst]["engine"].share
    goal = Goal(
        number="G5",
        target="incidents, blips, gaps, weight change, hotfix: <= 0.5 %",
        measured=f"worst {percent(share)} %"
        + (f" ({names[cases[worst].number]}, {cases[worst].rps:g} rps)" if share else ""),
        ok=share <= 0.005,
    )
    return Outcome(tables=(table,), goals=(goal,))
