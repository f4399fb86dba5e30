"""Watches of everything but our own kinds, which Kopf watches: a stream for each kind and namespace.

A stream begins where the list ended that filled the store. One that breaks goes on from the last version that it has
seen, so nothing is lost. If that version is too old, the API server is asked for all objects anew, and a sweep finds out
which of those that are held are gone. No stream takes another one with it. Why not by Kopf: docs/design/0018.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from modelward.cache.discovery import Discovery
from modelward.clients.kube import FROM_THE_START, Kube
from modelward.clients.resources import Resource
from modelward.controller.metrics import Metrics
from modelward.controller.resync import Resync
from modelward.errors import ApiError, ModelwardError, Refused, Unreachable

RECONNECT_SECONDS: Final = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0)
"""Pauses by the number of failures in a row: a server that is back is seen within five seconds."""
REFUSED_SECONDS: Final = 30.0
"""The longest pause where the server answers that we may not: a namespace that is gone, a right that is missing."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stream:
    """What one watch is about."""

    resource: Resource
    namespace: str | None
    """None for all of the cluster."""

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.resource.plural}{where}"


@dataclass(slots=True, kw_only=True)
class Watching:
    """Keeps one stream for each kind and namespace, also of optional kinds, which come and go."""

    kube: Kube
    resync: Resync
    discovery: Discovery
    event: Callable[[Any], None]
    """Called for every event."""
    everything: Callable[[], None]
    """Has every model reconciled."""

    async def run(self) -> None:
        """Watch for ever."""
        streams: dict[Stream, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                self.discovery.changed.clear()
                before = {*self.resync.resources()}
                wanted = {*self._wanted()}
                for stream in streams.keys() - wanted:
                    streams.pop(stream).cancel()
                for stream in wanted - streams.keys():
                    streams[stream] = group.create_task(self._follow(stream))
                await self.discovery.changed.wait()
                await self._adjust(before, {*self.resync.resources()})

    def _wanted(self) -> list[Stream]:
        kinds = (each for each in self.resync.resources() if not each.ours)
        return [Stream(each, namespace) for each in kinds for namespace in self.resync.scopes(each)]

    async def _follow(self, stream: Stream) -> None:
        """Watch one kind for ever."""
        resource, namespace = stream.resource, stream.namespace
        version = self.resync.listed.pop((resource.kind, namespace), FROM_THE_START)
        failures, reported, pause = 0, "", 0.0
        while True:
            await asyncio.sleep(pause)
            seen = version
            try:
                async for event in self.kube.watch(
                    resource, namespace, labels=resource.selector, version=version
                ):
                    version, failures, reported = self._taken(resource, event), 0, ""
                failures += version == seen  # a server that ends every stream at once is asked less often
                pause = _pause(failures)
            except (ApiError, Unreachable) as error:
                failures += 1
                pause = _pause(failures, refused=isinstance(error, Refused))
                if isinstance(error, ApiError) and error.status == HTTPStatus.GONE:
                    version = FROM_THE_START
                    await self._swept(resource)
                    continue
                reported = report_broken(self.resync.metrics, resource.kind, stream, str(error), reported)

    def _taken(self, resource: Resource, event: Any) -> str:
        """The version up to which all is known now."""
        raw = event["object"]
        if event["type"] != "BOOKMARK":
            try:
                self.event({**event, "object": {**raw, "kind": resource.kind}})
            except Exception:
                logger.exception("event of a %s: unexpected error, please report it", resource.kind)
        return str(raw["metadata"]["resourceVersion"])

    async def _swept(self, resource: Resource) -> None:
        try:
            await self.resync.sweep(resource)
        except ModelwardError as error:
            logger.warning("cannot list %s yet, the next sweep will: %s", resource.plural, error)

    async def _adjust(self, before: set[Resource], now: set[Resource]) -> None:
        """Take in the objects of kinds that have come, forget those of kinds that have gone, reconcile every model."""
        for resource in before - now:
            self.resync.drop_kind(resource)
            logger.warning("%s: %s", resource.kind, self.resync.store.absent.get(resource.kind))
        for resource in now - before:
            try:
                await self.resync.fill_kind(resource)
            except ModelwardError as error:  # the watch brings them, too, and the sweep after it
                logger.warning("cannot read %s yet: %s", resource.plural, error)
            logger.info("%s is there now", resource.kind)
        self.everything()


def report_broken(metrics: Metrics, kind: str, watch: object, why: str, before: str = "") -> str:
    """Count a watch that broke, Kopf's or a stream of ours, and log why, unless that was reported before. Returns why."""
    metrics.watch_failures.labels(kind).inc()
    if why != before:
        logger.warning("the watch of %s broke and is tried again: %s", watch, why)
    return why


def _pause(failures: int, *, refused: bool = False) -> float:
    """Seconds until a stream is tried again."""
    if refused and failures > len(RECONNECT_SECONDS):
        return REFUSED_SECONDS
    return RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)]
