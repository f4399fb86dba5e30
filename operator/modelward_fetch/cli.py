"""`modelward fetch URI DIR`, and the entry point of the fetch container: the same program, set by arguments or variables."""

import importlib.util
import json
import logging
import os
import re
import signal
import sys
import traceback
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import click

from modelward_fetch import pin, report
from modelward_fetch.credentials import Credentials
from modelward_fetch.failures import EXIT_CODES, EXIT_DEFECT, EXIT_TERMINATED, FetchFailed, Reason
from modelward_fetch.fetch import Fetch, Request
from modelward_fetch.limits import Limits
from modelward_fetch.progress import Counter, amount, progress_logged, served
from modelward_fetch.redaction import Redactor, configure_log
from modelward_fetch.report import Report
from modelward_fetch.sources.opening import Opening
from modelward_fetch.uri import explained, parse

LOG: Final = logging.getLogger("modelward_fetch")
_DEFAULT: Final = Limits()
_PATH: Final = click.Path(path_type=Path)
_HELP: Final = """Fetch a model from URI into the folder DIR, verify it, and print what was fetched.

\b
  modelward fetch s3://models/fraud/7 ./fraud
  modelward fetch hf://org/model@main ./model
  modelward fetch https://example.com/model.tar.gz ./model

URI has the scheme s3, gs, az, https, hf, oci, mlflow, or in a pod pvc. DIR appears complete or not at all; a fetch that was
interrupted goes on when it is started again, and one that is done fetches nothing.

Credentials are read from --credentials, a folder with a file for each value (a mounted Secret), else from the environment.
docs/fetch.md lists them, the fields of the report, and the exit codes: 0 done, 2 wrong usage, 10 and up by the reason.
"""


@click.command(
    "fetch",
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "MODELWARD_FETCH"},
)
@click.argument("uri", envvar="MODELWARD_FETCH_URI")
@click.argument("directory", metavar="DIR", type=_PATH, envvar="MODELWARD_FETCH_DIR", required=False)
@click.option(
    "--explain", is_flag=True, help="Say what the address names, without asking anybody. Needs no DIR."
)
@click.option("--credentials", type=_PATH, help="Folder with credentials. Default: the environment's.")
@click.option(
    "--identity",
    type=click.Choice(["none", "workload"]),
    default="none",
    show_default=True,
    help="Without credentials: ask as nobody, or as the pod's workload identity.",
)
@click.option("--sha256", default="", help="SHA-256 of the file, or of the folder's listing (docs/fetch.md).")
@click.option("--pin", type=_PATH, help="File or folder with pin.json: what this revision is.")
@click.option("--claim", type=_PATH, help="Where the claim of pvc:// is mounted.")
@click.option(
    "--max-bytes", type=click.IntRange(min=1), default=_DEFAULT.bytes, show_default=True, help="Of all files."
)
@click.option(
    "--max-files",
    type=click.IntRange(min=1),
    default=_DEFAULT.files,
    show_default=True,
    help="Number of files.",
)
@click.option(
    "--timeout-seconds",
    type=click.FloatRange(min=0.1),
    default=_DEFAULT.seconds,
    show_default=True,
    help="For all of it.",
)
@click.option(
    "--stall-seconds",
    type=click.FloatRange(min=0.1),
    default=_DEFAULT.stall_seconds,
    show_default=True,
    help="Without a byte before a connection is given up.",
)
@click.option(
    "--max-redirects",
    type=click.IntRange(min=0, max=20),
    default=_DEFAULT.redirects,
    show_default=True,
    help="Followed.",
)
@click.option(
    "--plain-http-host",
    multiple=True,
    help="Host that may be asked by plain http. May be repeated.",
)
@click.option("--mlflow-tracking-uri", default="", help="For mlflow:// where the credentials name none.")
@click.option("--hf-endpoint", default="", help="For hf:// where the credentials name none.")
@click.option("--report", type=_PATH, help="File for the report, such as /dev/termination-log.")
@click.option("--progress-address", help="HOST:PORT where /progress is served meanwhile.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Of standard error.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Form of the report.",
)
def command(uri: str, directory: Path | None, *, explain: bool, **options: Any) -> None:
    """Fetch a model."""
    if explain:
        sys.exit(_explained(uri))
    if directory is None:
        raise click.UsageError("Missing argument 'DIR'.")
    sys.exit(run(uri, directory, **options))


def _explained(uri: str) -> int:
    try:
        click.echo(explained(parse(uri)))
    except FetchFailed as failure:
        click.echo(f"{failure.message}. {failure.remedy}", err=True)
        return EXIT_CODES[failure.reason]
    return 0


def run(uri: str, directory: Path, **options: Any) -> int:
    """The exit code."""
    _end_on_signals()
    redactor = Redactor()
    configure_log(redactor, as_json=options["log_format"] == "json")
    try:
        said, code = _fetched(uri, directory, redactor, options)
    except Exception as error:  # noqa: BLE001 - the last resort: a defect, said without values
        place = traceback.extract_tb(error.__traceback__)[-1]
        # Without the traceback's text, which holds values.
        LOG.error("defect: %s in %s, line %s", type(error).__name__, Path(place.filename).name, place.lineno)  # noqa: TRY400
        said, code = Report(result="Failed", message=f"defect: {type(error).__name__}"), EXIT_DEFECT
    text = said.as_json(redactor)
    if options["report"]:
        report.write(options["report"], text)
    click.echo(text if options["output"] == "json" else _sentences(json.loads(text)), err=code != 0)
    return code


def _fetched(uri: str, directory: Path, redactor: Redactor, options: dict[str, Any]) -> tuple[Report, int]:
    fetch = None
    said = Report(result="Failed")
    counter = Counter()
    with ExitStack() as stack:
        try:
            if options["progress_address"]:
                stack.enter_context(served(options["progress_address"], counter))
            stack.enter_context(progress_logged(counter))
            fetch = _prepared(uri, directory, redactor, counter, options)
            return fetch.run(), 0
        except FetchFailed as failure:
            return (fetch.failed(failure) if fetch else said.failed(failure)), EXIT_CODES[failure.reason]


def _prepared(
    uri: str, directory: Path, redactor: Redactor, counter: Counter, options: dict[str, Any]
) -> Fetch:
    at = parse(uri)
    limits = Limits(
        bytes=options["max_bytes"],
        files=options["max_files"],
        seconds=options["timeout_seconds"],
        stall_seconds=options["stall_seconds"],
        redirects=options["max_redirects"],
    )
    folder = options["credentials"]
    servers = {"MLFLOW_TRACKING_URI": options["mlflow_tracking_uri"], "HF_ENDPOINT": options["hf_endpoint"]}
    given = (
        Credentials.from_folder(folder, redactor, servers)
        if folder
        else Credentials.from_environment(redactor, defaults=servers)
    )
    opening = Opening(
        given,
        limits,
        environment=dict(os.environ),
        claim=options["claim"],
        workload=options["identity"] == "workload",
        plain_hosts=frozenset(options["plain_http_host"]),
    )
    request = Request(
        at=at,
        target=Path(os.path.abspath(directory)),  # noqa: PTH100 - `resolve` would follow a link
        limits=limits,
        sha256=_sha256(options["sha256"]),
        pin=pin.read(options["pin"], at),
    )
    return Fetch(request, opening, counter)


def _sha256(given: str) -> str:
    """64 digits, as the report and `sha256sum` write them. Raises FetchFailed."""
    digits = given.strip().lower().removeprefix("sha256:")
    if given.strip() and not re.fullmatch("[0-9a-f]{64}", digits):
        raise FetchFailed(
            Reason.INVALID_URI,
            "the SHA-256 that was given is not one",
            remedy="Give 64 hexadecimal digits, with or without `sha256:` before them.",
            field="spec.model.sha256",
        )
    return digits


def _sentences(fields: dict[str, Any]) -> str:
    if fields["result"] == "Failed":
        lines = [f"{fields.get('reason', 'Failed')}: {fields['message']}"]
        lines += [f"  field:  {fields['field']}"] if "field" in fields else []
        lines += [f"  remedy: {fields['remedy']}"] if "remedy" in fields else []
        return "\n".join(lines)
    words = {"AlreadyThere": "already there", "InPlace": "in place"}.get(fields["result"], "fetched")
    size = f"{fields['files']} files, {amount(fields['bytes'])}, {words} in {fields['seconds']:.1f} s"
    return "\n".join([fields["resolved"], size, *([fields["digest"]] if "digest" in fields else [])])


def _end_on_signals() -> None:
    """At once: as the first process of a container Python would ignore SIGTERM, and what is done so far is kept anyway."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(EXIT_TERMINATED))


def main() -> None:
    """The program. What is missing of the extra is said in one line."""
    missing = [
        name for name in ("httpcore2", "obstore", "huggingface_hub") if not importlib.util.find_spec(name)
    ]
    if missing:
        click.echo(f"modelward fetch: {', '.join(missing)} missing; pip install 'modelward[fetch]'", err=True)
        sys.exit(2)
    command(prog_name="modelward fetch")
