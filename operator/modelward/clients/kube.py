"""Requests to the API server: plain JSON in and out, errors as the project's own, every write guarded.

Every create is a POST, so it can never take over an object that is there. Every update is a JSON Patch that
sets uid and resourceVersion to what the decision was made from, so the API server refuses it (409) if the
object has moved on. See docs/design/0002 for why this is not server-side apply.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import quote, urlencode

import aiohttp
import msgspec

from modelward.api.names import MANAGER
from modelward.api.objects import Manifest
from modelward.clients.decoding import lines, shallow
from modelward.clients.resources import CONTROLLER_REVISION, Resource
from modelward.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    NamespaceTerminating,
    NotFound,
    Refused,
    Unreachable,
)

REQUEST_TIMEOUT_SECONDS: Final = 30.0
FROM_THE_START: Final = "0"
"""The version from which a watch first brings each object that there is, from the API server's watch cache."""
WATCH_SILENCE_SECONDS: Final = 70.0
"""The API server sends a bookmark every minute; a stream that is silent for longer is dead."""
LIST_CHUNK: Final = 200
"""An object takes up to 60 KiB while it is decoded; 1,000 objects of 5 kinds are still no more than 25 requests."""
_MUTATING: Final = frozenset({"POST", "PATCH", "DELETE"})
_JSON_PATCH: Final = "application/json-patch+json"
_JSON: Final = "application/json"
_YAML: Final = "application/yaml"
_NOT_YAML: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""What JSON takes as it is and YAML does not: control characters, line breaks of Unicode, marks of byte order."""
_METADATA_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

_NO_SUCH_PATH: Final = b"404 page not found"
"""What the API server says, word for word, of a kind that it does not have: no word about any object."""
_NO_SUCH_KIND: Final = (
    "the API server does not have this kind; are the CRDs installed (kubectl apply -f crds/)?"
)

_NO_RIGHT: Final = re.compile('User ".*" cannot [a-z]+ resource ')
"""How RBAC says which right is missing; a quota and an admission policy answer 403, too."""
_WEBHOOK_FAILED: Final = "failed calling webhook"
"""How the API server says that an admission webhook cannot be had and nothing passes without it (answer 500)."""
_REMEDY: Final = (
    " (a right of the operator is missing: apply the roles of its release again, see docs/install.md)"
)

_BROKEN: Final = (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError)
"""What a connection may come to."""

Count = Callable[[str, str], None]
"""Called for every request: the verb and the status code, "error" when there was no answer."""


class Identified(Protocol):
    """What a guard needs of an object."""

    @property
    def uid(self) -> str:
        """Its uid: not another object of the same name."""

    @property
    def resource_version(self) -> str:
        """Its resourceVersion: not a later state of it."""


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """What identifies an object and its state."""

    name: str
    uid: str
    resource_version: str
    namespace: str = ""


class _MetadataItem(msgspec.Struct, frozen=True):
    metadata: Metadata


class _MetadataPage(msgspec.Struct, frozen=True):
    items: list[_MetadataItem] | None = None
    """The API server writes null where there are none."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list."""

    items: Sequence[Manifest]
    version: str
    """Of the list as a whole: a watch that begins there misses nothing."""


class Kube:
    """One connection pool to one API server."""

    def __init__(self, api: Any, *, count: Count | None = None, agent: str = MANAGER) -> None:
        """`agent` names this process in the audit log of the API server."""
        self._api = api
        self._count = count
        self._agent = agent

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest:
        """The object. Raises NotFound."""
        found: Manifest = await self._request("GET", resource.path(namespace, quote(name)), verb="get")
        return found

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: str = "",
    ) -> AsyncIterator[Page]:
        """All objects, in chunks."""
        query = {"limit": str(LIST_CHUNK)} | ({"labelSelector": labels} if labels else {})
        while True:
            page = await self._request("GET", f"{resource.path(namespace)}?{urlencode(query)}", verb="list")
            metadata = page.get("metadata") or {}
            yield Page(page.get("items") or (), metadata.get("resourceVersion", FROM_THE_START))
            if not metadata.get("continue"):
                return
            query["continue"] = metadata["continue"]

    async def serves(self, resource: Resource) -> bool:
        """Whether the API server has the kind in this version. Every account may ask that."""
        version = f"{resource.group}/{resource.version}"
        groups = (await self._request("GET", "/apis", verb="get")).get("groups") or ()
        if version not in {each["groupVersion"] for group in groups for each in group["versions"]}:
            return False
        kinds = (await self._request("GET", f"/apis/{version}", verb="get")).get("resources") or ()
        return any(each["name"] == resource.plural for each in kinds)

    async def list_metadata(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: str = "",
        stored: bool = False,
    ) -> Sequence[Metadata]:
        """What identifies each object, all at once: from the watch cache, or with `stored` as of now."""
        query = ({} if stored else {"resourceVersion": "0"}) | ({"labelSelector": labels} if labels else {})
        path = f"{resource.path(namespace)}?{urlencode(query)}"
        page = await self._request("GET", path, verb="list", accept=_METADATA_ONLY, shape=_MetadataPage)
        return [item.metadata for item in page.items or ()]

    async def watch(
        self, resource: Resource, namespace: str | None = None, *, labels: str, version: str
    ) -> AsyncIterator[Manifest]:
        """Events since `version` (since "0": first one for each object there is), until the server ends the stream.

        Raises ApiError (410 if the version is too old), Unreachable if the stream breaks or falls silent.
        """
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version}
        path = f"{resource.path(namespace)}?{urlencode({**query, 'labelSelector': labels})}"
        silence = aiohttp.ClientTimeout(sock_connect=REQUEST_TIMEOUT_SECONDS, sock_read=WATCH_SILENCE_SECONDS)
        response = await self._send("GET", path, verb="watch", patience=silence)
        try:
            if response.status >= 300:
                answer(response.status, await response.read(), response.headers)
            async for line in lines(response.response.content):
                yield watch_event(line)
        except _BROKEN as error:
            raise Unreachable(f"watch {path.partition('?')[0]}: {error or type(error).__name__}") from error
        finally:
            response.response.close()

    async def create(
        self, resource: Resource, manifest: Manifest, *, patience: float = REQUEST_TIMEOUT_SECONDS
    ) -> Manifest:
        """Create an object; the answer is what is stored. Raises AlreadyExists.

        A ControllerRevision is sent as YAML: the API server then stores its free-form data in its own spelling.
        What is sent as JSON it keeps byte by byte, spells differently at the next write, and refuses then, even
        if only an annotation was to change ("data: field is immutable").
        """
        path = resource.path(manifest["metadata"].get("namespace"))
        free_form = resource.kind == CONTROLLER_REVISION.kind
        body, content_type = (_yaml(manifest), _YAML) if free_form else (manifest, _JSON)
        made: Manifest = await self._request(
            "POST", path, verb="create", body=body, content_type=content_type, patience=patience
        )
        return made

    async def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        guard: Identified,
        operations: Sequence[Mapping[str, Any]],
        subresource: str = "",
        dry_run: bool = False,
        patience: float = REQUEST_TIMEOUT_SECONDS,
    ) -> Manifest:
        """Change an object if it is still what `guard` says; the answer is what is stored. Raises Conflict.

        With `dry_run` nothing is stored: the answer is what would be, after admission. `patience`: seconds for the
        whole request.
        """
        guarded = [
            {"op": "add", "path": "/metadata/uid", "value": guard.uid},
            {"op": "add", "path": "/metadata/resourceVersion", "value": guard.resource_version},
            *operations,
        ]
        path = resource.path(namespace, quote(name), subresource) + ("?dryRun=All" if dry_run else "")
        changed: Manifest = await self._request(
            "PATCH", path, verb="patch", body=guarded, content_type=_JSON_PATCH, patience=patience
        )
        return changed

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        guard: Identified,
        patience: float = REQUEST_TIMEOUT_SECONDS,
    ) -> Manifest | None:
        """Delete an object, its own children in the background, if it is still what `guard` says.

        The answer is what is left of it while finalizers keep it; None when it is gone.
        """
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": guard.uid, "resourceVersion": guard.resource_version},
        }
        path = resource.path(namespace, quote(name))
        left = await self._request("DELETE", path, verb="delete", body=body, patience=patience)
        return left if "deletionTimestamp" in (left.get("metadata") or {}) else None

    async def _request(
        self,
        method: str,
        path: str,
        *,
        verb: str,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        shape: type[Any] = dict,
        patience: float = REQUEST_TIMEOUT_SECONDS,
    ) -> Any:
        if method in _MUTATING:
            separator = "&" if "?" in path else "?"
            path = f"{path}{separator}fieldManager={MANAGER}" if method != "DELETE" else path
        response = await self._send(
            method,
            path,
            verb=verb,
            body=body,
            content_type=content_type,
            accept=accept,
            patience=patience,
            read=True,
        )
        data = await response.read()
        return answer(response.status, data, response.headers, shape if response.status < 300 else dict)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        verb: str,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        patience: float | aiohttp.ClientTimeout = REQUEST_TIMEOUT_SECONDS,
        read: bool = False,
    ) -> Any:
        """The response, its body received if `read`. Raises Unreachable."""
        headers = {"Accept": accept, "Content-Type": content_type, "User-Agent": self._agent}
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = self._api.configuration.host + path
        try:
            response = await self._api.rest_client.request(
                method, url, headers=headers, body=body, _request_timeout=patience
            )
            if read:
                await response.read()
        except _BROKEN as error:
            self._counted(verb, "error")
            raise Unreachable(f"{verb} {path.partition('?')[0]}: {error or type(error).__name__}") from error
        self._counted(verb, str(response.status))
        return response

    def _counted(self, verb: str, code: str) -> None:
        if self._count:
            self._count(verb, code)


def watch_event(line: bytes) -> Manifest:
    """One event of a watch. Raises ApiError for one that reports an error, Unreachable for half a line, or no event."""
    try:
        event: Manifest = msgspec.json.decode(line, type=dict)
    except msgspec.DecodeError as error:
        raise Unreachable("a watch ended in the middle of an event") from error
    found = event.get("object")
    if not isinstance(found, dict):
        raise Unreachable("a watch sent something that is no event")
    if event.get("type") == "ERROR":
        code = found.get("code")
        raise ApiError(
            code if isinstance(code, int) else 500,
            str(found.get("reason", "")),
            str(found.get("message", "")),
        )
    metadata = found.get("metadata")
    if not isinstance(metadata, dict) or "resourceVersion" not in metadata:
        raise Unreachable("a watch sent something that is no event")
    return event


def answer(status: int, data: bytes, headers: Mapping[str, str], shape: type[Any] = dict) -> Any:
    """The object of a good answer, decoded as `shape`; raises what a bad one means."""
    try:
        found = msgspec.json.decode(shallow(data), type=shape)
    except msgspec.DecodeError as error:
        if status == 404 and data.strip() == _NO_SUCH_PATH:
            raise ApiError(status, "NoSuchKind", _NO_SUCH_KIND) from error
        # A proxy's page of HTML, or an answer cut short.
        raise ApiError(
            status, "NotKubernetes", "the answer is no JSON object; is this an API server?"
        ) from error
    if status < 300:
        return found
    reason, message = str(found.get("reason", "")), str(found.get("message", ""))
    if status == 404:
        raise NotFound(status, reason, message)
    if status == 409:
        raise (AlreadyExists if reason == "AlreadyExists" else Conflict)(status, reason, message)
    causes = (found.get("details") or {}).get("causes") or ()
    if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
        raise NamespaceTerminating(status, reason, message)
    if status in (403, 422) or (status == 500 and _WEBHOOK_FAILED in message):
        fields = tuple(str(cause["field"]) for cause in causes if cause.get("field"))
        remedy = _REMEDY if _NO_RIGHT.search(message) else ""
        raise Refused(status, reason, message + remedy, fields=fields)
    after = headers.get("Retry-After", "")
    raise ApiError(status, reason, message, retry_after=float(after) if after.isdigit() else None)


def _yaml(manifest: Manifest) -> str:
    """The manifest as JSON that is YAML, too."""
    text = msgspec.json.encode(manifest).decode()
    return _NOT_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
