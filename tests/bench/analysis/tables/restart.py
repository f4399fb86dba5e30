"""The operator may restart at any poll; what its memory and an update cost (G14)."""

import ast
import inspect
import sys
import time
from collections.abc import Iterator
from statistics import median
from typing import Final

import numpy as np

from bench.analysis import shipped
from bench.analysis.report import Goal, Outcome
from bench.analysis.run import Run
from bench.analysis.traffic import Arms, Load, arms
from modelward.analysis import (
    core,
    distribution,
    gauge,
    judge,
    latency,
    metric_kinds,
    promotion,
    state,
    strata,
    table,
)
from modelward.analysis.policy import MetricPolicy, Policy
from modelward.analysis.verdict import Step
from modelward.api.analysis_policy import MetricKind

LOADS: Final = ((10.0, 0.05), (100.0, 0.01), (100.0, 0.001), (1000.0, 0.02))
"""Requests per second, error rate of the canary; stable has 0.1 %."""
_ROLLOUTS: Final = 12
_BYTES: Final = 400
_MILLISECONDS: Final = 3.0
_LINES: Final = 600
_ENGINE: Final = (core, strata, metric_kinds, table, latency, distribution, gauge, promotion, judge, state)
"""Modules that decide; policy, counters, noise and messages stand beside them."""


def _loads(poll: float) -> list[Load]:
    return [Load(rps=rps, weight=0.1, stable=0.001, canary=canary, poll=poll) for rps, canary in LOADS]


def differences(load: Load, rollouts: int, rng: np.random.Generator) -> int:
    """Rollouts in which restarts before every poll change the verdict, its time, its words, or the state."""
    policy = shipped.policy(load.poll, shipped.ERRORS)
    seen = arms(load, rollouts, rng)
    return sum(
        _followed(policy, seen, row, restarts=True) != _followed(policy, seen, row, restarts=False)
        for row in range(rollouts)
    )


def _followed(policy: Policy, seen: Arms, rollout: int, *, restarts: bool) -> list[tuple[str, str, str]]:
    """Verdict, sentence and state after each poll."""
    state, reported = judge.begin(policy), []
    for number, weight in enumerate(seen.weights):
        if restarts:
            state = judge.decode(judge.encode(state))
        row = (counts[number, rollout] for counts in (seen.n_c, seen.e_c, seen.n_s, seen.e_s))
        now = (number + 1) * seen.seconds
        state = judge.observe(
            policy, state, shipped.sample(now, weight, errors=shipped.ratio(*map(int, row)))
        )
        step = Step(time=now, started=0.0, weight_percent=100.0 * weight, next_weight_percent=25.0)
        said = judge.assess(policy, state, step)
        reported.append((said.verdict.value, said.message, judge.encode(state)))
    return reported


def bytes_per_test(load: Load, _rollouts: int, rng: np.random.Generator) -> float:
    """What one more ratio test adds to the state, at its end."""

    def size(names: tuple[str, ...]) -> int:
        metrics = tuple(MetricPolicy(name=name, kind=MetricKind.RATIO) for name in names)
        policy, seen = shipped.policy(load.poll, *metrics), arms(load, 1, rng)
        state = judge.begin(policy)
        for number, weight in enumerate(seen.weights):
            row = shipped.ratio(
                *(int(counts[number, 0]) for counts in (seen.n_c, seen.e_c, seen.n_s, seen.e_s))
            )
            state = judge.observe(
                policy,
                state,
                shipped.sample((number + 1) * seen.seconds, weight, **dict.fromkeys(names, row)),
            )
        return len(judge.encode(state).encode())

    names = tuple(f"metric-{number:02d}" for number in range(9))
    return (size(names) - size(names[:1])) / (len(names) - 1)


def update_milliseconds(poll: float, rng: np.random.Generator) -> float:
    """Median time of one update of one ratio test at 1000 requests per second, 30 % of them hits."""
    policy = shipped.policy(poll, shipped.ERRORS)
    seen = arms(Load(rps=1000.0, weight=0.1, stable=0.3, canary=0.3, poll=poll), 1, rng)
    state, took = judge.begin(policy), []
    for number, weight in enumerate(seen.weights):
        row = shipped.ratio(*(int(counts[number, 0]) for counts in (seen.n_c, seen.e_c, seen.n_s, seen.e_s)))
        fed = shipped.sample((number + 1) * poll, weight, errors=row)
        began = time.perf_counter()
        state = judge.observe(policy, state, fed)
        took.append(1000.0 * (time.perf_counter() - began))
    return median(took)


def code_lines() -> int:
    """Lines of the engine that are neither blank nor a comment nor a docstring."""
    return sum(len(_code_lines(inspect.getsource(module))) for module in _ENGINE)


def _code_lines(text: str) -> set[int]:
    docstrings = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines = enumerate(text.splitlines(), start=1)
    return {
        number for number, line in lines if line.strip() and not line.strip().startswith("#")
    } - docstrings


def foreign_imports() -> list[str]:
    """What the engine imports that is neither Python's own nor the project's."""
    return sorted({name for module in _ENGINE for name in _imports(inspect.getsource(module))})


def _imports(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        tops = (name.partition(".")[0] for name in names)
        yield from (top for top in tops if top not in sys.stdlib_module_names | {"modelward"})


def quick(run: Run) -> Outcome:
    """G14 without the clock."""
    small = Run(seed=run.seed, rollouts=_ROLLOUTS, poll=run.poll, jobs=run.jobs)
    different = sum(small.map(differences, _loads(run.poll)))
    largest = max(small.map(bytes_per_test, _loads(run.poll)))
    foreign = foreign_imports()
    return Outcome(
        goals=(
            Goal(
                number="G14",
                target="restart before every poll: same verdict, time, words and state",
                measured=f"{different} of {_ROLLOUTS * len(LOADS)} rollouts differ",
                ok=different == 0,
            ),
            Goal(
                number="G14",
                target=f"state: <= {_BYTES} bytes per ratio test",
                measured=f"{largest:.0f} bytes",
                ok=largest <= _BYTES,
            ),
            Goal(
                number="G14",
                target="engine: no imports beyond the standard library",
                measured=", ".join(foreign) or "none",
                ok=not foreign,
            ),
        )
    )


def outcome(run: Run) -> Outcome:
    """All of G14."""
    took = update_milliseconds(run.poll, np.random.default_rng(run.seed))
    lines = code_lines()
    timed = (
        Goal(
            number="G14",
            target=f"update at 1000 rps with 30 % hits: <= {_MILLISECONDS:g} ms",
            measured=f"{took:.2f} ms",
            ok=took <= _MILLISECONDS,
        ),
        Goal(
            number="G14", target=f"engine: <= {_LINES} lines of code", measured=f"{lines}", ok=lines <= _LINES
        ),
    )
    return Outcome(goals=(*quick(run).goals, *timed))
