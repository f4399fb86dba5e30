"""The table of phases, and that `decide` walks no other way."""

import ast
import inspect
from itertools import product

import pytest

from modelward.rollout import decide
from modelward.rollout.phases import TRANSITIONS, Phase, Trigger, following


@pytest.mark.parametrize(("phase", "trigger"), list(product(Phase, Trigger)))
def test_following_knows_the_table_and_nothing_else(phase: Phase, trigger: Trigger) -> None:
    """A pair that the table lacks is a bug of ours and raises."""
    if (phase, trigger) in TRANSITIONS:
        assert following(phase, trigger) is TRANSITIONS[phase, trigger]
    else:
        with pytest.raises(KeyError):
            following(phase, trigger)


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


def test_decide_names_no_next_phase_but_through_the_table() -> None:
    """`RolloutStatus(state=...)` gets its phase from `following`, the very first one apart."""
    states = [
        keyword.value
        for node in ast.walk(ast.parse(inspect.getsource(decide)))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "RolloutStatus"
        for keyword in node.keywords
        if keyword.arg == "state"
    ]
    assert sorted(ast.unparse(state) for state in states) == ["Phase.DEPLOYING", "state", "state"]
