"""The judge beside its rivals: `make bench-analysis`, or `python -m bench.analysis --help`."""

import secrets
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

import click

from bench.analysis.report import Outcome, Report, as_text
from bench.analysis.rivals import SCRAPE_SECONDS
from bench.analysis.run import Run
from bench.analysis.tables import (
    alike,
    drift,
    errors,
    exactness,
    history,
    mixed,
    noisy,
    onset,
    restart,
    slowness,
    small_load,
    together,
    walk,
)

POD_SECONDS: Final = 5.0
TABLES: Final[dict[str, Callable[[Run], Outcome]]] = {
    "exactness": exactness.outcome,
    "alike": alike.outcome,
    "errors": errors.outcome,
    "latency": slowness.outcome,
    "together": together.outcome,
    "noise": noisy.outcome,
    "mixed": mixed.outcome,
    "history": history.outcome,
    "onset": onset.outcome,
    "drift": drift.outcome,
    "walk": walk.outcome,
    "small-load": small_load.outcome,
    "restart": restart.outcome,
}
QUICK: Final[dict[str, Callable[[Run], Outcome]]] = {
    "exactness": exactness.outcome,
    "alike": alike.quick,
    "errors": errors.quick,
    "together": together.outcome,
    "restart": restart.quick,
}
QUICK_SEED: Final = 20_261_122
QUICK_ROLLOUTS: Final = 1_000


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def measured(tables: dict[str, Callable[[Run], Outcome]], runs: list[Run]) -> Iterator[tuple[str, Outcome]]:
    """Yield what each measurement says, with the distance of polls; what does not depend on that once."""
    began = time.monotonic()
    for run in runs:
        for name, outcome in tables.items():
            if name == "exactness" and run is not runs[0]:
                continue
            yield f"{run.poll:g} s", outcome(run)
            _say(f"[{time.monotonic() - began:6.1f} s] {name}, poll {run.poll:g} s")


@click.command()
@click.option(
    "--table",
    "names",
    multiple=True,
    type=click.Choice(list(TABLES)),
    help="What to measure.  [default: all]",
)
@click.option(
    "--rollouts",
    type=click.IntRange(1, 1_000_000),
    default=10_000,
    show_default=True,
    help="Simulated rollouts per cell where rare events are looked for; the rest takes a share of it.",
)
@click.option(
    "--poll",
    "polls",
    multiple=True,
    type=click.Choice([f"{SCRAPE_SECONDS:g}", f"{POD_SECONDS:g}"]),
    default=(f"{SCRAPE_SECONDS:g}", f"{POD_SECONDS:g}"),
    show_default=True,
    help="Seconds between two polls; rivals scrape every 15 s.",
)
@click.option("--seed", type=click.IntRange(0), default=None, help="Of all chance.  [default: a fresh one]")
@click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Processes.")
@click.option(
    "--quick", is_flag=True, help="G1, G5, G6, G14 and a small G2 with a fixed seed; fails if one is missed."
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def main(
    names: tuple[str, ...],
    rollouts: int,
    polls: tuple[str, ...],
    seed: int | None,
    jobs: int,
    quick: bool,  # noqa: FBT001 - click hands over all options alike
    output: str,
) -> None:
    """Simulate rollouts and judge them, by the shipped engine (or a copy in numpy) and by the rules of others.

    The long form reports and never gates.
    """
    tables = QUICK if quick else TABLES
    rollouts = QUICK_ROLLOUTS if quick else rollouts
    chosen_seed = seed if seed is not None else QUICK_SEED if quick else secrets.randbelow(10**9)
    chosen = {name: table for name, table in tables.items() if not names or name in names}
    runs = [
        Run(
            seed=chosen_seed,
            rollouts=rollouts,
            poll=float(poll),
            jobs=jobs,
            rivals=not quick and float(poll) == SCRAPE_SECONDS,
        )
        for poll in polls
    ]
    report = Report(about={"seed": chosen_seed, "rollouts": rollouts})
    for poll, outcome in measured(chosen, runs):
        report.outcomes.append((poll, outcome))
        if output == "text":
            for table in outcome.tables:
                click.echo(f"{as_text(table, f'Poll {poll}. ')}\n")
    about = f"seed {chosen_seed}, {rollouts:,} rollouts"
    click.echo(report.as_json() if output == "json" else as_text(report.goal_table(), f"{about}. "))
    if quick and report.short:
        sys.exit(1)


if __name__ == "__main__":
    main()
