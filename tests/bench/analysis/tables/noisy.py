"""Requests that are not independent, with noise calibrated on stable's own pods before the rollout (G4)."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.analysis import kayenta, rivals
from bench.analysis.arrays import Floats
from bench.analysis.engine import engine
from bench.analysis.found import Found, percent
from bench.analysis.phi import calibrated
from bench.analysis.pods import FOR_GOOD, Noise, Wander, pod_counts
from bench.analysis.report import Goal, Outcome, Table
from bench.analysis.run import Run
from bench.analysis.traffic import Load, chunks

RPS: Final = (10.0, 100.0, 1000.0)
INDEPENDENT: Final = Noise(name="none")
FAMILIES: Final = (
    INDEPENDENT,
    Noise(name="bursts, mean 5 errors", burst=5.0),
    Noise(name="bursts, mean 10 errors", burst=10.0),
    Noise(name="pod rate e^0.5, 1 min memory", pod=Wander(sd=0.5)),
    Noise(name="pod rate e^1, 1 min memory", pod=Wander(sd=1.0)),
    Noise(name="pod rate e^0.5, 5 min memory", pod=Wander(sd=0.5, memory=300.0)),
    Noise(name="fixed pod factor e^0.2", pod=Wander(sd=0.2, memory=FOR_GOOD)),
    Noise(name="fixed pod factor e^0.3", pod=Wander(sd=0.3, memory=FOR_GOOD)),
    Noise(name="common noise e^1", common=Wander(sd=1.0)),
)
_BASE: Final = 0.005
_WORSE: Final = 0.05
_PLAIN: Final = "engine phi=1"
_CALIBRATED: Final = "engine"
_CHUNK: Final = 250
_SHARES: Final = (0.5, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One family at one load."""

    noise: Noise
    rps: float
    poll: float
    canary: float
    rivals: bool

    @property
    def load(self) -> Load:
        """One canary pod of ten."""
        return Load(rps=self.rps, weight=0.1, stable=_BASE, canary=self.canary, poll=self.poll)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What was found, by judge, and the median phi."""

    found: dict[str, Found]
    phi: float


def measure(case: Case, rollouts: int, rng: np.random.Generator) -> Cell:
    """One cell."""
    times: dict[str, list[Floats]] = {}
    phis = []
    for size in chunks(rollouts, _CHUNK):
        counts = pod_counts(case.load, case.noise, size, rng)
        seen = counts.arms(case.load)
        phi = calibrated(counts.before_n, counts.before_e, case.poll)
        phis.append(phi)
        judges = {
            _PLAIN: engine(),
            _CALIBRATED: engine(phi=phi),
            "engine, one metric": engine(share=1.0, phi=phi),
        }
        if case.rivals:
            judges = {
                "Flagger": rivals.flagger,
                "Kayenta": kayenta.judge(rng),
                "naive z": rivals.z_test,
                "Netflix": rivals.netflix,
                **judges,
            }
        for name, judge in judges.items():
            times.setdefault(name, []).append(judge(seen))
    found = {name: Found.of(np.concatenate(parts)) for name, parts in times.items()}
    return Cell(found=found, phi=float(np.median(np.concatenate(phis))))


def outcome(run: Run) -> Outcome:
    """The table of 4.5 and G4."""

    def cells(canary: float, share: float, *, others: bool) -> list[Cell]:
        cases = [
            Case(noise=noise, rps=rps, poll=run.poll, canary=canary, rivals=others)
            for noise in FAMILIES
            for rps in RPS
        ]
        return run.map(measure, cases, share=share)

    false, caught = cells(_BASE, 0.2, others=run.rivals), cells(_WORSE, 0.02, others=False)
    return Outcome(tables=(_table(run, false, caught),), goals=_goals(false, caught))


def _of(cells: list[Cell], family: int) -> list[Cell]:
    return cells[family * len(RPS) : (family + 1) * len(RPS)]


def _table(run: Run, false: list[Cell], caught: list[Cell]) -> Table:
    names = list(false[0].found)
    rows = []
    for number, noise in enumerate(FAMILIES):
        shares = (
            " / ".join(percent(cell.found[name].share) for cell in _of(false, number)) + " %"
            for name in names
        )
        phis = " / ".join(f"{cell.phi:.1f}" for cell in _of(false, number))
        found = ", ".join(
            f"{cell.found[_PLAIN].times} -> {cell.found[_CALIBRATED].times}" for cell in _of(caught, number)
        )
        rows.append((noise.name, *shares, phis, found))
    title = f"Noise: A/A false rollbacks at {' / '.join(f'{rps:g}' for rps in RPS)} rps, base 0.5 %, {run.some(0.2):,} rollouts"
    header = ("noise", *names, "phi", f"0.5 -> 5 %: phi=1 -> calibrated, {run.some(0.02):,} rollouts")
    return Table(title=title, header=header, rows=tuple(rows))


def _goals(false: list[Cell], caught: list[Cell]) -> tuple[Goal, ...]:
    shares = [cell.found[_CALIBRATED].share for cell in false]
    worst, mean = max(shares), float(np.mean(shares))
    family = FAMILIES[shares.index(worst) // len(RPS)].name
    slower = max(cell.found[_CALIBRATED].mean / cell.found[_PLAIN].mean for cell in _of(caught, 0))
    return (
        Goal(
            number="G4",
            target="noise, calibrated: each <= 2 %, mean <= 1 %",
            measured=f"worst {percent(worst)} % ({family}), mean {percent(mean)} %",
            ok=worst <= 0.02 and mean <= 0.01,
        ),
        Goal(
            number="G4",
            target="independent requests: calibrated <= 1.2 x uncalibrated time",
            measured=f"{slower:.2f} x",
            ok=slower <= 1.2,
        ),
    )
