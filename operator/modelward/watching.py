"""Kopf while it watches: started anew when an optional kind comes or goes, because it learns its kinds only once."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import kopf

from modelward.clients.resources import Resource
from modelward.discovery import Discovery
from modelward.errors import ModelwardError
from modelward.handlers import Intake, operator_settings, registry
from modelward.resync import Resync

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Watching:
    """All watches of the operator."""

    intake: Intake
    resync: Resync
    discovery: Discovery
    namespaces: tuple[str, ...]
    kubeconfig: Path | None
    runs: Callable[[], object]
    """Is told whenever Kopf runs (again). It has then taken the process's signals for itself."""

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until told to stop. Ends before that only by a bug, or on a signal that Kopf took."""
        while not stop.is_set():
            self.discovery.changed.clear()
            resources = self.resync.resources()
            ended = asyncio.Event()
            watching = asyncio.ensure_future(self._watch(resources, ended))
            told = [asyncio.ensure_future(event.wait()) for event in (stop, self.discovery.changed)]
            try:
                await asyncio.wait([watching, *told], return_when=asyncio.FIRST_COMPLETED)
                if watching.done():
                    watching.result()
                    return
                await self._end(watching, ended)
            finally:
                for task in (watching, *told):
                    task.cancel()
            if not stop.is_set():
                await self._adjust({*resources}, {*self.resync.resources()})

    async def _watch(self, resources: tuple[Resource, ...], ended: asyncio.Event) -> None:
        ready = asyncio.Event()
        notice = asyncio.ensure_future(self._notice(ready))
        try:
            await kopf.operator(
                registry=registry(self.intake, resources, self.kubeconfig),
                settings=operator_settings(resources),
                clusterwide=not self.namespaces,
                namespaces=self.namespaces,
                standalone=True,
                stop_flag=ended,
                ready_flag=ready,
            )
        finally:
            notice.cancel()

    async def _notice(self, ready: asyncio.Event) -> None:
        await ready.wait()
        self.runs()

    async def _end(self, watching: asyncio.Future[None], ended: asyncio.Event) -> None:
        ended.set()
        await watching

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
