"""How far a fetch is: asked beside the work, shown rarely, and nothing breaks where nobody answers."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from builders.observed import make_pod
from modelward.analysis.sampled_evidence import MetricsUnknown, Unknown
from modelward.clients.scrape import Body, Page
from modelward.rollout.observed import Pod
from modelward.sampling.fetch_progress import ProgressReader


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """What it shows."""
        return self.now


def fetching(name: str = "a", *, ip: str = "10.0.0.1", now: bool = True) -> Pod:
    """A pod whose fetch container runs."""
    return make_pod("rev", name=name, ip=ip, fetching=now)


def answer(percent: int, state: str = "Fetching", total: str = "1000") -> str:
    """What the program serves."""
    done = percent * 10
    return f'{{"state": "{state}", "percent": {percent}, "bytes": {done}, "totalBytes": {total}, "bytesPerSecond": 50}}'


class Pages:
    """Pods that answer with what a test says."""

    def __init__(self, text: str | None) -> None:
        self.text = text
        self.asked: list[Page] = []

    def __call__(self, page: Page) -> Coroutine[Any, Any, Body]:
        """Note who is asked."""
        self.asked.append(page)
        return self._answer()

    async def _answer(self) -> Body:
        if self.text is None:
            raise MetricsUnknown(Unknown.REFUSED, "no connection")
        return Body(self.text)


async def _reported(reader: ProgressReader, *pods: Pod) -> dict[str, str]:
    reader.of(pods)
    for _ in range(5):
        await asyncio.sleep(0)
    return dict(reader.of(pods))


@pytest.mark.asyncio
async def test_what_a_pod_shows_is_shown_with_the_time_that_is_left() -> None:
    """By its own port, and never waited for: the first poll knows nothing."""
    pages = Pages(answer(62))
    reader = ProgressReader(pages, Clock())
    assert reader.of([fetching()]) == {}
    assert await _reported(reader, fetching()) == {"a": "fetching 62 % of 1000 bytes, about 8 s"}
    assert [(page.address, page.port, page.path) for page in pages.asked] == [("10.0.0.1", 8089, "/progress")]


@pytest.mark.asyncio
async def test_it_is_shown_anew_after_ten_seconds_and_ten_points() -> None:
    """Each other reading would be a write of status."""
    clock, pages = Clock(), Pages(answer(10))
    reader = ProgressReader(pages, clock)
    first = await _reported(reader, fetching())
    for now, percent, changes in ((5, 30, False), (11, 15, False), (16, 25, True)):
        clock.now, pages.text = float(now), answer(percent)
        assert (await _reported(reader, fetching()) != first) is changes
    pages.text, clock.now = answer(25, "Verifying"), 21.0
    assert await _reported(reader, fetching()) == {"a": "verifying its model"}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "text", [None, "", "[]", '{"state": 1}', answer(101), answer(1, "\\u001b[2J"), answer(1, total="-1")]
)
async def test_who_does_not_show_is_left_out(text: str | None) -> None:
    """A NetworkPolicy is in the way, or somebody else answers."""
    assert await _reported(ProgressReader(Pages(text), Clock()), fetching()) == {}


@pytest.mark.asyncio
async def test_nobody_else_is_asked() -> None:
    """Not a pod that does not fetch any more, nor one without an address that may be asked."""
    pages = Pages(answer(1))
    reader = ProgressReader(pages, Clock())
    assert await _reported(reader, fetching(now=False), fetching("b", ip="")) == {}
    assert pages.asked == []


@pytest.mark.asyncio
async def test_readings_end_with_the_reader() -> None:
    """A pod that never answers keeps nothing alive."""

    async def never(_: Page) -> Body:
        await asyncio.Event().wait()
        raise AssertionError

    reader = ProgressReader(never, Clock())
    reader.of([fetching()])
    await asyncio.wait_for(reader.stop(), 5)
