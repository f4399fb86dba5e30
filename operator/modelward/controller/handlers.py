"""Kopf's side of the operator: its watches bring objects, which go into the store, and their keys on the queue.

Nothing else of Kopf is used: no persistence, no finalizers, no events of its own, no scanning for new kinds.
"""

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any, Final

import kopf

from modelward.api.names import MODEL_LABEL
from modelward.api.objects import Key, Manifest
from modelward.cache.convert import owner_uid
from modelward.cache.store import Store
from modelward.clients.kube import LIST_CHUNK, REQUEST_TIMEOUT_SECONDS, WATCH_SILENCE_SECONDS
from modelward.clients.resources import (
    CLUSTER_MODEL_RUNTIME,
    HTTP_ROUTE,
    MODEL_DEPLOYMENT,
    MODEL_RUNTIME,
    POD,
    Resource,
)
from modelward.controller.workqueue import WorkQueue

IDLE_SECONDS: Final = 0.2
"""Kopf keeps a task with the latest raw event of every object for this long (its default: 5 s). After a start that
would be all objects, at up to 60 KiB each."""
RECONNECT_SECONDS: Final = (0.5, 1.0, 2.0, 3.0, 5.0)
"""Kopf's pauses between attempts (its default: up to 21 s): a server that is back is seen within five seconds."""
RELIST_SECONDS: Final = 1.0
"""Kopf's pause before it lists anew (its default: 0.1 s), which it may have to again and again."""


@dataclass(slots=True)
class Intake:
    """Takes objects in and requeues the models that they concern."""

    store: Store
    queue: WorkQueue[Key]
    events: Counter[str] = field(default_factory=Counter)
    """By kind: how many the watches have brought. A count that stands still while objects change shows a dead watch."""

    def __post_init__(self) -> None:
        self.store.newer = self.changed

    def event(self, event: Any) -> None:
        """One event of a watch, or one object of its first list."""
        raw = event["object"]
        self.events[raw["kind"]] += 1
        if event["type"] == "DELETED":
            self.gone(raw)
        else:
            self.store.take(raw)

    def changed(self, raw: Mapping[str, Any]) -> None:
        """An object was taken in: requeue the models that it concerns."""
        metadata = raw["metadata"]
        match raw["kind"]:
            case MODEL_DEPLOYMENT.kind:
                self.queue.add((metadata["namespace"], metadata["name"]))
            case MODEL_RUNTIME.kind | CLUSTER_MODEL_RUNTIME.kind:
                self._runtime_changed(metadata.get("namespace"))
            case POD.kind:
                self._pod_changed(self.store.model_of_pod(metadata["namespace"], metadata["name"]))
            case _:
                self._child_changed(metadata)
                self._route_changed(raw)

    def gone(self, raw: Manifest) -> None:
        """An object was deleted."""
        metadata = raw["metadata"]
        owner = self._owner(metadata) or self._owner_of(raw)
        version = float(metadata.get("resourceVersion", math.inf))
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        if raw["kind"] == POD.kind:
            self._pod_changed(self.store.model_of_pod(namespace, name))
        elif raw["kind"] == MODEL_DEPLOYMENT.kind:
            self.queue.add((namespace, name))  # others may wait for its place
        self.store.remove(raw["kind"], namespace, name, metadata["uid"], version=version)
        self._route_changed(raw)
        if owner:
            self.store.mark_possibly_deleted(owner)
            self.queue.add(owner)
        elif raw["kind"] in (MODEL_RUNTIME.kind, CLUSTER_MODEL_RUNTIME.kind):
            self._runtime_changed(metadata.get("namespace"))

    def everything(self) -> None:
        """Requeue every model, those with a live rollout first."""
        for key in self.store.models():
            model = self.store.model(key)
            self.queue.add(key, urgent=bool(model and model.status.rollout))

    def _child_changed(self, metadata: Manifest) -> None:
        label = (metadata.get("labels") or {}).get(MODEL_LABEL, "")
        if owner := self._owner(metadata) or self.store.named_for(metadata.get("namespace", ""), label):
            model = self.store.model(owner)
            # A model on its way to a new revision goes before those that only get their status refreshed.
            self.queue.add(owner, urgent=bool(model and model.status.rollout))

    def _route_changed(self, raw: Mapping[str, Any]) -> None:
        """A user's own route has no owner among the models; they name it."""
        if raw["kind"] == HTTP_ROUTE.kind:
            for key in self.store.referring(raw["metadata"].get("namespace", ""), raw["metadata"]["name"]):
                self.queue.add(key, urgent=True)

    def _pod_changed(self, key: Key | None) -> None:
        """A pod shows something that its Deployment does not, where that is awaited."""
        if key and self.store.follows_pods(key):
            self.queue.add(key, urgent=self.store.is_live(key))

    def _runtime_changed(self, namespace: str | None) -> None:
        for key in self.store.models():
            if namespace in (None, key[0]):
                self.queue.add(key)

    def _owner(self, metadata: Manifest) -> Key | None:
        return self.store.owner(owner_uid(metadata), metadata.get("namespace", ""))

    def _owner_of(self, raw: Manifest) -> Key | None:
        """The owner of an object of which only the name is known any more; of an orphan the model it was made for."""
        child = self.store.named(raw["kind"], raw["metadata"].get("namespace", ""), raw["metadata"]["name"])
        if child is None:
            return None
        owner = self.store.owner(child.owner_uid, child.namespace)
        return owner or self.store.named_for(child.namespace, child.model)


class _NoDiffs(kopf.DiffBaseStorage):
    """Kopf copies each object to find out what changed in it, though nobody asks: much of all its work.

    It would also decode an annotation of its own, which anybody may write, and bring no event where it cannot.
    """

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> kopf.BodyEssence:
        """Nothing of the object."""
        del body, extra_fields
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """Nothing was stored."""
        del body
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing is stored."""


class _Backoffs:
    """Kopf's pauses between attempts: growing, and without end, because Kopf would end with them."""

    def __iter__(self) -> Iterator[float]:
        return chain(RECONNECT_SECONDS, repeat(RECONNECT_SECONDS[-1]))


def registry(
    intake: Callable[[Any], None],
    resources: Iterable[Resource],
    log_in: Callable[[], Awaitable[kopf.AiohttpSession]],
) -> kopf.OperatorRegistry:
    """Kopf handlers for these kinds."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    async def login(**_: Any) -> kopf.AiohttpSession:
        return await log_in()

    async def take(event: Any, **_: Any) -> None:
        intake(event)

    for resource in resources:
        kopf.on.event(
            resource.group, resource.version, resource.plural, registry=handlers, id=f"take-{resource.plural}"
        )(take)
    return handlers


def operator_settings() -> kopf.OperatorSettings:
    """Kopf's settings: watch, reconnect, and nothing else."""
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.watching.inactivity_timeout = WATCH_SILENCE_SECONDS
    settings.watching.reconnect_backoff = RELIST_SECONDS
    settings.watching.chunk_size = LIST_CHUNK
    settings.networking.error_backoffs = _Backoffs()
    settings.networking.request_timeout = REQUEST_TIMEOUT_SECONDS  # its default: 5 min without a watch
    settings.queueing.idle_timeout = IDLE_SECONDS
    settings.persistence.diffbase_storage = _NoDiffs()
    return settings
