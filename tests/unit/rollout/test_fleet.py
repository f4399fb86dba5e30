"""Whose turn it is, when the number of rollouts is limited."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelward.api.objects import Key
from modelward.rollout.fleet import Limits, granted, in_order, requeue_after, turn
from modelward.rollout.observed import Turn


def keys(text: str) -> list[Key]:
    """`a1 b2`: model 1 of namespace a, model 2 of namespace b."""
    return [(word[0], word) for word in text.split()]


def key(word: str) -> Key:
    """One of them."""
    return keys(word)[0]


@pytest.mark.parametrize(
    ("waiting", "running", "limits"),
    [
        pytest.param("", "a1 a2 a3", Limits(), id="no limit"),
        pytest.param("", "a1", Limits(fleet=2), id="there is room"),
        pytest.param(
            "", "a1 a2 x", Limits(fleet=2), id="a newer change of a rollout under way keeps its place"
        ),
        pytest.param("b1 x", "", Limits(fleet=2), id="there is room for all who wait"),
        pytest.param("b1 b2 x", "b3", Limits(fleet=3, namespace=1), id="others' namespace is full"),
        pytest.param("b1 b2 b3 x", "b4", Limits(fleet=2), id="another namespace has enough already"),
    ],
)
def test_a_turn_is_granted(waiting: str, running: str, limits: Limits) -> None:
    """At once, with nothing to say."""
    assert turn(key("x"), keys(waiting), keys(running), limits) == Turn()


@pytest.mark.parametrize(
    ("waiting", "running", "limits", "message"),
    [
        pytest.param(
            "",
            "a1 a2",
            Limits(fleet=2),
            "number 1 of 1 in the queue; 2 of 2 rollouts are under way (limit of the operator)",
            id="all are taken",
        ),
        pytest.param(
            "a3 a4",
            "a1 a2",
            Limits(fleet=1),
            "number 1 of 3 in the queue; 2 of 1 rollouts are under way (limit of the operator)",
            id="the limit was lowered; who has none under way is next",
        ),
        pytest.param(
            "b1 x a3",
            "x1 b2",
            Limits(fleet=3),
            "number 3 of 3 in the queue; 2 of 3 rollouts are under way (limit of the operator)",
            id="the free place is another one's turn",
        ),
        pytest.param(
            "",
            "x1 x2 a1",
            Limits(fleet=9, namespace=2),
            "number 1 of 1 in the queue; 2 of 2 rollouts are under way (limit of namespace x)",
            id="its namespace is full",
        ),
    ],
)
def test_a_turn_that_is_not_there_yet(waiting: str, running: str, limits: Limits, message: str) -> None:
    """Place, queue and the limit that is reached are reported."""
    found = turn(("x", "x"), keys(waiting), keys(running), limits)
    assert not found.granted
    assert message in found.message


@pytest.mark.parametrize(
    ("waiting", "running", "order"),
    [
        pytest.param("a1 a2 a3", "", "a1 a2 a3", id="who came first"),
        pytest.param("a1 a2 a3 b1", "", "a1 b1 a2 a3", id="one of each namespace in turn"),
        pytest.param("a1 b1 b2", "a8 a9", "b1 b2 a1", id="who has the fewest under way"),
    ],
)
def test_the_order(waiting: str, running: str, order: str) -> None:
    """Fair between namespaces, and by arrival within."""
    assert in_order(keys(waiting), keys(running)) == keys(order)


def test_places_are_shown_anew_at_a_bearable_pace() -> None:
    """1,000 models that wait write five times a second, all together."""
    assert requeue_after(Turn(granted=False, waiting=3)) == 15.0
    assert requeue_after(Turn(granted=False, waiting=1000)) == 200.0


some_keys = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9).map(str)), max_size=12, unique=True)
some_limits = st.builds(Limits, fleet=st.none() | st.integers(1, 6), namespace=st.none() | st.integers(1, 4))


@given(some_keys, some_keys, some_limits)
def test_limits_are_never_exceeded(waiting: list[Key], running: list[Key], limits: Limits) -> None:
    """Whoever takes the turn that is granted, in whatever order; what runs already is not touched."""
    queue = [each for each in waiting if each not in running]
    free = granted(in_order(queue, running), running, limits)
    if limits.fleet is not None:
        assert len(free) <= max(0, limits.fleet - len(running))
    if limits.namespace is not None:
        before = Counter(namespace for namespace, _ in running)
        for namespace, count in Counter(namespace for namespace, _ in free).items():
            assert before[namespace] + count <= limits.namespace


@given(some_keys, some_keys, some_limits)
def test_nobody_waits_without_a_reason(waiting: list[Key], running: list[Key], limits: Limits) -> None:
    """Who gets no turn would exceed a limit together with those who do."""
    queue = [each for each in waiting if each not in running]
    free = granted(in_order(queue, running), running, limits)
    under_way = Counter(namespace for namespace, _ in [*running, *free])
    for each in queue:
        found = turn(each, queue, running, limits)
        assert found.granted == (each in free)
        if not found.granted:
            full = limits.fleet is not None and len(running) + len(free) >= limits.fleet
            assert full or (limits.namespace is not None and under_way[each[0]] >= limits.namespace)
            assert 1 <= found.place <= found.waiting == len(queue)


@given(some_keys, some_limits)
def test_everybody_gets_a_turn(waiting: list[Key], limits: Limits) -> None:
    """If rollouts end, the queue gets empty: nobody is overtaken for ever."""
    running: list[Key] = []
    for _ in range(2 * len(waiting)):
        free = granted(in_order(waiting, running), running, limits)
        waiting = [each for each in waiting if each not in free]
        running = [*running[1:], *free]  # the oldest ends
    assert waiting == []


@given(some_keys, some_keys, some_limits)
def test_a_newcomer_takes_nobodys_turn(waiting: list[Key], running: list[Key], limits: Limits) -> None:
    """Of its own namespace; those of others may have to wait for a namespace that has fewer."""
    queue = [each for each in waiting if each not in running]
    before = granted(in_order(queue, running), running, limits)
    newcomer = ("a", "new")
    after = granted(in_order([*queue, newcomer], running), running, limits)
    assert {each for each in before if each[0] == "a"} <= after
