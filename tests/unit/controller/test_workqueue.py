"""The work queue, on a clock that moves only when reported: nothing here sleeps."""

import asyncio

import pytest

from modelward.controller.workqueue import LONGEST_BACKOFF_SECONDS, WorkQueue


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue[str]:
    """An empty queue."""
    return WorkQueue(clock=clock)


async def taken(queue: WorkQueue[str]) -> list[str]:
    """Keys that are given out now, in their order, without waiting."""
    found: list[str] = []
    while True:
        getting = asyncio.ensure_future(queue.get())
        for _ in range(3):
            await asyncio.sleep(0)
        if not getting.done():
            getting.cancel()
            return found
        found.append(getting.result()[0])


async def test_a_key_is_held_once(queue: WorkQueue[str]) -> None:
    """However many events name it."""
    for key in "abaab":
        queue.add(key)
    assert await taken(queue) == ["a", "b"]


async def test_a_key_is_worked_on_by_one_worker_at_a_time(queue: WorkQueue[str]) -> None:
    """What comes meanwhile waits until it is done."""
    queue.add("a")
    assert await taken(queue) == ["a"]
    queue.add("a")
    assert await taken(queue) == []
    queue.done("a")
    assert await taken(queue) == ["a"]


async def test_a_delayed_key_waits(queue: WorkQueue[str], clock: Clock) -> None:
    """And is given out when its time has come."""
    queue.add("a", delay=10)
    assert await taken(queue) == []
    clock.now += 10
    assert await taken(queue) == ["a"]


@pytest.mark.parametrize(
    ("delays", "due"),
    [
        pytest.param([10, 2], 2, id="an earlier appointment takes its place"),
        pytest.param([2, 10], 2, id="a later one does not"),
    ],
)
async def test_the_earlier_appointment_stands(
    queue: WorkQueue[str], clock: Clock, delays: list[float], due: float
) -> None:
    """And only that one: a key is not worked on twice for it."""
    for delay in delays:
        queue.add("a", delay=delay)
    clock.now += due
    assert await taken(queue) == ["a"]
    queue.done("a")
    clock.now += 100
    assert await taken(queue) == []


async def test_urgent_keys_go_first(queue: WorkQueue[str]) -> None:
    """A rollout before a thousand that only refresh their status."""
    queue.add("a")
    queue.add("b")
    queue.add("c", urgent=True)
    queue.add("b", urgent=True)
    assert sorted((await taken(queue))[:2]) == ["b", "c"]


async def test_failures_wait_longer_and_longer_but_never_beyond_the_cap(queue: WorkQueue[str]) -> None:
    """Half a minute; jitter takes up to a fifth off."""
    delays = [queue.fail("a") for _ in range(40)]
    assert delays[0] <= 0.25
    assert delays[4] > delays[0]
    assert max(delays) <= LONGEST_BACKOFF_SECONDS
    assert min(delays[20:]) >= LONGEST_BACKOFF_SECONDS * 0.8


async def test_the_server_may_ask_for_more_time(queue: WorkQueue[str]) -> None:
    """Retry-After wins over our own, shorter delay."""
    assert queue.fail("a", at_least=12.0) == 12.0
    assert queue.fail("a", at_least=3600.0) == 30.0, "a live canary cannot wait for an hour"


async def test_after_a_success_the_next_failure_is_a_first_one(queue: WorkQueue[str]) -> None:
    """Old trouble is forgotten."""
    for _ in range(10):
        queue.fail("a")
    queue.succeed("a")
    assert queue.fail("a") < 0.3


async def test_an_event_does_not_wait_for_the_back_off(queue: WorkQueue[str]) -> None:
    """The world has changed: reconcile now."""
    for _ in range(10):
        queue.fail("a")
    queue.add("a")
    assert await taken(queue) == ["a"]


async def test_the_time_beyond_the_appointment_is_reported(queue: WorkQueue[str], clock: Clock) -> None:
    """It becomes the metric of the queue's wait."""
    queue.add("a", delay=5)
    clock.now += 8
    assert await queue.get() == ("a", 3.0)


async def test_depth_counts_what_is_due_and_what_is_worked_on(queue: WorkQueue[str]) -> None:
    """Not what is put off."""
    queue.add("a")
    queue.add("b")
    queue.add("c", delay=60)
    await queue.get()
    assert queue.depth() == 2


async def test_a_worker_that_waits_is_woken(queue: WorkQueue[str]) -> None:
    """By a key that is added, and by one that is free again."""
    queue.add("a")
    await queue.get()
    waiting = asyncio.ensure_future(queue.get())
    queue.add("a")
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.done("a")
    assert (await waiting)[0] == "a"


async def test_a_live_rollout_is_next_however_many_others_wait(clock: Clock) -> None:
    """Whoever adds its key, and with or without a delay: the queue asks itself."""
    queue = WorkQueue[str](clock=clock, is_urgent=lambda key: key == "live")
    for number in range(1000):
        queue.add(f"idle-{number}")
    queue.add("live", delay=5)
    clock.now += 5
    assert (await queue.get())[0] == "live"
    queue.done("live")
    queue.fail("live")
    clock.now += LONGEST_BACKOFF_SECONDS
    assert (await queue.get())[0] == "live"


async def test_a_fleet_of_rollouts_does_not_keep_the_others_waiting_for_ever(clock: Clock) -> None:
    """One in seventeen is not urgent, even if urgent keys never end."""
    queue = WorkQueue[int](clock=clock, is_urgent=lambda key: key < 100)
    for key in range(200):
        queue.add(key)
    found = []
    for _ in range(51):
        key, _ = await queue.get()
        found.append(key)
        queue.done(key)
    assert [place for place, key in enumerate(found) if key >= 100] == [16, 33, 50]


async def test_a_cleared_queue_starts_anew(queue: WorkQueue[str], clock: Clock) -> None:
    """With each term of a leader: nothing of what waited before is given out, no failure is remembered."""
    queue.add("due")
    queue.add("urgent", urgent=True)
    queue.add("later", delay=5)
    queue.fail("failed")
    queue.depth()
    queue.clear()
    clock.now += 100
    assert (queue.depth(), await taken(queue)) == (0, [])
    queue.add("due")
    assert await taken(queue) == ["due"]
