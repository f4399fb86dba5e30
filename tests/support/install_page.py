"""The commands of docs/install.md, so that tests run what people copy."""

import itertools
import shlex
from pathlib import Path
from typing import Any, Final

import helm_python
import yaml

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "install.md"

Command = tuple[str, ...]


def commands(*beginning: str) -> list[Command]:
    """The words after `beginning` of each indented line that begins with it, in order."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    words = [
        tuple(shlex.split(line, comments=True)) for line in lines if line.startswith(f"    {beginning[0]} ")
    ]
    return [each[len(beginning) :] for each in words if each[: len(beginning)] == beginning]


def options(command: Command, name: str) -> list[str]:
    """What follows each `name`."""
    return [after for word, after in itertools.pairwise(command) if word == name]


def helm_values(command: Command) -> dict[str, Any]:
    """The values that a `helm` command gives, by --set or by the page's own values.yaml."""
    values: dict[str, Any] = {}
    if options(command, "--values"):
        _, _, block = PAGE.read_text(encoding="utf-8").partition("```yaml\n# values.yaml\n")
        values = yaml.safe_load(block.partition("```")[0])
    for each in options(command, "--set"):
        values = _merged(values, helm_python.parse_set_string(each))
    return values


def _merged(values: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    both = values.keys() & more.keys()
    return values | more | {key: _merged(values[key], more[key]) for key in both}
