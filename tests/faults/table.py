"""The results of many runs as a table, as JSON, and as commands that repeat what failed."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from faults.lane import Result
from faults.plan import EACH


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Of one workload."""

    workload: str
    writes: int
    """Mutating requests of the undisturbed run."""
    tried: int
    held: int
    unreached: int
    """Runs in which the operator made fewer writes than that."""
    undisturbed: float
    """Seconds from the first act to the last change without a kill."""
    late_median: float
    late_p99: float
    late_most: float
    """By how many seconds later the end was reached."""


def rows(results: Sequence[Result]) -> list[Row]:
    """A row for each workload, in the order in which they were run."""
    names = dict.fromkeys(result.workload for result in results)
    return [_row(name, [result for result in results if result.workload == name]) for name in names]


def _row(name: str, results: Sequence[Result]) -> Row:
    calm = next((result for result in results if result.crash is None), None)
    crashed = [result for result in results if result.crash]
    tried = [result for result in crashed if result.struck]
    times = sorted(result.late for result in tried)
    return Row(
        workload=name,
        writes=calm.writes if calm else 0,
        tried=len(tried),
        held=sum(result.held for result in tried),
        unreached=len(crashed) - len(tried),
        late_median=_quantile(times, 0.5),
        late_p99=_quantile(times, 0.99),
        late_most=times[-1] if times else 0.0,
        undisturbed=calm.seconds if calm else 0.0,
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def as_table(results: Sequence[Result]) -> str:
    """Markdown."""
    lines = [
        "| workload | writes | tried | held | not reached | undisturbed, s | later by, s: median | p99 | longest |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    found = rows(results)
    lines += [
        f"| {row.workload} | {row.writes} | {row.tried} | {row.held} | {row.unreached} | {row.undisturbed:.1f} |"
        f" {row.late_median:.1f} | {row.late_p99:.1f} | {row.late_most:.1f} |"
        for row in found
    ]
    times = sorted(result.late for result in results if result.struck)
    lines.append(
        f"| all | {sum(row.writes for row in found)} | {sum(row.tried for row in found)} |"
        f" {sum(row.held for row in found)} | {sum(row.unreached for row in found)} | |"
        f" {_quantile(times, 0.5):.1f} | {_quantile(times, 0.99):.1f} | {max(times, default=0.0):.1f} |"
    )
    return "\n".join(lines)


def failures(results: Iterable[Result]) -> list[str]:
    """What did not hold, and how to see it again."""
    return [f"{reported(result)}\n  again: {again(result)}" for result in results if not result.held]


def reported(result: Result) -> str:
    """One run in words."""
    crash = f"killed at {result.crash} ({result.struck or 'not reached'})" if result.crash else "undisturbed"
    problems = "".join(f"\n  {problem}" for problem in result.problems)
    return f"{result.workload}, {crash}: {result.seconds:.1f} s{problems}"


def again(result: Result) -> str:
    """The command that repeats a run."""
    command = f'python -m faults --workload "{result.workload}"'
    if result.crash is None:
        return command
    which = "--loop" if result.crash.number == EACH else f"--write {result.crash.number}"
    return f"{command} {which} --moment {result.crash.moment.name}"


def as_json(results: Sequence[Result]) -> Mapping[str, Any]:
    """Rows, and each run that failed."""
    return {
        "workloads": [asdict(row) for row in rows(results)],
        "failures": [{"run": reported(each), "again": again(each)} for each in results if not each.held],
    }


def as_line(result: Result) -> Mapping[str, Any]:
    """One run, to be kept as it comes."""
    return {
        "workload": result.workload,
        "write": result.crash.number if result.crash else None,
        "moment": result.crash.moment.name if result.crash else None,
        "struck": result.struck,
        "kills": result.kills,
        "seconds": round(result.seconds, 3),
        "late": round(result.late, 3),
        "writes": result.requests,
        "problems": result.problems,
    }
