"""Addresses of models: eight schemes, each with one form, and what can be known of one without asking anybody.

Nothing is opened here.

s3://bucket/path            s3://bucket/key?versionId=V
gs://bucket/path            gs://bucket/name?generation=G
az://container/path         az://container/name?versionId=V
https://host/path           one file or archive (http to loopback only)
hf://org/model[@revision][/path]
pvc://claim/path
oci://registry/repository[:tag | @sha256:digest]
mlflow://models/name/version, mlflow://models/name@alias
"""

import re
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

from modelward_fetch.failures import FetchFailed, Reason
from modelward_fetch.names import unsafe

SCHEMES: Final = ("s3", "gs", "az", "https", "hf", "pvc", "oci", "mlflow")
LONGEST: Final = 2048

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", re.IGNORECASE)
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_WORD: Final = re.compile(r"[\w][\w.-]{0,95}", re.ASCII)
_REPOSITORY: Final = re.compile(r"[a-z0-9]+([._/-]+[a-z0-9]+)*")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_VERSION_KEYS: Final = {"s3": "versionId", "az": "versionId", "gs": "generation"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """An address, taken apart. What a field means depends on the scheme."""

    scheme: str
    authority: str
    """Bucket, container, host and port, claim, registry; `org/model`, `models/name` for hf and mlflow."""
    path: str = ""
    """Below it, without a leading slash. For https as it was written, query included."""
    revision: str = ""
    """A version, generation, branch, tag, alias or digest: what may be pinned."""
    is_alias: bool = False
    """mlflow only: the revision is an alias, not a number of a version."""
    plain: bool = False
    """http instead of https."""

    @property
    def names_folder(self) -> bool:
        """Whether it can only be a folder."""
        return self.path == "" or self.path.endswith("/")

    def at(self, revision: str, *, is_alias: bool = False) -> "Location":
        """The same with what moves pinned."""
        return replace(self, revision=revision, is_alias=is_alias)

    def is_same_source(self, other: "Location") -> bool:
        """Whether a pin may stand in for this address: all but the revision is the same."""
        return other.source() == self.source()

    def source(self) -> "Location":
        """What a pin must not change. The query of https, where signatures are, is in no pin."""
        path = self.path.partition("?")[0] if self.scheme == "https" else self.path
        return replace(self, path=path.rstrip("/"), revision="", is_alias=False)

    @property
    def names_version(self) -> bool:
        """Whether the user has named the one version that is meant, so that nothing is left to choose."""
        match self.scheme:
            case "hf":
                return bool(_COMMIT.fullmatch(self.revision))
            case "oci":
                return bool(_DIGEST.fullmatch(self.revision))
            case "mlflow":
                return not self.is_alias
            case _:
                return bool(self.revision)

    def __str__(self) -> str:
        return _WRITTEN.get(self.scheme, _written_path)(self)


def parse(text: str) -> Location:
    """The address. Raises FetchFailed with what would be right."""
    if len(text) > LONGEST or not text.isprintable() or " " in text:
        raise invalid(f"is longer than {LONGEST} characters, or has spaces or control characters")
    try:
        split = urlsplit(text)
        _ = split.port
    except ValueError as error:
        raise invalid("is no address") from error
    if split.scheme not in {*SCHEMES, "http"}:
        raise invalid(f"has none of the schemes {', '.join(SCHEMES)}")
    if split.fragment or (split.query and split.scheme not in {"https", "http", *_VERSION_KEYS}):
        raise invalid("has a query or a fragment, which this scheme does not know")
    if split.username is not None and split.scheme in {"https", "http"}:
        raise invalid(
            "holds a user name or password", "Put them into a Secret and name it in spec.model.secretRef."
        )
    return _PARSERS[split.scheme](split)


def invalid(problem: str, remedy: str = "docs/fetch.md shows the form of each scheme.") -> FetchFailed:
    """The user's address is wrong: nothing was opened. The text itself is not repeated, it may hold a secret."""
    return FetchFailed(Reason.INVALID_URI, f"the address {problem}", remedy=remedy)


def _object(split: SplitResult) -> Location:
    key = _VERSION_KEYS[split.scheme]
    if not _BUCKET.fullmatch(split.netloc):
        raise invalid(f"does not name a bucket or container: {split.scheme}://NAME/path")
    version = ""
    if split.query:
        found = re.fullmatch(rf"{key}=([\w.:%-]+)", split.query, re.ASCII)
        if not found:
            raise invalid(f"has a query other than {key}=...")
        version = unquote(found[1])
    return Location(
        scheme=split.scheme, authority=split.netloc, path=_plain_path(split.path), revision=version
    )


def _web(split: SplitResult) -> Location:
    if not split.hostname:
        raise invalid("does not name a host")
    path = split.path.lstrip("/") + (f"?{split.query}" if split.query else "")
    return Location(scheme="https", authority=split.netloc.lower(), path=path, plain=split.scheme == "http")


def _hub(split: SplitResult) -> Location:
    model, at, rest = f"{split.netloc}{split.path}".partition("@")
    if at:
        revision, _, path = rest.partition("/")
        owner, _, name = model.partition("/")
    else:
        owner, _, rest = model.partition("/")
        name, _, path = rest.partition("/")
        revision = "main"
    if not (_WORD.fullmatch(owner) and _WORD.fullmatch(name) and revision):
        raise invalid("is not hf://org/model, hf://org/model@revision or either with a path behind it")
    return Location(
        scheme="hf", authority=f"{owner}/{name}", path=_plain_path(path), revision=unquote(revision)
    )


def _claim(split: SplitResult) -> Location:
    if not _LABEL.fullmatch(split.netloc):
        raise invalid("does not name a claim: pvc://CLAIM/path")
    return Location(scheme="pvc", authority=split.netloc, path=_plain_path(split.path))


def _registry(split: SplitResult) -> Location:
    name, _, digest = f"{split.netloc}{split.path}".partition("@")
    host, _, repository = name.partition("/")
    repository, _, tag = repository.partition(":")
    if not host or not _REPOSITORY.fullmatch(repository):
        raise invalid("is not oci://registry/repository:tag or oci://registry/repository@sha256:...")
    if (digest and not _DIGEST.fullmatch(digest)) or (tag and not re.fullmatch(r"[\w][\w.-]{0,127}", tag)):
        raise invalid("has a tag or digest that no registry knows")
    return Location(
        scheme="oci", authority=f"{host.lower()}/{repository}", revision=digest or tag or "latest"
    )


def _registered_model(split: SplitResult) -> Location:
    form = "is not mlflow://models/NAME/VERSION or mlflow://models/NAME@ALIAS"
    if split.netloc != "models":
        raise invalid(form)
    name, at, alias = split.path.removeprefix("/").partition("@")
    if not at:
        name, _, alias = name.rpartition("/")
    name, alias = unquote(name), unquote(alias)
    if not name or "/" in name or not alias or not (at or alias.isdecimal()):
        raise invalid(form)
    return Location(scheme="mlflow", authority=f"models/{name}", revision=alias, is_alias=bool(at))


def _plain_path(path: str) -> str:
    path = unquote(path).removeprefix("/")
    if path.strip("/") and (problem := unsafe(path.rstrip("/"))):
        raise invalid(f"has a path that {problem}")
    return path if path.strip("/") else ""


def _written_path(at: Location) -> str:
    version = f"?{_VERSION_KEYS[at.scheme]}={quote(at.revision, safe='')}" if at.revision else ""
    return f"{at.scheme}://{at.authority}/{quote(at.path)}{version}"


def _written_registry(at: Location) -> str:
    return f"oci://{at.authority}{'@' if at.revision.startswith('sha256:') else ':'}{at.revision}"


def _written_hub(at: Location) -> str:
    path = f"/{quote(at.path)}" if at.path else ""
    return f"hf://{at.authority}@{quote(at.revision, safe='')}{path}"


def _written_model(at: Location) -> str:
    name = quote(at.authority.removeprefix("models/"), safe="")
    return f"mlflow://models/{name}{'@' if at.is_alias else '/'}{quote(at.revision, safe='')}"


def _written_web(at: Location) -> str:
    """Without its query: that is where signatures are."""
    return f"{'http' if at.plain else 'https'}://{at.authority}/{at.path.partition('?')[0]}"


_PARSERS: Final = {
    "s3": _object,
    "gs": _object,
    "az": _object,
    "https": _web,
    "http": _web,
    "hf": _hub,
    "pvc": _claim,
    "oci": _registry,
    "mlflow": _registered_model,
}
_WRITTEN: Final = {
    "oci": _written_registry,
    "hf": _written_hub,
    "mlflow": _written_model,
    "https": _written_web,
}
_PINNED: Final = {
    "s3": "names one version of an object",
    "gs": "names one generation of an object",
    "az": "names one version of a blob",
    "hf": "names a commit",
    "oci": "names a digest",
    "mlflow": "names a version, whose files could be overwritten on the tracking server",
}
_MOVING: Final = {
    "hf": "names a branch or tag: its commit is looked up once for each revision",
    "oci": "names a tag: its digest is looked up once for each revision",
    "mlflow": "names an alias: its version is looked up once for each revision",
}
_OBJECTS: Final = (
    "names an object or a folder: one object of a store with versions is pinned once for each revision,"
    " anything else can be overwritten (SourceMutable)"
)
_UNPINNED: Final = {
    "https": "can be overwritten on its server (SourceMutable)",
    "pvc": "is mounted as it is; contents are not read, so a change of them is not seen (SourceMutable)",
}


def explained(at: Location) -> str:
    """One phrase about what the address names; its query is left out."""
    if at.scheme in _UNPINNED:
        return f"{at} {_UNPINNED[at.scheme]}"
    if at.names_version:
        return f"{at} {_PINNED[at.scheme]}"
    return f"{at} {_MOVING.get(at.scheme, _OBJECTS)}"
