"""What each value changes, beside a file: `UPDATE_SNAPSHOTS=1 pytest tests/unit/chart` writes them anew."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from generate.chart_values import Values
from support.chart import rendered
from unit.chart.cases import CASES
from unit.chart.difference import reported

SNAPSHOTS: Final = Path(__file__).parent / "snapshots"


@pytest.mark.parametrize("name", CASES)
def test_a_switch_changes_this_and_nothing_else(name: str) -> None:
    """Beside the defaults."""
    change = reported(rendered(), rendered(CASES[name]))
    file = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        file.write_text(change, encoding="utf-8")
    assert file.exists(), "write it with UPDATE_SNAPSHOTS=1"
    assert change == file.read_text(encoding="utf-8")


def test_there_is_no_snapshot_of_nothing() -> None:
    """A case that was renamed leaves none behind."""
    assert {each.stem for each in SNAPSHOTS.iterdir()} == CASES.keys()


def test_every_value_is_in_a_case() -> None:
    """A value that no case sets could do nothing."""
    used = {path for case in CASES.values() for path in _paths(case)}
    assert {name for name in _names(Values) if not any(path.startswith(name) for path in used)} == set()


def test_every_case_but_one_changes_something() -> None:
    """A template that forgets a value would otherwise be found by who reads snapshots only."""
    same = [name for name in CASES if (SNAPSHOTS / f"{name}.txt").read_text(encoding="utf-8") == "nothing\n"]
    assert same == ["part-of-another-chart"]


def _names(struct: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    for field in msgspec.structs.fields(struct):
        name = prefix + field.encode_name
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from _names(field.type, f"{name}.")
        else:
            yield name


def _paths(node: Any, prefix: str = "") -> Iterator[str]:
    yield prefix
    if isinstance(node, dict):
        for key, each in node.items():
            yield from _paths(each, f"{prefix}.{key}" if prefix else key)
