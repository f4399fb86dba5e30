"""What the pages say that can be read back from the code: reasons, commands, states, defaults."""

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from modelward.api.conditions import Reason
from modelward.api.rollout_policy import RolloutPolicy
from modelward.rollout.commands import HANDLED
from modelward.rollout.phases import Phase

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"


def page(name: str) -> str:
    """Its text."""
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_in_troubleshooting(reason: Reason) -> None:
    """Who looks up the STATUS column finds it: as a heading, or among the other conditions."""
    headings = re.findall(r"^## (.+)$", page("troubleshooting.md"), re.MULTILINE)
    named = {word for heading in headings for word in re.split(r"[ ,]+", heading)}
    others = page("troubleshooting.md").split("## Other conditions")[1].split("\n## ")[0]
    assert reason in named or f"`{reason}`" in others


@pytest.mark.parametrize("command", HANDLED)
def test_every_command_is_shown_as_a_line_to_type(command: str) -> None:
    """With the annotation that it is."""
    assert re.search(rf"kubectl annotate mwd \S+ --overwrite modelward\.dev/{command}=", page("rollouts.md"))


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.SERVING])
def test_every_state_is_explained(phase: Phase) -> None:
    """In the table of what one sees."""
    assert re.search(rf"^\| .*`{phase}`", page("rollouts.md"), re.MULTILINE)


def test_the_defaults_are_those_of_the_type() -> None:
    """The page says what happens by default."""
    policy, text = RolloutPolicy(), page("rollouts.md")
    for words, value in (
        (r"for at least (\d+) minutes", policy.step_min_seconds // 60),
        (r"after (\d+) minutes \(`stepMaxSeconds`\)", policy.step_max_seconds // 60),
        (r"`progressDeadlineSeconds` \((\d+)\)", policy.progress_deadline_seconds),
        (r"`keepPreviousSeconds` \((\d+)\)", policy.keep_previous_seconds),
        (r"for (\d+) minutes more", policy.keep_previous_seconds // 60),
    ):
        assert [int(number) for number in re.findall(words, text)[:1]] == [value]
    assert re.findall(r"CanaryStep, (\d+)", text) == [
        str(step.weight_percent) for step in policy.planned_steps
    ]


def test_every_place_that_contributors_are_sent_to_is_there() -> None:
    """The table "Where things are" names files and folders of the repository."""
    table = (
        (ROOT / "CONTRIBUTING.md")
        .read_text(encoding="utf-8")
        .split("## Where things are")[1]
        .split("\n## ")[0]
    )
    rows = [line.split("|")[2] for line in table.splitlines() if line.startswith("| ")][1:]
    places = [place for row in rows for place in re.findall(r"`([^`]+)`", row) if " " not in place]
    assert len(places) >= len(rows) > 10
    assert [place for place in places if not (ROOT / place).exists()] == []


@pytest.mark.parametrize(
    ("question", "places"),
    [
        pytest.param(
            "where a canary step is decided", {"rollout/canary.py": "_judged_at_step"}, id="a canary's step"
        ),
        pytest.param(
            "where a weight is written",
            {"controller/apply.py": "_route", "controller/user_routes.py": "_weigh"},
            id="a weight",
        ),
        pytest.param(
            "what happens when a watch breaks",
            {"controller/watch.py": "report_broken", "clients/kopf_session.py": "iter_chunked"},
            id="a watch that breaks",
        ),
        pytest.param(
            "where a metrics page is parsed",
            {"sampling/exposition.py": "readings", "sampling/lines.py": "read_page"},
            id="a page",
        ),
    ],
)
def test_a_question_leads_to_the_function_that_answers_it(question: str, places: Mapping[str, str]) -> None:
    """In two clicks: the row of "Where things are", and a function of the file that it names."""
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (row,) = [line for line in table.splitlines() if line.startswith(f"| {question} |")]
    assert re.findall(r"`operator/modelward/([^`]+)`", row) == [*places]
    for place, name in places.items():
        tree = ast.parse((ROOT / "operator" / "modelward" / place).read_text(encoding="utf-8"))
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, functions)}
