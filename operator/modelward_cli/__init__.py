"""The command line: `modelward` or `python -m modelward`."""

import asyncio
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

import click

from modelward import __version__
from modelward_cli.backtest.command import backtest_command

EXIT_SETTINGS = 2
"""Settings are wrong or no cluster can be reached with them (click's own code for bad usage, too)."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Modelward serves machine-learning models on Kubernetes and rolls every change of them out safely."""


@main.command("run")
@click.option(
    "--settings", "file", type=click.Path(dir_okay=False, path_type=Path), help="YAML file of settings."
)
@click.option(
    "--kubeconfig",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Default: $KUBECONFIG, or the pod's own.",
)
@click.option("--namespace", "namespaces", multiple=True, help="Serve only this namespace. May be repeated.")
@click.option("--host", help="Address of /metrics, /healthz and /readyz. Default 0.0.0.0.")
@click.option("--port", type=int, help="Port of these endpoints; 0 takes a free one. Default 8080.")
@click.option("--workers", type=int, help="Models worked on at once. Default 16.")
@click.option("--resync-seconds", type=float, help="Pause between sweeps for lost events. Default 60.")
@click.option("--cluster-runtimes/--no-cluster-runtimes", default=None, help="Read ClusterModelRuntimes.")
@click.option(
    "--leader-election/--no-leader-election",
    default=None,
    help="Work only while holding the Lease, so that several may run. Default: on.",
)
@click.option("--lease-name", help="Name of the Lease. Default modelward.")
@click.option("--lease-namespace", help="Default: the pod's own; outside of a cluster modelward-system.")
@click.option("--log-level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]), help="Default INFO.")
@click.option("--log-format", type=click.Choice(["json", "text"]), help="Default json.")
def run_command(
    file: Path | None, kubeconfig: Path | None, namespaces: tuple[str, ...], **options: Any
) -> None:
    """Run the operator until SIGTERM or SIGINT.

    Settings come from the file; flags win over it. Exit codes: 0 stopped by a signal, 1 a failure, 2 wrong
    settings or no credentials for a cluster.
    """
    # Kopf and its dependencies take half a second to load; the other commands do without.
    from modelward.api.printable import printable_lines
    from modelward.controller.run import run
    from modelward.errors import InvalidSettings
    from modelward.logs import configure
    from modelward.settings import load

    flags = {
        "namespaces": list(namespaces) or None,
        "host": options["host"],
        "port": options["port"],
        "workers": options["workers"],
        "resyncSeconds": options["resync_seconds"],
        "clusterRuntimes": options["cluster_runtimes"],
        "leaderElection": {
            "enabled": options["leader_election"],
            "name": options["lease_name"],
            "namespace": options["lease_namespace"],
        },
        "log": {"level": options["log_level"], "format": options["log_format"]},
    }
    try:
        settings = load(file, flags)
        configure(settings.log)
        asyncio.run(run(settings, kubeconfig))
    except InvalidSettings as error:
        click.echo(printable_lines(f"modelward: {error}"), err=True)
        sys.exit(EXIT_SETTINGS)


_JUDGE_HELP = """Judge rollouts from the counters of their pods, line by line.

FILE (default: standard input) has one JSON object per line. A rollout may begin with a header, in which
everything is optional; "reference" is what stable's pods counted before:

\b
  {"rollout": "r1", "policy": {"confidencePercent": 99}, "reference": [{"time": -15, "pods": [...]}]}

Then a line per scrape, with counters since the start of each pod:

\b
  {"rollout": "r1", "time": 15, "weightPercent": 10, "pods": [
     {"pod": "a", "arm": "stable", "metrics": {"errors": {"hits": 1, "total": 1350}}},
     {"pod": "b", "arm": "canary", "metrics": {"errors": {"hits": 9, "total": 150}}}]}

(in one line). Printed is one line per verdict, with the odds and a sentence: RollBack as soon as it is
certain, and at the end of the input the last state of the other rollouts. With --walk also Advance, Promote
and Inconclusive, as they come. docs/judge.md says what is compared and what is guaranteed.

Exit codes: 0 all lines were used, 1 some were not (each is named on standard error), 2 wrong usage.
"""


@main.command("judge", help=_JUDGE_HELP)
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--all", "every", is_flag=True, help="Answer every scrape, not only with a verdict.")
@click.option(
    "--walk", is_flag=True, help="Take the steps of the policy, and print when the canary may advance."
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["json", "text"]),
    default="json",
    show_default=True,
    help="Form of a verdict.",
)
def judge_command(file: BinaryIO, output: str, *, every: bool, walk: bool) -> None:
    """Judge rollouts from the counters of their pods, line by line."""
    from modelward_cli.judge.command import judge

    sys.exit(judge(file, sys.stdout, walk=walk, every=every, text=output == "text"))


@main.command("rehearse")
@click.argument("file", required=False)
@click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    metavar="NAME",
    help="What happens; may be repeated. Default: good and bad. `all` plays every one.",
)
@click.option("--list-scenarios", is_flag=True, help="List the scenarios, and what each should come to.")
@click.option("--change", "changes", multiple=True, metavar="FIELD=VALUE", help="As spec.model.version=8.")
@click.option(
    "--to", metavar="FILE", help="The manifest as it is changed to. Default: another model version."
)
@click.option(
    "--requests-per-second",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="To the model.",
)
@click.option(
    "--load-seconds",
    type=click.FloatRange(min=0, max=86_400),
    default=5.0,
    show_default=True,
    help="From the start of a pod to readiness.",
)
@click.option("--approve/--no-approve", default=True, help="Approve steps that ask for it, after a minute.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Form."
)
def rehearse_command(
    file: str | None, scenarios: tuple[str, ...], output: str, *, list_scenarios: bool, **options: Any
) -> None:
    """Play the next rollout of a ModelDeployment on a virtual clock, without a cluster.

    FILE is a YAML manifest (- for standard input), which may hold runtimes and HTTPRoutes, too. Printed is
    what happens, at which second after the change, and why; the last line of each scenario says how it ends.

    Exit codes: 0 every scenario ends as it should, 1 one ends otherwise (a bad version is promoted, say),
    2 wrong usage or a manifest that the API server would refuse.
    """
    from modelward_cli.rehearse.command import DEFAULT_SCENARIOS, Options, run
    from modelward_cli.rehearse.scenarios import SCENARIOS

    if list_scenarios:
        for each in SCENARIOS.values():
            click.echo(f"{each.name:<20} {' or '.join(each.ends):<32} {each.summary}")
        return
    if file is None:
        raise click.UsageError("Missing argument 'FILE'.")
    names = tuple(SCENARIOS) if "all" in scenarios else scenarios or DEFAULT_SCENARIOS
    if unknown := [name for name in names if name not in SCENARIOS]:
        raise click.BadParameter(
            f"{unknown[0]} is none of {', '.join(SCENARIOS)}, all", param_hint="'--scenario'"
        )
    sys.exit(run(Options(file=file, scenarios=names, json=output == "json", **options)))


@main.command(
    "fetch",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    short_help="Fetch a model from where it is stored into a folder.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def fetch_command(arguments: tuple[str, ...]) -> None:
    """Fetch a model: a program of its own (`modelward_fetch`), which this one starts and does not import."""
    if importlib.util.find_spec("modelward_fetch") is None:
        click.echo("modelward: fetching is not installed here; pip install 'modelward[fetch]'", err=True)
        sys.exit(EXIT_SETTINGS)
    os.execv(  # noqa: S606 - arguments as they came, no shell
        sys.executable, [sys.executable, "-m", "modelward_fetch", *arguments]
    )


main.add_command(backtest_command)


@main.command("crds")
def crds_command() -> None:
    """Print the custom resource definitions as YAML, for `kubectl apply -f -`."""
    from modelward.api.crd.definitions import as_yaml, crd_manifests

    click.echo("---\n".join(as_yaml(crd) for crd in crd_manifests()), nl=False)


@main.command("version")
def version_command() -> None:
    """Print the version."""
    click.echo(f"modelward {__version__}")
