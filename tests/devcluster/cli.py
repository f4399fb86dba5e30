"""The command line: `PYTHONPATH=tests python -m devcluster --help`."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

import click

from devcluster import cluster as clusters
from devcluster import lifecycle, processes, report, versions
from devcluster import plan as plans
from devcluster.binaries import ensure_binaries
from devcluster.errors import DevclusterError, NotRunningError
from devcluster.node_images import import_image
from devcluster.progress import stopwatch

name_option = click.option(
    "--name", default="dev", show_default=True, help="Which cluster: 1 to 12 of a-z, 0-9 and inner dashes."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Build and run a real Kubernetes for development and tests.

    MODELWARD_KUBERNETES chooses the minor version (default: 1.36); a folder in gobuild/ says which there are.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no such cluster or not running, 4 this machine lacks something.
    """


@cli.command()
def build() -> None:
    """Build Kubernetes' programs into the cache (`up` does it, too) and print their directory."""
    minor, say = versions.chosen(), stopwatch()
    say(f"Kubernetes {versions.release(minor)}")
    click.echo(ensure_binaries(minor, say))


@cli.command()
@name_option
@click.option(
    "--node/--no-node", default=None, help="With a real node, or without. Default: if this machine allows it."
)
@click.option("--kwok", type=click.IntRange(0, 1000), default=0, metavar="N", help="At least N fake nodes.")
@click.option(
    "--audit/--no-audit", default=True, show_default=True, help="Log every request in logs/audit.log."
)
@click.option(
    "--gateway", is_flag=True, help="With the Gateway API, and Traefik on the host to carry it out."
)
def up(name: str, node: bool | None, kwok: int, audit: bool, gateway: bool) -> None:  # noqa: FBT001
    """Start a cluster, or whatever of it does not run."""
    say = stopwatch()
    found = clusters.ensure_up(name, node=node, kwok=kwok, audit=audit, with_gateway=gateway, say=say)
    say(f"{name} is up; its programs (kubectl) are in {found.binaries}")
    click.echo(f"export KUBECONFIG={found.kubeconfig}")


@cli.command()
@click.option("--name", default=None, help="Which cluster.")
@click.option("--all", "every", is_flag=True, help="All clusters of this user.")
@click.option("--wipe", is_flag=True, help="Remove their files as well.")
def down(name: str | None, every: bool, wipe: bool) -> None:  # noqa: FBT001
    """Stop a cluster (default: dev) with all its processes, links and mounts. Harmless when nothing runs."""
    if name and every:
        raise click.UsageError("--name and --all exclude each other")
    failures = []
    for each in lifecycle.existing() if every else [name or "dev"]:
        try:
            lifecycle.down(each, wipe=wipe, say=stopwatch())
        except DevclusterError as error:  # the others are to go all the same
            failures.append(str(error))
    if failures:
        raise DevclusterError("; ".join(failures))


@cli.command()
@name_option
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def status(name: str, output: str) -> None:
    """What runs, and where. Exit code 3 when a part that should run does not."""
    found = report.status(_known(name))
    click.echo(json.dumps(found.as_json(), indent=2) if output == "json" else found.as_text())
    if not found.ready:
        raise NotRunningError(f"{name} does not run completely", f"Start it: up --name {name}")


ARCHIVE = click.Path(exists=True, dir_okay=False, path_type=Path)


@cli.command("load-image")
@name_option
@click.argument("archives", nargs=-1, required=True, type=ARCHIVE, metavar="ARCHIVE...")
def load_image(name: str, archives: tuple[Path, ...]) -> None:
    """Import OCI archives into the real node. Quick when they are there already."""
    directory = _known(name).directory
    for archive in archives:
        already = import_image(directory, archive)
        click.echo(f"{archive} {'was there already' if already else 'is imported'}", err=True)


@cli.command()
@name_option
@click.option(
    "--service-account", metavar="NAMESPACE/NAME", help="Of this ServiceAccount, by a token for 24 hours."
)
def kubeconfig(name: str, service_account: str | None) -> None:
    """Print the path of a kubeconfig: the administrator's, or one for a ServiceAccount."""
    found = clusters.find(_known(name).name)
    if found is None:
        raise NotRunningError(f"there is no cluster {name}", f"Make it: up --name {name}")
    if service_account is None:
        click.echo(found.kubeconfig)
        return
    namespace, slash, account = service_account.partition("/")
    if not (namespace and slash and account):
        raise click.UsageError("--service-account takes NAMESPACE/NAME")
    click.echo(found.kubeconfig_for(namespace, account))


@cli.command()
@name_option
@click.argument("component")
def logs(name: str, component: str) -> None:
    """Print what COMPONENT (see status; also: audit) wrote."""
    path = processes.log_path(_known(name).directory, component)
    if not path.is_file():
        there = ", ".join(sorted(log.stem for log in path.parent.glob("*.log")))
        raise DevclusterError(f"{component} has no log", f"There are: {there}")
    with path.open(errors="replace") as lines, contextlib.suppress(BrokenPipeError):
        for line in lines:
            click.echo(line, nl=False)


def main() -> None:
    """Run the command line; an expected failure becomes one line on standard error and its exit code."""
    try:
        cli(prog_name="devcluster")
    except DevclusterError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:  # a full disk, a directory that may not be written
        click.echo(f"error: {error}", err=True)
        sys.exit(DevclusterError.exit_code)


def _known(name: str) -> plans.Plan:
    plan = plans.load(name)
    if plan is None:
        raise NotRunningError(f"there is no cluster {name}", f"Make it: up --name {name}")
    return plan
