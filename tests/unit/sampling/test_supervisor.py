"""Tasks that go on whatever ends them, until they are asked to end; and how long they have been silent."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from modelward.sampling.supervisor import SILENT_SECONDS, Supervisor
from unit.sampling.fleet import KEY, until

OTHER = ("shop", "other")
PACE = 5.0


@dataclass
class Works:
    """Tasks, what was counted of them, and a clock of their own."""

    now: float = 1000.0
    again: int = 0
    running: list[asyncio.Task[None]] = field(default_factory=list)
    supervisor: Supervisor = field(init=False)

    def __post_init__(self) -> None:
        """The pause is none, so that a test need not wait."""
        self.supervisor = Supervisor(begun_again=self._count, clock=lambda: self.now, again_seconds=0)

    async def work(self) -> None:
        """Go on for ever."""
        task = asyncio.current_task()
        assert task
        self.running.append(task)
        await asyncio.Event().wait()

    def _count(self) -> None:
        self.again += 1


@asynccontextmanager
async def _works() -> AsyncIterator[Works]:
    works = Works()
    try:
        yield works
    finally:
        await works.supervisor.stop()


async def _returns() -> None:
    return


async def _fails() -> None:
    raise RuntimeError("a bug")


async def _is_cancelled_from_within() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("end", [_returns, _fails, _is_cancelled_from_within])
async def test_f04_a_task_that_ends_by_itself_is_begun_again(
    end: Callable[[], "asyncio.Future[None]"],
) -> None:
    """By a return, an error, or a cancellation that nobody here asked for; and it is counted."""
    async with _works() as works:
        ends = 0

        async def twice() -> None:
            nonlocal ends
            ends += 1
            await (end() if ends <= 2 else works.work())

        works.supervisor.begin(KEY, twice, pace=PACE)
        await until(lambda: works.running)
        assert works.again == 2


async def test_f04_a_task_that_somebody_cancels_is_begun_again() -> None:
    """As often as it happens, also before it has run at all; the tasks of others go on as they are."""
    async with _works() as works:
        works.supervisor.begin(OTHER, works.work, pace=PACE)
        works.supervisor.begin(KEY, works.work, pace=PACE)
        for times in range(1, 4):
            await until(lambda: len(works.running) == times + 1)  # noqa: B023 - it is called at once
            works.running[-1].cancel()
        await until(lambda: len(works.running) == 5)
        assert works.again == 3
        assert not works.running[0].done()


async def test_f04_a_task_that_is_asked_to_end_stays_ended() -> None:
    """One by one, by another one in its place, or all together; none of that is counted."""
    async with _works() as works:
        works.supervisor.begin(KEY, works.work, pace=PACE)
        await until(lambda: len(works.running) == 1)
        works.supervisor.begin(KEY, works.work, pace=PACE)
        await until(lambda: len(works.running) == 2)
        assert works.running[0].cancelled()
        works.supervisor.end(KEY)
        works.supervisor.end(OTHER)
        works.supervisor.begin(OTHER, works.work, pace=PACE)
        await until(lambda: len(works.running) == 3)
        await works.supervisor.stop()
        assert all(task.cancelled() for task in works.running)
        assert (works.again, works.supervisor.age_seconds()) == (0, 0)


async def test_f04_the_age_is_that_of_the_task_that_was_not_heard_of_for_longest() -> None:
    """Beyond its pace and the longest time of a poll it is named in readiness."""
    async with _works() as works:
        assert (works.supervisor.age_seconds(), works.supervisor.silent()) == (0, "")
        works.supervisor.begin(KEY, works.work, pace=PACE)
        works.supervisor.begin(OTHER, works.work, pace=3600)
        works.now += SILENT_SECONDS + PACE
        works.supervisor.alive(OTHER)
        assert works.supervisor.age_seconds() == SILENT_SECONDS + PACE
        assert works.supervisor.silent() == ""
        works.now += 1
        assert works.supervisor.silent() == "the metrics of shop/fraud are not read any more"
        works.supervisor.alive(KEY)
        assert (works.supervisor.age_seconds(), works.supervisor.silent()) == (1, "")


async def test_f04_a_task_that_ends_again_and_again_is_silent() -> None:
    """To be begun is no sign of life."""
    async with _works() as works:
        works.supervisor.begin(KEY, _fails, pace=PACE)
        works.now += SILENT_SECONDS + PACE + 1
        await until(lambda: works.again > 2)
        assert "shop/fraud" in works.supervisor.silent()
