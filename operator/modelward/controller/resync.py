"""Mark and sweep: what a watch has lost is found by comparing with a list of metadata, and repaired.

A watch lists once and then streams; an event that is lost while a stream lives never comes again, and a
deletion during a gap brings no event. The list is served from the watch cache (resourceVersion=0), in
chunks and without specs, so that it costs the API server little.
"""

import asyncio
import functools
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from modelward.api.objects import Key, Manifest
from modelward.cache.store import Store
from modelward.clients.kube import Kube
from modelward.clients.resources import OPTIONAL, WATCHED, Resource
from modelward.controller.metrics import Metrics
from modelward.errors import ModelwardError, NotFound, Refused
from modelward.settings import Settings

_OBJECTS_PER_PERIOD: Final = 1_000
_LONGEST_PERIOD_SECONDS: Final = 300.0
_DEAD_AFTER_SWEEPS: Final = 3
"""So many sweeps in a row that had to repair what a watch should have reported, while it brought nothing: it is dead."""
_OLD_AFTER_PERIODS: Final = 3
_FORGOTTEN_AFTER_SWEEPS: Final = 3
"""So many sweeps in a row that were refused a namespace: it is gone, with our rights in it, or not ours any more."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Resync:
    """Fills the store at start, and keeps it true."""

    kube: Kube
    store: Store
    settings: Settings
    metrics: Metrics
    gone: Callable[[Manifest], None]
    events: Mapping[str, int]
    """By kind: how many events the watches have brought."""
    confirmed: dict[str, float] = field(default_factory=dict)
    """By kind: when what is held was last known to be complete (monotonic seconds)."""
    listed: dict[tuple[str, str | None], str] = field(default_factory=dict)
    """By kind and namespace: the version of the list that has filled the store, where a watch is to begin."""
    _reported: Counter[str] = field(default_factory=Counter)
    """By kind: `events` at the last sweep."""
    _silent: Counter[str] = field(default_factory=Counter)
    """By kind: sweeps in a row that found what the silent watch should have reported."""
    _refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By kind and namespace: lists in a row that were refused."""

    def resources(self) -> tuple[Resource, ...]:
        """The kinds that are watched under these settings, and the optional ones that the cluster has."""
        wanted = (each for each in WATCHED if each.namespaced or self.settings.cluster_runtimes)
        there = (each for each in OPTIONAL if each.kind not in self.store.absent)
        return (*wanted, *there)

    async def fill(self) -> None:
        """Read everything once. Raises ApiError or Unreachable: without it the operator must not act."""
        for resource in self.resources():
            await self.fill_kind(resource)

    async def fill_kind(self, resource: Resource) -> None:
        """Read all objects of a kind. Raises ApiError or Unreachable."""
        for namespace in self.scopes(resource):
            try:
                async for page in self.kube.list(resource, namespace, labels=resource.selector):
                    for raw in page.items:
                        self.store.put(_typed(resource, raw))
                    self.listed[resource.kind, namespace] = page.version
            except Refused as error:
                self._leave_out(resource, namespace, error)
        self._confirm(resource)
        age = functools.partial(self.age_seconds, resource.kind)
        self.metrics.watch_age_seconds.labels(resource.kind).set_function(age)

    def drop_kind(self, resource: Resource) -> None:
        """Forget a kind that the cluster does not have any more."""
        self.store.drop(resource.kind)
        self.confirmed.pop(resource.kind, None)
        self._silent.pop(resource.kind, None)
        self.metrics.watch_age_seconds.remove(resource.kind)

    async def run(self) -> None:
        """Sweep for ever, at a pace that follows the number of objects."""
        while True:
            await asyncio.sleep(self._period())
            for resource in self.resources():
                try:
                    self._watched(resource.kind, lost=await self.sweep(resource))
                except ModelwardError as error:
                    logger.warning("sweep of %s failed, tried again next time: %s", resource.plural, error)
                except Exception:
                    logger.exception("sweep of %s: unexpected error, please report it", resource.plural)

    async def freshen(self) -> None:
        """Make what is held true as of now, by what is stored. Raises ApiError or Unreachable.

        The sweeps' lists come from a cache of the API server, which may lag; who takes over must not.
        """
        for resource in self.resources():
            await self.sweep(resource, stored=True)

    def dead(self) -> str:
        """What only a restart repairs: a watch that brings nothing though objects change. Empty while all is well."""
        dead = [kind for kind, sweeps in self._silent.items() if sweeps >= _DEAD_AFTER_SWEEPS]
        return f"the watch of {', '.join(dead)} is dead" if dead else ""

    def old(self) -> str:
        """Whose view is older than sweeps may take to confirm it. Empty while all is well."""
        limit = _OLD_AFTER_PERIODS * self._period()
        old = [kind for kind in self.confirmed if self.age_seconds(kind) > limit]
        return f"what is known of {', '.join(old)} is older than {limit:.0f} s" if old else ""

    def age_seconds(self, kind: str) -> float:
        """Time since what is held of a kind was last known to be complete."""
        return time.monotonic() - self.confirmed.get(kind, 0.0)

    def _period(self) -> float:
        share = max(1.0, self.store.count() / _OBJECTS_PER_PERIOD)
        longest = max(_LONGEST_PERIOD_SECONDS, self.settings.resync_seconds)
        return min(longest, self.settings.resync_seconds * share)

    def _watched(self, kind: str, *, lost: int) -> None:
        """Note what a sweep shows of a watch. An event that is only late comes before the next sweep."""
        reported, self._reported[kind] = self._reported[kind], self.events.get(kind, 0)
        silent = lost and reported == self._reported[kind]
        self._silent[kind] = self._silent[kind] + 1 if silent else 0

    async def sweep(self, resource: Resource, *, stored: bool = False) -> int:
        """How many events were lost; what they should have brought is taken in."""
        lost = 0
        before = self.store.versions(resource.kind)
        listed, refused = await self._listed(resource, stored=stored)
        now = self.store.versions(resource.kind)
        for key, (uid, version) in listed.items():
            held = now.get(key)
            if held is None or held[0] != uid or held[1] < version:
                lost += await self._fetch(resource, key)
        for key in before.keys() - listed.keys():
            if key[0] not in refused:
                lost += await self._verify(resource, key, before[key][0])
        self._confirm(resource)
        return lost

    async def _listed(
        self, resource: Resource, *, stored: bool
    ) -> tuple[dict[Key, tuple[str, int]], set[str | None]]:
        """uid and resourceVersion of all that there is, and the namespaces that could not be listed."""
        listed: dict[Key, tuple[str, int]] = {}
        refused: set[str | None] = set()
        for namespace in self.scopes(resource):
            try:
                found = await self.kube.list_metadata(
                    resource, namespace, labels=resource.selector, stored=stored
                )
            except Refused as error:
                self._leave_out(resource, namespace, error)
                refused.add(namespace)
                continue
            if self._refused.pop((resource.kind, namespace or ""), 0):
                logger.info("%s of namespace %s can be read again", resource.plural, namespace)
            for each in found:
                listed[each.namespace, each.name] = each.uid, int(each.resource_version)
        return listed, refused

    def _leave_out(self, resource: Resource, namespace: str | None, error: Refused) -> None:
        """Go on without one namespace of several: it may be gone, and our rights with it. Raises the error otherwise."""
        if namespace is None or len(self.settings.namespaces) == 1:
            raise error
        refused = self._refused[resource.kind, namespace] = self._refused[resource.kind, namespace] + 1
        if refused == 1:
            logger.warning(
                "%s of namespace %s are left out until they may be read: %s",
                resource.plural,
                namespace,
                error.message,
            )
        if refused == _FORGOTTEN_AFTER_SWEEPS:
            self.store.drop(resource.kind, namespace)

    async def _fetch(self, resource: Resource, key: Key) -> bool:
        """Whether an event was lost, or is on its way: read the object itself."""
        try:
            raw = _typed(resource, await self.kube.get(resource, key[0] or None, key[1]))
        except NotFound:
            return False
        news = self.store.take(raw)
        if news:
            logger.info("took in %s %s, whose event was lost", resource.kind, "/".join(key))
        return news

    async def _verify(self, resource: Resource, key: Key, uid: str) -> bool:
        """Whether it is gone: not listed, or made after the list. Only the API server's own word counts."""
        try:
            raw = await self.kube.get(resource, key[0] or None, key[1])
        except NotFound:
            raw = None
        gone = raw is None or raw["metadata"]["uid"] != uid
        if gone:
            ghost = {"kind": resource.kind, "metadata": {"namespace": key[0], "name": key[1], "uid": uid}}
            self.gone(ghost)
        if raw is not None:
            self.store.take(_typed(resource, raw))
        return gone

    def _confirm(self, resource: Resource) -> None:
        self.confirmed[resource.kind] = time.monotonic()

    def scopes(self, resource: Resource) -> tuple[str | None, ...]:
        """The namespaces in which a kind is read; None for all of the cluster."""
        return self.settings.namespaces or (None,) if resource.namespaced else (None,)


def _typed(resource: Resource, raw: Manifest) -> Manifest:
    """Items of a list carry no kind of their own."""
    return {**raw, "kind": resource.kind}
