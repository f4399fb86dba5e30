"""mlflow://: a version of a registered model, by the REST interface of its tracking server.

Where the server proxies artifacts they are read from it; where it names an object store, that store is asked, with the
credentials of the same Secret. MLflow has neither checksums nor marks of content, so sizes are all that is listed.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from modelward_fetch.addresses import guard_for
from modelward_fetch.credentials import Credentials
from modelward_fetch.failures import FetchFailed, Reason, Transient, denied, not_found
from modelward_fetch.limits import Limits
from modelward_fetch.names import Taken, safe_path
from modelward_fetch.sources.base import Entry, Identity, Listing, Source
from modelward_fetch.sources.https import part_of, ranged
from modelward_fetch.uri import Location, parse
from modelward_fetch.web import Answer, Web, check, shown

_DEEPEST: Final = 32
_ELSEWHERE: Final = ("s3", "gs")


class MlflowSource:
    """The files of a version. `elsewhere` makes the source of an object store."""

    def __init__(
        self,
        at: Location,
        credentials: Credentials,
        limits: Limits,
        plain_hosts: frozenset[str],
        elsewhere: Callable[[Location], Source],
    ) -> None:
        self._at = at
        self._limits = limits
        self._elsewhere = elsewhere
        self._stored: Source | None = None
        self._server = credentials["mlflow_uri"].rstrip("/")
        if not self._server:
            raise denied(
                "the tracking server is not known: mlflow:// does not name it",
                remedy="Put MLFLOW_TRACKING_URI into the Secret, or have it set for the cluster.",
            )
        self._authorization = credentials.basic("mlflow_username", "mlflow_password")
        if credentials["mlflow_token"]:
            self._authorization = f"Bearer {credentials['mlflow_token']}"
        self._web = Web(
            guard_for(self._server, plain_hosts),
            ca=credentials.ca_bundle(),
            stall_seconds=limits.stall_seconds,
            redirects=limits.redirects,
        )

    def resolve(self) -> Listing:
        """The version that an alias means now, and its files."""
        name = self._at.authority.removeprefix("models/")
        version = self._version(name)
        answer = self._api("model-versions/get-download-uri", name=name, version=version)
        stored = str(answer.get("artifact_uri", ""))
        resolved = self._at.at(version)
        if stored.startswith("mlflow-artifacts:"):
            entries = tuple(self._entries(urlsplit(stored).path.strip("/")))
            if not entries:
                raise not_found(f"{resolved} has no files")
            return Listing(resolved=resolved, entries=entries, identity=Identity.MUTABLE)
        return self._listed_elsewhere(resolved, stored)

    def read(self, entry: Entry, start: int, end: int | None) -> Iterator[bytes]:
        """A range, which the server has though it gives no mark of the content."""
        if self._stored:
            yield from self._stored.read(entry, start, end)
            return
        url = f"{self._server}/api/2.0/mlflow-artifacts/artifacts/{quote(entry.key)}"
        with self._web.get(url, ranged(start, end), authorize=self._authorize) as answer:
            self._check(answer, entry.path)
            yield from part_of(answer, start, end, entry.size)

    def close(self) -> None:
        """Ends connections."""
        self._web.close()
        if self._stored:
            self._stored.close()

    def _version(self, name: str) -> str:
        if not self._at.is_alias:
            return self._at.revision
        answer = self._api("registered-models/alias", name=name, alias=self._at.revision)
        version = str((answer.get("model_version") or {}).get("version", ""))
        if not version.isdecimal():
            raise Transient("the tracking server does not say which version the alias is")
        return version

    def _entries(self, root: str) -> Iterator[Entry]:
        taken, folders, count, total = Taken(), [""], 0, 0
        while folders:
            folder = folders.pop()
            if folder.count("/") > _DEEPEST:
                raise FetchFailed(
                    Reason.TOO_LARGE,
                    f"folders are nested more than {_DEEPEST} deep",
                    remedy="Log it flatter.",
                )
            for item in self._listed(f"{root}/{folder}".rstrip("/")):
                name = f"{folder}/{str(item.get('path', '')).rpartition('/')[2]}".lstrip("/")
                path = safe_path(name)
                if item.get("is_dir"):
                    folders.append(name)
                    self._limits.check(files=len(folders), bytes_=total)
                    continue
                taken.add(path)
                size = int(item.get("file_size") or 0)
                count, total = count + 1, total + size
                self._limits.check(files=count, bytes_=total)
                yield Entry(path=name, size=size, key=f"{root}/{name}")

    def _listed(self, path: str) -> list[dict[str, Any]]:
        url = f"{self._server}/api/2.0/mlflow-artifacts/artifacts?{urlencode({'path': path})}"
        with self._web.get(url, authorize=self._authorize) as answer:
            self._check(answer, path)
            body = answer.json()
        files = body.get("files", []) if isinstance(body, dict) else []
        return [each for each in files if isinstance(each, dict)]

    def _listed_elsewhere(self, resolved: Location, stored: str) -> Listing:
        scheme = urlsplit(stored).scheme
        if scheme not in _ELSEWHERE:
            raise FetchFailed(
                Reason.FORMAT_UNKNOWN,
                f"{resolved} is stored by the scheme {scheme[:20]!r}, which is not read from here",
                remedy="Run the tracking server with --serve-artifacts, or use s3 or gs as its artifact root.",
            )
        self._stored = self._elsewhere(parse(f"{stored.rstrip('/')}/"))
        listing = self._stored.resolve()
        return Listing(resolved=resolved, entries=listing.entries, identity=Identity.MUTABLE)

    def _api(self, path: str, **query: str) -> dict[str, Any]:
        url = f"{self._server}/api/2.0/mlflow/{path}?{urlencode(query)}"
        with self._web.get(url, authorize=self._authorize) as answer:
            self._check(answer, str(self._at))
            body = answer.json()
        return body if isinstance(body, dict) else {}

    def _check(self, answer: Answer, what: str) -> None:
        """MLflow answers 400 for an alias that does not exist, with a code that says so."""
        if answer.status == 400:
            raise not_found(
                f"{shown(answer.url)} answers 400 about {what}: no such model, version or alias",
                remedy="Check the registered model, and its alias, on the tracking server.",
            )
        check(answer)

    def _authorize(self, _url: str) -> str:
        return self._authorization
