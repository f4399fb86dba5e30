"""The operator's way to the API server in memory: HTTP, at the level of method, URL and body.

So the operator's own client (`modelward.clients.kube.Kube`) runs unchanged.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from modelward.api.names import MANAGER
from modelward.api.objects import Manifest
from modelward.clients.resources import BY_KIND, Resource
from modelward.simulator.api_server import ApiServer, Place, Refused
from modelward.simulator.json_patch import Mismatch, patched

_BY_PLURAL: Final = {resource.plural: resource for resource in BY_KIND.values()}
_VERBS: Final = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}
_CODES: Final = {
    "Invalid": HTTPStatus.UNPROCESSABLE_ENTITY,
    "Forbidden": HTTPStatus.FORBIDDEN,
    "Conflict": HTTPStatus.CONFLICT,
    "InternalError": HTTPStatus.INTERNAL_SERVER_ERROR,
}
_TERM: Final = re.compile(r"(?P<key>[^=,\s]+)(?:=(?P<value>[^,]*)|\s+in\s+\((?P<values>[^)]*)\))(?:,|$)")


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

    `interrupt` is called before and after each write, and may raise to stop the operator there.
    """

    server: ApiServer
    interrupt: Callable[[str], None]
    refused: Mapping[str, str] = field(default_factory=dict)
    """Reasons of the refusals of a verb and a kind ("patch Service")."""
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
        query = {key: values[-1] for key, values in parse_qs(urlsplit(url).query).items()}
        try:
            if method == "GET":
                return Answer(HTTPStatus.OK, self._read(resource, namespace, name, query))
            body = msgspec.json.decode(body) if isinstance(body, str) else body
            if "dryRun" in query:
                would = self.server.would((resource.kind, namespace, name), lambda raw: patched(raw, body))
                return Answer(HTTPStatus.OK, would)
            self.interrupt("before")
            self._admit(_VERBS[method], resource.kind, name)
            answer = self._write(method, (resource.kind, namespace, name), subresource, body)
            self.interrupt("after")
        except Refused as refused:
            details = {"causes": [{"field": refused.field}]} if refused.field else {}
            status = {"reason": refused.reason, "message": refused.message, "details": details}
            return Answer(refused.code, status)
        return Answer(HTTPStatus.OK, answer)

    def _admit(self, verb: str, kind: str, name: str) -> None:
        """Refuse what the API server takes from nobody just now."""
        if reason := self.refused.get(f"{verb} {kind}"):
            raise Refused(_CODES[reason], reason, f"a change freeze denies {verb} of {kind} {name}")

    def _read(self, resource: Resource, namespace: str, name: str, query: Mapping[str, str]) -> Manifest:
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

    def _write(self, method: str, at: Place, subresource: str, body: Any) -> Manifest:
        if method == "POST":
            return self.server.create(body, MANAGER)
        if method == "DELETE":
            left = self.server.delete(at, MANAGER, body["preconditions"])
            return left or {"kind": "Status", "status": "Success"}
        guards = {"/metadata/uid", "/metadata/resourceVersion"} - {each["path"] for each in body}
        if guards:
            raise AssertionError(f"a patch of {at} without the guards {guards}")
        try:
            stored = self.server.change(at, MANAGER, lambda raw: patched(raw, body), subresource=subresource)
        except (Mismatch, LookupError) as failed:
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", str(failed)) from failed
        return _scale(stored) if subresource == "scale" else stored


def matches(labels: Mapping[str, str], selector: str) -> bool:
    """Whether labels fit a selector of the forms `key=value` and `key in (a,b)`."""
    for term in _TERM.finditer(selector):
        wanted = term["values"].split(",") if term["values"] else [term["value"]]
        if labels.get(term["key"]) not in wanted:
            return False
    return True


def _scale(raw: Manifest) -> Manifest:
    """What `/scale` of a Deployment answers; a count of 0 is left out."""
    metadata = {key: raw["metadata"][key] for key in ("name", "namespace", "uid", "resourceVersion")}
    replicas = raw["spec"]["replicas"]
    spec = {"replicas": replicas} if replicas else {}
    return {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": spec}


def _target(path: str) -> tuple[Resource, str, str, str]:
    """Resource, namespace, name and subresource of a URL path."""
    parts = [unquote(part) for part in path.split("/")[1:]]
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        _, namespace, *rest = rest
    plural, name, subresource = (*rest, "", "")[:3]
    return _BY_PLURAL[plural], namespace, name, subresource
