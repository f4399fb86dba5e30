"""A recorder that sees everything: each state of each object, straight from the API server, in the order of its store.

Versions of objects are revisions of one store, so changes of different kinds have an order, too.
"""

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import msgspec

from devcluster import Cluster
from modelward.clients.decoding import lines, shallow

Raw = dict[str, Any]
At = tuple[str, str]
"""Kind and name."""

KINDS: Final[Mapping[str, str]] = {
    "ModelDeployment": "/apis/modelward.dev/v1alpha1/modeldeployments",
    "ControllerRevision": "/apis/apps/v1/controllerrevisions",
    "Deployment": "/apis/apps/v1/deployments",
    "Service": "/api/v1/services",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/horizontalpodautoscalers",
    "PodDisruptionBudget": "/apis/policy/v1/poddisruptionbudgets",
    "HTTPRoute": "/apis/gateway.networking.k8s.io/v1/httproutes",
    "Pod": "/api/v1/pods",
    "Event": "/apis/events.k8s.io/v1/events",
}
_RECONNECT_SECONDS: Final = 0.2
_FAREWELL_SECONDS: Final = 0.25
"""What connections with TLS take to be closed, after they were asked to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One event of a watch."""

    version: int
    time: float
    """`time.time()` when it came."""
    kind: str
    raw: Raw
    gone: bool = False

    @property
    def at(self) -> At:
        """Kind and name."""
        return self.kind, self.raw["metadata"]["name"]


class Recorder:
    """Watches the whole cluster while a `with` block runs."""

    def __init__(self, cluster: Cluster, kinds: Iterable[str]) -> None:
        """`kinds` are of KINDS: those that the cluster serves."""
        self._cluster, self.kinds = cluster, tuple(kinds)
        self._objects: dict[str, dict[At, Raw]] = {}
        """By namespace: what there is now."""
        self._broken: list[BaseException] = []
        self._seen: dict[str, list[Seen]] = {}
        self._news = threading.Condition()
        self._listed = threading.Semaphore(0)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=(self._run(),), daemon=True
        )
        self._tasks: list[asyncio.Task[None]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        for _ in self.kinds:
            assert self._listed.acquire(timeout=30), f"the recorder lists all kinds: {self._broken}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            self._loop.call_soon_threadsafe(task.cancel)
        self._thread.join()
        self._loop.close()
        if self._broken and error is None:
            raise self._broken[0]

    def begin(self, namespace: str) -> None:
        """Forget what happened in a namespace until now."""
        with self._news:
            self._seen[namespace] = [
                Seen(version=int(raw["metadata"]["resourceVersion"]), time=time.time(), kind=at[0], raw=raw)
                for at, raw in self._objects.get(namespace, {}).items()
            ]

    def story(self, namespace: str) -> list[Seen]:
        """All that happened there since `begin`, in order."""
        with self._news:
            return sorted(self._seen.get(namespace, ()), key=lambda seen: seen.version)

    def objects(self, namespace: str) -> dict[At, Raw]:
        """What there is now."""
        with self._news:
            return dict(self._objects.get(namespace, {}))

    def everything(self, kind: str) -> list[Raw]:
        """What there is now of a kind, in all namespaces."""
        with self._news:
            return [raw for found in self._objects.values() for at, raw in found.items() if at[0] == kind]

    def last_change(self, namespace: str) -> float:
        """When something happened there last, Events apart."""
        with self._news:
            times = (seen.time for seen in reversed(self._seen.get(namespace, [])) if seen.kind != "Event")
            return next(times, 0.0)

    def wait(self, namespace: str, condition: Callable[[dict[At, Raw]], bool], seconds: float) -> bool:
        """Whether a condition of what there is comes true in time."""
        with self._news:
            return self._news.wait_for(lambda: condition(self._objects.get(namespace, {})), timeout=seconds)

    # --- the thread -----------------------------------------------------------------------------------------

    async def _run(self) -> None:
        pki = self._cluster.directory / "pki"
        tls = ssl.create_default_context(cafile=pki / "ca.crt")
        tls.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        async with aiohttp.ClientSession(
            self._cluster.api_url,
            connector=aiohttp.TCPConnector(limit=0, ssl=tls),
            timeout=aiohttp.ClientTimeout(total=None),
            trust_env=False,
        ) as session:
            self._tasks = [asyncio.ensure_future(self._follow(session, kind)) for kind in self.kinds]
            ends = await asyncio.gather(*self._tasks, return_exceptions=True)
            self._broken += [end for end in ends if isinstance(end, Exception)]
        await asyncio.sleep(_FAREWELL_SECONDS)

    async def _follow(self, session: aiohttp.ClientSession, kind: str) -> None:
        listed = await _listed(session, kind)
        for raw in listed["items"]:
            self._take(kind, raw, gone=False)
        version = listed["metadata"]["resourceVersion"]
        self._listed.release()
        while True:
            query = {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "1"}
            async with session.get(KINDS[kind], params=query) as stream:
                async for line in lines(stream.content):
                    event = msgspec.json.decode(line)
                    assert event["type"] != "ERROR", event
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        self._take(kind, event["object"], gone=event["type"] == "DELETED")
            await asyncio.sleep(_RECONNECT_SECONDS)

    def _take(self, kind: str, listed: Raw, *, gone: bool) -> None:
        raw, metadata = (
            {**listed, "kind": kind},
            listed["metadata"],
        )  # objects of a list do not show their kind
        seen = Seen(version=int(metadata["resourceVersion"]), time=time.time(), kind=kind, raw=raw, gone=gone)
        with self._news:
            objects = self._objects.setdefault(metadata["namespace"], {})
            if gone:
                objects.pop(seen.at, None)
            else:
                objects[seen.at] = raw
            if metadata["namespace"] in self._seen:
                self._seen[metadata["namespace"]].append(seen)
            self._news.notify_all()


async def _listed(session: aiohttp.ClientSession, kind: str) -> Raw:
    """All objects of a kind; a CRD that was made just now may need a moment."""
    while True:
        async with session.get(KINDS[kind]) as response:
            if response.ok:
                found: Raw = msgspec.json.decode(shallow(await response.read()))
                return found
        await asyncio.sleep(_RECONNECT_SECONDS)
