"""s3://, gs://, az://: objects by obstore, read by the range, each range only of the content that was listed."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, PreconditionError, UnauthenticatedError

from modelward_fetch.failures import FetchFailed, Reason, SourceChanged, Transient, denied, not_found
from modelward_fetch.limits import Limits
from modelward_fetch.names import Taken, safe_path
from modelward_fetch.sources.aws_identity import Keys
from modelward_fetch.sources.base import Entry, Identity, Listing
from modelward_fetch.sources.tunnel import Tunnel
from modelward_fetch.uri import Location

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

RETRY: Final["RetryConfig"] = {"max_retries": 0, "retry_timeout": timedelta(seconds=60)}
"""None of its own: attempts are counted and waited for in one place (`retry`)."""
PIECE_BYTES: Final = 64 * 1024
"""What obstore hands over at once. What it has less of when a connection breaks is lost, so it is not much."""
_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>(\w{1,64})</Code>|\"(?:status|code|error)\": ?\"(\w{1,64})\"")
_UNVERSIONED: Final = {"", "null"}


def client_options(limits: Limits, ca: str, *, plain: bool) -> "ClientConfig":
    """How obstore's client connects; `through` adds where to."""
    options: ClientConfig = {
        "allow_http": plain,
        "connect_timeout": timedelta(seconds=min(limits.stall_seconds, 10.0)),
        "read_timeout": timedelta(seconds=limits.stall_seconds),
        "timeout": timedelta(seconds=limits.seconds),
        "user_agent": "modelward-fetch",
    }
    if ca:
        options["root_certificate"] = ca
    return options


def through(options: "ClientConfig", tunnel: Tunnel, direct: Iterable[str]) -> None:
    """Connections go through the tunnel, but for those to the hosts `direct`."""
    options["proxy_url"] = tunnel.url
    options["proxy_excludes"] = ",".join(direct)


class ObjectSource:
    """An object, or the objects below a prefix. `connect` makes the store: it may ask for a token, so it may fail."""

    def __init__(
        self,
        at: Location,
        connect: Callable[[], "ObjectStore"],
        limits: Limits,
        *,
        who: str,
        tunnel: Tunnel,
        keys: Keys | None = None,
    ) -> None:
        self._at = at
        self._connect = connect
        self._limits = limits
        self._who = who
        self._keys = keys
        self._tunnel = tunnel
        self._made: ObjectStore | None = None

    @property
    def _store(self) -> "ObjectStore":
        if self._made is None:
            self._made = self._connect()
        return self._made

    def resolve(self) -> Listing:
        """The object of that name; if there is none, what lies below it."""
        denial = None
        try:
            if not self._at.names_folder and (found := self._object()):
                return found
        except FetchFailed as failure:
            if failure.reason != Reason.DENIED or self._at.revision:
                raise
            denial = failure  # an answer to HEAD has no body, so no code; and who may list need not read
        return self._folder(denial)

    def _folder(self, denial: FetchFailed | None) -> Listing:
        taken, entries, total = Taken(), [], 0
        for meta in self._below():
            entry = self._entry(meta)
            if entry is None:
                continue
            taken.add(safe_path(entry.path))
            entries.append(entry)
            total += entry.size or 0
            self._limits.check(
                files=len(entries),
                bytes_=total,
                what=f"{self._at.scheme}://{self._at.authority}/{self._at.path}",
            )
        if not entries:
            raise denial or not_found(
                f"{self._at} is neither an object nor the beginning of the names of any"
            )
        folder = self._at if self._at.path == "" else replace(self._at, path=f"{self._at.path.rstrip('/')}/")
        return Listing(resolved=folder, entries=tuple(entries), identity=Identity.MUTABLE)

    def read(self, entry: Entry, start: int, end: int | None) -> Iterator[bytes]:
        """A range, if the object is still the one that was listed."""
        options: GetOptions = {"range": (start, entry.size or 0 if end is None else end)}
        if entry.version:
            options["version"] = entry.version
        elif entry.mark:
            options["if_match"] = entry.mark
        with self._errors(entry.key):
            yield from obstore.get(self._store, entry.key, options=options).stream(PIECE_BYTES)

    def close(self) -> None:
        """No new connections."""
        self._tunnel.close()

    def _object(self) -> Listing | None:
        try:
            meta = self._head(self._at.path, self._at.revision)
        except FileNotFoundError:
            if self._at.revision:
                raise not_found(f"{self._at} does not exist, or its version was deleted") from None
            return None
        version = str(meta["version"] or "")
        version = self._at.revision or ("" if version in _UNVERSIONED else version)
        entry = Entry(
            path=str(safe_path(self._at.path.rpartition("/")[2])),
            size=meta["size"],
            key=self._at.path,
            mark=meta["e_tag"] or "",
            version=version,
        )
        return Listing(
            resolved=self._at.at(version),
            entries=(entry,),
            identity=Identity.PINNED if version else Identity.MUTABLE,
            is_single=True,
        )

    def _head(self, path: str, version: str) -> "ObjectMeta":
        options: GetOptions = {"head": True}
        if version:
            options["version"] = version
        with self._errors(path, missing_is_answer=True):
            return obstore.get(self._store, path, options=options).meta

    def _below(self) -> Iterator["ObjectMeta"]:
        with self._errors(self._at.path):
            for page in obstore.list(self._store, prefix=self._at.path.rstrip("/") or None, chunk_size=1000):
                yield from page

    def _entry(self, meta: "ObjectMeta") -> Entry | None:
        """None for what consoles make to show a folder."""
        prefix = self._at.path.rstrip("/")
        name = meta["path"].removeprefix(f"{prefix}/") if prefix else meta["path"]
        if name.endswith("/") or (meta["size"] == 0 and meta["path"] == prefix):
            return None
        return Entry(path=name, size=meta["size"], key=meta["path"], mark=meta["e_tag"] or "")

    @contextmanager
    def _errors(self, path: str, *, missing_is_answer: bool = False) -> Iterator[None]:
        """What obstore raises, as ours. Its texts hold addresses and answers: only status and code are taken."""
        where = f"{self._at.scheme}://{self._at.authority}/{path}"
        try:
            yield
        except FileNotFoundError:
            if missing_is_answer:
                raise
            raise not_found(f"{where} does not exist") from None
        except PreconditionError:
            raise SourceChanged(f"{where} was overwritten") from None
        except (BaseError, ValueError, OSError) as error:
            problem = (self._keys and self._keys.problem) or self._tunnel.problem
            self._tunnel.problem = None
            raise problem or failure(error, where, self._who) from None


def failure(error: BaseException, where: str, who: str) -> FetchFailed | Transient:
    """By status and code of the store's answer; without an answer the next attempt may get one."""
    text = str(error)
    status = int(found[1]) if (found := _STATUS.search(text)) else 0
    code = next((each for each in found.groups() if each), "") if (found := _CODE.search(text)) else ""
    said = f"{where}: the store answers {status or 'no'}{f' {code}' if code else ''}"
    if (
        isinstance(error, PermissionDeniedError | UnauthenticatedError)
        or status in {401, 403}
        or code in _HINTS
    ):
        return denied(f"{said} ({who})", remedy=_HINTS.get(code, ""))
    if status in {404, 410}:
        return not_found(said)
    if "InvalidCertificate" in text:
        return _reached(f"the certificate of the store of {where} is not trusted", _CERTIFICATE)
    if isinstance(error, ValueError) and not isinstance(error, BaseError):
        return denied(f"{where}: the credentials cannot be used as they are")
    if status in {0, 408, 425, 429} or status >= 500:
        return Transient(said if status else f"no answer from the store of {where}")
    return _reached(said, "Check region, endpoint and address.")


def _reached(problem: str, remedy: str) -> FetchFailed:
    return FetchFailed(Reason.UNREACHABLE, problem, remedy=remedy, field="spec.model.secretRef")


_CERTIFICATE: Final = "Put the CA's certificate under the key ca.crt of the Secret, or correct the server's."
_HINTS: Final[Mapping[str, str]] = {
    "InvalidAccessKeyId": "The key id in the Secret does not exist (any more): put the current one there.",
    "SignatureDoesNotMatch": "The secret key does not belong to the key id: put the current pair into the Secret.",
    "ExpiredToken": "The session token is over: put a fresh one into the Secret, or use workload identity.",
    "InvalidToken": "The session token is not valid: put a fresh one into the Secret.",
    "AuthorizationHeaderMalformed": "The bucket is in another region: set AWS_REGION in the Secret.",
    "RequestTimeTooSkewed": "The node's clock is wrong: correct its time synchronisation.",
}
