"""What the operator holds of the cluster: the newest view of each watched object, converted.

Views come from watches, from the answers to our own writes, and from the sweep; the newest resourceVersion
wins, so a late event never undoes what an answer has shown. resourceVersions of one kind are ordered numbers
(https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions, KEP-5504).
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import msgspec

from modelward.api import names
from modelward.api.model import Model
from modelward.api.objects import Key
from modelward.api.revision import Revision
from modelward.cache import convert
from modelward.clients.resources import (
    BY_KIND,
    CLUSTER_MODEL_RUNTIME,
    CONTROLLER_REVISION,
    DEPLOYMENT,
    HTTP_ROUTE,
    MODEL_DEPLOYMENT,
    MODEL_RUNTIME,
    POD,
)
from modelward.projection.controller_revision import read_revision
from modelward.rollout.health import compared
from modelward.rollout.observed import Child, Deployment, Pod, Route
from modelward.rollout.snapshot_validation import flaw
from modelward.runtimes.choose import Runtime
from modelward.runtimes.fetching import fetches

_TOMBSTONES_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A ControllerRevision. Its data stays JSON until it is needed: it is read rarely, and 5 times smaller."""

    child: Child
    number: int
    data: bytes
    verdict: str = ""
    noise: str = ""
    flaw: str = ""
    """Why it is none of ours and not to be used, in a few words."""
    fetched: str = ""
    """Which model its first pod fetched, as it is annotated."""

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """The snapshot in a raw ControllerRevision, validated once."""
        annotations = raw["metadata"].get("annotations") or {}
        verdict, noise, fetched = (
            annotations.get(name, "")
            for name in (names.VERDICT_ANNOTATION, names.NOISE_ANNOTATION, names.FETCHED_ANNOTATION)
        )
        noise = noise if len(noise) <= names.MOST_NOISE_CHARACTERS else ""
        child, number = convert.child(raw), int(raw.get("revision", 0))
        try:
            data = msgspec.json.encode(raw.get("data"))
            found = flaw(read_revision(child.revision or "", number, data, verdict))
        except (msgspec.DecodeError, RecursionError):
            return cls(child, number, b"", verdict, noise, "it is not written as one")
        return cls(child, number, b"" if found else data, verdict, noise, found, fetched)

    def read(self) -> Revision | None:
        """The revision in it; None if it is not ours to read."""
        if self.flaw:
            return None
        name = self.child.revision or ""
        return read_revision(
            name, self.number, self.data, self.verdict, noise=self.noise, fetched=self.fetched
        )


View = Model | Runtime | Child | Snapshot | Pod


@dataclass(frozen=True, slots=True)
class _Held:
    uid: str
    version: int
    view: View
    owner: str | None = None
    """uid of the controller; of a pod, which belongs to a ReplicaSet that nobody watches, its model's label."""


@dataclass(slots=True)
class Store:
    """All views, by kind and (namespace, name), and the children of each owner."""

    _views: dict[str, dict[Key, _Held]] = field(default_factory=lambda: defaultdict(dict))
    _children: dict[str, set[tuple[str, Key]]] = field(default_factory=lambda: defaultdict(set))
    _labelled: dict[Key, set[tuple[str, Key]]] = field(default_factory=lambda: defaultdict(set))
    """By namespace and the label `modelward.dev/model`: the objects that carry it, whoever owns them."""
    _models_by_uid: dict[str, Key] = field(default_factory=dict)
    _models_by_label: dict[str, Key] = field(default_factory=dict)
    """By what `_label` makes of their names."""
    _rolling: set[Key] = field(default_factory=set)
    _settled: dict[str, int] = field(default_factory=dict)
    """By uid: the digest of an object when it was last known to be as we meant it."""
    newer: Callable[[Mapping[str, Any]], None] = lambda _raw: None
    """Called for every object that was read and was newer than what is held: it requeues the models that the
    object concerns."""
    absent: dict[str, str] = field(default_factory=dict)
    """By kind: why an optional kind cannot be had: a message."""
    _possibly_deleted: set[Key] = field(default_factory=set)
    """Models that may be gone."""
    _tombstones: dict[str, float] = field(default_factory=dict)
    """By uid of objects that are gone, up to which resourceVersion: a late event must not bring them back. An
    object that only lost our label is gone for the watch, too, and comes back with a later version."""

    def take(self, raw: Mapping[str, Any]) -> bool:
        """Take in what was read: from a watch, in a sweep, or asked for. Whether it is newer than what is held.

        `newer` is called for what is newer, whoever read it, because no later event will bring a reconcile for it.
        """
        is_newer = self.put(raw)
        if is_newer:
            self.newer(raw)
        return is_newer

    def put(self, raw: Mapping[str, Any]) -> bool:
        """Take in the answer to a write of our own, or a first list: nothing is requeued. False if what is held is as new, or the object is gone already."""
        metadata, kind = raw["metadata"], raw["kind"]
        key, version = _key(metadata), int(metadata["resourceVersion"])
        held = self._views[kind].get(key)
        if version <= self._tombstones.get(metadata["uid"], 0):
            return False
        if held and held.version >= version:
            return False
        if held:
            self._forget(kind, key, held)
        view = _view(raw)
        child = _child(view)
        owner = child.owner_uid if child else _model_label(raw)
        if isinstance(view, Model):
            self._models_by_uid[view.uid] = key
            self._models_by_label[_label(view)] = key
            if view.status.canary_revision:
                self._rolling.add(key)
        self._views[kind][key] = _Held(metadata["uid"], version, view, owner)
        if owner:
            self._children[owner].add((kind, key))
        if child and child.model:
            self._labelled[child.namespace, child.model].add((kind, key))
        return True

    def scaled(self, deployment: Deployment, version: str, replicas: int) -> None:
        """Remember what `/scale` answered, which is no Deployment, until the watch shows the Deployment itself.

        The write tested the version of `deployment`, so nothing else of it has changed.
        """
        key = (deployment.namespace, deployment.name)
        held = self._views[DEPLOYMENT.kind].get(key)
        if held and held.uid == deployment.uid and held.version < int(version):
            owned = deployment.owns_replicas or replicas != deployment.replicas
            view = replace(deployment, resource_version=version, replicas=replicas, owns_replicas=owned)
            self._views[DEPLOYMENT.kind][key] = replace(held, version=int(version), view=view)

    def remove(self, kind: str, namespace: str, name: str, uid: str, *, version: float = math.inf) -> None:
        """The object is gone, as of `version`. One of the same name that was made since stays."""
        self._tombstones[uid] = version
        while len(self._tombstones) > _TOMBSTONES_KEPT:
            self._tombstones.pop(next(iter(self._tombstones)))
        self._settled.pop(uid, None)
        held = self._views[kind].get((namespace, name))
        if held and held.uid == uid:
            self._forget(kind, (namespace, name), held)

    def record_applied(self, child: Child) -> None:
        """The object is as we meant it: another digest than this one is somebody else's doing."""
        self._settled[child.uid] = child.digest

    def last_applied(self, uid: str) -> int | None:
        """The digest at the last `record_applied`; None for an object that this process has not compared yet."""
        return self._settled.get(uid)

    def forget_applied(self, uid: str = "") -> None:
        """Another operator, or a write whose answer was lost, may have changed this object, or all: compare it anew."""
        if uid:
            self._settled.pop(uid, None)
        else:
            self._settled.clear()

    def mark_possibly_deleted(self, key: Key) -> None:
        """A child of the model went: perhaps because the model did, and no event has come."""
        self._possibly_deleted.add(key)

    def is_possibly_deleted(self, key: Key) -> bool:
        """Whether a model may be gone."""
        return key in self._possibly_deleted

    def clear_possibly_deleted(self, key: Key) -> None:
        """The API server was asked about a model."""
        self._possibly_deleted.discard(key)

    def model(self, key: Key) -> Model | None:
        """The ModelDeployment of a key."""
        held = self._views[MODEL_DEPLOYMENT.kind].get(key)
        return held.view if held and isinstance(held.view, Model) else None

    def models(self) -> Iterator[Key]:
        """Keys of all ModelDeployments."""
        return iter(list(self._views[MODEL_DEPLOYMENT.kind]))

    def rolling(self) -> frozenset[Key]:
        """Keys of the models that have a canary."""
        return frozenset(self._rolling)

    def is_live(self, key: Key) -> bool:
        """Whether a rollout or the watch after it is under way: a rollback must not wait."""
        model = self.model(key)
        return model is not None and bool(compared(model.status))

    def follows_pods(self, key: Key) -> bool:
        """Whether what a single pod shows is awaited: a rollout is under way, or its pods report which model they have."""
        model = self.model(key)
        return self.is_live(key) or (
            model is not None and (fetches(model.spec) or bool(model.status.fetched))
        )

    def owner(self, uid: str | None, namespace: str) -> Key | None:
        """Key of the ModelDeployment with that uid; an object of another namespace belongs to none."""
        key = self._models_by_uid.get(uid) if uid else None
        return key if key and key[0] == namespace else None

    def runtimes(self, namespace: str) -> tuple[Runtime, ...]:
        """Runtimes that a model of the namespace may use."""
        local = [held for key, held in self._views[MODEL_RUNTIME.kind].items() if key[0] == namespace]
        found = [*local, *self._views[CLUSTER_MODEL_RUNTIME.kind].values()]
        return tuple(held.view for held in found if isinstance(held.view, Runtime))

    def children(self, uid: str) -> tuple[Child, ...]:
        """The children of a model, of every kind but snapshots."""
        return tuple(view for view in self._owned(uid) if isinstance(view, Child))

    def snapshots(self, uid: str) -> tuple[Snapshot, ...]:
        """The ControllerRevisions of a model."""
        return tuple(view for view in self._owned(uid) if isinstance(view, Snapshot))

    def orphans(self, model: Model) -> tuple[Child | Snapshot, ...]:
        """What is named and labelled for a model, and has no owner that is there; snapshots only if they are valid."""
        found = self._labelled.get((model.namespace, names.model_label(model.name)), ())
        views = (held.view for kind, key in sorted(found) if (held := self._views[kind].get(key)))
        return tuple(view for view in views if isinstance(view, Child | Snapshot) and _is_orphan(view, model))

    def named_for(self, namespace: str, label: str) -> Key | None:
        """Key of the model for which an object is labelled, whoever owns it."""
        return self._models_by_label.get(f"{namespace}/{label}")

    def forged(self, uid: str) -> tuple[Snapshot, ...]:
        """The ControllerRevisions of a model that are none of ours."""
        return tuple(each for each in self.snapshots(uid) if each.flaw)

    def pods(self, model: Model) -> tuple[Pod, ...]:
        """The pods that carry the labels of a model."""
        return tuple(view for view in self._owned(_label(model)) if isinstance(view, Pod))

    def model_of_pod(self, namespace: str, name: str) -> Key | None:
        """Key of the model whose labels a pod carries."""
        held = self._views[POD.kind].get((namespace, name))
        return self._models_by_label.get(held.owner) if held and held.owner else None

    def named(self, kind: str, namespace: str, name: str) -> Child | None:
        """A labelled object by its name, whoever owns it."""
        held = self._views[kind].get((namespace, name))
        return _child(held.view) if held else None

    def foreign(self, model: Model, kind: str, name: str) -> bool:
        """Whether a labelled object has a name that the model needs, and is not its own."""
        child = self.named(kind, model.namespace, name)
        return child is not None and not is_ours(child, model)

    def routes(self, namespace: str) -> tuple[Route, ...]:
        """The HTTPRoutes of a namespace that allow us to set weights."""
        held = self._views[HTTP_ROUTE.kind].items()
        return tuple(each.view for key, each in held if key[0] == namespace and isinstance(each.view, Route))

    def referring(self, namespace: str, route: str) -> Iterator[Key]:
        """Keys of the models whose `spec.traffic.httpRouteRef` names the route."""
        for key, held in self._views[MODEL_DEPLOYMENT.kind].items():
            traffic = held.view.spec.traffic if isinstance(held.view, Model) else None
            ref = traffic.http_route_ref if traffic else None
            if ref and (key[0], ref.name) == (namespace, route):
                yield key

    def drop(self, kind: str, namespace: str | None = None) -> None:
        """Forget all objects of a kind, or those of a namespace: no event comes for them any more. They may come back."""
        for key, held in list(self._views[kind].items()):
            if namespace in (None, key[0]):
                self._settled.pop(held.uid, None)
                self._forget(kind, key, held)

    def versions(self, kind: str) -> dict[Key, tuple[str, int]]:
        """uid and resourceVersion of all that is held of a kind."""
        return {key: (held.uid, held.version) for key, held in self._views[kind].items()}

    def count(self) -> int:
        """How many objects are held, pods apart."""
        return sum(len(views) for kind, views in self._views.items() if kind != POD.kind)

    def _owned(self, owner: str) -> Iterable[View]:
        """What names that owner, in the owner's own namespace: anybody may write a uid that they have read."""
        home = self._models_by_uid.get(owner)
        for kind, key in sorted(self._children.get(owner, ())):
            held = self._views[kind].get(key)
            if held and (home is None or home[0] == key[0]):
                yield held.view

    def _forget(self, kind: str, key: Key, held: _Held) -> None:
        del self._views[kind][key]
        child = _child(held.view)
        if child and (labelled := self._labelled.get((child.namespace, child.model))) is not None:
            labelled.discard((kind, key))
            if not labelled:
                del self._labelled[child.namespace, child.model]
        if held.owner and (family := self._children.get(held.owner)) is not None:
            family.discard((kind, key))
            if not family:
                del self._children[held.owner]
        if isinstance(held.view, Model):
            self._models_by_uid.pop(held.uid, None)
            self._models_by_label.pop(_label(held.view), None)
            self._rolling.discard(key)


def _key(metadata: Mapping[str, Any]) -> Key:
    return metadata.get("namespace", ""), metadata["name"]


def _label(model: Model) -> str:
    return f"{model.namespace}/{names.model_label(model.name)}"


def _model_label(raw: Mapping[str, Any]) -> str | None:
    """Namespace and model's label of a pod; None for any other object."""
    if raw["kind"] != POD.kind:
        return None
    labels = raw["metadata"].get("labels") or {}
    return f"{raw['metadata'].get('namespace', '')}/{labels.get(names.MODEL_LABEL, '')}"


def _child(view: View) -> Child | None:
    """What is held of an object that has an owner; a snapshot's is inside it."""
    if isinstance(view, Snapshot):
        return view.child
    return view if isinstance(view, Child) else None


def _view(raw: Mapping[str, Any]) -> View:
    kind = raw["kind"]
    if kind == POD.kind:
        return convert.pod(raw)
    if kind == MODEL_DEPLOYMENT.kind:
        return convert.model(raw)
    if kind in (MODEL_RUNTIME.kind, CLUSTER_MODEL_RUNTIME.kind):
        return convert.runtime(raw)
    if kind == CONTROLLER_REVISION.kind:
        return Snapshot.of(raw)
    if kind not in BY_KIND:
        raise ValueError(f"kind {kind} is not watched")
    return convert.child(raw)


def is_named_for_its_revision(child: Child, model: Model) -> bool:
    """Whether an object is called what we call it: by its label alone, another could pass for that of a revision."""
    return child.name == names.child_name(model.name, child.revision or "")


def _is_orphan(view: Child | Snapshot, model: Model) -> bool:
    """Whether nobody controls it, or a model of the same name that is gone; and it is called as we would call it."""
    child = view.child if isinstance(view, Snapshot) else view
    if child.terminating or (isinstance(view, Snapshot) and view.flaw):
        return False
    alone = child.owner_uid is None or (child.owner_name == model.name and child.owner_uid != model.uid)
    own_names = {
        names.service_name(model.name),
        names.canary_service_name(model.name),
        names.revision_service_name(model.name, child.revision or ""),
    }
    if child.kind == HTTP_ROUTE.kind:
        own_names = {model.name} if model.spec.traffic and model.spec.traffic.gateway else set()
    return alone and (is_named_for_its_revision(child, model) or child.name in own_names)


def is_ours(child: Child, model: Model) -> bool:
    """Whether the model controls the object: by uid and namespace, never by name or label."""
    return child.owner_uid == model.uid and child.namespace == model.namespace
