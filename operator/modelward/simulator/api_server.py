"""An API server in memory: what the operator relies on of the real one, and nothing else.

Conflicts, generations, subresources, finalizers and the field managers of spec follow the real one (https://kubernetes.io/docs/reference/using-api/api-concepts/,
https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management); field management is
coarser: it distinguishes only the keys at the top of spec.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any

from modelward.api.objects import Manifest
from modelward.api.times import format_seconds
from modelward.clients.resources import CONTROLLER_REVISION, MODEL_DEPLOYMENT
from modelward.simulator.json_patch import copied

Place = tuple[str, str, str]
"""Kind, namespace, name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One write that was carried out."""

    manager: str
    verb: str
    """create, patch or delete."""
    subresource: str = ""
    before: Manifest | None
    after: Manifest | None

    @property
    def object(self) -> Manifest:
        """The object after the write; before it, if it was deleted."""
        return self.after or self.before or {}

    @property
    def place(self) -> Place:
        """Kind, namespace and name of the object."""
        return place(self.object)


class Refused(Exception):
    """The request is refused with a status. `field` is the one that validation complains of; a policy names none."""

    def __init__(self, code: HTTPStatus, reason: str, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.field = code, reason, message, field


@dataclass(slots=True)
class ApiServer:
    """All objects by place. `written` is called for every write, with the object before and after.

    An object is never changed in place: a write puts another one there.
    """

    now: Callable[[], datetime]
    written: Callable[[Write], None]
    objects: dict[Place, Manifest] = field(default_factory=dict)
    version: int = 0
    """resourceVersion of the latest write."""
    admission: Callable[[Manifest], None] = lambda _raw: None
    """What policies of admission make of an object at every write of it; subresources do not pass here."""
    _count: int = 0

    def get(self, kind: str, namespace: str, name: str) -> Manifest:
        """An object, not to be changed. Raises Refused (404)."""
        return self._held((kind, namespace, name))

    def find(self, kind: str, **labels: str) -> Iterator[Manifest]:
        """All objects of a kind with these labels, in the order of their names; not to be changed."""
        for at in sorted(at for at in self.objects if at[0] == kind):
            raw = self.objects[at]
            if labels.items() <= (raw["metadata"].get("labels") or {}).items():
                yield raw

    def create(self, raw: Manifest, manager: str) -> Manifest:
        """Store a new object. Raises Refused (409)."""
        raw = copied(raw)
        at = place(raw)
        if at in self.objects:
            raise Refused(HTTPStatus.CONFLICT, "AlreadyExists", f"{at[0]} {at[2]} already exists")
        self._count += 1
        if at[0] == MODEL_DEPLOYMENT.kind:
            raw["status"] = {"observedGeneration": 0}  # the default of the CRD
        self.admission(raw)
        raw["metadata"] |= {
            "uid": f"uid-{self._count:04}",
            "creationTimestamp": format_seconds(self.now()),
            "generation": 1,
        }
        _manage(raw, {}, manager, "", self.now())
        return self._store(Write(manager=manager, verb="create", before=None, after=raw))

    def would(
        self, at: Place, edit: Callable[[Manifest], Manifest | None], *, subresource: str = ""
    ) -> Manifest:
        """What a change by `edit`, which gets a copy, would come to. Raises Refused (404, 409, 422)."""
        before = self._held(at)
        draft = copied(before)
        after = edit(draft) or draft
        if _identity(after) != _identity(before):
            raise Refused(HTTPStatus.CONFLICT, "Conflict", f"{at[0]} {at[2]} has been modified")
        after = _limited(before, after, subresource)
        if not subresource:
            self.admission(after)
        if at[0] == CONTROLLER_REVISION.kind and after.get("data") != before.get("data"):
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", "data: field is immutable")
        return after

    def change(
        self, at: Place, manager: str, edit: Callable[[Manifest], Manifest | None], *, subresource: str = ""
    ) -> Manifest:
        """Change an object by `edit`, which gets a copy. Raises Refused (404, 409, 422)."""
        before, after = self._held(at), self.would(at, edit, subresource=subresource)
        if after == before:
            # Reported nevertheless: a write that changes nothing is a request too many.
            self.written(
                Write(manager=manager, verb="patch", subresource=subresource, before=before, after=before)
            )
            return before
        if after.get("spec") != before.get("spec"):
            after["metadata"]["generation"] = before["metadata"].get("generation", 0) + 1
        _manage(after, before, manager, subresource, self.now())
        stored = self._store(
            Write(manager=manager, verb="patch", subresource=subresource, before=before, after=after)
        )
        if "deletionTimestamp" in stored["metadata"] and not stored["metadata"].get("finalizers"):
            self._remove(at, manager)
        return stored

    def delete(
        self, at: Place, manager: str, preconditions: Mapping[str, str] | None = None
    ) -> Manifest | None:
        """Remove an object, or mark it while a finalizer holds it; what it owns is the garbage collector's.

        The answer is what is left of it. Raises Refused (404, 409).
        """
        before = self._held(at)
        metadata = before["metadata"]
        if any(metadata[key] != value for key, value in (preconditions or {}).items()):
            raise Refused(HTTPStatus.CONFLICT, "Conflict", f"{at[0]} {at[2]} has been modified")
        if not metadata.get("finalizers"):
            self._remove(at, manager)
            return None
        if "deletionTimestamp" not in metadata:
            marked = {**metadata, "deletionTimestamp": format_seconds(self.now())}
            self._store(
                Write(manager=manager, verb="patch", before=before, after={**before, "metadata": marked})
            )
        return self._held(at)

    def _remove(self, at: Place, manager: str) -> None:
        before = self.objects.pop(at)
        self.version += 1
        self.written(Write(manager=manager, verb="delete", before=before, after=None))

    def _held(self, at: Place) -> Manifest:
        if at not in self.objects:
            raise Refused(HTTPStatus.NOT_FOUND, "NotFound", f"{at[0]} {at[2]} not found")
        return self.objects[at]

    def _store(self, write: Write) -> Manifest:
        raw = write.object
        self.version += 1
        raw["metadata"]["resourceVersion"] = str(self.version)
        self.objects[place(raw)] = raw
        self.written(write)
        return raw


def place(raw: Mapping[str, Any]) -> Place:
    """Kind, namespace and name of an object."""
    return raw["kind"], raw["metadata"].get("namespace", ""), raw["metadata"]["name"]


def _identity(raw: Manifest) -> tuple[str, str]:
    return raw["metadata"]["uid"], raw["metadata"]["resourceVersion"]


def _limited(before: Manifest, after: Manifest, subresource: str) -> Manifest:
    """Only what the subresource may change; without one, everything but status."""
    if subresource == "status":
        return {**copied(before), "status": after["status"]}
    if subresource == "scale":
        spec = {**before["spec"], "replicas": after["spec"]["replicas"]}
        return {**copied(before), "spec": spec}
    return after if "status" not in before else {**after, "status": before["status"]}


def _manage(after: Manifest, before: Manifest, manager: str, subresource: str, now: datetime) -> None:
    """Note who owns which keys of spec: whoever changed them last."""
    old, new = before.get("spec") or {}, after.get("spec") or {}
    changed = {f"f:{key}" for key in new.keys() | old.keys() if new.get(key) != old.get(key)}
    if not changed:
        return
    kept = []
    own: set[str] = set()
    for entry in after["metadata"].get("managedFields") or ():
        fields = set(entry["fieldsV1"]["f:spec"]) - changed
        if (entry["manager"], entry.get("subresource", "")) == (manager, subresource):
            own = fields
        elif fields:
            kept.append({**entry, "fieldsV1": {"f:spec": {key: {} for key in sorted(fields)}}})
    own |= {key for key in changed if key.removeprefix("f:") in new}
    entry = {
        "manager": manager,
        "operation": "Update",
        "time": format_seconds(now),
        "fieldsV1": {"f:spec": {key: {} for key in sorted(own)}},
    }
    if subresource:
        entry["subresource"] = subresource
    after["metadata"]["managedFields"] = [*kept, entry]
