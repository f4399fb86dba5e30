"""A counter that was invalid is believed again once it rises like one: never that of several workers, whoever answers."""

import random
from collections.abc import Callable, Iterable, Iterator

import pytest

from modelward.analysis.counters import RatioCounts, increment
from modelward.analysis.rises import LEAST_RISES, Rises
from modelward.analysis.tracks import CLOCK_SECONDS, Flaw, Origin, Track
from unit.analysis.test_f06_workers import Numbers, bases, tracked

JUMPS = [1_000_000.0, 999_000.0, 998_000.0]
"""Two falls."""


def believed(tracks: Iterable[Track]) -> list[bool]:
    """Which readings count."""
    return [track.is_believed for track in tracks]


def counted(tracks: Iterable[Track]) -> list[float]:
    """Cases of the readings that count."""
    increments = [increment(track.base, track.last) for track in tracks if track.is_believed]
    return [each.total for each in increments if isinstance(each, RatioCounts)]


def test_f06_a_counter_of_a_server_that_was_corrected_is_believed_after_ten_rises() -> None:
    """From there on it counts: what it did before is not known."""
    numbers = [*JUMPS, *(5.0 + 4 * n for n in range(13))]
    tracks = tracked(numbers)
    assert believed(tracks) == [True, *[False] * 12, True, True, True]
    assert tracks[-4].flaw is Flaw.JUMPS
    assert bases(tracks[-3:]) == [45, 45, 49]


@pytest.mark.parametrize("per_poll", [1, 100, 20_000])
def test_f06_how_much_traffic_there_is_decides_little(per_poll: int) -> None:
    """What is usual is found in a few polls; a poll without a request proves nothing, and ends nothing."""
    draw = random.Random(per_poll)
    total, numbers = 0.0, [*JUMPS]
    for poll in range(50):
        total += 0 if poll % 5 == 0 else per_poll * draw.uniform(0.5, 1.5)
        numbers.append(total)
    tracks = tracked(numbers)
    first = believed(tracks).index(True, 1)
    assert first <= len(JUMPS) + 30, believed(tracks)
    assert all(believed(tracks)[first:])


def test_f06_the_next_fall_is_one_too_many_at_once_and_the_next_trial_twice_as_long() -> None:
    """Whoever is believed once more has to be so for longer."""
    run = [float(n) for n in range(100, 116)]
    tracks = tracked([*JUMPS, *run, 50.0, *(51.0 + n for n in range(40))])
    fallen = len(JUMPS) + len(run)
    assert believed(tracks)[fallen - 1]
    assert tracks[fallen].flaw is Flaw.JUMPS
    needed = 2 * tracks[fallen].rises.longest
    assert needed > 2 * LEAST_RISES
    assert believed(tracks)[fallen:].index(True) == needed


def test_f06_a_rise_that_is_none_of_its_own_does_not_count() -> None:
    """The connection has broken, and another idle worker answers, for long."""
    tracks = tracked([*JUMPS, *(float(n) for n in range(14)), *(5000.0 + n for n in range(5))])
    assert max(counted(tracks[len(JUMPS) :])) <= 1
    assert believed(tracks)[-5:] == [False, True, True, True, True]


def test_f06_a_container_that_is_started_anew_owes_nothing() -> None:
    """Neither a fall nor a trial is left."""
    numbers, later = [*JUMPS, *(float(n) for n in range(12)), 3.0], Origin(container=9.0)
    tracks = tracked(numbers, [*[Origin(container=1.0)] * (len(numbers) - 1), later])
    assert tracks[-1].is_believed
    assert tracks[-1].falls == 0
    assert not tracks[-1].leashed
    assert tracks[-1].rises == Rises()


# --- several workers ----------------------------------------------------------------------------------------


def _in_turn(workers: int, _: random.Random) -> Iterator[int]:
    while True:
        yield from range(workers)


def _by_chance(workers: int, draw: random.Random) -> Iterator[int]:
    while True:
        yield draw.randrange(workers)


def _sticky(workers: int, draw: random.Random) -> Iterator[int]:
    """A connection is kept for some polls."""
    while True:
        yield from [draw.randrange(workers)] * draw.randint(1, 40)


def _sticky_in_turn(workers: int, draw: random.Random) -> Iterator[int]:
    while True:
        for worker in range(workers):
            yield from [worker] * draw.randint(1, 5)


Order = Callable[[int, random.Random], Iterator[int]]
ORDERS = [_in_turn, _by_chance, _sticky, _sticky_in_turn]
SPREADS: dict[str, Callable[[int, random.Random], float]] = {
    "even": lambda n, _: 1000.0 * n,
    "drawn": lambda _, draw: float(draw.randrange(50_000)),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("workers", [2, 3, 12, 13, 40, 64])
def test_f06_idle_workers_are_never_believed_again(workers: int, spread: str, order: Order) -> None:
    """In any order, for a thousand polls, also where there are more of them than rises are asked for."""
    for seed in range(3):
        draw = random.Random(f"{workers} {seed}")
        counters = [SPREADS[spread](n, draw) for n in range(workers)]
        chosen = order(workers, draw)
        tracks = tracked([counters[next(chosen)] for _ in range(1000)])
        first = next((n for n, track in enumerate(tracks) if track.flaw), len(tracks))
        assert not any(believed(tracks)[first:])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("workers", [2, 3, 12, 40])
def test_f06_workers_that_count_scrapes_make_up_no_requests(workers: int, order: Order) -> None:
    """One that answers for long is believed, for what it counted itself: the difference to another one is never taken."""
    for seed in range(3):
        draw = random.Random(f"{workers} {seed}")
        counters = [float(draw.randrange(50_000)) for _ in range(workers)]
        chosen, numbers = order(workers, draw), list[float]()
        for _ in range(1000):
            worker = next(chosen)
            counters[worker] += 1
            numbers.append(counters[worker])
        tracks = tracked(numbers)
        first = next((n for n, track in enumerate(tracks) if track.flaw), len(tracks))
        assert max(counted(tracks[first:]), default=0) <= 25


# --- starts of processes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("back", [0.01, 1.0, 2.0])
def test_f06_a_clock_that_is_set_by_a_second_or_two_is_no_other_process(back: float) -> None:
    """Some clients add the time since boot to the clock, so the start of one process moves."""
    starts = [50.0, 50.0 - back, 50.0, 50.0 - back / 2]
    tracks = tracked([10, 20, 30, 40], [Origin(1.0, start) for start in starts])
    assert all(believed(tracks))
    assert not tracks[-1].several
    restarted = tracks[-1].plus(tracked([3])[0].last, Origin(1.0, 90.0))
    assert restarted.is_believed
    assert restarted.base is None


def test_f06_a_clock_that_drifts_is_no_other_process() -> None:
    """By less than that from poll to poll, and by more in all."""
    tracks = tracked([10.0 * n for n in range(20)], [Origin(1.0, 500.0 - n) for n in range(20)])
    assert all(believed(tracks))
    assert not tracks[-1].several


@pytest.mark.parametrize("apart", [0.2, 1.5, CLOCK_SECONDS])
def test_f06_workers_that_start_within_two_seconds_excuse_no_fall(apart: float) -> None:
    """They are forked at once: by their starts alone they are one."""
    numbers: Numbers = [100, 1000, 100, 1000, 100]
    tracks = tracked(numbers, [Origin(1.0, 50.0 + apart * (n % 2)) for n in range(len(numbers))])
    assert tracks[-1].flaw is Flaw.JUMPS


def test_f06_what_another_process_shows_is_no_increment() -> None:
    """It is as high as the one before, but has not counted on from there."""
    totals: Numbers = [100, 110, 1000, 1010, 9000, 9010]
    starts = [20.0, 20.0, 30.0, 30.0, 40.0, 40.0]
    tracks = tracked(totals, [Origin(1.0, start) for start in starts])
    assert believed(tracks) == [True, True, False, True, False, True]
    assert sum(counted(tracks[1:])) == 30
