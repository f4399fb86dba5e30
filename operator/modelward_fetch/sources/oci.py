"""oci://: artifacts and images of a registry, by the distribution specification.

A layer with a title is a file of that name, as `oras push` makes them; one without is an archive whose content lies at
the root, as in images that carry a model. Everything is named by its digest, so it is pinned and verified by nature.
"""

import hashlib
import json
import platform
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from modelward_fetch.addresses import guard_for
from modelward_fetch.credentials import Credentials, basic
from modelward_fetch.failures import FetchFailed, Reason, Transient, denied, not_found
from modelward_fetch.limits import Limits
from modelward_fetch.names import Taken, safe_path
from modelward_fetch.sources.base import Entry, Identity, Listing
from modelward_fetch.sources.https import part_of, ranged
from modelward_fetch.uri import Location
from modelward_fetch.web import Answer, Web, check

_MANIFESTS: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_INDEXES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_TITLE: Final = "org.opencontainers.image.title"
_UNPACK: Final = "io.deis.oras.content.unpack"
_TARS: Final = re.compile(
    r"application/vnd\.(oci\.image\.layer\.v1\.tar|docker\.image\.rootfs\.diff\.tar)([.+]gzip)?"
)
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
_CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')
_HUB: Final = "registry-1.docker.io"
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


class RegistrySource:
    """A manifest's layers."""

    def __init__(
        self, at: Location, credentials: Credentials, limits: Limits, plain_hosts: frozenset[str]
    ) -> None:
        self._at = at
        self._limits = limits
        self._credentials = credentials
        host, _, self._repository = at.authority.partition("/")
        self._host = {"docker.io": _HUB, "index.docker.io": _HUB}.get(host, host)
        name = urlsplit(f"//{self._host}").hostname or ""
        scheme = "http" if name in plain_hosts or _is_local(name) else "https"
        self._base = f"{scheme}://{self._host}/v2/{self._repository}"
        self._web = Web(
            guard_for(self._base, plain_hosts),
            ca=credentials.ca_bundle(),
            stall_seconds=limits.stall_seconds,
            redirects=limits.redirects,
        )
        self._authorization = ""

    def resolve(self) -> Listing:
        """The digest that a tag means now, and its layers."""
        digest, manifest = self._manifest(self._at.revision)
        resolved = digest
        for _ in range(2):  # an index of indexes is none of ours
            if manifest.get("mediaType") not in _INDEXES and "manifests" not in manifest:
                break
            digest, manifest = self._manifest(_for_this_machine(manifest, self._at))
        taken, entries, unpacked = Taken(), [], set()
        for number, layer in enumerate(_layers(manifest, self._at)):
            entry, packed = _entry(layer, number)
            taken.add(safe_path(entry.path))
            entries.append(entry)
            unpacked |= {entry.path} if packed else set()
        self._limits.check(files=len(entries), bytes_=sum(entry.size or 0 for entry in entries))
        return Listing(
            resolved=self._at.at(resolved),
            entries=tuple(entries),
            identity=Identity.PINNED,
            unpacked=frozenset(unpacked),
        )

    def read(self, entry: Entry, start: int, end: int | None) -> Iterator[bytes]:
        """A range of a blob."""
        url = f"{self._base}/blobs/{entry.key}"
        with self._web.get(url, ranged(start, end), authorize=lambda _: self._authorization) as answer:
            if answer.status == 401:
                self._log_in(answer)
                raise Transient("the registry's token was over")
            check(answer)
            yield from part_of(answer, start, end, entry.size)

    def close(self) -> None:
        """Ends connections."""
        self._web.close()

    def _manifest(self, reference: str) -> tuple[str, dict[str, Any]]:
        url = f"{self._base}/manifests/{reference}"
        body = self._get(url, {"accept": ", ".join((*_MANIFESTS, *_INDEXES))})
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if reference.startswith("sha256:") and digest != reference:
            raise FetchFailed(
                Reason.CHECKSUM_MISMATCH,
                f"the registry answers {reference} with a manifest of another digest",
                remedy="The registry, or something between, gives wrong bytes.",
            )
        try:
            manifest = json.loads(body)
        except ValueError as error:
            raise Transient("the registry does not answer with a manifest") from error
        return digest, manifest if isinstance(manifest, dict) else {}

    def _get(self, url: str, headers: Mapping[str, str]) -> bytes:
        """With a token once the registry has said what for."""
        for attempt in (1, 2):
            with self._web.get(url, headers, authorize=lambda _: self._authorization) as answer:
                if answer.status == 401 and attempt == 1:
                    self._log_in(answer)
                    continue
                if answer.status in {401, 403}:
                    raise self._denied(str(answer.status))
                if answer.status == 404:
                    raise not_found(f"the registry has no {self._at}")
                check(answer)
                return answer.read()
        raise self._denied("401")

    def _log_in(self, answer: Answer) -> None:
        challenge = answer.headers.get("www-authenticate", "")
        kind, _, rest = challenge.partition(" ")
        pair = self._credentials.registry(self._host)
        if kind.lower() == "basic":
            if not pair:
                raise self._denied("401")
            self._authorization = basic(pair, self._credentials.redactor)
            return
        fields = dict(_CHALLENGE.findall(rest))
        if kind.lower() != "bearer" or "realm" not in fields:
            raise self._denied("401")
        query = {key: fields[key] for key in ("service", "scope") if key in fields}
        query.setdefault("scope", f"repository:{self._repository}:pull")
        realm = f"{fields['realm']}?{urlencode(query)}"
        authorization = basic(pair, self._credentials.redactor) if pair else ""
        with self._web.get(realm, authorize=lambda _: authorization) as given:
            if given.status in {400, 401, 403}:
                raise self._denied(str(given.status))
            check(given)
            body = given.json()
        token = str(body.get("token") or body.get("access_token") or "") if isinstance(body, dict) else ""
        self._credentials.redactor.add(token)
        self._authorization = f"Bearer {token}" if token else ""

    def _denied(self, status: str) -> FetchFailed:
        has = "with" if self._credentials.registry(self._host) else "without"
        return denied(
            f"the registry {self._host} answers {status} about {self._repository} ({has} credentials for it)",
            remedy="Name a Secret of type kubernetes.io/dockerconfigjson with an entry for this registry.",
        )


def _is_local(host: str) -> bool:
    return host in {"localhost", "127.0.0.1", "::1"}


def _for_this_machine(index: Mapping[str, Any], at: Location) -> str:
    """The manifest for Linux on this processor; the only one, where there is one."""
    manifests = [each for each in index.get("manifests", []) if isinstance(each, dict)]
    wanted = {"os": "linux", "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine())}
    fitting = [each for each in manifests if wanted.items() <= (each.get("platform") or {}).items()]
    chosen = fitting or (manifests if len(manifests) == 1 else [])
    if not chosen or not _DIGEST.fullmatch(str(chosen[0].get("digest"))):
        raise FetchFailed(
            Reason.FORMAT_UNKNOWN,
            f"{at} has nothing for {wanted['os']}/{wanted['architecture']}",
            remedy="Push the model for this platform, or as an artifact without platforms.",
        )
    return str(chosen[0]["digest"])


def _layers(manifest: Mapping[str, Any], at: Location) -> list[Mapping[str, Any]]:
    layers = manifest.get("layers")
    if not isinstance(layers, list) or not layers or not all(isinstance(each, dict) for each in layers):
        raise FetchFailed(
            Reason.FORMAT_UNKNOWN,
            f"{at} is no image or artifact with layers",
            remedy="Push it with `oras push`.",
        )
    return layers


def _entry(layer: Mapping[str, Any], number: int) -> tuple[Entry, bool]:
    """The layer as a file, and whether it is one to unpack."""
    digest, size = str(layer.get("digest", "")), layer.get("size")
    found = _DIGEST.fullmatch(digest)
    if not found or not isinstance(size, int) or size < 0:
        raise FetchFailed(
            Reason.FORMAT_UNKNOWN, "a layer has no SHA-256 or no size", remedy="Push it with sha256 digests."
        )
    annotations = layer.get("annotations") or {}
    title, kind = str(annotations.get(_TITLE, "")), str(layer.get("mediaType", ""))
    packed = str(annotations.get(_UNPACK, "")).lower() == "true"
    if title and not packed:
        return Entry(path=title, size=size, key=digest, sha256=found[1]), False
    if not packed and not _TARS.fullmatch(kind):
        raise FetchFailed(
            Reason.FORMAT_UNKNOWN,
            f"a layer of type {kind[:100]!r} has no title and is no tar or tar+gzip",
            remedy="Push files with `oras push`, or build the image with gzip compression.",
        )
    return Entry(path=f"layer-{number}.tar", size=size, key=digest, sha256=found[1]), True
