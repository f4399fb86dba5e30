"""The options that the commands of `modelward backtest` share, and what they come to."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from modelward_cli.backtest.rivals import Thresholds
    from modelward_cli.backtest.windows import Cutting

_Command = TypeVar("_Command", bound=Callable[..., Any])


def together(*options: Callable[[Any], Any]) -> Callable[[_Command], _Command]:
    """All options at once, in the order in which --help shall show them."""

    def decorated(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


FILE = click.argument("file", type=click.Path(dir_okay=False, allow_dash=True), required=False)
OUTPUT = click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="A table, or JSON for programs.",
)
ROLLOUT = click.option("--rollout", help="Only this rollout of the file.")
SOURCE = together(
    click.option("--prometheus", metavar="URL", help="Read the past from this server instead of a file."),
    click.option(
        "--token-file", type=click.Path(path_type=Path), help="File with a bearer token for the server."
    ),
    click.option(
        "--ca-file", type=click.Path(path_type=Path), help="Authorities (PEM) for the server's TLS."
    ),
    click.option(
        "--timeout", "timeout_seconds", type=float, default=30.0, show_default=True, help="Seconds per query."
    ),
    click.option("--pod-label", default="pod", show_default=True, help="What the server calls a pod."),
    click.option(
        "--namespace-label", default="namespace", show_default=True, help="What it calls a namespace."
    ),
    click.option(
        "--manifest",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="The ModelDeployment (YAML), if need be with its runtime: which metrics, and the policy.",
    ),
    click.option("--namespace", help="Of the model. Default: the manifest's."),
    click.option("--model", help="Name of the ModelDeployment. Default: the manifest's."),
    click.option("--errors-hits", metavar="SELECTOR", help="Without a manifest: counter of failed requests."),
    click.option("--errors-total", metavar="SELECTOR", help="Counter of all requests."),
    click.option("--latency-histogram", metavar="SELECTOR", help="Histogram of durations, without _bucket."),
    click.option(
        "--latency-unit",
        type=click.Choice(["Seconds", "Milliseconds", "Microseconds"]),
        help="Of its bounds. Default Seconds.",
    ),
    click.option(
        "--from", "start", metavar="TIME", default="24h", show_default=True, help="90m, 36h, 7d: so long ago."
    ),
    click.option(
        "--to", "end", metavar="TIME", help="Or 2026-11-22T10:00:00Z, or Unix seconds. Default: now."
    ),
    click.option("--interval", type=float, default=15.0, show_default=True, help="Seconds between polls."),
    click.option("--stable", help="Revision that served. Default: what the operator's metrics show."),
    click.option("--canary", help="Revision that was the canary; with --stable."),
    click.option("--weight-percent", type=float, help="Traffic of the canary, if no metric shows it."),
)
RULES = together(
    click.option(
        "--flagger-threshold", type=int, default=5, show_default=True, help="Failed checks that roll back."
    ),
    click.option(
        "--flagger-success-percent", type=float, default=99.0, show_default=True, help="Least successes."
    ),
    click.option(
        "--flagger-p99-ms", type=float, default=500.0, show_default=True, help="0: latency is not checked."
    ),
    click.option(
        "--argo-success-percent", type=float, default=95.0, show_default=True, help="Least successes."
    ),
    click.option("--argo-failure-limit", type=int, default=3, show_default=True, help="Failures it allows."),
)
WINDOWS = together(
    click.option(
        "--window-minutes", type=click.FloatRange(1), default=30.0, show_default=True, help="Of one trial."
    ),
    click.option(
        "--reference-minutes",
        type=click.FloatRange(1),
        default=60.0,
        show_default=True,
        help="History before a window, from which noise is learned.",
    ),
    click.option(
        "--pods",
        type=click.IntRange(1),
        default=8,
        show_default=True,
        help="Pods that take a turn in one window.",
    ),
)


def thresholds(options: dict[str, Any]) -> "Thresholds":
    """The thresholds of the rules of others."""
    from modelward_cli.backtest.rivals import Thresholds

    return Thresholds(
        flagger_threshold=options["flagger_threshold"],
        flagger_success_percent=options["flagger_success_percent"],
        flagger_p99_seconds=options["flagger_p99_ms"] / 1000 or None,
        argo_success_percent=options["argo_success_percent"],
        argo_failure_limit=options["argo_failure_limit"],
    )


def cutting(options: dict[str, Any]) -> "Cutting":
    """How history is cut into windows."""
    from modelward_cli.backtest.windows import Cutting

    return Cutting(
        window_seconds=60 * options["window_minutes"],
        reference_seconds=60 * options["reference_minutes"],
        most_pods=options["pods"],
    )
