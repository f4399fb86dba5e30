"""`python -m generate`: what it makes, and how it shows that a file is stale."""

import re
from pathlib import Path
from typing import Final

import pytest

from generate import guarantees, pages, phase_diagrams
from generate.__main__ import generated, main, stale, write
from generate.docstrings import of_attributes
from modelward.rollout.phases import TRANSITIONS, Phase

_STATE: Final = re.compile(r'state "([^"]+)" as (\w+)')
_ARROW: Final = re.compile(r"(\w+) --> (\w+): (.+)")


@pytest.fixture(scope="module")
def files() -> dict[Path, str]:
    """All that is made; it takes seconds."""
    return generated()


def test_written_files_are_fresh(tmp_path: Path) -> None:
    """What `make generate` writes is what `make verify` wants."""
    write(generated(), tmp_path)
    assert stale(generated(), tmp_path) == []


def test_a_stale_file_is_named_with_the_remedy(files: dict[Path, str], tmp_path: Path) -> None:
    """Who changed a type must learn which file to write anew, and how."""
    write(files, tmp_path)
    (tmp_path / "docs/reference/phases.md").write_text("old", encoding="utf-8")
    (tmp_path / "docs/reference/metrics.md").unlink()
    assert stale(files, tmp_path) == [
        "docs/reference/metrics.md is missing: run `make generate` and commit what it writes",
        "docs/reference/phases.md is stale: run `make generate` and commit what it writes",
    ]


def test_a_file_that_nothing_makes_any_more_is_named(files: dict[Path, str], tmp_path: Path) -> None:
    """A CRD that was renamed must not stay behind under its old name."""
    write(files, tmp_path)
    (tmp_path / "crds/old.yaml").write_text("", encoding="utf-8")
    assert stale(files, tmp_path) == ["crds/old.yaml is made from nothing any more: delete it"]


def test_bad_usage_ends_with_two() -> None:
    """A misspelt flag must not write anything."""
    assert main(["--chekc"]) == 2


def test_the_diagrams_have_every_transition_and_no_other() -> None:
    """Read back from what is drawn, arrow by arrow, it is the table."""
    names = {name: members for members, name in _STATE.findall(phase_diagrams.from_many())}
    drawn = {
        (before, trigger, after)
        for diagram in (phase_diagrams.forward(), phase_diagrams.from_many())
        for tail, after, label in _ARROW.findall(diagram)
        for before in names.get(tail, tail).split("<br/>")
        for trigger in label.split(", ")
    }
    assert drawn == {(before, trigger, after) for (before, trigger), after in TRANSITIONS.items()}
    assert phase_diagrams.forward() in pages.phases()
    assert phase_diagrams.from_many() in pages.phases()


def test_sentences_come_from_the_source() -> None:
    """Python keeps no docstring of an attribute; the source has it."""
    assert of_attributes(Phase)["SERVING"] == "One revision, the stable one; no rollout."


def test_metrics_show_their_labels() -> None:
    """Labels are what people need to write a query."""
    assert "| `modelward_api_requests_total` | counter | `verb`, `code` |" in pages.metrics()


def test_every_setting_is_described() -> None:
    """A setting without a sentence is of no use to who reads the page."""
    rows = [line for line in pages.settings().splitlines() if line.startswith("| `")]
    assert len(rows) >= 8
    assert all(row.rsplit("|", 2)[1].strip() for row in rows)


def test_a_promise_names_only_tests_that_are_there() -> None:
    """A test that was renamed takes its promise with it, or `make verify` fails."""
    rows = (
        guarantees.Row(id="S1", text="holds", tests=("unit/test_generate.py::test_bad_usage_ends_with_two",)),
        guarantees.Row(id="S2", text="holds", tests=("unit/test_generate.py::test_that_was_renamed",)),
        guarantees.Row(id="S3", text="holds", tests=("unit/test_that_was_moved.py", "bench/quick.py")),
    )
    table = guarantees.Table(title="T", words="", rows=rows)
    assert guarantees.unknown([table]) == [
        "bench/quick.py",
        "unit/test_generate.py::test_that_was_renamed",
        "unit/test_that_was_moved.py",
    ]


def test_what_nothing_shows_is_said_to_be_not_proven() -> None:
    """In its row, and in the list at the end."""
    table = guarantees.Table(title="T", words="", rows=(guarantees.Row(id="S1", text="holds"),))
    page = "\n\n".join(guarantees.parts([table]))
    assert "| **S1** | holds | **not proven** |" in page
    assert "- **S1**: nothing shows it." in page
