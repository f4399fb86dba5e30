"""The table of phases, and that decisions walk no other way. That each entry is walked: see test_events."""

import ast
import inspect
import re
from itertools import product
from pathlib import Path
from types import ModuleType

import pytest

import modelward
from modelward.api.status import ModelDeploymentStatus, RolloutStatus
from modelward.rollout import canary, decide, decision, rollback
from modelward.rollout.decision import Progress
from modelward.rollout.phases import TRANSITIONS, Phase, Trigger, next_phase, phase_of


@pytest.mark.parametrize(("phase", "trigger"), list(product(Phase, Trigger)))
def test_next_phase_knows_the_table_and_nothing_else(phase: Phase, trigger: Trigger) -> None:
    """A pair that the table lacks is a bug of ours and raises."""
    if (phase, trigger) in TRANSITIONS:
        assert next_phase(phase, trigger) is TRANSITIONS[phase, trigger]
    else:
        with pytest.raises(KeyError):
            next_phase(phase, trigger)


def test_every_phase_is_reached_and_left() -> None:
    """No phase is a trap, and none is dead. A model begins in Serving, with nothing that serves."""
    assert set(TRANSITIONS.values()) == set(Phase)
    assert {phase for phase, _ in TRANSITIONS} == set(Phase)


def test_every_trigger_is_used() -> None:
    """A trigger without a transition means nothing."""
    assert {trigger for _, trigger in TRANSITIONS} == set(Trigger)


def test_every_phase_comes_back_to_serving() -> None:
    """From wherever it is, a rollout can end."""
    ends = {Phase.SERVING}
    for _ in Phase:
        ends |= {before for (before, _), after in TRANSITIONS.items() if after in ends}
    assert ends == set(Phase)


@pytest.mark.parametrize("module", [decide, canary, rollback, decision], ids=lambda module: module.__name__)
def test_no_next_phase_is_named_but_through_the_table(module: ModuleType) -> None:
    """`state=...` gets its phase from `next_phase`, the very first one, too."""
    states = [
        ast.unparse(keyword.value)
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "state" and getattr(node.func, "attr", "") != "observe"
    ]
    assert {state for state in states if not state.startswith("next_phase(")} <= {"judge.encode(state)"}


@pytest.mark.parametrize("module", [decide, canary, rollback], ids=lambda module: module.__name__)
def test_no_rollout_ends_but_through_the_table(module: ModuleType) -> None:
    """Serving is the phase without a rollout: only `Progress.going` takes it away."""
    keywords = [
        node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.keyword)
    ]
    assert [each for each in keywords if each.arg == "rollout" and ast.unparse(each.value) == "None"] == []


@pytest.mark.parametrize(
    ("phase", "trigger"), [way for way, after in TRANSITIONS.items() if after is Phase.SERVING]
)
def test_a_rollout_that_comes_back_to_serving_is_over(phase: Phase, trigger: Trigger) -> None:
    """It leaves nothing behind in status."""
    progress = Progress(status=ModelDeploymentStatus(rollout=RolloutStatus(state=phase, weight_percent=50)))
    assert progress.going(trigger, step=1).status == ModelDeploymentStatus()


def test_what_is_not_in_the_table_is_no_way_to_serving() -> None:
    """A canary at its step is not simply forgotten."""
    progress = Progress(status=ModelDeploymentStatus(rollout=RolloutStatus(state=Phase.ANALYZING)))
    with pytest.raises(KeyError):
        progress.going(Trigger.DRAINED)


@pytest.mark.parametrize("phase", Phase)
def test_the_phase_of_a_status_is_that_of_its_rollout(phase: Phase) -> None:
    """Without a rollout it is Serving."""
    rollout = None if phase is Phase.SERVING else RolloutStatus(state=phase)
    assert phase_of(ModelDeploymentStatus(rollout=rollout)) is phase


def test_the_phase_in_a_status_is_text_in_two_places_only() -> None:
    """Where a status of any version is repaired, and where its phase is read: all else compares phases."""
    operator = Path(inspect.getfile(modelward)).parents[1]
    modules = [*operator.glob("modelward/**/*.py"), *operator.glob("modelward_cli/**/*.py")]
    reading = {
        each.name for each in modules if re.search(r"\brollout\.state\b(?!`)", each.read_text("utf-8"))
    }
    assert reading == {"phases.py", "status_repair.py"}
