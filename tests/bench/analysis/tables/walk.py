"""Whole rollouts, 5 -> 25 -> 50 -> 100 %, judged by the shipped engine on errors and latency (G13).

One that is inconclusive at its last step, or with evidence building up, pauses: it gets no more traffic, is judged on
for half an hour, and is counted as inconclusive unless that leads to a rollback.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np

from bench.analysis import shipped
from bench.analysis.arrays import Floats
from bench.analysis.latency import Times, shares
from bench.analysis.report import Goal, Outcome, Table
from bench.analysis.run import Run
from modelward.analysis import judge
from modelward.analysis.counters import Increment, Sample
from modelward.analysis.policy import Policy
from modelward.analysis.verdict import Step, Verdict

WEIGHTS: Final = (0.05, 0.25, 0.5, 1.0)
ALIKE: Final = (0.001, 0.001)
SEVERE: Final = (0.001, 0.05)
CASES: Final = (
    (ALIKE, (1.0, 10.0, 100.0)),
    ((0.01, 0.01), (1.0, 10.0, 100.0)),
    ((0.001, 0.005), (10.0, 100.0, 1000.0)),
    ((0.01, 0.02), (10.0, 100.0, 1000.0)),
    (SEVERE, (1.0, 10.0, 100.0)),
    ((0.001, 0.024), (1.0, 10.0, 100.0)),
    ((0.001, 0.084), (1.0, 10.0, 100.0)),
)
"""Error rates of stable and canary, and requests per second. The last two are beyond what the harm bound allows:
2 % more at 100 % of the traffic, 8 % more at 25 %."""
PROMOTED: Final = "promoted"
ROLLED_BACK: Final = "rolled back"
INCONCLUSIVE: Final = "inconclusive"
HELD: Final = "held"
_LONGEST: Final = 7200.0
_PATIENCE: Final = 1800.0
"""A rollout that pauses is judged on for so long."""
_SHARES: Final[list[float]] = [float(share) for share in shares(Times(name="stable"))]
_FLAGGER_STEPS: Final = 10
_FLAGGER_FAILURES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One cell."""

    stable: float
    canary: float
    rps: float
    poll: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """How many rollouts ended how, and when."""

    ended: dict[str, int]
    minutes: dict[str, float]
    """Median by end."""
    passed_first: int
    """Rollouts that left the first step upwards because the harm was bounded."""
    flagger: dict[str, int]

    @property
    def rollouts(self) -> int:
        """All of them."""
        return sum(self.ended.values())

    def share(self, end: str) -> float:
        """From 0 to 1."""
        return self.ended.get(end, 0) / self.rollouts


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One rollout's."""

    how: str
    seconds: float
    passed_first: bool


def measure(case: Case, rollouts: int, rng: np.random.Generator) -> Walked:
    """All rollouts of one cell."""
    ends = [_walk(case, rng) for _ in range(rollouts)]
    by_end = {how: [end.seconds / 60 for end in ends if end.how == how] for how in {end.how for end in ends}}
    return Walked(
        ended={how: len(times) for how, times in by_end.items()},
        minutes={how: median(times) for how, times in by_end.items()},
        passed_first=sum(end.passed_first for end in ends),
        flagger=_flagger(case, rollouts, rng),
    )


def _walk(case: Case, rng: np.random.Generator) -> End:
    policy = shipped.policy(case.poll, shipped.ERRORS, shipped.LATENCY)
    state = judge.begin(policy, shipped.reference(case.rps, case.stable, _SHARES))
    step, started, time, passed_first, paused = 0, 0.0, 0.0, False, np.inf
    while time < min(_LONGEST, paused + _PATIENCE):
        time += case.poll
        state = judge.observe(policy, state, _sample(case, WEIGHTS[step], time, rng))
        verdict, onwards = _verdict(policy, state, step, (started, time))
        if verdict is Verdict.ROLL_BACK:
            return End(how=ROLLED_BACK, seconds=time, passed_first=passed_first)
        if verdict is Verdict.INCONCLUSIVE and not onwards:
            paused = min(paused, time)
        elif np.isinf(paused) and (verdict is Verdict.ADVANCE or onwards):
            passed_first |= step == 0 and verdict is Verdict.ADVANCE
            state, step, started = judge.next_step(state), step + 1, time
        if WEIGHTS[step] == 1.0:
            return End(how=PROMOTED, seconds=time, passed_first=passed_first)
    if np.isinf(paused):
        return End(how=HELD, seconds=time, passed_first=passed_first)
    return End(how=INCONCLUSIVE, seconds=paused, passed_first=passed_first)


def _verdict(
    policy: Policy, state: judge.State, step: int, times: tuple[float, float]
) -> tuple[Verdict, bool]:
    """The verdict, and whether an inconclusive step is left upwards."""
    if state.decided is None and times[1] - times[0] < policy.step_min_seconds:
        return Verdict.CONTINUE, False  # what `assess` says, too, without its sentences
    step_now = Step(
        time=times[1],
        started=times[0],
        weight_percent=100.0 * WEIGHTS[step],
        next_weight_percent=100.0 * WEIGHTS[step + 1],
    )
    said = judge.assess(policy, state, step_now)
    return said.verdict, said.verdict is Verdict.INCONCLUSIVE and said.may_advance


def _sample(case: Case, weight: float, time: float, rng: np.random.Generator) -> Sample:
    canary, stable = case.rps * weight * case.poll, case.rps * (1.0 - weight) * case.poll
    means = np.array(
        [case.canary * canary, (1 - case.canary) * canary, case.stable * stable, (1 - case.stable) * stable]
    )
    e_c, good_c, e_s, good_s = rng.poisson(means)
    slow = [shipped.buckets(_spread(n, rng)) for n in (e_c + good_c, e_s + good_s)]
    return shipped.sample(
        time,
        weight,
        errors=shipped.ratio(e_c + good_c, e_c, e_s + good_s, e_s),
        latency=Increment(canary=slow[0], stable=slow[1]),
    )


def _spread(requests: int, rng: np.random.Generator) -> Sequence[int]:
    counts: list[int] = rng.multinomial(requests, _SHARES).tolist()
    return counts


def _flagger(case: Case, rollouts: int, rng: np.random.Generator) -> dict[str, int]:
    """Its own walk, 5 ... 50 % in steps of a minute: a failed check stands still, the fifth rolls back."""
    step, failed = np.ones(rollouts), np.zeros(rollouts)
    ended = np.zeros(rollouts, dtype=np.int64)
    for _ in range(60):
        requests = rng.poisson(case.rps * 60.0 * 0.05 * step)
        good = requests - rng.binomial(requests, case.canary) >= 0.99 * requests
        bad: Floats = np.where((requests == 0) | ~good, 1.0, 0.0)
        running = ended == 0
        failed += running * bad
        ended = np.where(running & (failed >= _FLAGGER_FAILURES), 2, ended)
        step += running * (1.0 - bad)
        ended = np.where((ended == 0) & (step > _FLAGGER_STEPS), 1, ended)
    counts = Counter(ended.tolist())
    return {PROMOTED: counts[1], ROLLED_BACK: counts[2]}


def outcome(run: Run) -> Outcome:
    """The table of whole rollouts, and G13."""
    cases = [
        Case(stable=stable, canary=canary, rps=rps, poll=run.poll)
        for (stable, canary), loads in CASES
        for rps in loads
    ]
    cells = dict(zip(cases, run.map(measure, cases, share=0.05), strict=True))
    title = (
        f"Whole rollouts 5 -> 25 -> 50 -> 100 %, errors and latency, shipped engine, {run.some(0.05):,} rollouts;"
        " Flagger 5 ... 50 %"
    )
    header = ("error rate", "rps", "promoted", ROLLED_BACK, INCONCLUSIVE, "5 -> 25 % on the bound", "Flagger")
    table = Table(title=title, header=header, rows=tuple(_row(case, cell) for case, cell in cells.items()))
    return Outcome(tables=(table,), goals=_goals(run, cells))


def _row(case: Case, cell: Walked) -> tuple[str, ...]:
    def words(end: str) -> str:
        minutes = cell.minutes.get(end)
        return f"{100 * cell.share(end):.1f} %" + (f", {minutes:.3g} min" if minutes is not None else "")

    flagger = f"{100 * cell.flagger[PROMOTED] / cell.rollouts:.0f} / {100 * cell.flagger[ROLLED_BACK] / cell.rollouts:.0f} %"
    effect = f"{100 * case.stable:g} -> {100 * case.canary:g} %"
    others = words(INCONCLUSIVE) + (f", held {100 * cell.share(HELD):.1f} %" if cell.share(HELD) else "")
    passed = f"{100 * cell.passed_first / cell.rollouts:.1f} %"
    return (effect, f"{case.rps:g}", words(PROMOTED), words(ROLLED_BACK), others, passed, flagger)


def _goals(run: Run, cells: dict[Case, Walked]) -> tuple[Goal, ...]:
    alike = cells[Case(stable=ALIKE[0], canary=ALIKE[1], rps=10.0, poll=run.poll)]
    severe = [cell for case, cell in cells.items() if (case.stable, case.canary) == SEVERE]
    minutes = alike.minutes.get(PROMOTED, float("inf"))
    count, all_severe = (
        sum(cell.ended.get(PROMOTED, 0) for cell in severe),
        sum(cell.rollouts for cell in severe),
    )
    return (
        Goal(
            number="G13",
            target="A/A 0.1 %, 10 rps: promoted >= 99 %, median <= 7 min",
            measured=f"{100 * alike.share(PROMOTED):.1f} %, {minutes:.3g} min",
            ok=alike.share(PROMOTED) >= 0.99 and minutes <= 7.0,
        ),
        Goal(
            number="G13",
            target="0.1 -> 5 %, >= 1 rps: promoted <= 0.1 %",
            measured=f"{count} of {all_severe:,}",
            ok=count <= 0.001 * all_severe,
        ),
    )
