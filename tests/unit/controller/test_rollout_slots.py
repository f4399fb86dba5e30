"""The queue of those who wait for their turn, over the life of a process and beyond."""

from typing import Any

import pytest

from builders import NAMESPACE, manifest
from modelward.api.conditions import Reason
from modelward.api.decode import encode
from modelward.api.objects import Key
from modelward.api.status import Condition, ModelDeploymentStatus
from modelward.cache.store import Store
from modelward.controller.rollout_slots import Fleet
from modelward.rollout.decision import Decision
from modelward.rollout.fleet import Limits

ONE = Limits(fleet=1)


class World:
    """Models in a store."""

    def __init__(self) -> None:
        self.store = Store()
        self._version = 0

    def put(self, name: str, canary: str = "", queued: str = "") -> Key:
        """A model with a canary, or one that waits since `queued`."""
        self._version += 1
        conditions: tuple[Condition, ...] = ()
        if queued:
            conditions = (
                Condition(type="Ready", status="Unknown", reason=Reason.QUEUED, last_transition_time=queued),
            )
        raw: dict[str, Any] = manifest("1", name=name)
        raw["metadata"] |= {"uid": name, "resourceVersion": str(self._version)}
        status = ModelDeploymentStatus(stable_revision="s", canary_revision=canary, conditions=conditions)
        self.store.put({**raw, "status": encode(status)})
        return NAMESPACE, name

    def remove(self, name: str) -> None:
        """The model is deleted."""
        self.store.remove("ModelDeployment", NAMESPACE, name, name)


@pytest.fixture
def world() -> World:
    """An empty one."""
    return World()


def decides(fleet: Fleet, key: Key) -> bool:
    """Check a model that has changed: whether it sets out now."""
    turn = fleet.turn(key)
    canary = "c" if turn.granted else ""
    status = ModelDeploymentStatus(stable_revision="s", canary_revision=canary)
    fleet.decided(key, Decision(status=status, revisions={}, waiting="" if turn.granted else turn.message))
    return turn.granted


def test_two_at_once_do_not_take_the_same_place(world: World) -> None:
    """The first has decided, and its status is not written yet."""
    a, b = world.put("a"), world.put("b")
    fleet = Fleet(world.store, ONE)
    assert decides(fleet, a)
    assert not decides(fleet, b)


def test_a_place_that_was_not_taken_is_free_again(world: World) -> None:
    """The status could not be written: nothing has set out."""
    a, b = world.put("a"), world.put("b")
    fleet = Fleet(world.store, ONE)
    assert decides(fleet, a)
    fleet.finished(a)
    assert decides(fleet, b)


def test_the_end_of_a_rollout_wakes_the_next_once(world: World) -> None:
    """At once, whatever time its own next reconcile has."""
    a, b, c = world.put("a", canary="x"), world.put("b"), world.put("c")
    fleet = Fleet(world.store, ONE)
    assert not decides(fleet, b)
    assert not decides(fleet, c)
    assert list(fleet.next()) == []
    world.put("a")
    assert list(fleet.next()) == [b]
    assert list(fleet.next()) == []
    assert not decides(fleet, c), "the free place is b's"
    assert decides(fleet, b)
    assert not decides(fleet, a), "it changed again, and comes last"


def test_who_does_not_want_any_more_leaves_the_queue(world: World) -> None:
    """It was reverted, say."""
    world.put("a", canary="x")
    b, c = world.put("b"), world.put("c")
    fleet = Fleet(world.store, ONE)
    decides(fleet, b)
    decides(fleet, c)
    fleet.decided(b, Decision(status=ModelDeploymentStatus(stable_revision="s"), revisions={}))
    world.put("a")
    assert list(fleet.next()) == [c]


@pytest.mark.parametrize("gone", [True, False], ids=["it was deleted", "it cannot be reconciled"])
def test_nobody_waits_for_one_that_cannot_set_out(world: World, gone: bool) -> None:  # noqa: FBT001 - a parametrized case
    """A poisoned model must not hold the place that it never takes."""
    world.put("a", canary="x")
    b, c = world.put("b"), world.put("c")
    fleet = Fleet(world.store, ONE)
    decides(fleet, b)
    decides(fleet, c)
    world.put("a")
    if gone:
        world.remove("b")
    fleet.forget(b)
    assert decides(fleet, c)


def test_after_a_restart_the_order_is_that_of_their_conditions(world: World) -> None:
    """Whichever model is reconciled first."""
    world.put("a", canary="x")
    late = world.put("b", queued="2026-11-22T11:00:09Z")
    early = world.put("c", queued="2026-11-22T11:00:05Z")
    fleet = Fleet(world.store, ONE)
    world.put("a")
    assert not decides(fleet, late)
    assert decides(fleet, early)


def test_without_limits_nothing_is_counted(world: World) -> None:
    """The default: everybody sets out at once."""
    for name in "abc":
        assert decides(Fleet(world.store), world.put(name, canary="x"))
    assert list(Fleet(world.store).next()) == []
