"""The watch of pods: it goes on where it broke, and begins anew where it must."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from modelward import pod_watch
from modelward.clients.kube import Kube
from modelward.clients.resources import Resource
from modelward.errors import ApiError, ModelwardError, Refused, Unreachable
from modelward.pod_watch import PodWatch

Script = list[list[Any]]
"""For each stream: its events, the last of which may be an error that ends it."""


def event(version: int, kind: str = "MODIFIED") -> dict[str, Any]:
    """An event of the pod `p`."""
    return {"type": kind, "object": {"metadata": {"name": "p", "resourceVersion": str(version)}}}


class ScriptedKube(Kube):
    """Streams as scripted, then none any more."""

    def __init__(self, script: Script) -> None:
        super().__init__(api=None)
        self.script = script
        self.asked: list[tuple[str | None, str]] = []
        """Namespace and version of each watch."""
        self.over = asyncio.Event()

    async def watch(
        self, resource: Resource, namespace: str | None = None, *, labels: str, version: str
    ) -> AsyncIterator[dict[str, Any]]:
        """The next stream."""
        assert (resource.kind, labels) == ("Pod", "app.kubernetes.io/managed-by=modelward")
        self.asked.append((namespace, version))
        if not self.script:
            self.over.set()
            await asyncio.Event().wait()
        for each in self.script.pop(0):
            if isinstance(each, Exception):
                raise each
            yield each


async def played(script: Script, *namespaces: str, sweep: Exception | None = None) -> tuple[Any, ...]:
    """Versions asked for, versions of the events that were told, and how often a sweep was made."""
    kube = ScriptedKube(script)
    told: list[Any] = []
    swept: list[None] = []

    async def sweeping() -> None:
        swept.append(None)
        if sweep:
            raise sweep

    def tell(each: Any) -> None:
        told.append(each)
        if each["type"] == "POISON":
            raise KeyError("metadata")

    watch = PodWatch(kube=kube, namespaces=namespaces, event=tell, sweep=sweeping)
    running = asyncio.ensure_future(watch.run())
    await asyncio.wait_for(kube.over.wait(), 5)
    running.cancel()
    versions = [each["object"]["metadata"]["resourceVersion"] for each in told]
    assert all(each["object"]["kind"] == "Pod" for each in told)
    return kube.asked, versions, len(swept)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here sleeps."""
    monkeypatch.setattr(pod_watch, "_RECONNECT_SECONDS", (0.0,))


@pytest.mark.parametrize(
    ("end", "versions", "sweeps"),
    [
        pytest.param([], ["0", "6"], 0, id="the server ended the stream"),
        pytest.param([Unreachable("reset")], ["0", "6"], 0, id="the connection broke"),
        pytest.param([ApiError(500, "Internal", "x")], ["0", "6"], 0, id="the server is in trouble"),
        pytest.param([ApiError(410, "Expired", "x")], ["0", "0"], 1, id="the version is too old"),
    ],
)
async def test_it_goes_on_where_it_was(end: list[Any], versions: list[str], sweeps: int) -> None:
    """Nothing is missed; pods that went while the version grew too old are found by a sweep."""
    asked, told, swept = await played([[event(5), event(6), *end]])
    assert [version for _, version in asked] == versions
    assert told == ["5", "6"]
    assert swept == sweeps


async def test_a_bookmark_moves_the_version_and_tells_nothing() -> None:
    """It says that nothing happened up to there."""
    asked, told, _ = await played([[event(5), event(9, "BOOKMARK")]])
    assert [version for _, version in asked] == ["0", "9"]
    assert told == ["5"]


async def test_each_namespace_has_its_stream() -> None:
    """An operator that serves some namespaces may not watch all."""
    asked, _, _ = await played([[], []], "shop", "bank")
    assert {namespace for namespace, _ in asked} == {"shop", "bank"}


async def test_a_sweep_that_fails_does_not_end_the_watch() -> None:
    """The sweep of every minute makes up for it."""
    script: Script = [[event(5), ApiError(410, "Expired", "x")], [event(7)]]
    _, told, _ = await played(script, sweep=ModelwardError("away"))
    assert told == ["5", "7"]


async def test_a_pod_that_nobody_can_read_does_not_end_the_watch(caplog: pytest.LogCaptureFixture) -> None:
    """It is said once in the log, and the next event is taken."""
    asked, told, _ = await played([[event(5, "POISON"), event(6)]])
    assert told == ["5", "6"]
    assert [version for _, version in asked] == ["0", "6"]
    assert "event of a pod: unexpected error" in caplog.text


async def test_a_right_that_is_missing_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """Not at every attempt; and again if it comes back after it was mended."""
    refused = Refused(403, "Forbidden", 'pods is forbidden: cannot watch resource "pods"')
    await played([[refused], [refused], [refused], [event(5), refused]], "shop")
    said = [each.getMessage() for each in caplog.records if "cannot watch pods in shop" in each.getMessage()]
    assert len(said) == 2
    assert 'cannot watch resource "pods"' in said[0]
