"""Apply: make the objects what they should be - create what is missing, correct what differs, delete what is left.

An object is written when our intent for it has changed (a hash that it carries), or when what it says of
ours has moved without us (a digest that is compared with the one after our last write; after a restart, the
field managers that it names). On a world that is as it should be this sends nothing.
"""

import contextlib
import logging
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from modelward.api import names
from modelward.api.model import Model
from modelward.api.objects import Manifest
from modelward.cache import convert
from modelward.cache.store import Snapshot, Store, is_ours
from modelward.clients.kube import REQUEST_TIMEOUT_SECONDS, Kube
from modelward.clients.resources import (
    BY_KIND,
    CONFIG_MAP,
    CONTROLLER_REVISION,
    DEPLOYMENT,
    HTTP_ROUTE,
    SERVICE,
    Resource,
)
from modelward.controller.user_routes import HASTE_SECONDS, UserRoutes
from modelward.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    ModelwardError,
    NamespaceTerminating,
    NotFound,
    Refused,
    Unreachable,
)
from modelward.projection import service
from modelward.projection.metadata import json_pointer, owner_references
from modelward.projection.project import Intent, Projection
from modelward.rollout import messages
from modelward.rollout.decision import Announcement
from modelward.rollout.health import compared
from modelward.rollout.observed import Child, Deployment, Observed, Service

_UNPROCESSABLE: Final = 422
_MAPS: Final = ("labels", "annotations")
_PARTS: Final = ("spec", "metadata")
_TRAFFIC: Final = frozenset({SERVICE.kind, HTTP_ROUTE.kind})
"""Kinds that say who gets a request."""
_AT_CREATION: Final = frozenset({"replicas", "type"})
"""Keys of spec that count when an object is created: the count is a write of its own, a Service's type the user's."""
REPAIRS_PER_PERIOD: Final = 6
REPAIR_PERIOD: Final = timedelta(minutes=1)

LITTLE_PATIENCE_SECONDS: Final = 1.0
"""For the writes that follow one without an answer: two slow objects must not take twice as long."""

NOTE_AGAIN_SECONDS: Final = 5.0
"""After a note was forbidden."""

NEWS_AFTER_SECONDS: Final = 5.0
"""After an object was met that is not as the watches have shown it."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Applied:
    """What came of it."""

    writes: int = 0
    name_conflicts: set[tuple[str, str]] = field(default_factory=set)
    """(kind, name) of objects that have a name we need and belong to somebody else: left alone."""
    refused: list[str] = field(default_factory=list)
    """What the API server did not take, and why."""
    unwritten: set[tuple[str, str]] = field(default_factory=set)
    """(kind, name) of objects that are not as they should be: refused, changed by somebody else meanwhile, or too
    slow to be written."""
    errors: list[ModelwardError] = field(default_factory=list)
    """What kept objects from being written beside refusals: conflicts, failures of the API server, no answer."""
    failed: list[str] = field(default_factory=list)
    """The same in words, each with kind and name of its object first."""
    unanswered: set[tuple[str, str]] = field(default_factory=set)
    """(kind, name) of objects whose write nobody answered."""
    keeps_pods: bool = False
    """A revision was to give pods up and could not: no other one takes them before it is tried again."""
    corrections: list[Announcement] = field(default_factory=list)
    """What people changed by hand and has been written again, with what they should do instead."""
    wait: float | None = None
    """Seconds until an object may be patched that somebody changes again and again."""

    def add(self, other: "Applied") -> None:
        """Count in what came of another part of the work."""
        self.writes += other.writes
        self.refused += other.refused
        self.errors += other.errors
        self.failed += other.failed


@dataclass(slots=True)
class Applier:
    """Writes the objects of models."""

    kube: Kube
    store: Store
    routes: UserRoutes = field(init=False)
    _corrected: dict[str, list[datetime]] = field(default_factory=dict)
    """By uid: when drift of an object was corrected of late."""
    _scaled: dict[str, tuple[int, list[datetime]]] = field(default_factory=dict)
    """By uid: the count that a Deployment was given last, and when of late."""
    _unnotable: set[str] = field(default_factory=set)
    """uids of snapshots that the API server lets nobody annotate."""
    _rolling: dict[str, float] = field(default_factory=dict)
    """By uid of models that are worked on, and were in the middle of a rollout: seconds for the next write."""
    _unanswered: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    """By uid of models: objects whose last write nobody answered."""
    _unreleasable: set[str] = field(default_factory=set)
    """uids of Deployments whose replicas cannot be given up without another change."""

    def __post_init__(self) -> None:
        self.routes = UserRoutes(self.kube, self.store)

    async def keep_snapshots(self, model: Model, manifests: Iterable[Manifest]) -> Applied:
        """Store new snapshots. One of the same name is the same revision: its content is in its name."""
        applied = Applied()
        for manifest in manifests:
            await self._create(model, CONTROLLER_REVISION, manifest, applied)
        return applied

    async def keep_pins(self, pins: Iterable[Manifest]) -> Applied:
        """Create ConfigMaps that are created once: one of the same name counts as done, whoever wrote it."""
        applied = Applied()
        for manifest in pins:
            name = manifest["metadata"]["name"]
            with _noting(applied, CONFIG_MAP.kind, name), contextlib.suppress(AlreadyExists):
                await self.kube.create(CONFIG_MAP, manifest)
                applied.writes += 1
                logger.info("created ConfigMap %s/%s", manifest["metadata"]["namespace"], name)
        return applied

    async def adopt(self, model: Model, orphans: Iterable[Child]) -> Applied:
        """Give objects their owner again, and change nothing else of them. The first that is not taken ends it."""
        applied = Applied()
        for child in orphans:
            owners = {"op": "add", "path": "/metadata/ownerReferences", "value": owner_references(model)}
            with _noting(applied, child.kind, child.name):
                self.store.put(await self._patch(child, [owners]))
                applied.writes += 1
                logger.info("took back %s %s/%s", child.kind, child.namespace, child.name)
            if applied.unwritten:
                break
        return applied

    async def discard(self, forged: Iterable[Snapshot]) -> bool:
        """Delete snapshots that are none of ours: they would stand in the way of the ones of their name.

        Returns whether anything has changed. One that may not be deleted is not read either, and holds nothing up.
        """
        applied = Applied()
        for snapshot in forged:
            child = snapshot.child
            logger.warning(
                "%s %s/%s is not what this operator writes (%s) and is deleted",
                child.kind,
                child.namespace,
                child.name,
                snapshot.flaw,
            )
            with _noting(applied, child.kind, child.name):
                await self._delete(child, applied)
        return bool(applied.writes)

    async def apply(self, observed: Observed, projection: Projection, decision: int) -> Applied:
        """Bring the objects of a model to what is projected."""
        uid = observed.model.uid
        if compared(observed.model.status):
            self._rolling[uid] = HASTE_SECONDS
        applied = Applied(unwritten=self._unanswered.pop(uid, set()))
        try:
            await self._apply(observed, projection, decision, applied)
        finally:
            self._rolling.pop(uid, None)
        if applied.unanswered:
            self._unanswered[uid] = applied.unanswered
        return applied

    async def _apply(
        self, observed: Observed, projection: Projection, decision: int, applied: Applied
    ) -> None:
        """In order: what moves traffic; what is not needed any more; and all else.

        One object that cannot be written keeps no other one from being written, and from being deleted only what it
        may still send to. One whose write nobody answered the last time (`unwritten` at the beginning) comes last: it
        keeps nothing waiting.
        """
        live = {(child.kind, child.name): child for child in observed.children}
        late = frozenset(applied.unwritten)
        prompt = [intent for intent in projection.intents if _place(intent) not in late]
        traffic = [intent for intent in prompt if intent.kind in _TRAFFIC]
        others = [intent for intent in prompt if intent.kind not in _TRAFFIC]
        route = projection.user_route
        is_late = route is not None and (HTTP_ROUTE.kind, route.name) in late
        leaves = route is None or not route.weight_percent
        if leaves and not is_late:  # away from the canary before anything else
            await self._route(observed, projection, decision, applied)
        await self._write(observed, traffic, live, decision, applied)
        if not (leaves or is_late):
            await self._route(observed, projection, decision, applied)
        await self._tidy(projection, live, decision, applied)
        await self._write(observed, others, live, decision, applied)
        last = [intent for intent in projection.intents if _place(intent) in late]
        applied.unwritten -= late
        await self._write(observed, last, live, decision, applied)
        if is_late:
            await self._route(observed, projection, decision, applied)

    async def _tidy(
        self,
        projection: Projection,
        live: Mapping[tuple[str, str], Child],
        decision: int,
        applied: Applied,
    ) -> None:
        """Delete what should not be there any more."""
        wanted = {_place(intent) for intent in projection.intents} | projection.kept
        held = {*_held_kinds(applied.unwritten, wanted, live)}
        for place, child in live.items():
            if place in wanted or child.kind in held or child.decision > decision:
                continue
            failures = len(applied.errors)
            with _noting(applied, *place):
                await self._remove(child, applied)
            if len(applied.errors) > failures:
                left = self.store.named(child.kind, child.namespace, child.name)
                applied.keeps_pods |= isinstance(left, Deployment) and left.replicas > 0

    async def _write(
        self,
        observed: Observed,
        intents: Iterable[Intent],
        live: Mapping[tuple[str, str], Child],
        decision: int,
        applied: Applied,
    ) -> None:
        """Create what is missing and correct what differs.

        A pod that one revision gives up for another is given up first. If that has failed, and was not refused, nobody
        takes it before it is tried again.
        """
        taken = {(conflict.kind, conflict.name) for conflict in observed.conflicts}
        for intent in intents:
            place = _place(intent)
            child = live.get(place)
            waits = applied.keeps_pods and _takes_pods(intent, child)
            if place in taken or intent.kind in self.store.absent or waits:
                continue
            if any(
                (SERVICE.kind, name) in applied.unwritten and (SERVICE.kind, name) not in live
                for name in _sent_to(intent)
            ):
                applied.unwritten.add(place)  # no requests for a Service that is not there
                continue
            if child is None and intent.kind == CONTROLLER_REVISION.kind:
                continue  # `keep_snapshots` stores them; a verdict is noted on one that is there
            failures = len(applied.errors)
            if child is None:
                await self._create(observed.model, BY_KIND[intent.kind], intent.manifest, applied)
            elif child.decision <= decision:
                with _noting(applied, *place):
                    await self._update_or_replace(observed, intent, child, applied)
            applied.keeps_pods |= len(applied.errors) > failures and _gives_pods(intent, child)

    async def _route(
        self, observed: Observed, projection: Projection, decision: int, applied: Applied
    ) -> None:
        """The user's own route: traffic to a canary only after the Services that it names, away from it at any time."""
        wanted = projection.user_route
        if wanted and wanted.weight_percent and any(kind in _TRAFFIC for kind, _ in applied.unwritten):
            return
        name = wanted.name if wanted else ""
        with _noting(applied, HTTP_ROUTE.kind, name):
            applied.writes += await self.routes.follow(observed, wanted, decision)

    async def _create(
        self,
        model: Model,
        resource: Resource,
        manifest: Manifest,
        applied: Applied,
        *,
        patience: float = REQUEST_TIMEOUT_SECONDS,
    ) -> None:
        name = manifest["metadata"]["name"]
        if self.store.foreign(model, resource.kind, name):
            applied.name_conflicts.add((resource.kind, name))
            return
        held = self.store.named(resource.kind, model.namespace, name)
        if held and held.terminating:
            applied.refused.append(
                f"{resource.kind} {name}: the one before it is deleted, {held.terminating}"
            )
            return
        if any(isinstance(error, NamespaceTerminating) for error in applied.errors):
            applied.unwritten.add(
                (resource.kind, name)
            )  # the first answer speaks for all objects of the namespace
            return
        with _noting(applied, resource.kind, name):
            try:
                raw = await self.kube.create(resource, manifest, patience=patience)
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
            applied.writes += 1  # gone again: reconcile anew
            return
        child = convert.child(raw)
        if not is_ours(child, model):
            applied.name_conflicts.add((resource.kind, name))
        elif resource is CONTROLLER_REVISION and not convert.is_labelled(raw):
            await self._annotate(child, manifest, raw, applied)
        elif convert.is_labelled(raw) and (child.intent or resource is CONTROLLER_REVISION):
            self._caught_up(raw, applied)
        else:
            await self._correct(child, manifest, raw, applied)

    async def _update_or_replace(
        self, observed: Observed, intent: Intent, child: Child, applied: Applied
    ) -> None:
        try:
            await self._update(observed, intent, child, applied)
        except Conflict:
            raise  # it has changed since: that is no reason to replace it
        except (ApiError, Unreachable):
            if not intent.replaceable:
                raise
            await self._delete(child, applied)
            resource, patience = BY_KIND[intent.kind], self._patience(child)
            await self._create(observed.model, resource, intent.manifest, applied, patience=patience)

    def _caught_up(self, raw: Manifest, applied: Applied) -> None:
        """Reconcile again with what the watches did not show yet. If that is not new they are to bring what is."""
        if raw["kind"] == CONTROLLER_REVISION.kind and Snapshot.of(raw).flaw:
            applied.refused.append(f"{raw['kind']} {raw['metadata']['name']}: there is one that nobody wrote")
        if self.store.take(raw):
            applied.writes += 1
        else:
            applied.wait = min(NEWS_AFTER_SECONDS, applied.wait or NEWS_AFTER_SECONDS)

    async def _update(self, observed: Observed, intent: Intent, child: Child, applied: Applied) -> None:
        if child.kind == CONTROLLER_REVISION.kind:
            await self._annotate(child, intent.manifest, None, applied)
            return
        before = child
        if child.intent != intent.manifest["metadata"]["annotations"][names.INTENT_ANNOTATION]:
            child = await self._correct(child, intent.manifest, None, applied)
        elif self._drifted(child, intent.manifest):
            if wait := self._pause(child, observed.now):
                applied.wait = min(wait, applied.wait or wait)
                return
            child = await self._correct(child, intent.manifest, None, applied)
            self._corrected.setdefault(child.uid, []).append(observed.now)
            applied.corrections.append(messages.correction_of_edit(observed.model, before, intent.manifest))
        else:
            self.store.record_applied(child)
        if isinstance(child, Deployment):
            if intent.scale not in (None, child.replicas) and child.scaled_by:
                applied.corrections.append(
                    messages.correction_of_scale(observed.model, child, intent.scale or 0)
                )
            await self._hand_over(observed, intent, child, applied)

    async def _annotate(
        self, child: Child, manifest: Manifest, raw: Manifest | None, applied: Applied
    ) -> None:
        """Note on a snapshot why it was rejected, and whose it is. A note only: a refusal holds nothing else up."""
        if child.uid in self._unnotable:
            return
        try:
            await self._correct(child, manifest, raw, applied)
        except Refused as error:
            logger.warning("%s %s takes no note: %s", child.kind, child.name, error)
            if error.status == _UNPROCESSABLE:  # what is invalid stays so
                self._unnotable.add(child.uid)
            else:  # a right that is missing may come
                applied.wait = min(NOTE_AGAIN_SECONDS, applied.wait or NOTE_AGAIN_SECONDS)

    def _drifted(self, child: Child, manifest: Manifest) -> bool:
        """Somebody has changed what is ours to say."""
        last_applied = self.store.last_applied(child.uid)
        if last_applied is None:
            return bool(child.edited_by) and child.digest != convert.digest(manifest)
        return last_applied != child.digest

    def _pause(self, child: Child, now: datetime) -> float:
        """Seconds to wait before an object is patched once more: nobody wins a fight, the API server loses it."""
        minute = [time for time in self._corrected.pop(child.uid, ()) if now - time < REPAIR_PERIOD]
        if minute:
            self._corrected[child.uid] = minute
        if not (wait := _pause(minute, now)):
            return 0.0
        logger.warning(
            "%s %s/%s is changed again and again by %s; it is patched at most %d times a minute",
            child.kind,
            child.namespace,
            child.name,
            child.edited_by or "somebody",
            REPAIRS_PER_PERIOD,
        )
        return wait

    async def _correct(
        self,
        child: Child,
        manifest: Manifest,
        raw: Manifest | None,
        applied: Applied,
        without: Sequence[str] = (),
    ) -> Child:
        """Write all that is ours of an object. What others added inside it goes; what they own beside stays.

        Unless the API server finds that both do not go together (422): then it is written `without` what is in the way.
        """
        try:
            answer = await self._patch(child, _operations(child, manifest, raw, without))
        except ApiError as error:
            if error.status != _UNPROCESSABLE:
                raise
            found = raw or await self.kube.get(BY_KIND[child.kind], child.namespace, child.name)
            # Somebody removed all labels or annotations, so that there is no map to put ours in; or the object has
            # changed since; or something was added to it that does not go with ours.
            is_news = raw is None and found["metadata"]["resourceVersion"] != child.resource_version
            if not is_news and (raw is not None or not _missing_maps(found)):
                without = _in_the_way(error.fields, _beside(manifest, found), without)
                if not without:
                    raise
            return await self._correct(convert.child(found), manifest, found, applied, without)
        applied.writes += 1
        why = f"edited by {child.edited_by}" if child.edited_by else "intent changed"
        if without:
            logger.warning(
                "%s %s/%s could not be written beside what others set; removed: %s",
                child.kind,
                child.namespace,
                child.name,
                ", ".join(without),
            )
        logger.info("updated %s %s/%s", child.kind, child.namespace, child.name, extra={"reason": why})
        return self._seen(answer)

    async def _hand_over(
        self, observed: Observed, intent: Intent, child: Deployment, applied: Applied
    ) -> None:
        """Replicas: a patch of their own when they are the user's; out of our hands when they are an autoscaler's."""
        if intent.scale is None and child.replicas == 0:
            # An autoscaler leaves alone what is scaled to zero, so it needs a first push.
            await self._scale(child, intent.manifest["spec"]["replicas"], applied)
        elif intent.scale is None and child.owns_replicas and child.uid not in self._unreleasable:
            await self._release(child, applied)
        elif intent.scale is not None and intent.scale != child.replicas:
            await self._scale_back(child, intent.scale, observed.now, applied)

    async def _scale_back(self, child: Deployment, replicas: int, now: datetime, applied: Applied) -> None:
        """Set the count; the same one no more often than anything else that somebody changes again and again."""
        asked, times = self._scaled.get(child.uid, (replicas, []))
        same = times if asked == replicas else []
        if wait := _pause(same, now):
            logger.warning("Deployment %s/%s is scaled again and again", child.namespace, child.name)
            applied.wait = min(wait, applied.wait or wait)
            return
        if await self._scale(child, replicas, applied):
            self._scaled[child.uid] = (replicas, [*same[1 - REPAIRS_PER_PERIOD :], now])

    async def _scale(self, child: Deployment, replicas: int, applied: Applied) -> bool:
        """Set the count through `/scale`: a write of the Deployment itself could bring another template with it.

        Admission policies that rewrite images are run on every write of a Deployment; what they change in a
        running one would replace its pods without a canary. Returns whether it is stored so.
        """
        size = {"op": "add", "path": "/spec", "value": {"replicas": replicas}}
        answer = await self._patch(child, [size], subresource="scale")
        applied.writes += 1
        stored: int = answer["spec"].get("replicas", 0)
        self.store.scaled(child, answer["metadata"]["resourceVersion"], stored)
        logger.info("scaled Deployment %s/%s to %d", child.namespace, child.name, stored)
        if stored != replicas:
            applied.refused.append(
                f"Deployment {child.name}: asked for {replicas} replicas, the API server stored {stored};"
                " an admission policy of deployments/scale changes the count"
            )
        return stored == replicas

    async def _release(self, child: Deployment, applied: Applied) -> None:
        """Give up `spec.replicas` without changing it: applying without it would set it to 1."""
        raw = await self.kube.get(DEPLOYMENT, child.namespace, child.name)
        operations = [
            {"op": "remove", "path": f"/metadata/managedFields/{index}/fieldsV1/f:spec/f:replicas"}
            for index in convert.replicas_owners(raw)
        ]
        live = convert.child(raw)
        if not operations or live.digest != child.digest:  # somebody was there since
            self._caught_up(raw, applied)
            return
        if not await self._changes_nothing_else(live, operations):
            self._unreleasable.add(child.uid)
            logger.warning(
                "Deployment %s/%s stays in our ownership of replicas: an admission policy would change its spec",
                child.namespace,
                child.name,
            )
            return
        answer = await self._patch(live, operations)
        applied.writes += 1
        self._seen(answer)

    async def _changes_nothing_else(self, live: Child, operations: Sequence[Mapping[str, Any]]) -> bool:
        """Whether a patch leaves spec as it is: admission may rewrite it, and cannot always be asked (400)."""
        resource = BY_KIND[live.kind]
        try:
            answer = await self.kube.patch(
                resource, live.namespace, live.name, guard=live, operations=operations, dry_run=True
            )
        except ApiError as error:
            if error.status == HTTPStatus.BAD_REQUEST:
                return False
            raise
        return convert.child(answer).digest == live.digest

    async def _patch(
        self, child: Child, operations: Sequence[Mapping[str, Any]], *, subresource: str = ""
    ) -> Manifest:
        """Change an object; the answer is what is stored.

        When the answer is lost nobody knows whose the next version is. That it differs from the last one is no
        reason any more to patch it once again: its field managers show it, as after a restart.
        """
        try:
            return await self.kube.patch(
                BY_KIND[child.kind],
                child.namespace,
                child.name,
                guard=child,
                operations=operations,
                subresource=subresource,
                patience=self._patience(child),
            )
        except (Unreachable, ApiError) as error:
            if isinstance(error, Unreachable) or not error.is_refusal:
                self.store.forget_applied(child.uid)
            if isinstance(error, Unreachable) and child.owner_uid in self._rolling:
                self._rolling[child.owner_uid] = LITTLE_PATIENCE_SECONDS
            raise

    def _patience(self, child: Child) -> float:
        """Seconds for a write: one slow object must not hold up all others of a model in the middle of a rollout.

        Least of all one that only carries a note.
        """
        if child.kind == CONTROLLER_REVISION.kind and child.owner_uid in self._rolling:
            return LITTLE_PATIENCE_SECONDS
        return self._rolling.get(child.owner_uid or "", REQUEST_TIMEOUT_SECONDS)

    async def _remove(self, child: Child, applied: Applied) -> None:
        """Delete what should not be there. Pods end in any case: if their Deployment stays, then by its scale."""
        try:
            await self._delete(child, applied)
        except (ApiError, Unreachable):
            if isinstance(child, Deployment) and child.replicas:
                await self._scale(child, 0, applied)
            raise

    async def _delete(self, child: Child, applied: Applied) -> None:
        """Delete an object, once: finalizers of others may keep it, and then its last event shows that it is gone."""
        if child.terminating:
            return
        left = None
        with contextlib.suppress(NotFound):
            left = await self.kube.delete(
                BY_KIND[child.kind], child.namespace, child.name, guard=child, patience=self._patience(child)
            )
        applied.writes += 1
        if left:
            self.store.put({**left, "kind": child.kind})
            logger.info(
                "deleted %s %s/%s, %s", child.kind, child.namespace, child.name, convert.terminating(left)
            )
            return
        self._corrected.pop(child.uid, None)
        self._scaled.pop(child.uid, None)
        self._unreleasable.discard(child.uid)
        self.store.remove(child.kind, child.namespace, child.name, child.uid)
        logger.info("deleted %s %s/%s", child.kind, child.namespace, child.name)

    def _seen(self, raw: Manifest) -> Child:
        """Take in what the API server says is stored now: it is as we meant it."""
        place = (raw["kind"], raw["metadata"]["namespace"], raw["metadata"]["name"])
        held = self.store.named(*place) if self.store.put(raw) else None
        child = held or convert.child(raw)  # where what is held is newer, it is not what was stored for us
        self.store.record_applied(child)
        return child


def _pause(times: Iterable[datetime], now: datetime) -> float:
    """Seconds until the same may be written once more that was written at these times; 0 when it may be now."""
    minute = [time for time in times if now - time < REPAIR_PERIOD]
    if len(minute) < REPAIRS_PER_PERIOD:
        return 0.0
    return (minute[0] + REPAIR_PERIOD - now).total_seconds()


def _place(intent: Intent) -> tuple[str, str]:
    return intent.kind, intent.name


def _sent_to(intent: Intent) -> Iterator[str]:
    """Services that a route sends requests to."""
    if intent.kind == HTTP_ROUTE.kind:
        for rule in intent.manifest["spec"]["rules"]:
            yield from (each["name"] for each in rule["backendRefs"] if each.get("weight", 1))


def _takes_pods(intent: Intent, child: Child | None) -> bool:
    """Whether a Deployment gets more pods than it has."""
    had = child.replicas if isinstance(child, Deployment) else 0
    return intent.kind == DEPLOYMENT.kind and (intent.scale or 0) > had


def _gives_pods(intent: Intent, child: Child | None) -> bool:
    """Whether a Deployment gets fewer pods than it has."""
    return isinstance(child, Deployment) and intent.scale is not None and intent.scale < child.replicas


@contextlib.contextmanager
def _noting(applied: Applied, kind: str, name: str) -> Iterator[None]:
    """Note what went wrong and go on: one object that is not taken does not keep the others from being written."""
    try:
        yield
    except Refused as error:
        logger.warning("%s %s is refused: %s", kind, name, error)
        applied.refused.append(f"{kind} {name}: {error.message}")
        applied.unwritten.add((kind, name))
    except (ApiError, Unreachable) as error:
        applied.errors.append(error)
        applied.failed.append(f"{kind} {name}: {error}")
        applied.unwritten.add((kind, name))
        if isinstance(error, Unreachable):
            applied.unanswered.add((kind, name))


def _held_kinds(
    unwritten: Iterable[tuple[str, str]], wanted: Container[tuple[str, str]], live: Iterable[tuple[str, str]]
) -> Iterator[str]:
    """Kinds of which nothing is deleted yet: what could not be written may still send to it.

    A route may still name a Service, or be all that leads to the pods. The pods of a revision are another matter: that
    no Service needs them was decided before. Only the last ones stay until there are others.
    """
    failed = {kind for kind, _ in unwritten}
    if HTTP_ROUTE.kind in failed:
        yield SERVICE.kind
    if SERVICE.kind in failed:
        yield HTTP_ROUTE.kind
    if not any(place in wanted for place in live if place[0] == DEPLOYMENT.kind):
        yield DEPLOYMENT.kind


def _in_the_way(fields: Iterable[str], beside: Sequence[str], removed: Sequence[str]) -> tuple[str, ...]:
    """What else of `beside` (JSON pointers) to remove: what the API server complains of, else all. Empty: nothing is left.

    A policy or a webhook names no field, and removing what users set would not please it.
    """
    fields = tuple(fields)
    if not any(field.partition(".")[0] in _PARTS for field in fields):
        return ()
    keys = {re.split(r"[.\[]", field)[1].lower() for field in fields if "." in field}
    blamed = tuple(path for path in beside if path.split("/")[2].lower() in keys)
    if blamed and not set(blamed) <= set(removed):
        return blamed
    return () if set(beside) <= set(removed) else tuple(beside)


def _operations(
    child: Child, manifest: Manifest, raw: Mapping[str, Any] | None, without: Iterable[str]
) -> list[dict[str, Any]]:
    """JSON Patch that writes each key of ours as a whole. `raw` shows which maps are missing altogether."""
    metadata = manifest["metadata"]
    missing = _missing_maps(raw) if raw else []
    added: dict[str, Any] = {json_pointer("metadata", part): {} for part in missing}
    for part in _MAPS:
        added |= {json_pointer("metadata", part, key): value for key, value in metadata.get(part, {}).items()}
    added["/metadata/ownerReferences"] = metadata["ownerReferences"]
    added |= {
        json_pointer("spec", key): value
        for key, value in manifest.get("spec", {}).items()
        if key not in _AT_CREATION
    }
    steering = child.steering if isinstance(child, Service) else ()
    removed = dict.fromkeys((*steering, *without))
    return [
        *({"op": "remove", "path": path} for path in removed),
        *({"op": "add", "path": path, "value": value} for path, value in added.items()),
    ]


def _missing_maps(raw: Mapping[str, Any]) -> list[str]:
    """Maps of metadata that are not there, so that nothing can be added to them."""
    return [part for part in _MAPS if not raw["metadata"].get(part)]


def _beside(manifest: Manifest, raw: Mapping[str, Any]) -> list[str]:
    """JSON pointers of what others have in spec beside what is ours; what the cluster fills in stays."""
    ours = {*manifest.get("spec", {}), *service.OF_CLUSTER} - {"type"}  # a Service's goes back to its default
    keys = [("spec", key) for key in raw.get("spec") or () if key not in ours]
    annotation = service.SOURCE_RANGES_ANNOTATION
    has_ranges = annotation in (raw["metadata"].get("annotations") or {})
    ranges = [("metadata", "annotations", annotation)] if has_ranges else []
    return [json_pointer(*path) for path in (*keys, *ranges)]
