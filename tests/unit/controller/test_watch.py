"""Streams: each goes on where it broke, begins anew where it must, and takes no other with it; kinds come and go."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Self, cast

import pytest

from modelward.cache.store import Store
from modelward.clients.kube import Kube
from modelward.clients.resources import DEPLOYMENT, HTTP_ROUTE, MODEL_DEPLOYMENT, POD, SERVICE, Resource
from modelward.controller import watch
from modelward.controller.metrics import Metrics
from modelward.controller.watch import Stream, Watching, _pause, report_broken
from modelward.errors import ApiError, ModelwardError, Refused, Unreachable

Script = list[list[Any]]
"""For each stream in turn: its events, the last of which may be an error that ends it."""


def event(version: int, kind: str = "MODIFIED") -> dict[str, Any]:
    """An event of the object `p`."""
    return {"type": kind, "object": {"metadata": {"name": "p", "resourceVersion": str(version)}}}


class ScriptedKube(Kube):
    """Streams as scripted, then none that say anything."""

    def __init__(self, scripts: dict[str, Script]) -> None:
        """By kind and namespace, as a Stream is printed."""
        super().__init__(api=None)
        self.scripts = scripts
        self.asked: list[tuple[str, str]] = []
        """Stream and version of each watch."""
        self.open: set[str] = set()

    async def watch(
        self, resource: Resource, namespace: str | None = None, *, labels: str, version: str
    ) -> AsyncIterator[dict[str, Any]]:
        """The next stream."""
        assert labels == resource.selector
        name = str(Stream(resource, namespace))
        self.asked.append((name, version))
        if not self.scripts.get(name):
            self.open.add(name)
            try:
                await asyncio.Event().wait()
            finally:
                self.open.discard(name)
        for each in self.scripts[name].pop(0):
            if isinstance(each, Exception):
                raise each
            yield each


@dataclass
class Parts:
    """What Watching asks of the resync and of discovery, in one."""

    kinds: tuple[Resource, ...] = (POD,)
    namespaces: tuple[str | None, ...] = (None,)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    store: Store = field(default_factory=Store)
    listed: dict[tuple[str, str | None], str] = field(default_factory=dict)
    sweep_fails: Exception | None = None
    filled: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    swept: list[str] = field(default_factory=list)
    reported: list[Any] = field(default_factory=list)
    reconciles: int = 0

    def __post_init__(self) -> None:
        self.metrics = Metrics(self.store)

    def resources(self) -> tuple[Resource, ...]:
        """The kinds that are watched."""
        return self.kinds

    def scopes(self, _: Resource) -> tuple[str | None, ...]:
        """Where they are watched."""
        return self.namespaces

    async def fill_kind(self, resource: Resource) -> None:
        """Read all of a kind."""
        self.filled.append(resource.kind)
        self.listed[resource.kind, None] = "77"

    def drop_kind(self, resource: Resource) -> None:
        """Forget a kind."""
        self.dropped.append(resource.kind)

    async def sweep(self, resource: Resource) -> None:
        """Find out what is gone."""
        self.swept.append(resource.kind)
        if self.sweep_fails:
            raise self.sweep_fails

    def everything(self) -> None:
        """Check every model."""
        self.reconciles += 1

    def event(self, each: Any) -> None:
        """Take an event in."""
        self.reported.append(each)
        if each["type"] == "POISON":
            raise KeyError("metadata")

    def failures(self, kind: str) -> float:
        """How often a watch of a kind has failed."""
        name = "modelward_watch_failures_total"
        return self.metrics.registry.get_sample_value(name, {"kind": kind}) or 0.0


class Played:
    """Watching, while it plays scripts."""

    def __init__(self, parts: Parts, **scripts: Script) -> None:
        """Scripts by plural, or by plural and namespace: `pods__shop`."""
        self.parts = parts
        self.kube = ScriptedKube({key.replace("__", " in "): script for key, script in scripts.items()})
        each = cast("Any", parts)
        self._watching = Watching(
            kube=self.kube, resync=each, discovery=each, event=parts.event, everything=parts.everything
        )

    async def __aenter__(self) -> Self:
        self._task = asyncio.ensure_future(self._watching.run())
        await self.last_applied()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        assert self.kube.open == set()

    async def last_applied(self) -> None:
        """Wait until all scripts are played and every stream that is wanted is open."""
        wanted = {str(each) for each in self._watching._wanted()}
        async with asyncio.timeout(5):
            while self.kube.open != wanted or any(self.kube.scripts.values()):  # noqa: ASYNC110 - a turn of the loop, no time
                await asyncio.sleep(0)

    @property
    def versions(self) -> list[str]:
        """The versions that were asked for."""
        return [version for _, version in self.kube.asked]

    @property
    def reported(self) -> list[str]:
        """The versions of the events that were reported."""
        return [each["object"]["metadata"]["resourceVersion"] for each in self.parts.reported]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here sleeps."""
    monkeypatch.setattr(watch, "_pause", lambda *_, **__: 0.0)


@pytest.mark.parametrize("resource", [POD, DEPLOYMENT, HTTP_ROUTE], ids=lambda each: each.kind)
@pytest.mark.parametrize(
    ("end", "versions", "sweeps", "failures"),
    [
        pytest.param([], ["0", "6"], 0, 0, id="the server ended the stream"),
        pytest.param([Unreachable("reset")], ["0", "6"], 0, 1, id="the connection broke"),
        pytest.param([ApiError(500, "Internal", "x")], ["0", "6"], 0, 1, id="the server is in trouble"),
        pytest.param([ApiError(410, "Expired", "x")], ["0", "0"], 1, 0, id="the version is too old"),
    ],
)
async def test_it_goes_on_where_it_was(
    resource: Resource, end: list[Any], versions: list[str], sweeps: int, failures: int
) -> None:
    """Nothing is missed; objects that went while the version grew too old are found by a sweep."""
    parts = Parts(kinds=(resource,))
    async with Played(parts, **{resource.plural: [[event(5), event(6), *end]]}) as played:
        assert played.versions == versions
        assert played.reported == ["5", "6"]
    assert all(each["object"]["kind"] == resource.kind for each in parts.reported)
    assert parts.swept == [resource.kind] * sweeps
    assert parts.failures(resource.kind) == failures


async def test_it_begins_where_the_list_ended() -> None:
    """What happened since is reported; what was in the list is not sent again. Only once: later, that would be too old."""
    parts = Parts(listed={("Pod", None): "42"})
    async with Played(parts, pods=[[]]) as played:
        assert played.versions == ["42", "42"]
    assert parts.listed == {}


async def test_a_bookmark_moves_the_version_and_brings_nothing() -> None:
    """It says that nothing happened up to there."""
    async with Played(Parts(), pods=[[event(5), event(9, "BOOKMARK")]]) as played:
        assert played.versions == ["0", "9"]
        assert played.reported == ["5"]


async def test_each_namespace_has_its_stream() -> None:
    """An operator that serves some namespaces may not watch all. One without rights is tried beside the others."""
    refused = Refused(403, "Forbidden", "deployments in gone")
    parts = Parts(kinds=(DEPLOYMENT,), namespaces=("shop", "gone"))
    async with Played(parts, deployments__gone=[[refused]] * 3) as played:
        asked = [stream for stream, _ in played.kube.asked]
        assert asked.count("deployments in shop") == 1
        assert asked.count("deployments in gone") == 4


async def test_a_stream_that_ends_takes_no_other_with_it(caplog: pytest.LogCaptureFixture) -> None:
    """It is started again, is counted, and the log says why."""
    parts = Parts(kinds=(DEPLOYMENT, SERVICE))
    async with Played(parts, deployments=[[Unreachable("half a line")]]) as played:
        asked = [stream for stream, _ in played.kube.asked]
        assert (asked.count("deployments"), asked.count("services")) == (2, 1)
    assert "the watch of deployments broke and is tried again: half a line" in caplog.text
    assert (parts.failures("Deployment"), parts.failures("Service")) == (1, 0)


def test_a_watch_that_goes_on_breaking_is_counted_each_time_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """For each reason: a server that is away for an hour fills no log. Kopf's watches report in the same words."""
    metrics, reported = Metrics(Store()), ""
    for why in ("half a line", "half a line", "refused"):
        reported = report_broken(metrics, "Service", "services", why, reported)
    assert [record.getMessage() for record in caplog.records] == [
        "the watch of services broke and is tried again: half a line",
        "the watch of services broke and is tried again: refused",
    ]
    assert metrics.registry.get_sample_value("modelward_watch_failures_total", {"kind": "Service"}) == 3


async def test_our_own_kinds_are_kopfs() -> None:
    """Two watches of one kind would show everything twice."""
    async with Played(Parts(kinds=(MODEL_DEPLOYMENT, SERVICE))) as played:
        assert played.kube.open == {"services"}


async def test_kinds_come_and_go() -> None:
    """Only their streams begin and end; what was held of one that went is forgotten."""
    parts = Parts(kinds=(DEPLOYMENT, SERVICE))
    async with Played(parts) as played:
        parts.kinds = (*parts.kinds, HTTP_ROUTE)
        parts.changed.set()
        await played.last_applied()
        assert parts.filled == ["HTTPRoute"]
        assert ("httproutes", "77") in played.kube.asked
        parts.kinds = parts.kinds[:2]
        parts.changed.set()
        await played.last_applied()
        assert parts.dropped == ["HTTPRoute"]
        assert (len(played.kube.asked), parts.reconciles) == (3, 2)


async def test_a_sweep_that_fails_does_not_end_the_watch() -> None:
    """The sweep of every minute makes up for it."""
    script: Script = [[event(5), ApiError(410, "Expired", "x")], [event(7)]]
    async with Played(Parts(sweep_fails=ModelwardError("away")), pods=script) as played:
        assert played.reported == ["5", "7"]


async def test_an_object_that_nobody_can_read_does_not_end_the_watch(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is said once in the log, and the next event is taken."""
    async with Played(Parts(), pods=[[event(5, "POISON"), event(6)]]) as played:
        assert played.reported == ["5", "6"]
        assert played.versions == ["0", "6"]
    assert "event of a Pod: unexpected error" in caplog.text


async def test_a_right_that_is_missing_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """Not at every attempt; and again if it comes back after it was repaired."""
    refused = Refused(403, "Forbidden", 'pods is forbidden: cannot watch resource "pods"')
    script: Script = [[refused], [refused], [refused], [event(5), refused]]
    async with Played(Parts(namespaces=("shop",)), pods__shop=script):
        pass
    said = [each for each in caplog.messages if "the watch of pods in shop broke" in each]
    assert len(said) == 2
    assert 'cannot watch resource "pods"' in said[0]


def test_pauses_grow() -> None:
    """A server that is away is tried for often enough to be seen when it is back, a namespace that is gone rarely."""
    assert [_pause(failures) for failures in range(9)] == [0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 5.0, 5.0, 5.0]
    refused = [_pause(failures, refused=True) for failures in range(1, 9)]
    assert refused == [0.5, 1.0, 2.0, 3.0, 5.0, 5.0, 30.0, 30.0]
