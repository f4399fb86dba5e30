"""The watch of pods: a stream of our own. Why pods are watched, and why not by Kopf: docs/design/0007.

A stream that breaks goes on from the last version it has seen, so nothing is lost. If that version is too old, the
server is asked for all pods anew, and a sweep tells which of those that are held are gone.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from modelward.clients.kube import Kube
from modelward.clients.resources import POD
from modelward.errors import ApiError, ModelwardError, Unreachable

FROM_THE_START: Final = "0"
"""The watch cache tells of each object that there is, and goes on from there."""
_TOO_OLD: Final = 410
_RECONNECT_SECONDS: Final = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0)

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class PodWatch:
    """Tells `event` of every event of a pod that carries our label."""

    kube: Kube
    namespaces: tuple[str, ...]
    """None means all of the cluster."""
    event: Callable[[Any], None]
    sweep: Callable[[], Awaitable[object]]
    """Finds out which pods are gone."""

    async def run(self) -> None:
        """Watch for ever."""
        async with asyncio.TaskGroup() as group:
            for namespace in self.namespaces or (None,):
                group.create_task(self._follow(namespace))

    async def _follow(self, namespace: str | None) -> None:
        version, failures, told = FROM_THE_START, 0, ""
        while True:
            await asyncio.sleep(_RECONNECT_SECONDS[min(failures, len(_RECONNECT_SECONDS) - 1)])
            seen = version
            try:
                async for event in self.kube.watch(POD, namespace, labels=POD.selector, version=version):
                    version, failures, told = self._taken(event), 0, ""
            except ApiError as error:
                failures += 1
                if error.status == _TOO_OLD:
                    version = FROM_THE_START
                    await self._swept()
                elif str(error) != told:  # said once, not at every attempt
                    told = str(error)
                    logger.warning("cannot watch pods%s: %s", f" in {namespace}" if namespace else "", told)
            except Unreachable as error:
                failures += 1
                logger.info("the watch of pods broke, and goes on: %s", error)
            else:
                failures += version == seen  # a server that ends every stream at once is asked less often

    def _taken(self, event: Any) -> str:
        """The version up to which all is known now."""
        raw = event["object"]
        if event["type"] != "BOOKMARK":
            try:
                self.event({**event, "object": {**raw, "kind": POD.kind}})
            except Exception:
                logger.exception("event of a pod: unexpected error, please report it")
        return str(raw["metadata"]["resourceVersion"])

    async def _swept(self) -> None:
        try:
            await self.sweep()
        except ModelwardError as error:
            logger.warning("cannot list pods yet, the next sweep will: %s", error)
