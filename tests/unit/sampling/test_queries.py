"""Many rollouts, one query: who is asked together gets what is theirs, and nobody's trouble is another's."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from modelward.analysis.sampled_evidence import MetricsUnknown, Unknown
from modelward.clients.prometheus import Prometheus, Series
from modelward.sampling.queries import MOST_TOGETHER, Asked, LabelNames, Part, PodsOf, Queries
from modelward.sampling.selectors import parse_selector
from support.little_prometheus import LittlePrometheus, Timeseries, little_prometheus

NOW = 1_763_800_000.0
HITS = Part(selector=parse_selector("hits", "f"))
ASKED = Asked(parts=(HITS,), times=(NOW,))


async def ask(queries: Queries, whose: PodsOf, asked: Asked = ASKED) -> list[Series]:
    """The answer to a question of one part."""
    (found,) = (await queries.ask(asked, whose)).values()
    return found


def of_part(**change: Any) -> Asked:
    """The question with another part."""
    return replace(ASKED, parts=(replace(HITS, **change),))


def pod(name: str, namespace: str = "shop", value: float = 1.0, **labels: str) -> Timeseries:
    """A counter of a pod."""
    own = {"__name__": "hits", "pod": f"{name}-abc", "namespace": namespace}
    return Timeseries(labels={**own, **labels}, value=lambda _: value)


def of(name: str, namespace: str = "shop") -> PodsOf:
    """The pods of a model."""
    return PodsOf(namespace=namespace, pattern=f"{name}-[a-z]{{3}}")


@asynccontextmanager
async def asking(
    *series: Timeseries, labels: LabelNames | None = None, limit: int = 1 << 20
) -> AsyncIterator[tuple[Queries, LittlePrometheus]]:
    """A server and what puts questions to it."""
    async with little_prometheus(*series) as server:
        client = Prometheus(name="prom", url=server.url, timeout=30, limit=limit)
        try:
            yield Queries(server=client, labels=labels or LabelNames()), server
        finally:
            await client.close()


def pods(found: Iterable[Series]) -> list[str]:
    """Namespace and name of the pods of series."""
    return sorted(f"{each.labels['namespace']}/{each.labels['pod']}" for each in found)


async def test_the_same_question_is_put_once_for_all_and_each_gets_its_own() -> None:
    """By namespace and name of the pods."""
    series = [pod("fraud"), pod("churn"), pod("fraud", "bank"), pod("other")]
    whose = [of("fraud"), of("churn"), of("fraud", "bank")]
    async with asking(*series) as (queries, server):
        found = await asyncio.gather(*(ask(queries, each) for each in whose))
    assert [pods(each) for each in found] == [["shop/fraud-abc"], ["shop/churn-abc"], ["bank/fraud-abc"]]
    assert len(server.queries) == 1


async def test_the_namespaces_of_several_are_no_pattern_of_anybodys() -> None:
    """A name is met as it is written: no other namespace, none that merely contains it."""
    series = [pod("fraud"), pod("fraud", "bank"), pod("fraud", "shops"), pod("fraud", "my-bank")]
    async with asking(*series) as (queries, server):
        found = await asyncio.gather(ask(queries, of("fraud")), ask(queries, of("fraud", "bank")))
    assert [pods(each) for each in found] == [["shop/fraud-abc"], ["bank/fraud-abc"]]
    assert set(server.evaluate(server.queries[0]["query"])(NOW)) == {
        (("namespace", name), ("pod", "fraud-abc")) for name in ("shop", "bank")
    }


async def test_different_questions_are_put_apart() -> None:
    """Other series, other times, another way to put them together."""
    different = [
        ASKED,
        of_part(selector=parse_selector('hits{code="5"}', "f")),
        replace(ASKED, times=(NOW - 15,)),
        of_part(operator="max"),
        of_part(by=("code",)),
    ]
    async with asking(pod("fraud", code="5")) as (queries, server):
        await asyncio.gather(*(ask(queries, of("fraud"), each) for each in different))
    assert len(server.queries) == len(different)


async def test_labels_that_are_asked_for_are_kept() -> None:
    """Besides pod and namespace; all others are put together."""
    series = [pod("fraud", code="2", path=path) for path in "ab"] + [pod("fraud", code="5", path="a")]
    async with asking(*series) as (queries, _):
        found = await ask(queries, of("fraud"), of_part(by=("code",)))
    assert {each.labels["code"]: each.points[0][1] for each in found} == {"2": 2.0, "5": 1.0}


async def test_several_times_are_one_range() -> None:
    """From the first to the last, at their distance."""
    asked = replace(ASKED, times=(NOW, NOW + 15, NOW + 30))
    async with asking(pod("fraud")) as (queries, server):
        (found,) = await ask(queries, of("fraud"), asked)
    assert [at for at, _ in found.points] == [NOW, NOW + 15, NOW + 30]
    assert float(server.queries[0]["step"]) == 15


async def test_pods_may_have_other_labels() -> None:
    """As the settings of the source say."""
    series = Timeseries(
        labels={"__name__": "hits", "kubernetes_pod": "fraud-abc", "ns": "shop"}, value=lambda _: 1.0
    )
    async with asking(series, labels=LabelNames(pod="kubernetes_pod", namespace="ns")) as (queries, _):
        (found,) = await ask(queries, of("fraud"))
    assert found.labels == {"kubernetes_pod": "fraud-abc", "ns": "shop"}


async def test_no_query_is_asked_for_more_than_a_bounded_number() -> None:
    """One more than fit is put apart, and gets its own all the same."""
    names = [f"m{number}" for number in range(MOST_TOGETHER + 1)]
    async with asking(*map(pod, names)) as (queries, server):
        found = await asyncio.gather(*(ask(queries, of(name)) for name in names))
    assert [pods(each) for each in found] == [[f"shop/{name}-abc"] for name in names]
    assert len(server.queries) == 2


async def test_a_question_that_comes_late_is_put_anew() -> None:
    """An answer is never older than its question."""
    async with asking(pod("fraud")) as (queries, server):
        await ask(queries, of("fraud"))
        server.series.append(pod("churn"))
        assert pods(await ask(queries, of("churn"))) == ["shop/churn-abc"]
    assert len(server.queries) == 2


async def test_one_with_too_many_series_is_no_one_elses_trouble() -> None:
    """Each is asked alone then; the others get theirs."""
    series = [*(pod("large", code=str(number)) for number in range(200)), pod("fraud"), pod("churn")]
    asked = of_part(by=("code",))
    async with asking(*series, limit=2_000) as (queries, _):
        found = await asyncio.gather(
            *(ask(queries, of(name), asked) for name in ("fraud", "large", "churn")), return_exceptions=True
        )
    fraud, large, churn = found
    assert isinstance(large, MetricsUnknown)
    assert [pods(each) for each in (fraud, churn) if isinstance(each, list)] == [
        ["shop/fraud-abc"],
        ["shop/churn-abc"],
    ]


async def test_an_error_is_given_to_each() -> None:
    """Nobody waits for ever, and nobody takes it for an empty answer."""
    async with asking(pod("fraud")) as (queries, server):
        server.down = True
        found = await asyncio.gather(
            *(ask(queries, of(name)) for name in ("fraud", "churn")), return_exceptions=True
        )
        assert [isinstance(each, MetricsUnknown) for each in found] == [True, True]
        server.down = False
        assert pods(await ask(queries, of("fraud"))) == ["shop/fraud-abc"]


async def test_an_error_of_one_alone_is_asked_for_once() -> None:
    """There is nobody to be distinguished from."""
    async with asking() as (queries, server):
        server.down = True
        with pytest.raises(MetricsUnknown) as raised:
            await ask(queries, of("fraud"))
        assert raised.value.problem.reason is Unknown.HTTP_STATUS
    assert len(server.queries) == 1


async def test_one_that_joined_and_ends_leaves_the_others_their_answer() -> None:
    """Its rollout was aborted."""
    async with asking(pod("fraud"), pod("churn")) as (queries, server):
        first, second = (asyncio.ensure_future(ask(queries, of(name))) for name in ("fraud", "churn"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        second.cancel()
        assert pods(await first) == ["shop/fraud-abc"]
        with pytest.raises(asyncio.CancelledError):
            await second
    assert len(server.queries) == 1


async def test_one_that_asked_first_and_ends_leaves_the_next_question_its_answer() -> None:
    """Nothing of it stays behind."""
    async with asking(pod("fraud")) as (queries, _):
        first = asyncio.ensure_future(ask(queries, of("fraud")))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert pods(await ask(queries, of("fraud"))) == ["shop/fraud-abc"]


async def test_f12_what_belongs_together_is_one_query() -> None:
    """Behind one address several servers may answer by turns; the parts of a question have one answer."""
    series = [pod("fraud", code=code, value=value) for code, value in (("2", 7.0), ("5", 3.0))]
    fives, times = (
        replace(HITS, selector=parse_selector('hits{code="5"}', "f")),
        replace(HITS, operator="max", function="timestamp"),
    )
    none = replace(HITS, selector=parse_selector("others", "f"))
    whole = replace(HITS, by=None, operator="count")
    asked = Asked(parts=(HITS, fives, times, none, whole), times=(NOW,))
    async with asking(*series) as (queries, server):
        found = await queries.ask(asked, of("fraud"))
    values = {
        part: [value for each in of_part for _, value in each.points] for part, of_part in found.items()
    }
    scraped = NOW // 15 * 15
    assert values == {HITS: [10.0], fives: [3.0], times: [scraped], none: [], whole: [1.0, 1.0]}
    assert [each.labels for each in found[HITS]] == [{"namespace": "shop", "pod": "fraud-abc"}]
    assert {each.labels["code"] for each in found[whole]} == {"2", "5"}
    assert len(server.queries) == 1
