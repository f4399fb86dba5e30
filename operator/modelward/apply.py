"""Apply: make the objects what they should be - create what is missing, mend what differs, delete what is left.

An object is written when our intent for it has changed (a hash that it carries), or when what it says of
ours has moved without us (a digest that is compared with the one after our last write; after a restart, the
field managers that it names). On a world that is as it should be this sends nothing.
"""

import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from modelward import trim
from modelward.api import names
from modelward.api.model import Model
from modelward.clients.kube import Kube
from modelward.clients.resources import BY_KIND, CONTROLLER_REVISION, DEPLOYMENT, HTTP_ROUTE, Resource
from modelward.errors import AlreadyExists, ApiError, NotFound, Refused, Unreachable
from modelward.projection.metadata import Manifest
from modelward.projection.project import Intent, Projection
from modelward.rollout.observed import Child, Deployment, Observed
from modelward.routes import UserRoutes
from modelward.store import Snapshot, Store, is_ours

_UNPROCESSABLE: Final = 422
REPAIRS_PER_PERIOD: Final = 6
REPAIR_PERIOD: Final = timedelta(minutes=1)

NOTE_AGAIN_SECONDS: Final = 5.0
"""After a note was forbidden."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Applied:
    """What came of it."""

    writes: int = 0
    contested: set[tuple[str, str]] = field(default_factory=set)
    """(kind, name) of objects that have a name we need and belong to somebody else: left alone."""
    refused: list[str] = field(default_factory=list)
    """What the API server did not take, and why."""
    wait: float | None = None
    """Seconds until an object may be put right that somebody changes again and again."""


@dataclass(slots=True)
class Applier:
    """Writes the objects of models."""

    kube: Kube
    store: Store
    routes: UserRoutes = field(init=False)
    _mended: dict[str, list[datetime]] = field(default_factory=dict)
    """By uid: when an object was put right of late."""
    _unnotable: set[str] = field(default_factory=set)
    """uids of snapshots that the API server lets nobody annotate."""

    def __post_init__(self) -> None:
        self.routes = UserRoutes(self.kube, self.store)

    async def keep_snapshots(self, model: Model, manifests: Iterable[Manifest]) -> Applied:
        """Store new snapshots. One of the same name is the same revision: its content is in its name."""
        applied = Applied()
        for manifest in manifests:
            await self._create(model, CONTROLLER_REVISION, manifest, applied)
        return applied

    async def discard(self, forged: Iterable[Snapshot]) -> None:
        """Delete snapshots that are none of ours: they would stand in the way of the ones of their name."""
        for snapshot in forged:
            child = snapshot.child
            logger.warning(
                "%s %s/%s is not what this operator writes (%s) and is deleted",
                child.kind,
                child.namespace,
                child.name,
                snapshot.flaw,
            )
            await self._delete(child, Applied())

    async def apply(self, observed: Observed, projection: Projection, decision: int) -> Applied:
        """Bring the objects of a model to what is projected; in order, and deletions last."""
        applied = Applied()
        live = {(child.kind, child.name): child for child in observed.children}
        taken = {(conflict.kind, conflict.name) for conflict in observed.conflicts}
        for intent in projection.intents:
            if (intent.kind, intent.name) in taken or intent.kind in self.store.absent:
                continue
            child = live.get((intent.kind, intent.name))
            if child is None and intent.kind == CONTROLLER_REVISION.kind:
                continue  # `keep_snapshots` stores them; a verdict is noted on one that is there
            if child is None:
                await self._create(observed.model, BY_KIND[intent.kind], intent.manifest, applied)
            elif child.decision <= decision and intent.kind == CONTROLLER_REVISION.kind:
                await self._annotate(child, intent.manifest, None, applied)
            elif child.decision <= decision:
                with _noting(applied, intent.kind, intent.name):
                    await self._update(intent, child, observed.now, applied)
        await self._route(observed, projection, decision, applied)
        if applied.refused:
            return applied  # nothing is deleted before what takes its place is there
        wanted = {(intent.kind, intent.name) for intent in projection.intents} | projection.kept
        for child in live.values():
            if (child.kind, child.name) not in wanted and child.decision <= decision:
                await self._delete(child, applied)
        return applied

    async def _route(
        self, observed: Observed, projection: Projection, decision: int, applied: Applied
    ) -> None:
        """The user's own route, after the Services that it names."""
        wanted = projection.user_route
        if applied.refused and wanted and wanted.weight_percent:
            return  # no traffic for what may be missing; away from it at any time
        name = wanted.name if wanted else ""
        with _noting(applied, HTTP_ROUTE.kind, name):
            applied.writes += await self.routes.follow(observed, wanted, decision)

    async def _create(self, model: Model, resource: Resource, manifest: Manifest, applied: Applied) -> None:
        name = manifest["metadata"]["name"]
        if self.store.foreign(model, resource.kind, name):
            applied.contested.add((resource.kind, name))
            return
        with _noting(applied, resource.kind, name):
            try:
                raw = await self.kube.create(resource, manifest)
            except AlreadyExists:
                await self._met(model, resource, manifest, applied)
                return
            applied.writes += 1
            logger.info("created %s %s/%s", resource.kind, model.namespace, name)
            self._seen(raw)

    async def _met(self, model: Model, resource: Resource, manifest: Manifest, applied: Applied) -> None:
        """Something of that name is there that the watches do not show: not yet, or without our label."""
        name = manifest["metadata"]["name"]
        try:
            raw = await self.kube.get(resource, model.namespace, name)
        except NotFound:
            applied.writes += 1  # gone again: look anew
            return
        child = trim.child(raw)
        if not is_ours(child, model):
            applied.contested.add((resource.kind, name))
        elif resource is CONTROLLER_REVISION and not trim.is_labelled(raw):
            await self._annotate(child, manifest, raw, applied)
        elif resource is CONTROLLER_REVISION:
            self._seen(raw)
        elif child.intent and trim.is_labelled(raw):
            self._seen(raw)
            applied.writes += 1
        else:
            await self._mend(child, manifest, raw, applied)

    async def _update(self, intent: Intent, child: Child, now: datetime, applied: Applied) -> None:
        if child.intent != intent.manifest["metadata"]["annotations"][names.INTENT_ANNOTATION]:
            child = await self._mend(child, intent.manifest, None, applied)
        elif self._drifted(child):
            if wait := self._pause(child, now):
                applied.wait = min(wait, applied.wait or wait)
                return
            child = await self._mend(child, intent.manifest, None, applied)
        else:
            self.store.settle(child)
        if isinstance(child, Deployment):
            await self._hand_over(intent, child, applied)

    async def _annotate(
        self, child: Child, manifest: Manifest, raw: Manifest | None, applied: Applied
    ) -> None:
        """Note on a snapshot why it was rejected, and whose it is. A note only: a refusal holds nothing else up."""
        if child.uid in self._unnotable:
            return
        try:
            await self._mend(child, manifest, raw, applied)
        except Refused as error:
            logger.warning("%s %s takes no note: %s", child.kind, child.name, error)
            if error.status == _UNPROCESSABLE:  # what is invalid stays so
                self._unnotable.add(child.uid)
            else:  # a right that is missing may come
                applied.wait = min(NOTE_AGAIN_SECONDS, applied.wait or NOTE_AGAIN_SECONDS)

    def _drifted(self, child: Child) -> bool:
        """Somebody has changed what is ours to say."""
        settled = self.store.settled(child.uid)
        return bool(child.edited_by) if settled is None else settled != child.digest

    def _pause(self, child: Child, now: datetime) -> float:
        """Seconds to wait before an object is put right once more: nobody wins a fight, the API server loses it."""
        minute = [time for time in self._mended.pop(child.uid, ()) if now - time < REPAIR_PERIOD]
        if len(minute) < REPAIRS_PER_PERIOD:
            self._mended[child.uid] = [*minute, now]
            return 0.0
        self._mended[child.uid] = minute
        logger.warning(
            "%s %s/%s is changed again and again by %s; it is put right at most %d times a minute",
            child.kind,
            child.namespace,
            child.name,
            child.edited_by or "somebody",
            REPAIRS_PER_PERIOD,
        )
        return (minute[0] + REPAIR_PERIOD - now).total_seconds()

    async def _mend(self, child: Child, manifest: Manifest, raw: Manifest | None, applied: Applied) -> Child:
        """Write all that is ours of an object. What others added inside it goes; what they own beside stays."""
        try:
            answer = await self._patch(child, _operations(manifest, raw))
        except ApiError as error:
            if error.status != _UNPROCESSABLE or raw is not None:
                raise
            # Somebody removed all labels or annotations, so that there is no map to put ours in.
            found = await self.kube.get(BY_KIND[child.kind], child.namespace, child.name)
            return await self._mend(trim.child(found), manifest, found, applied)
        applied.writes += 1
        why = f"edited by {child.edited_by}" if child.edited_by else "intent changed"
        logger.info("updated %s %s/%s", child.kind, child.namespace, child.name, extra={"reason": why})
        return self._seen(answer)

    async def _hand_over(self, intent: Intent, child: Deployment, applied: Applied) -> None:
        """Replicas: a patch of their own when they are the user's; out of our hands when they are an autoscaler's."""
        if intent.scale is None and child.replicas == 0:
            # An autoscaler leaves alone what is scaled to zero, so it needs a first push.
            await self._scale(child, intent.manifest["spec"]["replicas"], applied)
        elif intent.scale is None and child.owns_replicas:
            await self._release(child, applied)
        elif intent.scale is not None and intent.scale != child.replicas:
            await self._scale(child, intent.scale, applied)

    async def _scale(self, child: Deployment, replicas: int, applied: Applied) -> None:
        """Set the count. The answer is the Deployment itself, so a watch that lags does not have it set again."""
        size = {"op": "add", "path": "/spec/replicas", "value": replicas}
        answer = await self._patch(child, [size])
        applied.writes += 1
        self._seen(answer)
        logger.info("scaled Deployment %s/%s to %d", child.namespace, child.name, replicas)

    async def _release(self, child: Deployment, applied: Applied) -> None:
        """Give up `spec.replicas` without changing it: applying without it would set it to 1."""
        raw = await self.kube.get(DEPLOYMENT, child.namespace, child.name)
        operations = [
            {"op": "remove", "path": f"/metadata/managedFields/{index}/fieldsV1/f:spec/f:replicas"}
            for index in trim.replicas_owners(raw)
        ]
        if not operations:
            self._seen(raw)
            return
        answer = await self._patch(trim.child(raw), operations)
        applied.writes += 1
        self._seen(answer)

    async def _patch(self, child: Child, operations: Sequence[Mapping[str, Any]]) -> Manifest:
        """Change an object; the answer is what is stored.

        When the answer is lost nobody knows whose the next version is. That it differs from the last one is no
        reason any more to put it right once again: its field managers tell, as after a restart.
        """
        try:
            return await self.kube.patch(
                BY_KIND[child.kind], child.namespace, child.name, guard=child, operations=operations
            )
        except (Unreachable, ApiError) as error:
            if isinstance(error, Unreachable) or not error.is_refusal:
                self.store.unsettle(child.uid)
            raise

    async def _delete(self, child: Child, applied: Applied) -> None:
        with contextlib.suppress(NotFound):
            await self.kube.delete(BY_KIND[child.kind], child.namespace, child.name, guard=child)
        applied.writes += 1
        self._mended.pop(child.uid, None)
        self.store.remove(child.kind, child.namespace, child.name, child.uid)
        logger.info("deleted %s %s/%s", child.kind, child.namespace, child.name)

    def _seen(self, raw: Manifest) -> Child:
        """Take in what the API server says is stored now: it is as we meant it."""
        self.store.put(raw)
        child = trim.child(raw)
        self.store.settle(child)
        return child


@contextlib.contextmanager
def _noting(applied: Applied, kind: str, name: str) -> Iterator[None]:
    """Note a refusal and go on: one object that is not taken does not keep the others from being written."""
    try:
        yield
    except Refused as error:
        logger.warning("%s %s is refused: %s", kind, name, error)
        applied.refused.append(f"{kind} {name}: {error.message}")


def _operations(manifest: Manifest, raw: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """JSON Patch that writes each key of ours as a whole. `raw` tells which maps are missing altogether."""
    metadata = manifest["metadata"]
    operations: list[dict[str, Any]] = []
    for part in ("labels", "annotations"):
        if raw is not None and not raw["metadata"].get(part):
            operations.append({"op": "add", "path": f"/metadata/{part}", "value": {}})
        operations.extend(
            {"op": "add", "path": f"/metadata/{part}/{_escaped(key)}", "value": value}
            for key, value in metadata.get(part, {}).items()
        )
    operations.append(
        {"op": "add", "path": "/metadata/ownerReferences", "value": metadata["ownerReferences"]}
    )
    operations.extend(
        {"op": "add", "path": f"/spec/{key}", "value": value}
        for key, value in manifest.get("spec", {}).items()
        if key != "replicas"
    )
    return operations


def _escaped(key: str) -> str:
    """A key as a JSON Pointer writes it (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
