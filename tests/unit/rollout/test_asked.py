"""What spec asks for, and what follows from a decision: computed once, and the same as if computed anew."""

from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from builders.rollouts import A, B, rolling
from modelward.api.revision import revision_hash
from modelward.rollout import capacity, conditions, observed, readiness
from modelward.rollout.capacity import replicas_of_user, sizes
from modelward.rollout.decide import decide
from modelward.rollout.phases import Phase
from unit.rollout.events import EVENTS, happening, say


def calls_of(monkeypatch: pytest.MonkeyPatch, function: str, *modules: ModuleType) -> list[str]:
    """A list that grows with every call of the function by these modules."""
    calls: list[str] = []
    for module in modules:
        original = getattr(module, function)

        def counted(*args: Any, _original: Any = original) -> Any:
            calls.append(function)
            return _original(*args)

        monkeypatch.setattr(module, function, counted)
    return calls


@pytest.mark.parametrize("nonce", [0, 3])
def test_what_is_asked_is_named_by_the_recorded_nonce(nonce: int) -> None:
    """And what was rejected is known by the same without any."""
    world = rolling(Phase.SERVING, "2", status={"revision_nonce": nonce})
    fields = world.model.fields
    assert (world.asked.content, world.asked.revision) == (B, revision_hash(fields, nonce))
    assert world.asked_under(nonce) == world.asked.revision
    assert world.asked_under(nonce + 1) == revision_hash(fields, nonce + 1)


def test_another_model_asks_for_something_else() -> None:
    """What is observed never changes; a changed copy of it works out anew what is asked for."""
    world, other = rolling(Phase.SERVING, "1"), rolling(Phase.SERVING, "2", rollout={"strategy": "Direct"})
    assert (world.asked.content, len(world.asked.steps) > 0) == (A, True)
    changed = replace(world, model=other.model)
    assert (changed.asked.content, changed.asked.steps) == (B, ())
    assert world.asked is world.asked


@pytest.mark.parametrize("phase", Phase)
def test_a_decision_hashes_what_is_asked_once(phase: Phase, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is compared, until a status is complete."""
    world = rolling(phase)
    hashes = calls_of(monkeypatch, "revision_hash", observed)
    conditions.complete(world, decide(world))
    assert hashes == ["revision_hash"]


@pytest.mark.parametrize("phase", [Phase.SERVING, Phase.ANALYZING, Phase.WATCHING, Phase.DRAINING])
def test_conditions_and_messages_read_the_sizes_of_the_decision(
    phase: Phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no step asks for pods they are computed once for all that is reported and projected."""
    say(monkeypatch, EVENTS["continue"], phase)
    world = happening(EVENTS["continue"], phase)
    computed = calls_of(monkeypatch, "sizes", capacity, readiness)
    conditions.complete(world, decide(world))
    assert computed == ["sizes"]


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("event", EVENTS)
def test_the_sizes_of_a_decision_are_those_of_its_status(
    event: str, phase: Phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are computed before messages and its number are added, which change no size."""
    say(monkeypatch, EVENTS[event], phase)
    world = happening(EVENTS[event], phase)
    decision = decide(world)
    assert decision.sizes == sizes(world, decision.status)
    assert decision.replicas == replicas_of_user(world, decision.status)
