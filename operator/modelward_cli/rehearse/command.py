"""`modelward rehearse`: a manifest in, the story of its next rollout out, without a cluster."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from modelward.api.printable import printable_lines
from modelward.simulator.story import Line
from modelward_cli.rehearse.manifests import InvalidManifest, Manifests, assumed, changed, read
from modelward_cli.rehearse.rehearse import Rehearsal, Setting, completed, rehearse
from modelward_cli.rehearse.scenarios import SCENARIOS

EXIT_AS_EXPECTED: Final = 0
EXIT_OTHERWISE: Final = 1
"""A scenario came to another end than it should."""
EXIT_INVALID: Final = 2
DEFAULT_SCENARIOS: Final = ("good", "bad")
FORMAT_VERSION: Final = 1
_NEXT: Final = "-next"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says."""

    file: str
    to: str | None = None
    changes: tuple[str, ...] = ()
    scenarios: tuple[str, ...] = DEFAULT_SCENARIOS
    requests_per_second: float = 60.0
    load_seconds: float = 5.0
    approve: bool = True
    json: bool = False


def run(options: Options) -> int:
    """Rehearse and print; returns the exit code."""
    try:
        setting = completed(_setting(options))
        played = [rehearse(setting, SCENARIOS[name]) for name in options.scenarios]
    except InvalidManifest as error:
        click.echo(printable_lines(f"modelward: {error}"), err=True)
        return EXIT_INVALID
    reported = as_json(setting, played) if options.json else printable_lines(as_text(setting, played))
    click.echo(reported, nl=False)
    return EXIT_AS_EXPECTED if all(each.as_expected for each in played) else EXIT_OTHERWISE


def as_text(setting: Setting, played: list[Rehearsal]) -> str:
    """All stories, one after the other."""
    return "\n".join(_story(setting, each) for each in played)


def as_json(setting: Setting, played: list[Rehearsal]) -> str:
    """All stories as one JSON object; docs/rehearsal.md has its fields."""
    metadata = setting.before.model["metadata"]
    reported = {
        "version": FORMAT_VERSION,
        "model": {"namespace": metadata["namespace"], "name": metadata["name"]},
        "assumptions": list(setting.assumptions),
        "rehearsals": [_plain(each) for each in played],
    }
    return msgspec.json.format(msgspec.json.encode(reported), indent=2).decode() + "\n"


def _setting(options: Options) -> Setting:
    before = _read(options.file)
    assumptions: tuple[str, ...] = ()
    if options.to is not None:
        after = _read(options.to)
        if after.model["metadata"]["name"] != before.model["metadata"]["name"]:
            raise InvalidManifest(f"--to {options.to}: must be the same ModelDeployment, under the same name")
        before = _with_all(before, after)
        model = after.model
    else:
        model = before.model
    if options.changes:
        model = changed(model, options.changes)
    if model["spec"] == before.model["spec"]:
        version = f"{(model['spec'].get('model') or {}).get('version', '')}{_NEXT}".removeprefix("-")
        model = changed(model, (f"spec.model.version={version!r}",))
        assumptions = (f"the change: spec.model.version becomes {version} (say another by --change or --to)",)
    return Setting(
        before=before,
        after=model,
        requests_per_second=options.requests_per_second,
        load_seconds=options.load_seconds,
        approve=options.approve,
        assumptions=(*assumptions, *assumed((before.model, model))),
    )


def _with_all(before: Manifests, after: Manifests) -> Manifests:
    """The first file's model with the runtimes and routes of both."""

    def both(kind: str) -> tuple[Any, ...]:
        found = {
            (raw["kind"], raw["metadata"]["name"]): raw
            for raw in (*getattr(after, kind), *getattr(before, kind))
        }
        return tuple(found.values())

    return Manifests(
        model=before.model,
        runtimes=both("runtimes"),
        routes=both("routes"),
        ignored=tuple(dict.fromkeys((*before.ignored, *after.ignored))),
    )


def _read(file: str) -> Manifests:
    if file == "-":
        return read(sys.stdin.read(), "standard input")
    try:
        return read(Path(file).read_text(encoding="utf-8"), file)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidManifest(f"{file}: cannot be read: {error}") from error


# --- words --------------------------------------------------------------------------------------------------


def _story(setting: Setting, rehearsal: Rehearsal) -> str:
    metadata, scenario = setting.before.model["metadata"], rehearsal.scenario
    head = f"# {metadata['namespace']}/{metadata['name']}, scenario {scenario.name}: {scenario.summary}.\n"
    head += "".join(f"# Assumed: {each}.\n" for each in rehearsal.assumptions)
    return f"{head}{''.join(f'{line}{chr(10)}' for line in rehearsal.lines)}{_last(rehearsal)}\n"


def _last(rehearsal: Rehearsal) -> str:
    total, errors = round(rehearsal.canary.total), round(rehearsal.canary.errors)
    counted = f"the new version answered {total:,} requests, {errors:,} of them with an error"
    lost = f", {round(rehearsal.lost):,} found no pod" if round(rehearsal.lost) else ""
    expected = "" if rehearsal.as_expected else f" EXPECTED: {' or '.join(rehearsal.scenario.ends)}."
    return (
        f"= {rehearsal.end} after {rehearsal.seconds:.0f} s; {counted}{lost}. {rehearsal.message}{expected}"
    )


def _plain(rehearsal: Rehearsal) -> dict[str, Any]:
    return {
        "scenario": rehearsal.scenario.name,
        "summary": rehearsal.scenario.summary,
        "end": rehearsal.end.value,
        "expected": [end.value for end in rehearsal.scenario.ends],
        "asExpected": rehearsal.as_expected,
        "seconds": rehearsal.seconds,
        "message": rehearsal.message,
        "requests": {
            "newVersion": round(rehearsal.canary.total),
            "newVersionErrors": round(rehearsal.canary.errors),
            "lost": round(rehearsal.lost),
        },
        "events": [_event(line) for line in rehearsal.lines],
    }


def _event(line: Line) -> dict[str, Any]:
    reported = {"second": line.second, "actor": line.actor, "kind": line.kind, "text": line.text}
    more = {"subject": line.subject, "reason": line.reason}
    weight = {} if line.weight_percent is None else {"weightPercent": line.weight_percent}
    return reported | {key: value for key, value in more.items() if value} | weight
