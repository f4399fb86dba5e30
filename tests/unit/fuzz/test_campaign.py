"""The fuzzing itself: the same inputs for the same seed, findings made small, and a command line that shows."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from fuzz.__main__ import FOUND, main
from fuzz.campaign import campaign, input_of
from fuzz.finding import Finding, tried
from fuzz.shrink import smaller
from fuzz.source import Source
from fuzz.targets import TARGETS
from fuzz.typed import typed
from modelward.api.decode import decode_runtime, decode_spec
from modelward.api.model_deployment import ModelDeploymentSpec
from modelward.api.model_runtime import ModelRuntimeSpec


def breaks(data: bytes) -> None:
    """A target with a defect."""
    if b"\x07" in data[2:]:
        raise ValueError("a seven")


def test_a_seed_gives_the_same_inputs() -> None:
    """Each depends on its number alone, so that one can be had without those before it."""
    inputs = [input_of(1, "spec", number) for number in range(200)]
    assert inputs == [input_of(1, "spec", number) for number in range(200)]
    assert len(set(inputs)) > 150
    assert inputs != [input_of(2, "spec", number) for number in range(200)]


def test_a_finding_is_made_small() -> None:
    """As far as it stays one of the same sort."""
    found = tried(breaks, b"ab\x07" + b"x" * 100)
    assert isinstance(found, Finding)
    assert smaller(breaks, found).data == b"\x00\x00\x07"


def test_a_campaign_counts_failures_and_keeps_one_of_a_sort() -> None:
    """And says when it has tried another thousand."""
    reported: list[int] = []
    outcome = campaign("breaks", breaks, 3000, 1, reported.append)
    assert reported == [1000, 2000, 3000]
    assert outcome.failures > len(outcome.findings) == 1
    assert outcome.findings[0].sort.startswith("ValueError in test_campaign.py")


def test_the_simplest_choices_come_from_nothing() -> None:
    """An input of no bytes is a minimal object, and every choice comes to an end."""
    source = Source(b"")
    assert typed(source, ModelDeploymentSpec) == {}
    assert (source.whole(10**9), source.chance(), source.json(), source.mutated(("a", "b"))) == (
        0,
        False,
        None,
        "a",
    )


def test_typed_objects_fit_their_type() -> None:
    """What is not spoiled is decoded, and fields of every depth are among it."""
    texts = []
    for number in range(300):
        source = Source(input_of(1, "typed", number))
        texts.append(json.dumps(typed(source, ModelDeploymentSpec)))
        decode_spec(json.loads(texts[-1]))
        decode_runtime(typed(source, ModelRuntimeSpec))
    everything = "".join(texts)
    assert all(
        word in everything for word in ("secretKeyRef", "tolerationSeconds", "averageValue", "limitPercent")
    )


def test_the_command_line_says_what_was_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A table or JSON, the input in the cache, the command that shows it again, and an exit code."""
    monkeypatch.setenv("MODELWARD_CACHE", str(tmp_path))
    monkeypatch.setitem(TARGETS, "times", breaks)
    ran = CliRunner().invoke(main, ["-t", "times", "-t", "names", "-n", "200", "-o", "json"])
    assert ran.exit_code == FOUND
    times, names = json.loads(ran.stdout)["targets"]
    assert (times["failures"] > 0, names["failures"]) == (True, 0)
    (file,) = (tmp_path / "fuzz" / "times").iterdir()
    assert str(file) in ran.stderr
    again = CliRunner().invoke(main, ["--target", "times", "--replay", str(file)])
    assert (again.exit_code, "a seven" in again.stdout) == (FOUND, True)


def test_nothing_found_is_a_table_and_zero() -> None:
    """One line for each target."""
    ran = CliRunner().invoke(main, ["-t", "names", "-n", "50"])
    assert ran.exit_code == 0
    assert [line.split()[0] for line in ran.stdout.splitlines()] == ["target", "names"]
