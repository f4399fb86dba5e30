"""Results as text, for people."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from math import ceil, log

from modelward.analysis.messages import duration
from modelward_cli.backtest.results import (
    AAResult,
    Conclusion,
    Detection,
    FaultResult,
    InjectResult,
    ReplayResult,
    RolloutResult,
)

_UNIX_TIMES = 1e8
"""Times below are seconds since the beginning of a stream."""
_MOST_ALARMS = 20
"""Listed one by one; JSON has all."""


def replay_text(result: ReplayResult) -> str:
    """Each rollout: the verdict, and what the rules of others would have done."""
    return "\n".join("\n".join(_rollout(each)) for each in result.rollouts)


def _rollout(result: RolloutResult) -> Iterator[str]:
    yield f"Rollout {result.rollout}"
    yield f"  {result.message}"
    if noisy := ", ".join(f"{name} {phi:.3g}" for name, phi in result.phi.items()):
        yield f"  Noise (φ): {noisy}."
    recorded = result.recorded_seconds
    never = "no" if recorded is None else f"not within {duration(recorded)}"
    ours = duration(result.seconds or 0.0) if result.verdict == "RollBack" else never
    rows = [("Modelward", ours, _count(result.bad_requests))]
    rows += [
        (
            found.rule,
            never if found.seconds is None else duration(found.seconds),
            _count(found.bad_requests),
        )
        for found in result.others
    ]
    yield ""
    yield from _table(("rule", "rolled back after", "bad requests"), rows)
    yield ""


def aa_text(result: AAResult) -> str:
    """The count first; then who, and why."""
    return "\n".join(_aa(result)) + "\n"


def _aa(result: AAResult) -> Iterator[str]:
    yield (
        f"{result.rolled_back} of {result.trials} healthy pseudo-canaries would have been rolled back"
        f" (at most {_share(result.at_most_percent)} with 95 % confidence; promised is {result.promised_percent:g} %)."
    )
    yield _windows(result.windows, result.skipped_windows, result.window_seconds)
    yield ""
    rows = [("Modelward", f"{result.rolled_back} of {result.trials}")]
    rows += [(each.rule, f"{each.rolled_back} of {result.trials}") for each in result.others]
    yield from _table(("rule", "rolled back"), rows)
    yield ""
    noise = [(name, f"{phi.median:.3g}", f"{phi.largest:.3g}") for name, phi in result.phi.items()]
    yield from _table(("noise (φ) of", "median", "largest"), noise)
    yield ""
    for alarm in result.false_alarms[:_MOST_ALARMS]:
        yield f"{moment(alarm.start)}  pod {alarm.pod}: {alarm.message}"
    if len(result.false_alarms) > _MOST_ALARMS:
        yield f"... and {len(result.false_alarms) - _MOST_ALARMS} more (-o json lists all)"
    yield _advice(result)


def _advice(result: AAResult) -> str:
    few = result.at_most_percent is None or result.at_most_percent > result.promised_percent
    if result.conclusion is Conclusion.NONE and few:
        needed = ceil(log(0.05) / log(1 - result.promised_percent / 100))
        return (
            f"Nothing here speaks against rolling back automatically, but {result.trials} trials say little: it takes"
            f" {needed} without a rollback to show that no more than {result.promised_percent:g} % are."
        )
    return _ADVICE[result.conclusion]


_ADVICE = {
    Conclusion.NONE: "Nothing here speaks against rolling back automatically.",
    Conclusion.WITHIN_PROMISE: "That many may happen by chance. Check the list: is it always the same pod, or hour?",
    Conclusion.MORE_THAN_PROMISED: (
        "That is more than promised. Before rollbacks are automatic: see why these pods differ, raise tolerancePercent,"
        " or set dryRun for the metric."
    ),
}


def inject_text(result: InjectResult) -> str:
    """One table per fault."""
    return "\n".join(_inject(result)) + "\n"


def _inject(result: InjectResult) -> Iterator[str]:
    usual, traffic = _share(result.usual_error_percent), _share(result.traffic_percent)
    yield f"Stable's usual errors: {usual}. A pseudo-canary had {traffic} of the requests."
    yield _windows(result.windows, result.skipped_windows, result.window_seconds)
    for fault in result.faults:
        yield ""
        yield from _fault(fault)


def _fault(fault: FaultResult) -> Iterator[str]:
    if not fault.trials:
        yield f"{fault.fault}: cannot be tried. There is no such metric, or stable had no failure to multiply: --errors-percent adds some."
        return
    rows = [
        (each.rule, detection(each, fault.trials), _median(each.median_bad_requests)) for each in fault.rules
    ]
    yield from _table((f"{fault.fault} ({fault.trials} trials)", "found after", "bad requests"), rows)


def detection(found: Detection, trials: int) -> str:
    """`45/90 s`; `300/- s (82%)` when not all were found; `(12%)` when fewer than half were; `never`."""
    if not found.found:
        return "never"
    share = f"({100 * found.found / trials:.0f}%)"
    if found.median_seconds is None:
        return share
    p95 = "-" if found.p95_seconds is None else f"{found.p95_seconds:g}"
    text = f"{found.median_seconds:g}/{p95} s"
    return text if found.found == trials else f"{text} {share}"


def moment(time: float) -> str:
    """A time of the recording: a date, or seconds since the stream's beginning."""
    if time < _UNIX_TIMES:
        return f"{time:g}s"
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _windows(made: int, skipped: int, seconds: float) -> str:
    text = f"{made} {'window' if made == 1 else 'windows'} of {duration(seconds)}"
    return f"{text}; {skipped} left out (a hole, or fewer than two pods)." if skipped else f"{text}."


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        yield f"  {'  '.join(cells)}".rstrip()


def _count(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"


def _median(number: float | None) -> str:
    return "unknown" if number is None else f"{number:,.0f}"


def _share(percent: float | None) -> str:
    return "unknown" if percent is None else f"{percent:.3g} %"
