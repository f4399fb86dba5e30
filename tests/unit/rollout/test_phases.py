"""The table of phases, and that decisions walk no other way. That each entry is walked: see test_events."""

import ast
import inspect
from itertools import product
from types import ModuleType

import pytest

from modelward.rollout import canary, decide, decision, rollback
from modelward.rollout.phases import TRANSITIONS, Phase, Trigger, next_phase


@pytest.mark.parametrize(("phase", "trigger"), list(product(Phase, Trigger)))
def test_next_phase_knows_the_table_and_nothing_else(phase: Phase, trigger: Trigger) -> None:
    """A pair that the table lacks is a bug of ours and raises."""
    if (phase, trigger) in TRANSITIONS:
        assert next_phase(phase, trigger) is TRANSITIONS[phase, trigger]
    else:
        with pytest.raises(KeyError):
            next_phase(phase, trigger)


def test_every_phase_is_reached_and_left() -> None:
    """No phase is a trap, and none is dead. A model begins in Deploying."""
    assert set(TRANSITIONS.values()) | {Phase.DEPLOYING} == set(Phase)
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
    """`state=...` gets its phase from `next_phase`, the very first one apart."""
    states = [
        ast.unparse(keyword.value)
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "state" and getattr(node.func, "attr", "") != "observe"
    ]
    assert {state for state in states if not state.startswith("next_phase(")} <= {
        "Phase.DEPLOYING",
        "judge.encode(state)",
    }
