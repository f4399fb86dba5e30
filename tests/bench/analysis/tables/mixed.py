"""Errors and latency together, with pods that wander in both."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.analysis.arrays import Counts, Floats
from bench.analysis.engine import Compared, rolled_back
from bench.analysis.found import Found
from bench.analysis.latency import Histograms, Times, bounds_of, latency_tests, shares
from bench.analysis.phi import calibrated
from bench.analysis.pods import HISTORY_SECONDS, PODS, Noise, PodCounts, Wander, pod_counts
from bench.analysis.report import Outcome, Table
from bench.analysis.run import Run
from bench.analysis.traffic import Load, chunks

RPS: Final = (10.0, 100.0, 1000.0)
_ERRORS: Final = Noise(name="errors", pod=Wander(sd=0.5))
_SCALE: Final = Wander(sd=0.1)
_CHUNK: Final = 50
_STABLE: Final = Times(name="stable")
_DOUBLE: Final = Times(name="latency x 2", factor=2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One load, and how slow the canary is."""

    rps: float
    poll: float
    canary: Times

    @property
    def load(self) -> Load:
        """One canary pod of ten, 0.5 % errors in both arms."""
        return Load(rps=self.rps, weight=0.1, stable=0.005, canary=0.005, poll=self.poll)


def _buckets(case: Case, rollouts: int, rng: np.random.Generator) -> tuple[Counts, Counts]:
    """[polls, pods, rollouts, buckets] of the hour before (stable's pods) and of the rollout."""
    load = case.load
    before = round(HISTORY_SECONDS / load.poll)
    scale = _SCALE.factors((before + load.scrapes, PODS, rollouts), load.poll, rng)
    earlier = load.rps * load.poll / (PODS - 1) * shares(_STABLE, scale[:before, 1:])
    factor = np.where(np.arange(PODS) == 0, case.canary.factor, 1.0)[None, :, None]
    now = load.rps * load.poll / PODS * shares(_STABLE, scale[before:] * factor)
    return rng.poisson(earlier), rng.poisson(now)


def _slow_tests(before: Counts, now: Counts, poll: float, *, blind: bool) -> list[Compared]:
    """One test per bound, each with a phi of its own."""
    seen = Histograms(seconds=poll, weight=0.1, canary=now[:, 0], stable=now[:, 1:].sum(axis=1))
    tests = latency_tests(seen)
    if blind:
        return tests
    n = before.sum(axis=3)
    phis = [calibrated(n, before[..., bound + 1 :].sum(axis=3), poll) for bound in bounds_of(shares(_STABLE))]
    return [
        Compared(arms=test.arms, share=test.share, rule=test.rule, phi=phi)
        for test, phi in zip(tests, phis, strict=True)
    ]


def _error_test(counts: PodCounts, load: Load, *, blind: bool) -> Compared:
    phi: Floats | float = 1.0 if blind else calibrated(counts.before_n, counts.before_e, load.poll)
    return Compared(arms=counts.arms(load), phi=phi)


def measure(case: Case, rollouts: int, rng: np.random.Generator) -> dict[str, Found]:
    """Rollbacks with and without calibration."""
    times: dict[str, list[Floats]] = {}
    for size in chunks(rollouts, _CHUNK):
        counts = pod_counts(case.load, _ERRORS, size, rng)
        before, now = _buckets(case, size, rng)
        for name, blind in {"phi=1": True, "calibrated": False}.items():
            slow = _slow_tests(before, now, case.poll, blind=blind)
            times.setdefault(name, []).append(
                rolled_back([_error_test(counts, case.load, blind=blind), *slow])
            )
    return {name: Found.of(np.concatenate(parts)) for name, parts in times.items()}


def outcome(run: Run) -> Outcome:
    """A table; no goal."""
    cases = [Case(rps=rps, poll=run.poll, canary=canary) for canary in (_STABLE, _DOUBLE) for rps in RPS]
    cells = run.map(measure, cases, share=0.05)
    rows = tuple(
        (
            "A/A" if case.canary is _STABLE else case.canary.name,
            f"{case.rps:g}",
            *(f"{found.percent} %" if case.canary is _STABLE else found.times for found in cell.values()),
        )
        for case, cell in zip(cases, cells, strict=True)
    )
    title = f"Errors and latency, pods wander in both (e^0.5, scale e^0.1, 1 min memory), {run.some(0.05):,} rollouts"
    return Outcome(tables=(Table(title=title, header=("change", "rps", *cells[0]), rows=rows),))
