"""An API server in memory: what the operator relies on of the real one, and nothing else.

It answers the requests that `modelward.clients.kube.Kube` sends, at the level of method, URL and body, so
that the operator's own client runs unchanged. Conflicts, generations, subresources and the field managers of
spec follow the real one (https://kubernetes.io/docs/reference/using-api/api-concepts/,
https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management); field management is
coarser: it tells apart only the keys at the top of spec.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from modelward.api.names import MANAGER
from modelward.api.times import format_seconds
from modelward.clients.resources import BY_KIND, MODEL_DEPLOYMENT, Resource
from modelward.rehearsal.json_patch import copied, patched

Raw = dict[str, Any]
Place = tuple[str, str, str]
"""Kind, namespace, name."""

_BY_PLURAL: Final = {resource.plural: resource for resource in BY_KIND.values()}
_TERM: Final = re.compile(r"(?P<key>[^=,\s]+)(?:=(?P<value>[^,]*)|\s+in\s+\((?P<values>[^)]*)\))(?:,|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One write that was carried out."""

    manager: str
    verb: str
    """create, patch or delete."""
    subresource: str = ""
    before: Raw | None
    after: Raw | None

    @property
    def object(self) -> Raw:
        """The object after the write; before it, if it was deleted."""
        return self.after or self.before or {}

    @property
    def place(self) -> Place:
        """Kind, namespace and name of the object."""
        return place(self.object)


class Refused(Exception):
    """The request is refused with a status."""

    def __init__(self, code: HTTPStatus, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message


@dataclass(slots=True)
class ApiServer:
    """All objects by place. Every write is told to `written`, with the object before and after.

    An object is never changed in place: a write puts another one there.
    """

    now: Callable[[], datetime]
    written: Callable[[Write], None]
    objects: dict[Place, Raw] = field(default_factory=dict)
    version: int = 0
    """resourceVersion of the latest write."""
    _count: int = 0

    def get(self, kind: str, namespace: str, name: str) -> Raw:
        """An object, not to be changed. Raises Refused (404)."""
        return self._held((kind, namespace, name))

    def find(self, kind: str, **labels: str) -> Iterator[Raw]:
        """All objects of a kind with these labels, in the order of their names; not to be changed."""
        for at in sorted(at for at in self.objects if at[0] == kind):
            raw = self.objects[at]
            if labels.items() <= (raw["metadata"].get("labels") or {}).items():
                yield raw

    def create(self, raw: Raw, manager: str) -> Raw:
        """Store a new object. Raises Refused (409)."""
        raw = copied(raw)
        at = place(raw)
        if at in self.objects:
            raise Refused(HTTPStatus.CONFLICT, "AlreadyExists", f"{at[0]} {at[2]} already exists")
        self._count += 1
        raw.pop("status", None) if at[0] == MODEL_DEPLOYMENT.kind else None
        raw["metadata"] |= {
            "uid": f"uid-{self._count:04}",
            "creationTimestamp": format_seconds(self.now()),
            "generation": 1,
        }
        _manage(raw, {}, manager, "", self.now())
        return self._store(Write(manager=manager, verb="create", before=None, after=raw))

    def change(
        self, at: Place, manager: str, edit: Callable[[Raw], Raw | None], *, subresource: str = ""
    ) -> Raw:
        """Change an object by `edit`, which gets a copy. Raises Refused (404, 409)."""
        before = self._held(at)
        draft = copied(before)
        after = edit(draft) or draft
        if _identity(after) != _identity(before):
            raise Refused(HTTPStatus.CONFLICT, "Conflict", f"{at[0]} {at[2]} has been modified")
        after = _limited(before, after, subresource)
        if after == before:
            # Told nevertheless: a write that changes nothing is a request too many.
            self.written(
                Write(manager=manager, verb="patch", subresource=subresource, before=before, after=before)
            )
            return before
        if after.get("spec") != before.get("spec"):
            after["metadata"]["generation"] = before["metadata"].get("generation", 0) + 1
        _manage(after, before, manager, subresource, self.now())
        return self._store(
            Write(manager=manager, verb="patch", subresource=subresource, before=before, after=after)
        )

    def delete(self, at: Place, manager: str, preconditions: Mapping[str, str] | None = None) -> None:
        """Remove an object; what it owns is the garbage collector's. Raises Refused (404, 409)."""
        before = self._held(at)
        metadata = before["metadata"]
        if any(metadata[key] != value for key, value in (preconditions or {}).items()):
            raise Refused(HTTPStatus.CONFLICT, "Conflict", f"{at[0]} {at[2]} has been modified")
        del self.objects[at]
        self.version += 1
        self.written(Write(manager=manager, verb="delete", before=before, after=None))

    def _held(self, at: Place) -> Raw:
        if at not in self.objects:
            raise Refused(HTTPStatus.NOT_FOUND, "NotFound", f"{at[0]} {at[2]} not found")
        return self.objects[at]

    def _store(self, write: Write) -> Raw:
        raw = write.object
        self.version += 1
        raw["metadata"]["resourceVersion"] = str(self.version)
        self.objects[place(raw)] = raw
        self.written(write)
        return raw


def place(raw: Mapping[str, Any]) -> Place:
    """Kind, namespace and name of an object."""
    return raw["kind"], raw["metadata"].get("namespace", ""), raw["metadata"]["name"]


def _identity(raw: Raw) -> tuple[str, str]:
    return raw["metadata"]["uid"], raw["metadata"]["resourceVersion"]


def _limited(before: Raw, after: Raw, subresource: str) -> Raw:
    """Only what the subresource may change; without one, everything but status."""
    if subresource == "status":
        return {**copied(before), "status": after["status"]}
    if subresource == "scale":
        spec = {**before["spec"], "replicas": after["spec"]["replicas"]}
        return {**copied(before), "spec": spec}
    return after if "status" not in before else {**after, "status": before["status"]}


def _manage(after: Raw, before: Raw, manager: str, subresource: str, now: datetime) -> None:
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


# --- the operator's way in: HTTP ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)

    async def read(self) -> bytes:
        """The body."""
        return msgspec.json.encode(self.body)


@dataclass(frozen=True, slots=True)
class _Configuration:
    host: str = ""


@dataclass(slots=True)
class Connection:
    """What `Kube` needs of an API client: it sends requests to the server in memory.

    `interrupt` is told before and after each write, and may raise to stop the operator there.
    """

    server: ApiServer
    interrupt: Callable[[str], None]
    configuration: _Configuration = field(default_factory=_Configuration)

    @property
    def rest_client(self) -> "Connection":
        """Where requests are sent: here."""
        return self

    async def update_params_for_auth(self, *_: Any) -> None:
        """Nobody is asked for credentials."""

    async def close(self) -> None:
        """Nothing is open."""

    async def request(self, method: str, url: str, *, body: Any = None, **_: Any) -> Answer:
        """Carry one request out."""
        resource, namespace, name, subresource = _target(urlsplit(url).path)
        try:
            if method == "GET":
                query = {key: values[-1] for key, values in parse_qs(urlsplit(url).query).items()}
                return Answer(HTTPStatus.OK, self._read(resource, namespace, name, query))
            self.interrupt("before")
            answer = self._write(method, (resource.kind, namespace, name), subresource, body)
            self.interrupt("after")
        except Refused as refused:
            return Answer(refused.code, {"reason": refused.reason, "message": refused.message})
        return Answer(HTTPStatus.OK, answer)

    def _read(self, resource: Resource, namespace: str, name: str, query: Mapping[str, str]) -> Raw:
        if name:
            return self.server.get(resource.kind, namespace, name)
        found = self.server.find(resource.kind)
        items = [
            raw
            for raw in found
            if namespace in ("", raw["metadata"].get("namespace"))
            and matches(raw["metadata"].get("labels") or {}, query.get("labelSelector", ""))
        ]
        return {"kind": f"{resource.kind}List", "metadata": {}, "items": items}

    def _write(self, method: str, at: Place, subresource: str, body: Any) -> Raw:
        if method == "POST":
            return self.server.create(body, MANAGER)
        if method == "DELETE":
            self.server.delete(at, MANAGER, body["preconditions"])
            return {"kind": "Status", "status": "Success"}
        guards = {"/metadata/uid", "/metadata/resourceVersion"} - {each["path"] for each in body}
        if guards:
            raise AssertionError(f"a patch of {at} without the guards {guards}")
        return self.server.change(at, MANAGER, lambda raw: patched(raw, body), subresource=subresource)


def matches(labels: Mapping[str, str], selector: str) -> bool:
    """Whether labels fit a selector of the forms `key=value` and `key in (a,b)`."""
    for term in _TERM.finditer(selector):
        wanted = term["values"].split(",") if term["values"] else [term["value"]]
        if labels.get(term["key"]) not in wanted:
            return False
    return True


def _target(path: str) -> tuple[Resource, str, str, str]:
    """Resource, namespace, name and subresource of a URL path."""
    parts = [unquote(part) for part in path.split("/")[1:]]
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        _, namespace, *rest = rest
    plural, name, subresource = (*rest, "", "")[:3]
    return _BY_PLURAL[plural], namespace, name, subresource
