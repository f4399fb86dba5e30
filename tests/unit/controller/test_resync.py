"""The sweep: what watches lose is found, a dead watch is distinguished from a late event, and a takeover asks what is stored."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from builders import manifest
from modelward.cache.store import Store
from modelward.clients.kube import Kube, Metadata, Page
from modelward.clients.resources import MODEL_DEPLOYMENT, Resource
from modelward.controller.metrics import Metrics
from modelward.controller.resync import Resync
from modelward.errors import NotFound, Refused, Unreachable
from modelward.settings import Settings


@dataclass
class Cluster:
    """Holds ModelDeployments; stands in for Kube."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    lists_stored: list[bool] = field(default_factory=list)
    closed: set[str | None] = field(default_factory=set)
    """Namespaces in which nothing may be listed."""
    away: bool = False
    _version: int = 0

    def write(self, name: str, namespace: str = "default") -> dict[str, Any]:
        """A new object, or a new version of one."""
        self._version += 1
        raw = manifest(str(self._version))
        raw["metadata"] |= {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "resourceVersion": str(self._version),
        }
        self.objects[name] = raw
        return raw

    async def list(self, resource: Resource, namespace: str | None, *, labels: str) -> AsyncIterator[Any]:
        """All of a kind."""
        del labels
        self._admit(namespace)
        found = list(self.objects.values()) if resource is MODEL_DEPLOYMENT else []
        yield Page(
            [raw for raw in found if namespace in (None, raw["metadata"]["namespace"])], str(self._version)
        )

    def _admit(self, namespace: str | None) -> None:
        if namespace in self.closed:
            raise Refused(403, "Forbidden", f'cannot list resource in the namespace "{namespace}"')

    async def list_metadata(
        self, resource: Resource, namespace: str | None, *, labels: str, stored: bool
    ) -> Sequence[Metadata]:
        """What identifies all of a kind."""
        del labels
        self._admit(namespace)
        if self.away:
            raise Unreachable("connection refused")
        self.lists_stored.append(stored)
        if resource is not MODEL_DEPLOYMENT:
            return []
        all_of_them = (raw["metadata"] for raw in self.objects.values())
        found = (each for each in all_of_them if namespace in (None, each["namespace"]))
        return [
            Metadata(
                name=m["name"], uid=m["uid"], resource_version=m["resourceVersion"], namespace=m["namespace"]
            )
            for m in found
        ]

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]:
        """One object. Raises NotFound."""
        del resource, namespace
        if name not in self.objects:
            raise NotFound(404, "NotFound", name)
        return self.objects[name]


@dataclass
class World:
    """A cluster, what is held of it, and what a watch has reported."""

    cluster: Cluster
    store: Store
    resync: Resync
    events: Counter[str]
    changed: list[str]
    gone: list[str]

    async def sweep(self) -> None:
        """One sweep of ModelDeployments, as `run` does it."""
        lost = await self.resync.sweep(MODEL_DEPLOYMENT)
        self.resync._watched(MODEL_DEPLOYMENT.kind, lost=lost)


def made(settings: Settings) -> World:
    """One model, not known to the operator yet."""
    changed: list[str] = []
    store = Store(newer=lambda raw: changed.append(raw["metadata"]["name"]))
    cluster, events = Cluster(), Counter[str]()
    gone: list[str] = []
    resync = Resync(
        cast("Kube", cluster),
        store,
        settings,
        Metrics(store),
        gone=lambda raw: gone.append(raw["metadata"]["name"]),
        events=events,
    )
    cluster.write("known")
    return World(cluster, store, resync, events, changed, gone)


@pytest.fixture
async def world() -> World:
    """One model, known to the operator."""
    found = made(Settings())
    await found.resync.fill()
    return found


async def test_nothing_is_lost_where_nothing_happened(world: World) -> None:
    """No object is asked for, no watch is suspected."""
    for _ in range(5):
        await world.sweep()
    assert (world.changed, world.gone, world.resync.dead()) == ([], [], "")


async def test_a_change_and_a_deletion_that_no_watch_reported_are_found(world: World) -> None:
    """Within one sweep."""
    world.cluster.write("new")
    del world.cluster.objects["known"]
    assert await world.resync.sweep(MODEL_DEPLOYMENT) == 2
    assert (world.changed, world.gone) == (["new"], ["known"])


async def test_a_watch_that_brings_nothing_of_changes_is_dead(world: World) -> None:
    """After three sweeps in a row that had to do its work; liveness then ends the process."""
    for number in range(3):
        assert world.resync.dead() == ""
        world.cluster.write(f"lost-{number}")
        await world.sweep()
    assert world.resync.dead() == "the watch of ModelDeployment is dead"


async def test_a_watch_that_still_brings_something_is_not_dead(world: World) -> None:
    """Events that are lost or late now and then are repaired, and no reason to end."""
    for number in range(10):
        world.cluster.write(f"lost-{number}")
        world.events[MODEL_DEPLOYMENT.kind] += 1
        await world.sweep()
    assert world.resync.dead() == ""


async def test_a_quiet_sweep_clears_the_suspicion(world: World) -> None:
    """Only sweeps in a row count."""
    for number in range(10):
        if number % 3:
            world.cluster.write(f"lost-{number}")
        await world.sweep()
    assert world.resync.dead() == ""


async def test_a_takeover_asks_for_what_is_stored(world: World) -> None:
    """Not for what a cache of the API server holds; and it fails rather than half succeeds."""
    world.cluster.write("by the leader before")
    await world.resync.freshen()
    assert set(world.cluster.lists_stored) == {True}
    assert world.changed == ["by the leader before"]
    world.cluster.away = True
    with pytest.raises(Unreachable):
        await world.resync.freshen()


async def test_a_view_that_nothing_confirms_gets_old(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readiness then says of what."""
    await world.resync.freshen()
    assert world.resync.old() == ""
    now = asyncio.get_running_loop().time()
    monkeypatch.setattr("modelward.controller.resync.time.monotonic", lambda: now + 181.0)
    assert "ModelDeployment" in world.resync.old()
    assert world.resync.old().endswith("is older than 180 s")


# --- some namespaces ----------------------------------------------------------------------------------------


async def test_a_namespace_that_may_not_be_read_keeps_nobody_from_the_others() -> None:
    """Neither at start nor in a sweep; it is said once, and taken in when it may be read."""
    world = made(Settings(namespaces=("default", "gone")))
    world.cluster.write("there", "gone")
    world.cluster.closed = {"gone"}
    await world.resync.fill()
    assert list(world.store.models()) == [("default", "known")]
    world.cluster.write("new")
    assert await world.resync.sweep(MODEL_DEPLOYMENT) == 1
    assert world.resync.old() == ""
    world.cluster.closed = set()
    await world.resync.sweep(MODEL_DEPLOYMENT)
    assert world.changed == ["new", "there"]


async def test_what_was_in_a_namespace_is_forgotten_when_that_stays_closed() -> None:
    """Nobody shows whether it is there: not by the first refusal, which may be a slip, and for no longer than needed."""
    world = made(Settings(namespaces=("default", "gone")))
    world.cluster.write("there", "gone")
    await world.resync.fill()
    world.cluster.closed = {"gone"}
    for _ in range(2):
        await world.resync.sweep(MODEL_DEPLOYMENT)
        assert world.store.model(("gone", "there"))
    await world.resync.sweep(MODEL_DEPLOYMENT)
    assert list(world.store.models()) == [("default", "known")]
    assert world.gone == []
    world.cluster.closed = set()
    await world.resync.sweep(MODEL_DEPLOYMENT)
    assert world.store.model(("gone", "there")), "it comes back as it was"


@pytest.mark.parametrize("namespaces", [(), ("default",)])
async def test_without_any_namespace_there_is_no_start(namespaces: tuple[str, ...]) -> None:
    """What is refused everywhere is a right that is missing: the operator waits for it."""
    world = made(Settings(namespaces=namespaces))
    world.cluster.closed = {*(namespaces or (None,))}
    with pytest.raises(Refused):
        await world.resync.fill()
