"""Mark and sweep: what a watch has lost is found by comparing with a list of metadata, and mended.

Kopf lists once and then streams; an event that is lost while a stream lives never comes again, and a
deletion during a gap is told by nobody. The list is served from the watch cache (resourceVersion=0), in
chunks and without specs, so that it costs the API server little.
"""

import asyncio
import functools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from modelward.clients.kube import Kube, Manifest
from modelward.clients.resources import WATCHED, Resource
from modelward.errors import ModelwardError, NotFound
from modelward.metrics import Metrics
from modelward.settings import Settings
from modelward.store import Key, Store, selector

_OBJECTS_PER_PERIOD: Final = 1_000
_LONGEST_PERIOD_SECONDS: Final = 300.0

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Resync:
    """Fills the store at start, and keeps it true."""

    kube: Kube
    store: Store
    settings: Settings
    metrics: Metrics
    changed: Callable[[Manifest], None]
    """Is told of every object that was taken in."""
    gone: Callable[[Manifest], None]
    confirmed: dict[str, float] = field(default_factory=dict)
    """By kind: when what is held was last known to be complete (monotonic seconds)."""

    def resources(self) -> tuple[Resource, ...]:
        """The kinds that are watched under these settings."""
        return tuple(each for each in WATCHED if each.namespaced or self.settings.cluster_runtimes)

    async def fill(self) -> None:
        """Read everything once. Raises ApiError or Unreachable: without it the operator must not act."""
        for resource in self.resources():
            for namespace in self._scopes(resource):
                labels = "" if resource.ours else selector()
                async for raw in self.kube.list(resource, namespace, labels=labels):
                    self.store.put(_typed(resource, raw))
            self._confirm(resource)
            age = functools.partial(self.age_seconds, resource.kind)
            self.metrics.watch_age_seconds.labels(resource.kind).set_function(age)

    async def run(self) -> None:
        """Sweep for ever, at a pace that follows the number of objects."""
        while True:
            share = max(1.0, self.store.count() / _OBJECTS_PER_PERIOD)
            longest = max(_LONGEST_PERIOD_SECONDS, self.settings.resync_seconds)
            await asyncio.sleep(min(longest, self.settings.resync_seconds * share))
            for resource in self.resources():
                try:
                    await self._sweep(resource)
                except ModelwardError as error:
                    logger.warning("sweep of %s failed, tried again next time: %s", resource.plural, error)
                except Exception:
                    logger.exception("sweep of %s: unexpected error, please report it", resource.plural)

    def age_seconds(self, kind: str) -> float:
        """Time since what is held of a kind was last known to be complete."""
        return time.monotonic() - self.confirmed.get(kind, 0.0)

    async def _sweep(self, resource: Resource) -> None:
        before = self.store.versions(resource.kind)
        listed: dict[Key, tuple[str, int]] = {}
        for namespace in self._scopes(resource):
            labels = "" if resource.ours else selector()
            for each in await self.kube.list_metadata(resource, namespace, labels=labels):
                listed[each.namespace, each.name] = each.uid, int(each.resource_version)
        now = self.store.versions(resource.kind)
        for key, (uid, version) in listed.items():
            held = now.get(key)
            if held is None or held[0] != uid or held[1] < version:
                await self._fetch(resource, key)
        for key in before.keys() - listed.keys():
            await self._verify(resource, key, before[key][0])
        self._confirm(resource)

    async def _fetch(self, resource: Resource, key: Key) -> None:
        """An event was lost, or is on its way: read the object itself."""
        try:
            raw = _typed(resource, await self.kube.get(resource, key[0] or None, key[1]))
        except NotFound:
            return
        if self.store.put(raw):
            logger.info("took in %s %s, whose event was lost", resource.kind, "/".join(key))
            self.changed(raw)

    async def _verify(self, resource: Resource, key: Key, uid: str) -> None:
        """It was not listed: gone, or made after the list. Only the API server's own word counts."""
        try:
            raw = await self.kube.get(resource, key[0] or None, key[1])
        except NotFound:
            raw = None
        if raw is None or raw["metadata"]["uid"] != uid:
            ghost = {"kind": resource.kind, "metadata": {"namespace": key[0], "name": key[1], "uid": uid}}
            self.gone(ghost)
        if raw is not None:
            self.store.put(_typed(resource, raw))

    def _confirm(self, resource: Resource) -> None:
        self.confirmed[resource.kind] = time.monotonic()

    def _scopes(self, resource: Resource) -> tuple[str | None, ...]:
        return self.settings.namespaces or (None,) if resource.namespaced else (None,)


def _typed(resource: Resource, raw: Manifest) -> Manifest:
    """Items of a list carry no kind of their own."""
    return {**raw, "kind": resource.kind}
