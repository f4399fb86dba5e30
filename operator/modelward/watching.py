"""Kopf while it watches: started anew when an optional kind comes or goes, because it learns its kinds only once."""

import asyncio
import contextlib
import logging
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

LOOKS_AFTER_A_FAILURE: Final = 10

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
            watching = asyncio.ensure_future(self._watch(resources))
            told = [asyncio.ensure_future(event.wait()) for event in (stop, self.discovery.changed)]
            try:
                await asyncio.wait([watching, *told], return_when=asyncio.FIRST_COMPLETED)
                if watching.done() and not await self._lost_a_kind(watching):
                    watching.result()
                    return
            finally:
                await _cancelled(watching, *told)
            if not stop.is_set():
                await self._adjust({*resources}, {*self.resync.resources()})

    async def _watch(self, resources: tuple[Resource, ...]) -> None:
        """Run Kopf's tasks until one of them ends.

        `kopf.operator` would do it, but at its end cancels whatever was started in the process since its start.
        """
        ready = asyncio.Event()
        tasks = await kopf.spawn_tasks(
            registry=registry(self.intake, resources, self.kubeconfig),
            settings=operator_settings(resources),
            clusterwide=not self.namespaces,
            namespaces=self.namespaces,
            standalone=True,
            ready_flag=ready,
        )
        notice = asyncio.ensure_future(self._notice(ready))
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            await _cancelled(notice, *tasks)

    async def _lost_a_kind(self, watching: asyncio.Future[None]) -> bool:
        """Whether Kopf failed because a kind that it watches is gone. The API server's directory tells a little later."""
        if watching.exception() is None:
            return False
        for _ in range(LOOKS_AFTER_A_FAILURE):
            with contextlib.suppress(ModelwardError):
                await self.discovery.look()
            if self.discovery.changed.is_set():
                return True
            await asyncio.sleep(1.0)
        return False

    async def _notice(self, ready: asyncio.Event) -> None:
        await ready.wait()
        self.runs()

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


async def _cancelled(*tasks: asyncio.Future[Any]) -> None:
    """End tasks, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
