"""Kopf while it watches: one Kopf for each kind and namespace, begun anew whenever it ends.

Kopf ends as a whole by whatever one of its streams does not get over: an ERROR frame, half a line, a 403 or a 5xx
that stays for some seconds, a kind that goes. So each stream has a Kopf of its own, and the others go on meanwhile.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import kopf

from modelward.clients.resources import Resource
from modelward.discovery import Discovery
from modelward.errors import ModelwardError
from modelward.handlers import Intake, operator_settings, registry
from modelward.resync import Resync

PAUSES_SECONDS: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Before a stream is begun anew, by how often it has failed in a row. The sweep makes up for what is missed."""
CALM_SECONDS: Final = 60.0
"""A stream that has lived for so long has got over its trouble."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stream:
    """What one Kopf watches."""

    resource: Resource
    namespace: str | None
    """None for all of the cluster."""

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.resource.plural}{where}"


@dataclass(slots=True, kw_only=True)
class Watching:
    """All watches of the operator but that of pods."""

    intake: Intake
    resync: Resync
    discovery: Discovery
    kubeconfig: Path | None
    runs: Callable[[], object]
    """Is told whenever a Kopf has begun. It has then taken the process's signals for itself."""

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until told to stop. Ends before that only by a bug, or on a signal that Kopf took."""
        streams: dict[Stream, asyncio.Task[None]] = {}
        told = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                self.discovery.changed.clear()
                before = {*self.resync.resources()}
                await self._meet(streams)
                changed = asyncio.ensure_future(self.discovery.changed.wait())
                await asyncio.wait([told, changed, *streams.values()], return_when=asyncio.FIRST_COMPLETED)
                await _cancelled(changed)
                if any(stream.done() for stream in streams.values()):
                    return
                if not stop.is_set():
                    await self._adjust(before, {*self.resync.resources()})
        finally:
            await _cancelled(told, *streams.values())

    async def _meet(self, streams: dict[Stream, asyncio.Task[None]]) -> None:
        """End the streams that are not wanted any more, and begin those that are."""
        wanted = {
            Stream(resource, namespace)
            for resource in self.resync.resources()
            for namespace in self.resync.scopes(resource)
        }
        await _cancelled(*(streams.pop(each) for each in streams.keys() - wanted))
        for stream in wanted - streams.keys():
            streams[stream] = asyncio.create_task(self._keep(stream))

    async def _keep(self, stream: Stream) -> None:
        """Watch for ever; ends on a signal that Kopf took."""
        failures = 0
        while True:
            began = time.monotonic()
            try:
                await self._served(stream.resource)
                await self._watch(stream)
            except Exception as error:  # noqa: BLE001 - whatever it is, another Kopf may get over it
                failures = 1 if time.monotonic() - began > CALM_SECONDS else failures + 1
                pause = PAUSES_SECONDS[min(failures, len(PAUSES_SECONDS)) - 1]
                logger.warning("the watch of %s ended, begun anew in %g s: %s", stream, pause, _why(error))
                self.resync.metrics.watch_failures.labels(stream.resource.kind).inc()
                await asyncio.sleep(pause)
            else:
                return

    async def _served(self, resource: Resource) -> None:
        """Raise ModelwardError if the cluster does not have a kind that is not its own: Kopf would watch nothing."""
        if (resource.ours or resource.optional) and not await self.discovery.kube.serves(resource):
            hint = "; are the CRDs installed (kubectl apply -f crds/)?" if resource.ours else ""
            raise ModelwardError(f"this cluster does not have the kind {resource.kind}{hint}")

    async def _watch(self, stream: Stream) -> None:
        """Run Kopf's tasks until one of them ends.

        `kopf.operator` would do it, but at its end cancels whatever was started in the process since its start.
        """
        tasks = await kopf.spawn_tasks(
            registry=registry(self.intake, (stream.resource,), self.kubeconfig),
            settings=operator_settings((stream.resource,)),
            clusterwide=stream.namespace is None,
            namespaces=[stream.namespace] if stream.namespace else [],
            standalone=True,
        )
        self.runs()
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            await _cancelled(*tasks)

    async def _adjust(self, before: set[Resource], now: set[Resource]) -> None:
        """Take in the objects of kinds that have come, forget those of kinds that have gone, look at every model."""
        for resource in before - now:
            self.resync.drop_kind(resource)
            logger.warning("%s: %s", resource.kind, self.resync.store.absent.get(resource.kind))
        for resource in now - before:
            try:
                await self.resync.fill_kind(resource)
            except ModelwardError as error:  # the watch lists it, too, and the sweep after it
                logger.warning("cannot read %s yet: %s", resource.plural, error)
            logger.info("%s is there now", resource.kind)
        self.intake.everything()


def _why(error: Exception) -> str:
    """What an error says, and its type where that says more."""
    return str(error) if isinstance(error, ModelwardError) else f"{type(error).__name__}: {error}"[:500]


async def _cancelled(*tasks: asyncio.Future[Any]) -> None:
    """End tasks, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
