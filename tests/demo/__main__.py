"""The command line: `make demo` and `make demo-down`, or `python -m demo up` and `python -m demo down`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from demo import recording, removal, story
from demo.console import Console
from demo.errors import DemoError
from devcluster.errors import DevclusterError
from devcluster.images import ImageError

INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Show Modelward on a real Kubernetes: a model, requests, and a new version while requests flow.

    Without KUBECONFIG it makes a cluster of its own, which `down` removes as a whole. With KUBECONFIG it uses
    that cluster: it says first what it will create and wants a yes (DEMO_YES=1 without a terminal), and needs
    DEMO_OPERATOR_IMAGE and DEMO_SERVER_IMAGE.

    Exit codes: 0 done, 1 failed, 2 refused before anything was done, 3 cannot be shown here, 130 interrupted.
    """


@cli.command()
def up() -> None:
    """Bring up what is missing, and show the story. The second time it takes seconds."""
    _run(story.show, "`make demo` goes on from here, `make demo-down` removes what there is")


@cli.command()
@click.option(
    "--simulated", is_flag=True, help="In the simulator, at a fixed rate of requests: no cluster is needed."
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def record(file: Path, *, simulated: bool) -> None:
    """Write a rollout that is rolled back, second by second, to FILE: `docs/images/rollback.jsonl` is drawn from it."""
    if simulated:
        recording.write(file, recording.simulated())
    else:
        _run(
            partial(story.record, file=file),
            "`python -m demo record` begins anew, `make demo-down` removes what there is",
        )


@cli.command()
def down() -> None:
    """Remove all that `up` has made."""
    _run(removal.remove, "`make demo-down` goes on from here")


def _run(part: Callable[[Console], None], after_interruption: str) -> None:
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        part(console)
    except KeyboardInterrupt:
        console.plain(f"\ninterrupted: {after_interruption}")
        sys.exit(INTERRUPTED)
    except DemoError as error:
        _end(console, error, error.exit_code)
    except (DevclusterError, ImageError, OSError) as error:
        _end(console, error, 1)


def _end(console: Console, error: Exception, code: int) -> None:
    sys.stdout.flush()
    print(f"\n{console.seconds:8.1f} s  error: {str(error).rstrip('.')}.", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    cli(prog_name="demo")
