"""`python -m fuzz`, or `make fuzz`: throw inputs at the targets, and say what came of it."""

import hashlib
import json
import logging
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from devcluster.paths import cache_directory
from fuzz.campaign import Outcome, campaign
from fuzz.finding import Finding, tried
from fuzz.shrink import smaller
from fuzz.targets import TARGETS

FOUND: Final = 1
_HEAD: Final = ("target", "inputs", "seconds", "per second", "failures")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-t",
    "--target",
    "chosen",
    multiple=True,
    type=click.Choice(list(TARGETS)),
    help="Only this one; may be given more than once.",
)
@click.option(
    "-n",
    "--inputs",
    default=100_000,
    show_default=True,
    type=click.IntRange(min=1),
    help="Inputs for each target.",
)
@click.option("-s", "--seed", default=1, show_default=True, help="The same seed gives the same inputs.")
@click.option(
    "-o",
    "--output",
    default="text",
    show_default=True,
    type=click.Choice(["text", "json"]),
    help="What is printed at the end.",
)
@click.option(
    "--replay",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Try the input in this file, with one --target.",
)
def main(chosen: Sequence[str], inputs: int, seed: int, output: str, replay: Path | None) -> None:
    """Throw inputs that depend on the seed alone at the functions that read what others write.

    A finding is made smaller and kept in the cache, and the command that shows it again is printed.
    Exit codes: 0 nothing was found, 1 something was, 2 the command line is wrong.
    """
    names = chosen or list(TARGETS)
    if replay:
        if len(names) != 1:
            raise click.UsageError("--replay needs exactly one --target")
        sys.exit(_replayed(names[0], replay))
    with _quiet():
        outcomes = [_outcome(name, inputs, seed) for name in names]
    print(_table(outcomes) if output == "text" else _json(outcomes, seed))
    sys.exit(FOUND if any(outcome.failures for outcome in outcomes) else 0)


@contextmanager
def _quiet() -> Iterator[None]:
    """What the operator logs about odd objects is not what is looked for."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _outcome(name: str, inputs: int, seed: int) -> Outcome:
    outcome = campaign(name, TARGETS[name], inputs, seed, _progress(name, inputs))
    _report(outcome)
    return outcome


def _replayed(name: str, file: Path) -> int:
    found = tried(TARGETS[name], file.read_bytes())
    print(found.text if found else "nothing is found")
    return FOUND if found else 0


def _progress(name: str, inputs: int) -> Callable[[int], None]:
    """What shows on a terminal how far it is."""
    if not sys.stderr.isatty():
        return lambda _: None
    return lambda done: print(f"\r{name}: {done} of {inputs} ", end="", file=sys.stderr, flush=True)


def _report(outcome: Outcome) -> None:
    """Keep what was found, and say how to see it again."""
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    for found in outcome.findings:
        file = _kept(outcome.target, smaller(TARGETS[outcome.target], found))
        command = shlex.join(["python", "-m", "fuzz", "--target", outcome.target, "--replay", str(file)])
        print(f"{outcome.target}: {found.sort}; again: {command}", file=sys.stderr)


def _kept(name: str, found: Finding) -> Path:
    """The file that holds an input, outside the repository."""
    file = cache_directory() / "fuzz" / name / f"{hashlib.sha256(found.data).hexdigest()[:16]}.bin"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(found.data)
    return file


def _table(outcomes: Sequence[Outcome]) -> str:
    rows = [_HEAD, *map(_row, outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    )


def _row(outcome: Outcome) -> tuple[str, ...]:
    return (
        outcome.target,
        str(outcome.inputs),
        f"{outcome.seconds:.1f}",
        f"{outcome.per_second:.0f}",
        str(outcome.failures),
    )


def _json(outcomes: Sequence[Outcome], seed: int) -> str:
    targets = [
        {
            "target": outcome.target,
            "inputs": outcome.inputs,
            "seconds": round(outcome.seconds, 3),
            "perSecond": round(outcome.per_second, 1),
            "failures": outcome.failures,
            "findings": [found.sort for found in outcome.findings],
        }
        for outcome in outcomes
    ]
    return json.dumps({"seed": seed, "targets": targets}, indent=2)


if __name__ == "__main__":
    main()
