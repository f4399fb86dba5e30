"""Problems that begin late (G9)."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.analysis import rivals
from bench.analysis.arrays import NEVER
from bench.analysis.engine import Rule, engine
from bench.analysis.found import Found, percent
from bench.analysis.report import Goal, Outcome, Table
from bench.analysis.run import Run
from bench.analysis.traffic import Load, arms

EFFECTS: Final = ((0.001, 0.05, 100.0), (0.001, 0.005, 100.0), (0.01, 0.02, 100.0), (0.01, 0.02, 1000.0))
ONSETS: Final = (0.0, 1200.0, 2400.0)
_AFTER: Final = 1800.0
_JUDGES: Final = {
    "engine": engine(),
    "without restarts": engine(Rule(restarts=False)),
    "Netflix": rivals.netflix,
    "naive z": rivals.z_test,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caught:
    """One judge on one load."""

    early: float
    """Share rolled back before there was a reason."""
    found: Found
    """Seconds since the onset, of the others."""


def measure(load: Load, rollouts: int, rng: np.random.Generator) -> dict[str, Caught]:
    """Times since the onset, by judge."""
    seen = arms(load, rollouts, rng)
    result = {}
    for name, judge in _JUDGES.items():
        times = judge(seen)
        early = times <= load.onset
        result[name] = Caught(early=float(early.mean()), found=_since(times[~early], load.onset))
    return result


def _since(times: np.ndarray[tuple[int, ...], np.dtype[np.float64]], onset: float) -> Found:
    return Found.of(times - onset if times.size else np.array([NEVER]))


def outcome(run: Run) -> Outcome:
    """Onsets after 0, 20 and 40 minutes, and G9."""
    loads = [
        Load(
            rps=rps,
            weight=0.1,
            stable=stable,
            canary=canary,
            poll=run.poll,
            horizon=onset + _AFTER,
            onset=onset,
        )
        for stable, canary, rps in EFFECTS
        for onset in ONSETS
    ]
    cells = dict(zip(loads, run.map(measure, loads, share=0.1), strict=True))
    rows = tuple(_row(load, cell) for load, cell in cells.items())
    title = f"Late onset, weight 10 %: median/p95 in s since the onset [% rolled back before], {run.some(0.1):,} rollouts"
    table = Table(title=title, header=("error rate", "rps", "onset", *_JUDGES), rows=rows)
    return Outcome(tables=(table,), goals=(_goal(cells),))


def _row(load: Load, cell: dict[str, Caught]) -> tuple[str, ...]:
    words = (f"{caught.found.times} [{percent(caught.early)}]" for caught in cell.values())
    effect = f"{100 * load.stable:g} -> {100 * load.canary:g} %"
    return (effect, f"{load.rps:g}", f"{load.onset / 60:g} min", *words)


def _goal(cells: dict[Load, dict[str, Caught]]) -> Goal:
    pairs = []
    for stable, canary, _ in EFFECTS:
        of_effect = [
            (load, cell["engine"].found.median)
            for load, cell in cells.items()
            if (load.stable, load.canary) == (stable, canary)
        ]
        at_once = {load.rps: median for load, median in of_effect if not load.onset}
        pairs += [(median, at_once[load.rps]) for load, median in of_effect if load.onset]
    late, soon = max(pairs, key=lambda pair: (pair[0] - 30.0) / pair[1])
    return Goal(
        number="G9",
        target="onset after 20 and 40 min: <= 2 x the time of an onset at 0, + 30 s",
        measured=f"worst {soon:.0f} -> {late:.0f} s",
        ok=all(late <= 2.0 * soon + 30.0 for late, soon in pairs),
    )
