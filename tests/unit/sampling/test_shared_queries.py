"""Queries that several rollouts share belong to none of them: whose rollout ends takes nothing from the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from modelward.clients.prometheus import Prometheus, Series
from modelward.sampling.queries import Asked, LabelNames, Part, PodsOf, Queries
from modelward.sampling.selectors import parse_selector
from support.little_prometheus import LittlePrometheus, Timeseries, little_prometheus
from unit.sampling.fleet import until

NOW = 1_763_800_000.0
REQUESTS = Part(selector=parse_selector("requests_total", "f"))
ASKED = Asked(parts=(REQUESTS,), times=(NOW,))
MODELS = ("one", "two", "three")


def _series(model: str) -> Timeseries:
    labels = {"__name__": "requests_total", "pod": f"{model}-pod", "namespace": "shop"}
    return Timeseries(labels=labels, value=lambda _: 100.0)


def _pods(model: str) -> PodsOf:
    return PodsOf(namespace="shop", pattern=f"{model}-pod")


@asynccontextmanager
async def _queries() -> AsyncIterator[tuple[Queries, LittlePrometheus]]:
    async with little_prometheus(*(_series(model) for model in MODELS)) as server:
        client = Prometheus(name="prom", url=server.url, timeout=30)
        try:
            yield Queries(server=client, labels=LabelNames()), server
        finally:
            server.answers.set()
            await client.close()


def _asking(queries: Queries) -> list[asyncio.Task[dict[Part, list[Series]]]]:
    return [asyncio.create_task(queries.ask(ASKED, _pods(model))) for model in MODELS]


@pytest.mark.parametrize("ended", range(len(MODELS)), ids=MODELS)
@pytest.mark.parametrize("asked", [False, True], ids=["before it is asked", "while it is asked"])
async def test_f04_whose_rollout_ends_takes_nothing_from_the_others(ended: int, *, asked: bool) -> None:
    """Whoever was first, and whenever it ends: the others have their answer, out of the one query."""
    async with _queries() as (queries, server):
        server.answers.clear()
        tasks = _asking(queries)
        await asyncio.sleep(0)
        if asked:
            await until(lambda: server.queries)
        tasks[ended].cancel()
        server.answers.set()
        others = [task for task in tasks if task is not tasks[ended]]
        found = await asyncio.gather(*others)
        assert [[series.points for series in each[REQUESTS]] for each in found] == [[((NOW, 100.0),)]] * 2
        assert tasks[ended].cancelled()
        assert len(server.queries) == 1


@pytest.mark.parametrize("asked", [False, True], ids=["before it is asked", "while it is asked"])
async def test_f04_a_query_that_nobody_waits_for_is_dropped(*, asked: bool) -> None:
    """And who asks the same afterwards is not given a share in it."""
    async with _queries() as (queries, server):
        server.answers.clear()
        tasks = _asking(queries)
        await asyncio.sleep(0)
        if asked:
            await until(lambda: server.queries)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        server.answers.set()
        assert (await queries.ask(ASKED, _pods("two")))[REQUESTS]
        assert len(server.queries) == 1 + asked


class _Odd(Prometheus):
    """A server whose first answer ends the one who asked, in a way that nobody foresaw."""

    end: BaseException = RuntimeError("a bug")
    asked = 0

    async def instant(self, query: str, time: float) -> list[Series]:
        """The first time it ends badly."""
        self.asked += 1
        if self.asked == 1:
            raise self.end
        return await super().instant(query, time)


@pytest.mark.parametrize("end", [RuntimeError("a bug"), asyncio.CancelledError()], ids=repr)
async def test_f04_a_shared_query_that_ends_oddly_is_asked_again_by_each(end: BaseException) -> None:
    """An unexpected error, or a cancellation from within the client, is no more everybody's than a refusal is."""
    async with _queries() as (queries, server):
        odd = _Odd(name="prom", url=server.url)
        odd.end, queries.server = end, odd
        found = await asyncio.gather(*_asking(queries))
        await odd.close()
        assert [len(each[REQUESTS]) for each in found] == [1, 1, 1]
