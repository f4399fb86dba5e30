"""One rollout of a stream: where counting starts, whose steps are taken, what is said."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from modelward.analysis.readings import Arm, PodReading, Poll, RatioReading
from modelward_cli.judge.protocol import Header, parsed
from modelward_cli.judge.replay import Replay, Said, Word, began_together

GOOD, BAD = (0, 150), (8, 150)
STABLE = (1, 1350)


def polls(
    canary: Sequence[tuple[int, int]],
    *,
    age: int = 0,
    interval: float = 15,
    weight: float = 10,
    start: float = 0,
) -> Iterator[Poll]:
    """Polls with the increments of the canary; stable has one error in 1,350, and `age` requests behind it."""
    counts, stable = [0, 0], [0, age]
    for number, (hits, cases) in enumerate(canary):
        yield poll(start + number * interval, (counts[0], counts[1]), (stable[0], stable[1]), weight)
        counts = [counts[0] + hits, counts[1] + cases]
        stable = [stable[0] + STABLE[0], stable[1] + STABLE[1]]
    yield poll(start + len(canary) * interval, (counts[0], counts[1]), (stable[0], stable[1]), weight)


def poll(time: float, canary: tuple[int, int], stable: tuple[int, int], weight: float = 10) -> Poll:
    """Counters as they stand."""
    pods = [("canary-0", Arm.CANARY, canary), ("stable-0", Arm.STABLE, stable)]
    return Poll(
        time=time,
        weight_percent=weight,
        pods=tuple(
            PodReading(pod=name, arm=arm, metrics={"errors": RatioReading(hits=h, total=n)})
            for name, arm, (h, n) in pods
        ),
    )


def header(**fields: Any) -> Header:
    """A header as it stands in a line."""
    made = parsed(json.dumps({"rollout": "r"} | fields)).header
    assert made is not None
    return made


def said(replay: Replay, given: Iterator[Poll] | Sequence[Poll]) -> list[Said]:
    """All that is said, until the end of it."""
    made: list[Said] = []
    for poll_of in given:
        made += replay.take(poll_of)
        if made and made[-1].ends:
            break
    return made


def test_a_bad_canary_is_rolled_back() -> None:
    """And nothing else is said."""
    made = said(Replay(header()), polls([BAD] * 10))
    assert [(one.word, one.time) for one in made] == [(Word.ROLL_BACK, 30)]


@pytest.mark.parametrize(
    ("first", "age", "time"),
    [
        pytest.param(0, 0, 30, id="the first poll is at zero"),
        pytest.param(0, 10**6, 30, id="stable is old, and the first poll is at the start"),
        pytest.param(1, 0, 30, id="the first poll is an interval after the start"),
        pytest.param(1, 10**6, 45, id="stable is old, and the first interval cannot be known"),
    ],
)
def test_where_counting_starts(first: int, age: int, time: float) -> None:
    """As much is used as can be known."""
    given = list(polls([BAD] * 10, age=age))[first:]
    assert said(Replay(header()), given)[-1].time == time


def test_a_reference_goes_on_into_the_rollout() -> None:
    """Its last poll is where stable's first interval starts; and phi comes from it."""
    reference = [
        {
            "time": 15 * (n - 20),
            "pods": [{"pod": "stable-0", "metrics": {"errors": {"hits": n, "total": 1350 * n}}}],
        }
        for n in range(21)
    ]
    given = [
        poll(15.0 * (n + 1), (8 * (n + 1), 150 * (n + 1)), (20 + n + 1, 1350 * (20 + n + 1)))
        for n in range(5)
    ]
    made = said(Replay(header(reference=reference)), given)[-1]
    assert (made.word, made.time) == (Word.ROLL_BACK, 30)
    assert "noise history, evidence discounted by 1.8." in made.message  # five minutes of one pod say little


def test_an_empty_reference_is_no_history() -> None:
    """Evidence is then discounted as the operator does it; saying nothing about the past takes requests as independent."""
    message = said(Replay(header(reference=[])), polls([BAD] * 10))[-1].message
    assert "No noise history, evidence discounted by 2." in message
    assert "history" not in said(Replay(header()), polls([BAD] * 10))[-1].message


@pytest.mark.parametrize("interval", [5, 15, 60])
def test_the_interval_shows_with_the_second_poll(interval: float) -> None:
    """Or is given; either way the same is said."""
    shown = said(Replay(header()), polls([BAD] * 10, interval=interval))
    given = said(Replay(header(policy={"intervalSeconds": interval})), polls([BAD] * 10, interval=interval))
    assert shown == given
    assert shown[0].time == 2 * interval


def test_the_engine_walks_its_own_steps() -> None:
    """5, 25 and 50 % of the default policy, two minutes each, and all of it."""
    made = said(Replay(header(), walk=True), polls([GOOD] * 100))
    assert [(one.word, one.time) for one in made] == [
        (Word.ADVANCE, 120),
        (Word.ADVANCE, 240),
        (Word.PROMOTE, 360),
    ]
    assert made[0].message.startswith("Step 5% since 2m: no sign of harm")


def test_the_steps_of_the_policy_are_walked() -> None:
    """One step of a minute."""
    policy = {"steps": [{"weightPercent": 50}], "stepMinSeconds": 60}
    made = said(Replay(header(policy=policy), walk=True), polls([(0, 750)] * 100))
    assert [(one.word, one.time) for one in made] == [(Word.PROMOTE, 60)]


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ("Pause", [Word.INCONCLUSIVE]),
        ("Promote", [Word.INCONCLUSIVE, Word.PROMOTE]),
        ("RollBack", [Word.INCONCLUSIVE, Word.ROLL_BACK]),
    ],
)
def test_what_follows_a_step_without_an_answer_is_the_users_wish(wish: str, words: list[Word]) -> None:
    """No requests, for ten minutes."""
    replay = Replay(header(policy={"onInconclusive": wish}), walk=True)
    assert [one.word for one in said(replay, polls([(0, 0)] * 100))] == words


def test_an_intermediate_step_is_left_without_an_answer() -> None:
    """After ten minutes with too few requests; the last one is not."""
    replay = Replay(header(), walk=True)
    made = said(replay, polls([(0, 1)] * 200))
    assert [one.word for one in made] == [Word.INCONCLUSIVE, Word.ADVANCE] * 2 + [Word.INCONCLUSIVE]


def test_a_canary_that_waits_for_a_person_is_still_rolled_back() -> None:
    """It has traffic."""
    replay = Replay(header(), walk=True)
    made = said(replay, polls([(0, 0)] * 45 + [BAD] * 10))
    assert [one.word for one in made] == [Word.INCONCLUSIVE, Word.ROLL_BACK]


def test_the_last_state_is_that_of_the_last_poll() -> None:
    """At the weight of the input."""
    replay = Replay(header())
    assert said(replay, polls([GOOD] * 10)) == []
    last = replay.last()
    assert last is not None
    assert (last.word, last.time) == (Word.ADVANCE, 150)
    assert "25% traffic needs" in last.message


def test_a_weight_that_changes_begins_a_step() -> None:
    """Its time and its counts start anew."""
    replay = Replay(header())
    first = list(polls([GOOD] * 10))
    counts = first[-1].pods
    assert said(replay, first) == []
    readings = [pod.metrics["errors"] for pod in counts]
    canary, stable = [r for r in readings if isinstance(r, RatioReading)]
    later = poll(165, (0, int(canary.total) + 375), (int(stable.hits), int(stable.total) + 1125), weight=25)
    assert said(replay, [later]) == []
    last = replay.last()
    assert last is not None
    assert last.word is Word.CONTINUE
    assert last.message.startswith("Step 25% since 15s")


def test_nothing_at_all_has_no_last_state() -> None:
    """A header without a poll."""
    assert Replay(header()).last() is None


def test_a_single_poll_has_a_last_state() -> None:
    """Of which little is known."""
    replay = Replay(header())
    assert said(replay, [poll(0, (0, 0), (0, 0))]) == []
    last = replay.last()
    assert last is not None
    assert last.word is Word.CONTINUE


def test_a_guard_may_read_the_errors() -> None:
    """`signal: errors` says so, whatever the guard is called."""
    metrics = [{"name": "slo", "kind": "Guard", "signal": "errors", "limitPercent": "2"}]
    made = said(Replay(header(policy={"metrics": metrics})), polls([BAD] * 40))
    assert (made[-1].word, made[-1].metric) == (Word.ROLL_BACK, "slo")


@pytest.mark.parametrize(
    ("canary", "stable", "weight", "together"),
    [
        ((0, 150), (1, 1350), 10, True),
        ((0, 150), (1, 13_500), 10, False),
        ((0, 0), (1, 1350), 10, False),
        ((0, 150), (1, 1350), 0, False),
        ((0, 150), (1, 1350), 100, False),
    ],
)
def test_arms_that_began_together(
    canary: tuple[int, int],
    stable: tuple[int, int],
    weight: float,
    together: bool,  # noqa: FBT001
) -> None:
    """Their cases stand in the proportion of the weight."""
    assert began_together(poll(15, canary, stable, weight)) is together
