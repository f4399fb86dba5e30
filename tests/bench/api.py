"""The API server as the benchmarks use it: as administrator, many requests at once, watches of our own."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp

from devcluster import Cluster

MODELS = "/apis/modelward.dev/v1alpha1"
APPS = "/apis/apps/v1"
CORE = "/api/v1"

Manifest = dict[str, Any]
_MERGE = "application/merge-patch+json"
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_WATCH_SECONDS = 3600
_LONGEST_LINE_BYTES = 2**21


def path(prefix: str, plural: str, namespace: str, name: str = "") -> str:
    """URL path of an object, or of all of a kind in a namespace without `name`."""
    return f"{prefix}/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


class Api:
    """Requests with the administrator's certificate. Use as an asynchronous context manager."""

    def __init__(self, cluster: Cluster, connections: int = 32) -> None:
        """At most `connections` requests at once."""
        pki = cluster.directory / "pki"
        self._ssl = ssl.create_default_context(cafile=pki / "ca.crt")
        self._ssl.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        self._url = cluster.api_url
        self._turns = asyncio.Semaphore(connections)

    async def __aenter__(self) -> Self:
        """Open the connections."""
        connector = aiohttp.TCPConnector(ssl=self._ssl, limit=0)
        self._session = aiohttp.ClientSession(
            self._url, connector=connector, read_bufsize=_LONGEST_LINE_BYTES
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close them."""
        await self._session.close()

    async def create(self, where: str, manifest: Manifest) -> Manifest:
        """The object as stored."""
        return await self._send("POST", where, json=manifest)

    async def change(self, where: str, change: Manifest) -> Manifest:
        """The object after a merge patch."""
        return await self._send("PATCH", where, data=json.dumps(change), headers={"Content-Type": _MERGE})

    async def get(self, where: str) -> Manifest:
        """An object, or a list."""
        return await self._send("GET", where)

    async def delete(self, where: str, grace_seconds: int | None = None) -> None:
        """Delete an object, or all of a kind in a namespace; what they own goes in the background."""
        options = {"propagationPolicy": "Background", "gracePeriodSeconds": grace_seconds}
        await self._send("DELETE", where, json=options)

    async def any_left(self, where: str) -> bool:
        """Whether a collection has an object."""
        page = await self._send("GET", f"{where}?limit=1", headers={"Accept": _METADATA_ONLY})
        return bool(page["items"])

    async def _send(self, method: str, where: str, **request: Any) -> Manifest:
        async with self._turns, self._session.request(method, where, **request) as response:
            answer: Manifest = await response.json()
            if not response.ok:
                raise RuntimeError(f"{method} {where}: {answer.get('message', response.status)}")
            return answer

    async def events(self, where: str, version: str) -> AsyncIterator[tuple[float, Manifest]]:
        """Yield (monotonic seconds of arrival, watch event) for all that happens after a resourceVersion."""
        query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": str(_WATCH_SECONDS)}
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._session.get(where, params=query, timeout=timeout) as response:
            response.raise_for_status()
            async for line in response.content:
                yield time.monotonic(), json.loads(line)


@asynccontextmanager
async def watching(
    api: Api, where: str, take: Callable[[float, Manifest], None]
) -> AsyncIterator["asyncio.Task[None]"]:
    """A task that hands every event from now on to `take`, with its time, until the block is left."""
    version = (await api.get(f"{where}?limit=1"))["metadata"]["resourceVersion"]

    async def follow() -> None:
        async for when, event in api.events(where, version):
            take(when, event["object"])

    task = asyncio.create_task(follow())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
