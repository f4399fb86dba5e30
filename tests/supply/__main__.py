"""`python -m supply`: audit, sbom, chart."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import click

from supply import audit, locks, materials, released_chart
from supply.image import debian_packages

BASE = "docker.io/library/python:3.13-slim"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """What the operator is made of."""


@main.command("audit")
@click.option("--offline", is_flag=True, help="Leave out what needs a vulnerability service.")
def audit_(*, offline: bool) -> None:
    """Ask all that can be asked of source, Dockerfiles, workflows and pinned packages.

    Exit codes: 0 nothing found and all checked, 1 something found, 2 wrong usage, 3 nothing found but something
    could not be looked up.
    """
    answers = audit.offline() if offline else [*audit.offline(), *audit.online()]
    click.echo(audit.report(answers))
    code = audit.exit_code(answers)
    if code == 3:
        click.echo(
            "audit: not all could be checked, because no vulnerability service answered for it: exit code 3"
        )
    sys.exit(code)


@main.command()
@click.option("--base", default=BASE, show_default=True, help="The image that the operator's is built in.")
@click.option(
    "--image", type=click.Path(path_type=Path, exists=True), help="OCI archive or layout to look into."
)
@click.option(
    "--folder", type=click.Path(path_type=Path), default=locks.ROOT / "dist", help="Where to write."
)
def sbom(*, base: str, image: Path | None, folder: Path) -> None:
    """Write the bill of materials, in CycloneDX' format; its time is $SOURCE_DATE_EPOCH or the last commit's."""
    debian = debian_packages(image) if image else ()
    text = materials.bill(locks.of_image(), base, written(), debian)
    if errors := materials.schema_errors(text):
        raise click.ClickException(f"the bill is not what the schema wants: {errors}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"modelward-{metadata.version('modelward')}.cdx.json"
    path.write_text(text, encoding="utf-8")
    click.echo(path)


@main.command()
@click.option("--image", required=True, help="Name of the image, without tag or digest.")
@click.option("--digest", required=True, help="Its digest, sha256:...")
@click.option("--folder", required=True, type=click.Path(path_type=Path), help="Where to copy the chart to.")
def chart(*, image: str, digest: str, folder: Path) -> None:
    """Copy the chart with the image of a release in it, named by digest."""
    released_chart.copy(folder, image, digest)
    click.echo(folder)


def written() -> datetime:
    """The time that is stamped on what we write, so that the same commit gives the same bytes."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct")
    return datetime.fromtimestamp(int(epoch), UTC)


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=locks.ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


if __name__ == "__main__":
    main()
