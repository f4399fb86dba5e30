"""Which optional kinds the cluster has: the operator works without them, and they may come and go while it runs.

Kopf would find them by watching CustomResourceDefinitions, for which the operator has no right. It asks the
API server's own directory instead, which every account may read.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final

from modelward.cache.store import Store
from modelward.clients.kube import Kube
from modelward.clients.resources import OPTIONAL, Resource
from modelward.errors import ModelwardError, Refused

PERIOD_SECONDS: Final = 10.0
"""How long a kind that was just installed may go unnoticed. A poll is one or two small requests."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Discovery:
    """Notes in the store which optional kinds cannot be had, and why."""

    kube: Kube
    store: Store
    namespaces: tuple[str, ...] = ()
    """Those that are served; none means all of the cluster."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Is set when a kind has come or gone."""
    _present: set[str] = field(default_factory=set)

    async def poll(self) -> None:
        """Ask for each kind. Raises ApiError or Unreachable: no answer does not mean that a kind is gone."""
        absent = {each.kind: why for each in OPTIONAL if (why := await self._absence(each))}
        present = {each.kind for each in OPTIONAL} - absent.keys()
        self.store.absent = absent
        if present != self._present:
            self._present = present
            self.changed.set()

    async def run(self) -> None:
        """Poll for ever."""
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            try:
                await self.poll()
            except ModelwardError as error:
                logger.warning("cannot see which kinds there are, tried again: %s", error)

    async def _absence(self, resource: Resource) -> str:
        """Why a kind cannot be had, as the end of a sentence; empty when it can."""
        if not await self.kube.serves(resource):
            return (
                f"this cluster does not have the kind ({resource.group}/{resource.version} {resource.kind})"
            )
        if resource.kind in self._present:
            return ""
        refusal = ""
        for namespace in self.namespaces or (None,):
            try:
                await self.kube.list_metadata(resource, namespace, labels=resource.selector)
            except Refused as error:  # one namespace that is gone does not take the kind from the others
                refusal = error.message
            else:
                return ""
        return f"the operator has no right to it ({refusal})"
