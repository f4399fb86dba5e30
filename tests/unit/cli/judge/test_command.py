"""`modelward judge` as a program: streams in, verdicts out, and what happens to lines that cannot be used."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from modelward_cli import main
from modelward_cli.judge import command
from modelward_cli.judge.protocol import parsed

ROOT = Path(__file__).parents[4]


def lines(rollout: str | int, bad: int = 0, polls: int = 10, **first: Any) -> Iterator[dict[str, Any]]:
    """A header where one is given, and polls of a canary with `bad` errors in each 150 requests."""
    if first:
        yield {"rollout": rollout, **first}
    for n in range(polls + 1):
        pods = [("c", "canary", bad * n, 150 * n), ("s", "stable", n, 1350 * n)]
        yield {
            "rollout": rollout,
            "time": 15 * n,
            "weightPercent": 10,
            "pods": [
                {"pod": pod, "arm": arm, "metrics": {"errors": {"hits": hits, "total": total}}}
                for pod, arm, hits, total in pods
            ],
        }


def run(*entries: dict[str, Any] | str, options: tuple[str, ...] = ()) -> tuple[Result, list[dict[str, Any]]]:
    """The result, and the verdicts."""
    text = "".join(f"{entry if isinstance(entry, str) else json.dumps(entry)}\n" for entry in entries)
    result = CliRunner().invoke(main, ["judge", *options], input=text)
    return result, [json.loads(line) for line in result.stdout.splitlines()]


def test_rollouts_may_be_mixed() -> None:
    """Each is judged by itself; the others get their last state at the end, in the order of their first lines."""
    mixed = [line for pair in zip(lines("good"), lines("bad", 8), lines(7), strict=True) for line in pair]
    result, verdicts = run(*mixed)
    assert result.exit_code == 0
    assert [(v["rollout"], v["verdict"], v["time"]) for v in verdicts] == [
        ("bad", "RollBack", 30),
        ("good", "Advance", 150),
        (7, "Advance", 150),
    ]
    assert verdicts[0].keys() == {"rollout", "verdict", "time", "odds", "metric", "message"}
    assert verdicts[0]["odds"] > 100
    assert verdicts[0]["metric"] == "errors"


def test_mixed_or_one_after_the_other_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when there is room for a single one, and the others wait on disk."""
    rollouts = [list(lines(f"r{n}", bad=n)) for n in range(5)]
    _, in_turn = run(*(line for rollout in rollouts for line in rollout))
    monkeypatch.setattr(command, "MOST_ACTIVE", 1)
    _, mixed = run(*(line for together in zip(*rollouts, strict=True) for line in together))
    assert sorted(map(str, mixed)) == sorted(map(str, in_turn))
    assert len(mixed) == 5


def test_all_answers_every_poll() -> None:
    """Continue until something is certain, and the verdict stays."""
    _, verdicts = run(*lines("r", 8, polls=4), options=("--all",))
    assert [v["verdict"] for v in verdicts] == ["Continue", "Continue", "RollBack", "RollBack", "RollBack"]
    assert [v["time"] for v in verdicts] == [0, 15, 30, 30, 30]


def test_walk_takes_the_steps_of_the_policy() -> None:
    """As they come, in the middle of the stream."""
    _, verdicts = run(*lines("r", polls=40), *lines("s", 8), options=("--walk",))
    assert [(v["rollout"], v["verdict"]) for v in verdicts] == [
        ("r", "Advance"),
        ("r", "Advance"),
        ("r", "Promote"),
        ("s", "RollBack"),
    ]


def test_text_for_people() -> None:
    """One line each."""
    result = CliRunner().invoke(
        main, ["judge", "-o", "text"], input="\n".join(map(json.dumps, lines("r", 8)))
    )
    assert result.stdout.startswith("r  30s  RollBack  Rolled back after 30s: canary errors")


def test_a_policy_counts() -> None:
    """A tolerance so wide that eight times as many errors are the same."""
    _, verdicts = run(*lines("r", 1, policy={"tolerancePercent": 1000}))
    assert verdicts[-1]["verdict"] != "RollBack"


BROKEN = [
    pytest.param("{", "line 6: is not JSON", id="not JSON"),
    pytest.param('{"time": 3}', "line 6: rollout must be a name", id="no rollout"),
    pytest.param(
        {"rollout": "r", "time": 60, "pods": [{"pod": "c", "arm": "blue"}]}, "line 6: pods[0].arm", id="arm"
    ),
    pytest.param(
        {"rollout": "r", "time": 15, "pods": []}, "line 6: time 15 of rollout r is not after 60", id="time"
    ),
    pytest.param({"rollout": "r", "policy": {}}, "line 6: rollout r has begun already", id="a late header"),
]


@pytest.mark.parametrize(("broken", "problem_text"), BROKEN)
def test_a_line_that_cannot_be_used_is_named_and_left_out(broken: Any, problem_text: str) -> None:
    """Neither this rollout nor the others lose their verdict."""
    first = list(lines("r"))
    result, verdicts = run(*first[:5], broken, *first[5:], *lines("bad", 8))
    assert (result.exit_code, [v["verdict"] for v in verdicts]) == (1, ["RollBack", "Advance"])
    assert problem_text in result.stderr
    assert result.stderr.count("modelward: line ") == 1
    assert result.stderr.endswith("modelward: 1 line was not used\n")


def test_fields_without_a_meaning_are_noted() -> None:
    """The rollout is judged all the same."""
    result, verdicts = run(*lines("r", 8, policy={"tolerance": 5}))
    assert (result.exit_code, verdicts[0]["verdict"]) == (0, "RollBack")
    assert result.stderr == "modelward: line 1: not heeded in policy: tolerance\n"


def test_nothing_in_nothing_out() -> None:
    """Also of blank lines."""
    assert run("", "")[1] == []


def test_verdicts_come_while_the_input_goes_on() -> None:
    """Who generates traffic step by step waits for the answer before the next scrape."""
    arguments = [sys.executable, "-m", "modelward", "judge", "--walk"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "operator")}
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in lines("r", 8, polls=3):
            process.stdin.write(json.dumps(line).encode() + b"\n")
            process.stdin.flush()
        verdict = json.loads(process.stdout.readline())
        process.stdin.close()
    assert verdict["verdict"] == "RollBack"


def test_memory_stays_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rollouts there are, few are kept; those that are decided are dropped."""
    monkeypatch.setattr(command, "MOST_ACTIVE", 3)
    session = command.Session(walk=False, every=False)
    out = io.StringIO()
    for n in range(30):
        for line in lines(f"r{n}", 8 * (n % 2), polls=4):
            for said in session.take(parsed(json.dumps(line))):
                out.write(said.word)
    assert len(session._active) <= 3
    assert out.getvalue() == "RollBack" * 15
    assert len(list(session.rest())) == 15


def test_the_example_of_the_page_runs_as_printed() -> None:
    """docs/judge.md: the stream that it shows gives the verdict that it shows."""
    page = (ROOT / "docs/judge.md").read_text(encoding="utf-8")
    given, printed = re.findall(r"```json\n(.*?)```", page, flags=re.DOTALL)[:2]
    _, verdicts = run(*given.strip().splitlines())
    assert verdicts == [json.loads(line) for line in printed.strip().splitlines()]
