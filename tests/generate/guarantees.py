"""The page of guarantees: what must hold, and the tests or figures that show it.

The rows are in guarantees.toml. A row names tests, as a file or as `file::function` below tests/; one that does not
exist is an error, so the page cannot promise more than there is. A row that nothing shows is printed as not proven.
"""

import ast
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

_TESTS: Final = Path(__file__).parents[1]
_ROWS: Final = Path(__file__).with_name("guarantees.toml")
_KINDS: Final = {
    "unit": "pure or one process",
    "model_server": "pure or one process",
    "golden": "whole rollouts in simulation",
    "cluster": "real API server",
    "e2e": "real node",
}
"""What a test stands on, by its folder; the strongest is named last."""


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that must hold, or one figure that must be reached."""

    id: str
    text: str
    tests: tuple[str, ...] = ()
    command: str = ""
    """A program that measures it."""
    figure: str = ""
    """What was measured, or tried and held."""
    gap: str = ""
    """What is not shown."""


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of one kind."""

    title: str
    words: str
    rows: tuple[Row, ...]


def tables() -> tuple[Table, ...]:
    """All tables, as they are written down. Raises msgspec.ValidationError with the path of what is wrong."""
    return msgspec.convert(tomllib.loads(_ROWS.read_text(encoding="utf-8"))["table"], tuple[Table, ...])


def parts(found: Iterable[Table]) -> Iterator[str]:
    """The page's paragraphs below its head: each table, then what is not proven."""
    found = tuple(found)
    for table in found:
        yield f"## {table.title}"
        yield table.words
        yield "\n".join(["| | must hold | how proven |", "|---|---|---|", *map(_line, table.rows)])
    yield "## What is not proven"
    yield "\n".join(f"- **{row.id}**: {_gap(row)}" for table in found for row in table.rows if _gap(row))


def unknown(found: Iterable[Table]) -> list[str]:
    """The tests that rows name and that do not exist."""
    named = {test for table in found for row in table.rows for test in row.tests}
    return sorted(test for test in named if not _exists(test))


def _line(row: Row) -> str:
    shown = [*_by_kind(row.tests), *([f"`{row.command}`"] if row.command else [])]
    proof = "<br>".join([*shown, *([f"**{row.figure}**"] if row.figure else [])]) or "**not proven**"
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in (f"**{row.id}**", row.text, proof)) + " |"


def _by_kind(tests: Iterable[str]) -> Iterator[str]:
    tests = tuple(tests)
    for folder, kind in _KINDS.items():
        if links := [_link(test) for test in tests if test.startswith(f"{folder}/")]:
            yield f"{kind}: {', '.join(links)}"


def _link(test: str) -> str:
    file, _, name = test.partition("::")
    return f"[{name or Path(file).stem}](../../tests/{file})"


def _gap(row: Row) -> str:
    return row.gap or ("" if row.tests or row.command else "nothing shows it.")


def _exists(test: str) -> bool:
    file, _, name = test.partition("::")
    path = _TESTS / file
    return file.partition("/")[0] in _KINDS and path.is_file() and (not name or name in _functions(path))


@cache
def _functions(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(
        each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    )
