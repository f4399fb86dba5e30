"""Pods on loopback addresses, each with a server of its own on one port, and a rollout of two revisions."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from modelward.analysis.noise import Noise
from modelward.analysis.policy import MetricPolicy
from modelward.analysis.readings import Arm
from modelward.api.analysis_policy import MetricKind
from modelward.api.objects import Key
from modelward.clients.scrape import Scraper
from modelward.rollout.observed import Pod
from modelward.sampling.pods import PodSource
from modelward.sampling.sampler import Sampler
from modelward.sampling.selectors import parse_sum
from modelward.sampling.subject import Endpoint, Side, Subject
from modelward.sampling.supervisor import Supervisor
from modelward.sampling.targets import RatioTarget
from support.faulty_server import Behaviour, FaultyServer, answer, faulty_server

KEY = ("shop", "fraud")
CANARY, STABLE = "bcdfghjkl2", "mnpqrstvw4"
METRICS = (MetricPolicy(name="errors", kind=MetricKind.RATIO),)
WANTED = (
    RatioTarget(
        name="errors",
        hits=parse_sum('requests_total{code="500"}', "f"),
        total=parse_sum("requests_total", "f"),
    ),
)
PATIENCE_SECONDS = 30
"""Not a figure: how long a test waits for what takes a fraction of a second."""
_PAUSE_SECONDS = 0.01


def counting(*, per_poll: int = 10, errors: int = 1) -> Behaviour:
    """A server whose counters rise by as much with every poll."""
    polls = itertools.count(1)

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        number = next(polls)
        page = (
            "# TYPE requests_total counter\n"
            f'requests_total{{code="200"}} {number * (per_poll - errors)}\n'
            f'requests_total{{code="500"}} {number * errors}\n'
        )
        await answer(page.encode())(reader, writer, head)

    return behave


@dataclass
class Fleet:
    """Pods of one model, and what was notified of it."""

    port: int = 0
    pods: list[Pod] = field(default_factory=list)
    servers: list[FaultyServer] = field(default_factory=list)
    woken: list[Key] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    of: dict[Key, slice] = field(default_factory=dict)
    """Which pods are a model's, where there are several models."""
    now: float = 0.0
    """A clock for what must not wait."""

    def watched(self, key: Key) -> list[Pod]:
        """The pods of a model."""
        return self.pods[self.of.get(key, slice(None))]

    def subject(self, *, key: Key = KEY, weight: float = 10, interval: float = 0.05) -> Subject:
        """The rollout."""
        endpoint = Endpoint(port=self.port, path="/metrics")
        return Subject(
            namespace=key[0],
            name=key[1],
            canary=Side(revision=CANARY, wanted=WANTED, endpoint=endpoint),
            stable=Side(revision=STABLE, wanted=WANTED, endpoint=endpoint),
            weight_percent=weight,
            interval_seconds=interval,
            metrics=METRICS,
        )

    def polls(self, number: int = 0) -> int:
        """How many requests a server has seen."""
        return len(self.servers[number].heads)


@asynccontextmanager
async def fleet(*servers: tuple[Arm, Behaviour]) -> AsyncIterator[Fleet]:
    """Yield pods that run since an hour, of one arm each, with servers that behave so."""
    found = Fleet()
    async with AsyncExitStack() as stack:
        for number, (arm, behaviour) in enumerate(servers):
            address = f"127.0.0.{number + 2}"
            server = await stack.enter_async_context(
                faulty_server(behaviour, address=address, port=found.port)
            )
            found.port = server.port
            found.servers.append(server)
            found.pods.append(make_serving(f"{arm}-{number}", arm, address))
        yield found


def make_serving(name: str, arm: Arm, address: str) -> Pod:
    """A pod that is ready since long."""
    long_ago = datetime.fromtimestamp(time.time() - 3600, tz=UTC)
    return Pod(
        name=name,
        revision=CANARY if arm is Arm.CANARY else STABLE,
        ip=address,
        node="node-1",
        started=long_ago,
        ready=True,
        ready_since=long_ago,
    )


def no_history(_: Key, _revision: str, metrics: tuple[MetricPolicy, ...]) -> Noise:
    """Nothing is known from before."""
    return Noise(metrics=metrics)


@asynccontextmanager
async def sampler(pods: Fleet, *, timeout_seconds: float = 0.2) -> AsyncIterator[Sampler]:
    """Yield a Sampler of these pods."""
    scraper = Scraper(timeout=timeout_seconds, limit=64 * 1024)
    made = Sampler(
        pods=PodSource(scraper, pods.watched, pods.results.append),
        sources={},
        clock=time.time,
        wake=pods.woken.append,
        noise=no_history,
        supervisor=Supervisor(again_seconds=0),
    )
    try:
        yield made
    finally:
        await made.stop()
        await scraper.close()


async def until(condition: Callable[[], object]) -> None:
    """Return once the condition holds; fail the test if it never does."""
    for _ in range(round(PATIENCE_SECONDS / _PAUSE_SECONDS)):
        if condition():
            return
        await asyncio.sleep(_PAUSE_SECONDS)
    raise AssertionError("waited in vain")
