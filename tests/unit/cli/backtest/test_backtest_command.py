"""`modelward backtest` as a program: what the page shows, the codes it ends with, and what goes wrong."""

import gzip
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

from modelward.errors import InvalidSettings
from modelward_cli import main
from modelward_cli.backtest import results
from modelward_cli.backtest.command import backtest_command
from modelward_cli.backtest.source import moment
from unit.cli.backtest.traffic import as_lines, at_rest, rollout

PAGE = (Path(__file__).parents[4] / "docs" / "backtest.md").read_text(encoding="utf-8")
SHORT = ("--window-minutes", "10", "--reference-minutes", "20")


def _run(*arguments: object, given: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["backtest", *map(str, arguments)], input=given)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the recordings that the page is about."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rollout.jsonl").write_bytes(as_lines(rollout(0.05, name="fraud-v7")))
    history = as_lines(at_rest(pods=4, minutes=121, errors=0.005))
    (tmp_path / "history.jsonl").write_bytes(history)
    return tmp_path


EXAMPLES = re.findall(r"```console\n\$ modelward backtest (.*?)\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("command", "shown"), EXAMPLES, ids=[command for command, _ in EXAMPLES])
def test_the_examples_on_the_page(files: Path, command: str, shown: str) -> None:
    """They print what the page says, to the letter."""
    result = _run(*command.split())
    assert (result.exit_code, result.stderr) == (0, "")
    assert [line.rstrip() for line in result.stdout.splitlines()] == shown.splitlines()
    assert [(files / name).exists() for name in re.findall(r"\S+\.svg", command)] == [True] * command.count(
        ".svg"
    )


def _fields(struct: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(struct)]


OBJECTS: dict[str, type[msgspec.Struct]] = {
    "`Replay`": results.ReplayResult,
    "of `rollouts`": results.RolloutResult,
    "of `others` (Replay)": results.Found,
    "`AA`": results.AAResult,
    "of `falseAlarms`": results.FalseAlarm,
    "of `others` (AA)": results.RuleCount,
    "of `phi` (AA)": results.Phi,
    "`Inject`": results.InjectResult,
    "of `faults`": results.FaultResult,
    "of `rules`": results.Detection,
}


@pytest.mark.parametrize("named", OBJECTS)
def test_the_page_describes_the_json(named: str) -> None:
    """Every object with every field, in its order."""
    row = re.search(rf"^\| {re.escape(named)} \| (.*) \|$", PAGE, re.MULTILINE)
    assert row is not None
    assert re.findall(r"`(\w+)`", row[1]) == _fields(OBJECTS[named])


def test_json_has_no_more_and_no_less(files: Path) -> None:
    """Also what is unknown is there, as null."""
    replayed = json.loads(_run("replay", "rollout.jsonl", "-o", "json").stdout)
    assert replayed.keys() == {"kind", "rollouts"}
    assert list(replayed["rollouts"][0]) == _fields(results.RolloutResult)
    assert replayed["rollouts"][0]["others"][2]["seconds"] is None
    healthy = json.loads(_run("aa", "history.jsonl", "-o", "json", *SHORT).stdout)
    assert (healthy["kind"], list(healthy)[1:]) == ("AA", _fields(results.AAResult))
    faulty = json.loads(_run("inject", "history.jsonl", "-o", "json", "--factor", 20, *SHORT).stdout)
    assert (faulty["kind"], list(faulty)[1:]) == ("Inject", _fields(results.InjectResult))
    assert faulty["faults"][0]["rules"][0]["rule"] == "Modelward"


def test_compressed_and_piped(files: Path) -> None:
    """The same answer."""
    plain = _run("replay", "rollout.jsonl").stdout
    (files / "rollout.jsonl.gz").write_bytes(gzip.compress((files / "rollout.jsonl").read_bytes()))
    assert _run("replay", "rollout.jsonl.gz").stdout == plain
    assert _run("replay", "-", given=(files / "rollout.jsonl").read_bytes()).stdout == plain


def test_one_rollout_of_several(files: Path) -> None:
    """By its name."""
    (files / "two.jsonl").write_bytes(as_lines(rollout(0.05, name="a"), rollout(0.001, name="b")))
    assert "Rollout a" not in _run("replay", "two.jsonl", "--rollout", "b").stdout
    refused = _run("replay", "two.jsonl", "--plot", "two.svg")
    assert refused.exit_code == 2
    assert "say which by --rollout" in refused.stderr
    assert _run("replay", "two.jsonl", "--plot", "a.png", "--rollout", "a").exit_code == 0
    assert (files / "a.png").read_bytes().startswith(b"\x89PNG")


def test_the_plot_shows_what_it_shows(files: Path) -> None:
    """In words that can be searched for; and the same data give the same file."""
    _run("replay", "rollout.jsonl", "--plot", "one.svg")
    _run("replay", "rollout.jsonl", "--plot", "two.svg")
    drawn = (files / "one.svg").read_text(encoding="utf-8")
    for text in ("Rollout fraud-v7", "limit 100:1", "odds (to 1)", "canary", "stable", "Flagger rolls back"):
        assert f">{text}<" in drawn
    assert drawn == (files / "two.svg").read_text(encoding="utf-8")


def test_without_matplotlib_there_is_a_remedy(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before the work begins; and without --plot nothing is missed."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = _run("replay", "rollout.jsonl", "--plot", "x.svg")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "pip install 'modelward[plot]'" in result.stderr
    assert _run("replay", "rollout.jsonl").exit_code == 0


def test_lines_that_cannot_be_used_are_named(files: Path) -> None:
    """The rest counts."""
    lines = (files / "rollout.jsonl").read_bytes().splitlines()
    (files / "broken.jsonl").write_bytes(b"\n".join([*lines[:5], b'{"rollout": "x", "time"', *lines[5:]]))
    result = _run("replay", "broken.jsonl")
    assert result.exit_code == 1
    assert result.stderr.startswith("modelward: line 6: is not JSON")
    assert result.stdout == _run("replay", "rollout.jsonl").stdout


def _failing_pod(minutes: float) -> Iterator[dict[str, Any]]:
    for entry in at_rest(minutes=minutes):
        entry["pods"][0]["metrics"]["errors"]["hits"] += int(max(0, entry["time"] - 1200) / 15 * 6)
        yield entry


def test_more_than_promised_has_a_code_of_its_own(files: Path) -> None:
    """So that a pipeline may stop on it; who and why is listed."""
    (files / "odd.jsonl").write_bytes(as_lines(_failing_pod(31)))
    result = _run("aa", "odd.jsonl", *SHORT)
    assert result.exit_code == 3
    assert "1 of 4 healthy pseudo-canaries would have been rolled back" in result.stdout
    assert re.search(
        r"^1200s  pod s0: Rolled back after .+ odds against chance .+$", result.stdout, re.MULTILINE
    )
    assert "more than promised" in result.stdout


WRONG = [
    pytest.param(("replay",), 2, "give either a FILE", id="no input"),
    pytest.param(("replay", "x", "--prometheus", "http://p"), 2, "give either a FILE", id="two inputs"),
    pytest.param(("replay", "missing.jsonl"), 2, "missing.jsonl: No such file", id="no such file"),
    pytest.param(("replay", "empty.jsonl"), 1, "no rollout with a canary", id="nothing to judge"),
    pytest.param(("replay", "cut.gz"), 2, "cut.gz: ", id="a broken archive"),
    pytest.param(("replay", "rollout.jsonl", "--plot", "x.pdf"), 2, "a plot is .png or .svg", id="plot"),
    pytest.param(("aa", "rollout.jsonl"), 1, "no window that could be tried", id="too short"),
    pytest.param(("inject", "rollout.jsonl"), 1, "no window that could be tried", id="too short for faults"),
    pytest.param(("inject", "rollout.jsonl", "--factor", "1"), 2, "1.0 is not in the range", id="factor"),
    pytest.param(("record",), 2, "--prometheus says where", id="record from nowhere"),
    pytest.param(("aa", "--prometheus", "http://p"), 2, "--namespace and --model", id="which model"),
    pytest.param(
        ("aa", "--prometheus", "http://p", "--namespace", "n", "--model", "m"), 2, "--errors-hits", id="what"
    ),
    pytest.param(
        ("aa", "--prometheus", "http://p", "--manifest", "model.yaml", "--from", "soon"),
        2,
        "'soon' is no time",
        id="when",
    ),
    pytest.param(
        ("aa", "--prometheus", "http://127.0.0.1:9", "--manifest", "model.yaml", "--from", "1h"),
        1,
        "SourceUnreachable",
        id="a server that is away",
    ),
    pytest.param(
        ("aa", "--prometheus", "http://p", "--manifest", "empty.jsonl"),
        2,
        "has 0 ModelDeployments",
        id="not a manifest",
    ),
]
MANIFEST = """
apiVersion: modelward.dev/v1alpha1
kind: ModelDeployment
metadata: {name: fraud, namespace: shop}
spec:
  runtime: {name: own}
  rollout: {steps: [{weightPercent: 20}]}
  analysis: {tolerancePercent: 30}
---
apiVersion: modelward.dev/v1alpha1
kind: ModelRuntime
metadata: {name: own, namespace: shop}
spec:
  supportedFormats: [{name: onnx}]
  signals:
    errors: {hits: 'hits{code="5"}', total: hits}
  container: {image: example.com/own:1}
"""


@pytest.mark.parametrize(("arguments", "code", "problem_text"), WRONG)
def test_what_is_wrong_is_said(files: Path, arguments: tuple[str, ...], code: int, problem_text: str) -> None:
    """In one sentence, without a traceback."""
    (files / "empty.jsonl").write_bytes(b"\n")
    (files / "cut.gz").write_bytes(gzip.compress(b"{}" * 1000)[:20])
    (files / "model.yaml").write_text(MANIFEST, encoding="utf-8")
    result = _run(*arguments)
    assert result.exit_code == code
    assert problem_text in result.stderr
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90m", 1_800_000_000 - 5400),
        ("1.5h", 1_800_000_000 - 5400),
        ("7d", 1_800_000_000 - 604_800),
        ("1763800000", 1_763_800_000),
        ("2026-11-22T10:00:00Z", 1_795_341_600),
        ("2026-11-22T10:00:00", 1_795_341_600),
        ("2026-11-22T11:00:00+01:00", 1_795_341_600),
    ],
)
def test_times(text: str, seconds: float) -> None:
    """So long ago, as a date (UTC where it does not say), or as Unix seconds."""
    assert moment(text, 1_800_000_000) == seconds


def test_no_time() -> None:
    """With the forms that there are."""
    with pytest.raises(InvalidSettings, match="7d, 36h or 90m"):
        moment("yesterday", 0)


@pytest.mark.parametrize("name", ["replay", "aa", "inject", "record"])
def test_help_for_newcomers(name: str) -> None:
    """What it does first, and a word on every option; the group shows a command to begin with."""
    command = backtest_command.commands[name]
    assert command.help
    assert [each.name for each in command.params if isinstance(each, click.Option) and not each.help] == []
    assert command.help.partition("\n")[0].rstrip(":.") in " ".join(_run(name, "--help").stdout.split())
    assert f"modelward backtest {name} " in _run("--help").stdout
