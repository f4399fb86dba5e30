"""How much history the calibration of noise needs: false rollbacks by what was read before the rollout."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.analysis.arrays import Floats
from bench.analysis.engine import engine
from bench.analysis.found import Found, percent
from bench.analysis.phi import HALF_LIFE_SECONDS, WITHOUT_HISTORY, calibrated, learnt
from bench.analysis.pods import PODS, Noise, PodCounts, pod_counts
from bench.analysis.report import Goal, Outcome, Table
from bench.analysis.rivals import per_period
from bench.analysis.run import Run
from bench.analysis.tables.noisy import FAMILIES, INDEPENDENT, RPS
from bench.analysis.traffic import Load, chunks

READING_SECONDS: Final = 60.0
"""Between two slow readings at rest."""
FEW_PODS: Final = (1, 2, 4)
"""Stable pods with which noise is seen badly: published, without a goal."""
_CHUNK: Final = 250
_NOTHING: Final = "nothing"
_HOUR: Final = "1 h"
_FROZEN: Final = "nothing, phi 2 for ever"
_MOST_MORE: Final = 0.005
_MOST_SLOWER: Final = 1.25
_BASE: Final = 0.005
_WORSE: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One family at one load."""

    noise: Noise
    rps: float
    poll: float
    canary: float = _BASE
    pods: int = PODS


def phis(counts: PodCounts, poll: float) -> dict[str, Floats | float]:
    """phi by what is known before: nothing, the last minutes, an hour. It goes on to be learnt, if not said otherwise."""

    def after(minutes: float) -> Floats:
        rows = round(60.0 * minutes / poll)
        n, e = counts.n[:, 1:], counts.e[:, 1:]
        if rows:
            n = np.concatenate([counts.before_n[-rows:], n])
            e = np.concatenate([counts.before_e[-rows:], e])
        return learnt(n, e, poll, rows)

    slow_n, slow_e = (
        per_period(before, round(READING_SECONDS / poll)) for before in (counts.before_n, counts.before_e)
    )
    return {
        _FROZEN: WITHOUT_HISTORY,
        _NOTHING: after(0),
        "10 min": after(10),
        _HOUR: after(60),
        f"1 h, every {READING_SECONDS:g} s, half-life 30 min, frozen": calibrated(
            slow_n, slow_e, READING_SECONDS, HALF_LIFE_SECONDS
        ),
    }


def measure(case: Case, rollouts: int, rng: np.random.Generator) -> dict[str, Found]:
    """Rollbacks by history."""
    load = Load(rps=case.rps, weight=0.1, stable=_BASE, canary=case.canary, poll=case.poll)
    times: dict[str, list[Floats]] = {}
    for size in chunks(rollouts, _CHUNK):
        counts = pod_counts(load, case.noise, size, rng, case.pods)
        seen = counts.arms(load)
        for name, phi in phis(counts, case.poll).items():
            times.setdefault(name, []).append(engine(phi=phi)(seen))
    return {name: Found.of(np.concatenate(parts)) for name, parts in times.items()}


def outcome(run: Run) -> Outcome:
    """Tables; that history is hardly missed where there are enough pods; and that it costs independent requests little."""
    many = [Case(noise=noise, rps=rps, poll=run.poll) for noise in FAMILIES for rps in RPS]
    few = [
        Case(noise=noise, rps=RPS[1], poll=run.poll, pods=pods + 1) for noise in FAMILIES for pods in FEW_PODS
    ]
    bad = [Case(noise=INDEPENDENT, rps=rps, poll=run.poll, canary=_WORSE) for rps in RPS]
    cells = run.map(measure, many, share=0.4)
    caught = run.map(measure, bad, share=0.04)
    rates = f"{run.some(0.4):,} rollouts"
    tables = (
        _table(
            f"What is known before the rollout: A/A false rollbacks at 10 / 100 / 1000 rps, {rates}", cells
        ),
        _table(f"With 1 / 2 / 4 stable pods, 100 rps, {rates}", run.map(measure, few, share=0.4)),
    )
    return Outcome(tables=tables, goals=(_rare(cells), _soon(caught)))


def _table(title: str, cells: list[dict[str, Found]]) -> Table:
    each = len(cells) // len(FAMILIES)
    rows = []
    for number, noise in enumerate(FAMILIES):
        of_family = cells[number * each : (number + 1) * each]
        shares = (" / ".join(percent(cell[name].share) for cell in of_family) for name in cells[0])
        rows.append((noise.name, *shares))
    return Table(title=title, header=("noise", *cells[0]), rows=tuple(rows))


def _rare(cells: list[dict[str, Found]]) -> Goal:
    more = [cell[_NOTHING].share - cell[_HOUR].share for cell in cells]
    family = FAMILIES[more.index(max(more)) // len(RPS)].name
    return Goal(
        number="G16",
        target="false rollbacks without history: each family at most what an hour gives + 0.5 points",
        measured=f"worst {100 * max(more):+.2f} points ({family})",
        ok=max(more) <= _MOST_MORE,
    )


def _soon(caught: list[dict[str, Found]]) -> Goal:
    slower = max(cell[_NOTHING].mean / cell[_FROZEN].mean for cell in caught)
    return Goal(
        number="G17",
        target="independent requests without history: at most 1.25 x the time with phi = 2",
        measured=f"{slower:.2f} x",
        ok=slower <= _MOST_SLOWER,
    )
