"""Streams: each is kept for itself, begun anew when it ends, and ended when its kind is gone."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from modelward import watching
from modelward.clients.resources import DEPLOYMENT, HTTP_ROUTE, MODEL_DEPLOYMENT, SERVICE, Resource
from modelward.errors import Unreachable
from modelward.metrics import Metrics
from modelward.store import Store
from modelward.watching import Stream, Watching


@dataclass
class Parts:
    """What Watching asks of the resync, of discovery, of the intake and of Kube, in one."""

    kinds: tuple[Resource, ...] = (DEPLOYMENT, SERVICE)
    namespaces: tuple[str | None, ...] = (None,)
    absent: set[str] = field(default_factory=set)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    store: Store = field(default_factory=Store)
    filled: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    looks: int = 0

    def __post_init__(self) -> None:
        self.metrics = Metrics(self.store)
        self.kube = self

    def resources(self) -> tuple[Resource, ...]:
        """The kinds that are watched."""
        return self.kinds

    def scopes(self, _: Resource) -> tuple[str | None, ...]:
        """Where they are watched."""
        return self.namespaces

    async def serves(self, resource: Resource) -> bool:
        """Whether the cluster has the kind."""
        return resource.kind not in self.absent

    async def fill_kind(self, resource: Resource) -> None:
        """Read all of a kind."""
        self.filled.append(resource.kind)

    def drop_kind(self, resource: Resource) -> None:
        """Forget a kind."""
        self.dropped.append(resource.kind)

    def everything(self) -> None:
        """Look at every model."""
        self.looks += 1


@dataclass
class Kopfs(Watching):
    """Kopfs that live until they are told to end, by an error or without."""

    begun: list[Stream] = field(default_factory=list)
    ends: dict[Stream, "asyncio.Future[None]"] = field(default_factory=dict)

    async def _watch(self, stream: Stream) -> None:
        self.begun.append(stream)
        self.ends[stream] = asyncio.get_running_loop().create_future()
        try:
            await self.ends[stream]
        finally:
            del self.ends[stream]


Started = Callable[[Parts], Any]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here waits long."""
    monkeypatch.setattr(watching, "PAUSES_SECONDS", (0.0, 0.01))


def made(parts: Parts) -> Kopfs:
    """Watching of these parts."""
    each = cast("Any", parts)
    return Kopfs(intake=each, resync=each, discovery=each, kubeconfig=Path("none"), runs=lambda: None)


async def settled() -> None:
    """All that can happen has happened."""
    await asyncio.sleep(0.05)


async def test_a_stream_that_ends_takes_no_other_with_it(
    pauses: None, caplog: pytest.LogCaptureFixture
) -> None:
    """It is begun anew, is counted, and the log says why."""
    kopfs, stop = made(Parts()), asyncio.Event()
    running = asyncio.create_task(kopfs.run(stop))
    await settled()
    deployments, services = Stream(DEPLOYMENT, None), Stream(SERVICE, None)
    other = kopfs.ends[services]
    kopfs.ends[deployments].set_exception(Unreachable("half a line"))
    await settled()
    assert kopfs.begun.count(deployments) == 2
    assert kopfs.ends[services] is other
    assert "the watch of deployments ended, begun anew in 0 s: half a line" in caplog.text
    failures = kopfs.resync.metrics.registry.get_sample_value(
        "modelward_watch_failures_total", {"kind": "Deployment"}
    )
    assert failures == 1
    stop.set()
    await running


async def test_each_namespace_has_a_stream_of_its_own(pauses: None) -> None:
    """One without rights in it is tried again and again, beside the others."""
    kopfs, stop = made(Parts(kinds=(DEPLOYMENT,), namespaces=("shop", "gone"))), asyncio.Event()
    running = asyncio.create_task(kopfs.run(stop))
    await settled()
    for _ in range(3):
        kopfs.ends[Stream(DEPLOYMENT, "gone")].set_exception(PermissionError("deployments in gone"))
        await settled()
    assert [str(each) for each in kopfs.begun].count("deployments in shop") == 1
    assert [str(each) for each in kopfs.begun].count("deployments in gone") == 4
    stop.set()
    await running


async def test_kinds_come_and_go(pauses: None) -> None:
    """Only their streams begin and end; what was held of one that went is forgotten."""
    parts = Parts()
    kopfs, stop = made(parts), asyncio.Event()
    running = asyncio.create_task(kopfs.run(stop))
    await settled()
    parts.kinds = (*parts.kinds, HTTP_ROUTE)
    parts.changed.set()
    await settled()
    assert parts.filled == ["HTTPRoute"]
    assert Stream(HTTP_ROUTE, None) in kopfs.ends
    parts.kinds = parts.kinds[:2]
    parts.changed.set()
    await settled()
    assert parts.dropped == ["HTTPRoute"]
    assert Stream(HTTP_ROUTE, None) not in kopfs.ends
    assert (len(kopfs.begun), parts.looks) == (3, 2)
    stop.set()
    await running


async def test_a_kind_of_ours_that_is_missing_is_waited_for(
    pauses: None, caplog: pytest.LogCaptureFixture
) -> None:
    """Kopf would watch nothing, and never look again."""
    parts = Parts(kinds=(MODEL_DEPLOYMENT,), absent={MODEL_DEPLOYMENT.kind})
    kopfs, stop = made(parts), asyncio.Event()
    running = asyncio.create_task(kopfs.run(stop))
    await settled()
    assert kopfs.begun == []
    assert "kubectl apply -f crds/" in caplog.text
    parts.absent = set()
    await settled()
    assert len(kopfs.begun) == 1
    stop.set()
    await running


async def test_a_signal_that_kopf_took_ends_all(pauses: None) -> None:
    """A Kopf that ends without an error was told to."""
    kopfs = made(Parts())
    running = asyncio.create_task(kopfs.run(asyncio.Event()))
    await settled()
    kopfs.ends[Stream(SERVICE, None)].set_result(None)
    await asyncio.wait_for(running, 5)
    assert kopfs.ends == {}


async def test_pauses_grow_and_begin_anew_after_a_calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that fails at once is begun anew more and more rarely."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    class Failing(Kopfs):
        async def _watch(self, stream: Stream) -> None:
            lived, calm = len(slept), 8
            if lived == calm:
                monkeypatch.setattr(watching, "CALM_SECONDS", -1.0)
            if lived > calm:
                return
            raise Unreachable(str(stream))

    each = cast("Any", Parts())
    failing = Failing(intake=each, resync=each, discovery=each, kubeconfig=None, runs=lambda: None)
    monkeypatch.setattr("modelward.watching.asyncio.sleep", sleep)
    await failing._keep(Stream(DEPLOYMENT, None))
    assert slept == [0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 30.0, 30.0, 0.5]
