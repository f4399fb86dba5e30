"""`modelward backtest`: what the judge would have said of the past, beside the rules of others."""

import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from modelward_cli.backtest.options import (
    FILE,
    OUTPUT,
    ROLLOUT,
    RULES,
    SOURCE,
    WINDOWS,
    cutting,
    thresholds,
    together,
)

if TYPE_CHECKING:
    from modelward_cli.backtest.results import Result
    from modelward_cli.judge.protocol import Line

EXIT_UNUSED = 1
"""Some lines could not be used, or there was nothing to judge, or the source could not be read."""
EXIT_MORE_THAN_PROMISED = 3
"""A/A: more healthy pods would have been rolled back than promised."""

_HELP = """Try the judge on the past: on a saved file, or on the history in a Prometheus.

Would it have rolled back healthy pods of mine? Check here before rollbacks are automatic:

\b
  modelward backtest aa --prometheus http://prometheus:9090 \\
    --manifest model.yaml --from 7d

How soon would it have found 2, 5 and 20 times as many errors on my traffic?

\b
  modelward backtest inject recording.jsonl

What would it have said of a past rollout?

\b
  modelward backtest replay recording.jsonl --plot rollout.svg

Keep the history as a file, which `modelward judge` reads, too:

\b
  modelward backtest record --prometheus ... > recording.jsonl

Nothing is written to a cluster, and only --prometheus opens a connection. docs/backtest.md has examples, the form of the
JSON, and what the figures can and cannot show.

Exit codes: 0 done; 1 lines were not used (each is named), nothing could be judged, or the server gave no answer; 2 wrong
usage; 3 `aa` found more than the promised share of false rollbacks.
"""


@click.group("backtest", help=_HELP, short_help="Try the judge on the past.")
def backtest_command() -> None:
    """The group of commands."""


@backtest_command.command("replay")
@together(FILE, ROLLOUT, OUTPUT)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the evidence and both rates: a .svg or .png file.",
)
@together(RULES, SOURCE)
def replay_command(output: str, plot: Path | None, **options: Any) -> None:
    """Judge past rollouts anew: verdict, time, sentence and bad requests, beside Flagger and Argo Rollouts.

    FILE has the JSON Lines of `modelward judge` (`-` is standard input; .gz is unpacked). The verdict and its time are
    those that `modelward judge` gives.
    """
    from modelward_cli.backtest.play import Replays
    from modelward_cli.backtest.plot import NoPlot, check, draw
    from modelward_cli.backtest.report import replay_text

    made = Replays(thresholds=thresholds(options), traced=plot is not None)
    try:
        if plot:
            check(plot)
        with _lines(options) as (lines, refused):
            made.take(lines)
        result = made.result()
        _print(result, output, replay_text)
        if not result.rollouts:
            _fail("no rollout with a canary that had traffic")
        if plot:
            if len(result.rollouts) > 1:
                raise click.UsageError("--plot draws one rollout: say which by --rollout")
            draw(made.picture(result.rollouts[0].rollout), plot)
    except NoPlot as error:
        raise click.UsageError(str(error)) from error
    sys.exit(EXIT_UNUSED if refused else 0)


@backtest_command.command("aa")
@together(FILE, ROLLOUT, OUTPUT, WINDOWS, RULES, SOURCE)
def aa_command(output: str, **options: Any) -> None:
    """Let healthy pods play the canary, and count those that would have been rolled back.

    History is cut into windows. In each of them one pod of stable after the other takes the canary's part, judged
    against the rest with the hour before as reference. They all run the same version, so every rollback is false.
    """
    from modelward_cli.backtest.healthy import aa
    from modelward_cli.backtest.report import aa_text
    from modelward_cli.backtest.results import Conclusion

    with _lines(options) as (lines, refused):
        result = aa(lines, cutting(options), thresholds(options))
    if not result.trials:
        _fail(_too_short(options, result.skipped_windows))
    _print(result, output, aa_text)
    if result.conclusion is Conclusion.MORE_THAN_PROMISED:
        sys.exit(EXIT_MORE_THAN_PROMISED)
    sys.exit(EXIT_UNUSED if refused else 0)


@backtest_command.command("inject")
@together(FILE, ROLLOUT, OUTPUT)
@click.option(
    "--factor",
    "factors",
    type=click.FloatRange(1, min_open=True),
    multiple=True,
    help="Errors so many times as frequent as usual. May be repeated. Default, without any fault: 2, 5, 20.",
)
@click.option(
    "--errors-percent",
    type=click.FloatRange(0, 100, min_open=True),
    multiple=True,
    help="Errors in so many percent of the requests, on top. May be repeated.",
)
@click.option(
    "--slower",
    type=click.FloatRange(0, min_open=True),
    multiple=True,
    help="Requests that take so many times as long. May be repeated.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the random numbers.")
@together(WINDOWS, RULES, SOURCE)
def inject_command(
    output: str,
    factors: tuple[float, ...],
    errors_percent: tuple[float, ...],
    slower: tuple[float, ...],
    seed: int,
    **options: Any,
) -> None:
    """Put faults into pods that play the canary, and see how soon each is found on your own traffic.

    Windows and pods are those of `aa`. Times are median/95th percentile in seconds since the fault began; a share in
    brackets says in how many of the trials it was found at all.
    """
    from modelward_cli.backtest.faults import Fault, Wrong
    from modelward_cli.backtest.injection import inject
    from modelward_cli.backtest.report import inject_text

    amounts = [
        (Wrong.ERRORS_TIMES, factors),
        (Wrong.ERRORS_PLUS, errors_percent),
        (Wrong.LATENCY_TIMES, slower),
    ]
    faults = [
        Fault(wrong=wrong, amount=amount) for wrong, given in amounts for amount in dict.fromkeys(given)
    ]
    faults = faults or [Fault(wrong=Wrong.ERRORS_TIMES, amount=factor) for factor in (2, 5, 20)]
    with _lines(options) as (lines, refused):
        result = inject(lines, faults, cutting(options), thresholds(options), seed)
    if not result.windows:
        _fail(_too_short(options, result.skipped_windows))
    _print(result, output, inject_text)
    sys.exit(EXIT_UNUSED if refused else 0)


@backtest_command.command("record")
@SOURCE
def record_command(**options: Any) -> None:
    """Write the history in a Prometheus as JSON Lines to standard output.

    Each rollout of that time gets a header with its policy and the hour of stable before it; a time without a canary
    is written under the name `<revision>-at-rest`. `modelward judge` and the other back-tests read it.
    """
    if not options["prometheus"]:
        raise click.UsageError("--prometheus says where the history is")
    _record(options, sys.stdout.buffer)
    sys.stdout.buffer.flush()


# --- input --------------------------------------------------------------------------------------------------


@contextmanager
def _lines(options: dict[str, Any]) -> "Iterator[tuple[Iterator[Line], list[int]]]":
    """The lines that can be used, and the numbers of those that cannot, which grows as one reads."""
    from modelward_cli.backtest.recording import lines_of

    refused: list[int] = []

    def note(number: int, message: str) -> None:
        refused.append(number)
        _complain(f"line {number}: {message}")

    with _opened(options) as stream:
        lines = lines_of(stream, note)
        wanted = options["rollout"]
        yield (line for line in lines if wanted is None or str(line.rollout) == wanted), refused


@contextmanager
def _opened(options: dict[str, Any]) -> Iterator[IO[bytes]]:
    """The file, or a temporary one with the history of a Prometheus."""
    from modelward_cli.backtest.recording import compressed, unpacked

    file, prometheus = options["file"], options["prometheus"]
    if bool(file) == bool(prometheus):
        raise click.UsageError("give either a FILE (- is standard input) or --prometheus")
    if prometheus:
        with compressed() as (sink, source):
            _record(options, sink)
            yield source()
        return
    try:
        with unpacked(file) as stream:
            yield stream
    except (OSError, EOFError, zlib.error) as error:
        raise click.UsageError(f"{file}: {getattr(error, 'strerror', None) or error}") from error


def _record(options: dict[str, Any], sink: IO[bytes]) -> None:
    from modelward.analysis.sampled_evidence import MetricsUnknown
    from modelward.errors import InvalidSettings
    from modelward_cli.backtest.source import record

    try:
        record(options, sink)
    except InvalidSettings as error:
        raise click.UsageError(str(error)) from error
    except MetricsUnknown as unknown:
        _fail(f"{unknown.problem.reason}: {unknown.problem.message}")


# --- output -------------------------------------------------------------------------------------------------


def _print(result: "Result", output: str, text: Callable[[Any], str]) -> None:
    import msgspec

    from modelward.api.printable import printable_lines

    as_text = output == "text"
    click.echo(
        printable_lines(text(result).rstrip("\n")) if as_text else msgspec.json.encode(result).decode()
    )


def _too_short(options: dict[str, Any], skipped: int) -> str:
    left_out = f" {skipped} windows were left out (a hole, or fewer than two pods)." if skipped else ""
    return (
        f"no window that could be tried: it takes two pods of stable over {options['reference_minutes']:g} minutes of"
        f" reference and {options['window_minutes']:g} of window (--reference-minutes, --window-minutes).{left_out}"
    )


def _complain(message: str) -> None:
    from modelward.api.printable import printable_lines

    click.echo(printable_lines(f"modelward: {message}"), err=True)


def _fail(message: str) -> None:
    _complain(message)
    sys.exit(EXIT_UNUSED)
