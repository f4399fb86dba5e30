"""`python -m faults`, or `make faults`: kill the operator at every write, and see whether anything is lost."""

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from conftest import FAKE_NODES, OPERATOR_NAMESPACE, install
from devcluster import Cluster, ensure_up, report
from devcluster import plan as plans
from faults.enumeration import Enumeration, Point, of_names, sample
from faults.lane import Crash, Result
from faults.plan import Moment
from faults.table import as_json, as_line, as_table, failures, reported
from faults.workloads import BY_NAME
from support.kubectl import Kubectl

EXIT_BROKEN = 1


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--workload",
    "names",
    multiple=True,
    type=click.Choice(tuple(BY_NAME)),
    help="Only this one. May be repeated.",
)
@click.option("--write", type=click.IntRange(1), help="Only at this write, counted from 1.")
@click.option("--moment", type=click.Choice([each.name for each in Moment]), help="Only at this crash point.")
@click.option(
    "--loop", is_flag=True, help="A crash loop instead: the operator is killed at every write of a run."
)
@click.option(
    "--sample", "count", type=click.IntRange(1), help="So many crash points, drawn by the seed. Default: all."
)
@click.option("--seed", default=1, show_default=True, help="What the sample is drawn with.")
@click.option(
    "--lanes", default=2, show_default=True, type=click.IntRange(1, 8), help="Operators side by side."
)
@click.option(
    "--cluster", "name", default="faults", show_default=True, help="Development cluster, started if needed."
)
@click.option(
    "--results", type=click.Path(dir_okay=False, path_type=Path), help="Append each run here, as JSON lines."
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Form of the result.",
)
def main(
    names: tuple[str, ...],
    write: int | None,
    moment: str | None,
    count: int | None,
    seed: int,
    lanes: int,
    name: str,
    results: Path | None,
    output: str,
    *,
    loop: bool,
) -> None:
    """Kill the operator at every mutating request of every workload, at three points each, and start it again.

    What must hold is checked at each state that a recorder saw; the end is compared with an undisturbed run.
    A line for each run on standard error, the table on standard output. Exit codes: 0 all held, 1 something did
    not (the table is followed by how to see it again), 2 wrong usage.
    """
    notified_of: list[Result] = []

    def report(result: Result) -> None:
        notified_of.append(result)
        click.echo(reported(result), err=True)
        if results:
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(as_line(result)) + "\n")

    def chosen(points: list[Point]) -> Iterable[Point]:
        fitting = [point for point in points if _fits(point.crash, write, moment)]
        return sample(fitting, count, seed) if count else fitting

    with _cluster(name) as cluster:
        click.echo(f"Kubernetes {cluster.kubernetes}", err=True)
        credentials = cluster.kubeconfig_for(OPERATOR_NAMESPACE, "modelward")
        directory = Path(tempfile.mkdtemp(prefix="modelward-faults-"))
        enumeration = Enumeration(cluster, credentials, directory, lanes, report, once=not loop)
        enumeration.run(of_names(names), chosen)
    sys.exit(_print(notified_of, output))


def _fits(crash: Crash, write: int | None, moment: str | None) -> bool:
    return crash.number == (write or crash.number) and crash.moment.name == (moment or crash.moment.name)


@contextmanager
def _cluster(name: str) -> Iterator[Cluster]:
    """A development cluster with our CRDs and rights; left running if it ran."""
    plan = plans.load(name)
    was_running = plan is not None and report.status(plan).ready
    cluster = ensure_up(name, kwok=FAKE_NODES)
    try:
        install(Kubectl(cluster))
        yield cluster
    finally:
        if not was_running:
            cluster.down(wipe=True)


def _print(results: list[Result], output: str) -> int:
    """The exit code."""
    broken = failures(results)
    if output == "json":
        click.echo(json.dumps(as_json(results), indent=1))
    else:
        click.echo(as_table(results))
        click.echo("".join(f"\n{each}" for each in broken))
    return EXIT_BROKEN if broken else 0


if __name__ == "__main__":
    main()
