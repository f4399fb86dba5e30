"""How much history the calibration of noise needs: false rollbacks by what was read before the rollout."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.analysis.arrays import Floats
from bench.analysis.engine import engine
from bench.analysis.found import Found, percent
from bench.analysis.phi import HALF_LIFE_SECONDS, WITHOUT_HISTORY, calibrated
from bench.analysis.pods import Noise, PodCounts, pod_counts
from bench.analysis.report import Outcome, Table
from bench.analysis.rivals import per_period
from bench.analysis.run import Run
from bench.analysis.tables.noisy import FAMILIES, RPS
from bench.analysis.traffic import Load, chunks

REQUEUE_SECONDS: Final = 60.0
"""Between two slow readings at rest."""
_CHUNK: Final = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One family at one load."""

    noise: Noise
    rps: float
    poll: float


def phis(counts: PodCounts, poll: float) -> dict[str, Floats | float]:
    """phi by what is known: nothing, the last minutes at the pace of polls, or an hour at the slow pace."""

    def last(minutes: float) -> Floats:
        rows = round(60.0 * minutes / poll)
        return calibrated(counts.before_n[-rows:], counts.before_e[-rows:], poll)

    slow_n, slow_e = (
        per_period(before, round(REQUEUE_SECONDS / poll)) for before in (counts.before_n, counts.before_e)
    )
    return {
        "nothing (phi 2)": WITHOUT_HISTORY,
        "2 min": last(2),
        "10 min": last(10),
        "1 h": last(60),
        f"1 h, every {REQUEUE_SECONDS:g} s, half-life 30 min": calibrated(
            slow_n, slow_e, REQUEUE_SECONDS, HALF_LIFE_SECONDS
        ),
    }


def measure(case: Case, rollouts: int, rng: np.random.Generator) -> dict[str, Found]:
    """False rollbacks by history."""
    load = Load(rps=case.rps, weight=0.1, stable=0.005, canary=0.005, poll=case.poll)
    times: dict[str, list[Floats]] = {}
    for size in chunks(rollouts, _CHUNK):
        counts = pod_counts(load, case.noise, size, rng)
        seen = counts.arms(load)
        for name, phi in phis(counts, case.poll).items():
            times.setdefault(name, []).append(engine(phi=phi)(seen))
    return {name: Found.of(np.concatenate(parts)) for name, parts in times.items()}


def outcome(run: Run) -> Outcome:
    """A table; no goal."""
    cases = [Case(noise=noise, rps=rps, poll=run.poll) for noise in FAMILIES for rps in RPS]
    cells = run.map(measure, cases, share=0.2)
    rows = []
    for noise in FAMILIES:
        of_family = [cell for case, cell in zip(cases, cells, strict=True) if case.noise == noise]
        rows.append(
            (
                noise.name,
                *(" / ".join(percent(cell[name].share) for cell in of_family) for name in of_family[0]),
            )
        )
    title = f"What was read before the rollout: A/A false rollbacks in % at 10 / 100 / 1000 rps, {run.some(0.2):,} rollouts"
    return Outcome(tables=(Table(title=title, header=("noise", *cells[0]), rows=tuple(rows)),))
