"""A canary judged through a real Prometheus: replicas behind one address, pods that restart, gaps, a replica that dies.

Two servers read the same pages. Either they keep their own `replica` label, and a third takes over what both have, which
is what a querier of several replicas shows; or they have no label, and each query is answered by one of them, as behind
a Service. No cluster is needed.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web

from modelward.analysis.counters import Counters, RatioCounts, Sample
from modelward.analysis.judge import State, assess, begin, observe
from modelward.analysis.policy import MetricPolicy, Policy
from modelward.analysis.readings import Arm
from modelward.analysis.sampled_evidence import MetricsUnknown
from modelward.analysis.verdict import Assessment, Step, Verdict
from modelward.api.analysis_policy import MetricKind
from modelward.clients.prometheus import Prometheus
from modelward.sampling.prometheus import PrometheusSource, boundary
from modelward.sampling.queries import LabelNames, Queries
from modelward.sampling.scrapes import Newest
from modelward.sampling.selectors import parse_sum
from modelward.sampling.subject import Side
from modelward.sampling.targets import RatioTarget
from support.real_prometheus import RealPrometheus, one_address, program, real_prometheus

pytestmark = pytest.mark.integrations
KEY: Final = ("shop", "fraud")
REVISIONS: Final = {Arm.CANARY: "bcdfghjkl2", Arm.STABLE: "mnpqrstvw4"}
WANTED: Final = RatioTarget(
    name="errors",
    hits=parse_sum('requests_total{code=~"5.."}', "hits"),
    total=parse_sum("requests_total", "total"),
)
POLICY: Final = Policy(
    metrics=(MetricPolicy(name="errors", kind=MetricKind.RATIO, errors=True),),
    interval_seconds=2,
    step_min_seconds=10,
)
DELAY_SECONDS: Final = 3.0
"""Scrapes and their federation are one second apart each."""
PATIENCE_SECONDS: Final = 300.0
"""Not a figure: how long a verdict may take on a machine that is busy."""
RATE: Final = {Arm.CANARY: 100.0, Arm.STABLE: 100.0}
"""Requests a second of a pod."""


@dataclass
class Pod:
    """A page of counters that grow with time, as from a steady load."""

    arm: Arm
    errors: float
    began: float = field(default_factory=time.time)
    address: str = ""

    @property
    def name(self) -> str:
        """As Kubernetes makes it."""
        port = self.address.rpartition(":")[2]
        return f"fraud-{REVISIONS[self.arm]}-5d4f-{port}"

    def restart(self) -> None:
        """Its counters begin at zero."""
        self.began = time.time()

    async def page(self, _request: web.Request) -> web.Response:
        """The metrics page."""
        count = (time.time() - self.began) * RATE[self.arm]
        bad = math.floor(count * self.errors)
        text = (
            "# TYPE requests_total counter\n"
            f'requests_total{{code="200"}} {math.floor(count) - bad}\nrequests_total{{code="503"}} {bad}\n'
            f"process_start_time_seconds {self.began}\n"
        )
        return web.Response(text=text, content_type="text/plain")


@asynccontextmanager
async def served(pods: Iterable[Pod]) -> AsyncIterator[None]:
    """Each pod at an address of its own."""
    async with AsyncExitStack() as stack:
        for pod in pods:
            application = web.Application()
            application.add_routes([web.get("/metrics", pod.page)])
            runner = web.AppRunner(application)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            pod.address = f"127.0.0.1:{runner.addresses[0][1]}"
        yield


def targets(pods: Iterable[Pod], **labels: str) -> list[dict[str, Any]]:
    """For `file_sd`, with the labels that discovery of pods would give."""
    return [
        {"targets": [pod.address], "labels": {"namespace": KEY[0], "pod": pod.name, **labels}} for pod in pods
    ]


@dataclass
class Judged:
    """A rollout followed in real time."""

    source: PrometheusSource
    newest: Newest = field(default_factory=Newest)
    counters: Counters = field(default_factory=Counters)
    state: State = field(default_factory=lambda: begin(POLICY))
    samples: list[Sample] = field(default_factory=list)
    scraped: list[dict[str, float]] = field(default_factory=list)
    """At each sample: the time of the newest scrape of each pod of stable that was read by then."""
    began: float = field(default_factory=time.time)

    async def reconcile_once(self, at: float) -> Assessment:
        """Wait until a time is over, and judge what was."""
        await asyncio.sleep(max(0.0, at + DELAY_SECONDS - time.time()))
        sides = {arm: Side(revision=name, wanted=(WANTED,), endpoint=None) for arm, name in REVISIONS.items()}
        (polled,) = await self.source.polls(
            KEY, sides, (at,), interval=2, weight_percent=25, newest=self.newest
        )
        self.counters, sample = self.counters.advance(polled.poll)
        if sample:
            assert not sample.flaws
            self.samples.append(sample)
            self.scraped.append(self._stable_scraped())
            self.state = observe(POLICY, self.state, sample)
        step = Step(time=at, started=self.began, weight_percent=25, next_weight_percent=50)
        return assess(POLICY, self.state, step)

    async def until(
        self, over: Callable[[Assessment], bool], acts: Mapping[int, Callable[[], None]]
    ) -> Assessment:
        """Reconcile every two seconds, with something done after some of the reconciles, until the verdict is there."""
        at, number = boundary(time.time(), 2), 0
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                at, number = at + 2, number + 1
                with suppress(MetricsUnknown):  # of a server that was just killed: nothing is taken for known
                    assessment = await self.reconcile_once(at)
                    if over(assessment) and number > max(acts, default=0):
                        return assessment
                if act := acts.get(number):
                    act()

    def stable_requests_a_second(self) -> float:
        """Of each pod, as the judge has counted them: far from double, and from half.

        By the times of the scrapes that were read: an answer of a replica that was away shows nothing new, and what came
        meanwhile is counted with the next.
        """
        last = self.scraped[-1]
        first = next(number for number, each in enumerate(self.scraped) if each.keys() == last.keys())
        counted = [each.metrics["errors"].stable for each in self.samples[first + 1 :] if each.metrics]
        total = sum(each.total for each in counted if isinstance(each, RatioCounts))
        return total / sum(last[pod] - self.scraped[first][pod] for pod in last)

    def _stable_scraped(self) -> dict[str, float]:
        """The times of the newest scrapes of stable's pods."""
        return {
            pod: scrape.time
            for (pod, metric), scrape in self.newest._seen.items()
            if metric == WANTED.name and REVISIONS[Arm.STABLE] in pod
        }


@asynccontextmanager
async def followed(url: str) -> AsyncIterator[Judged]:
    """A rollout through the server at an address."""
    client = Prometheus(name="real", url=url, timeout=PATIENCE_SECONDS)
    try:
        yield Judged(source=PrometheusSource(queries=Queries(server=client, labels=LabelNames())))
    finally:
        await client.close()


Replicas = tuple[RealPrometheus, RealPrometheus, Judged]
"""Two servers that read the same pages, and who judges through both."""


@asynccontextmanager
async def labelled(folder: Path, pods: list[Pod]) -> AsyncIterator[Replicas]:
    """Each has a label of its own, and there is an address at which both are at once."""
    async with AsyncExitStack() as stack:
        one, other = [await _replica(stack, folder, name, pods) for name in ("a", "b")]
        front = await stack.enter_async_context(
            real_prometheus(folder / "front", federates=(one.port, other.port))
        )
        await _shown(front.url, 2 * len(pods))
        yield one, other, await stack.enter_async_context(followed(front.url))


@asynccontextmanager
async def unlabelled(folder: Path, pods: list[Pod]) -> AsyncIterator[Replicas]:
    """Each query is answered by another one, and nothing in an answer shows whose it is.

    They scrape less often than is reconciled, so that answers do go back in time.
    """
    async with AsyncExitStack() as stack:
        one, other = [await _replica(stack, folder, name, pods, every_seconds=4) for name in ("a", "b")]
        front = await stack.enter_async_context(one_address(one, other))
        for each in (one, other):
            await _shown(each.url, len(pods))
        yield one, other, await stack.enter_async_context(followed(front.url))
        assert set(front.answered) == {one.port, other.port}


async def _replica(
    stack: AsyncExitStack, folder: Path, name: str, pods: list[Pod], every_seconds: int = 1
) -> RealPrometheus:
    server = await stack.enter_async_context(
        real_prometheus(folder / name, external_labels={"replica": name}, every_seconds=every_seconds)
    )
    server.scrape(targets(pods))
    return server


async def _shown(url: str, number: int) -> None:
    """Wait until the server has so many scrapes of pods."""
    client = Prometheus(name="real", url=url, timeout=PATIENCE_SECONDS)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(await client.instant('up{job="pods"}', time.time())) < number:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.2)
    finally:
        await client.close()


BOTH: Final = pytest.mark.parametrize(
    "replicated",
    [
        pytest.param(labelled, id="labelled"),
        pytest.param(unlabelled, id="unlabelled"),
    ],
)
Replicated = Callable[[Path, list[Pod]], AbstractAsyncContextManager[Replicas]]


@BOTH
async def test_f12_a_bad_canary_is_rolled_back_through_two_replicas(
    replicated: Replicated, tmp_path: Path
) -> None:
    """A fifth of its requests fail, while a pod of stable restarts and one is not scraped for a while."""
    program()
    stable = [Pod(Arm.STABLE, 0.002) for _ in range(3)]
    pods = [*stable, Pod(Arm.CANARY, 0.2)]
    async with served(pods), replicated(tmp_path, pods) as (one, _, judged):
        acts: dict[int, Callable[[], None]] = {
            2: stable[0].restart,
            3: lambda: one.scrape(targets(pods[1:])),
            4: lambda: one.scrape(targets(pods)),
        }
        assessment = await judged.until(lambda said: said.verdict is Verdict.ROLL_BACK, acts)
        assert assessment.metric == "errors"


@BOTH
async def test_f12_a_good_canary_advances_though_a_replica_dies_and_comes_back(
    replicated: Replicated, tmp_path: Path
) -> None:
    """Nothing counts twice before, nothing halves after: stable's rate stays what it is."""
    program()
    stable = [Pod(Arm.STABLE, 0.004) for _ in range(3)]
    pods = [*stable, Pod(Arm.CANARY, 0.004)]
    async with served(pods), replicated(tmp_path, pods) as (one, _, judged):
        assessment = await judged.until(
            lambda said: said.verdict in {Verdict.ADVANCE, Verdict.ROLL_BACK},
            {4: one.kill, 8: stable[1].restart},
        )
        await one.start()
        last = judged.samples[-1].time
        for number in range(1, 6):
            await judged.reconcile_once(last + 2 * number)
        assert assessment.verdict is Verdict.ADVANCE, assessment.message
        assert not judged.state.decided
        assert judged.stable_requests_a_second() == pytest.approx(RATE[Arm.STABLE], rel=0.3)


async def test_f12_a_page_that_one_server_reads_twice_counts_once(tmp_path: Path) -> None:
    """As a pod with two containers without ports is scraped: once for each, under the same address."""
    program()
    pods = [Pod(Arm.STABLE, 0.01), Pod(Arm.CANARY, 0.01)]
    async with (
        served(pods),
        real_prometheus(tmp_path / "one") as server,
        followed(server.url) as judged,
    ):
        server.scrape([*targets(pods, container="model"), *targets(pods, container="sidecar")])
        await _shown(server.url, 2 * len(pods))
        first = boundary(time.time(), 2)
        for number in range(6):
            await judged.reconcile_once(first + 2 * number)
        assert judged.stable_requests_a_second() == pytest.approx(RATE[Arm.STABLE], rel=0.3)
