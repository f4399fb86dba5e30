"""hf://: Hugging Face's hub, or one of one's own (HF_ENDPOINT).

Names, revisions and listings by huggingface_hub, whose client connects through `web`; the bytes by `web` itself, so that
they are resumed, bounded in memory and verified like those of any other store. (The library accepts other bytes of the right
size, and its transfer by hf-xet connects by itself.)
"""

import os
from collections.abc import Iterator
from typing import Final

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")

import httpx2
from huggingface_hub import HfApi, RepoFile, set_client_factory
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from modelward_fetch.addresses import guard_for
from modelward_fetch.credentials import Credentials
from modelward_fetch.failures import FetchFailed, Reason, Transient, denied, not_found
from modelward_fetch.limits import Limits
from modelward_fetch.names import Taken, safe_path
from modelward_fetch.sources.base import Entry, Identity, Listing
from modelward_fetch.sources.https import part_of, ranged
from modelward_fetch.uri import Location
from modelward_fetch.web import Web, check, retry_after

ENDPOINT: Final = "https://huggingface.co"
_COMMIT_DIGITS: Final = 40


class HubSource:
    """A repository at a commit."""

    def __init__(
        self, at: Location, credentials: Credentials, limits: Limits, plain_hosts: frozenset[str]
    ) -> None:
        self._at = at
        self._limits = limits
        self._endpoint = (credentials["hf_endpoint"] or ENDPOINT).rstrip("/")
        self._token = credentials["hf_token"]
        if not (self._token.isascii() and self._token.isprintable()):
            raise denied("the token for the hub is no token: it is not printable ASCII")
        self._web = Web(
            guard_for(self._endpoint, plain_hosts),
            ca=credentials.ca_bundle(),
            stall_seconds=limits.stall_seconds,
            redirects=limits.redirects,
        )
        self._api = HfApi(endpoint=self._endpoint, token=self._token or False)
        self._commit = ""

    def resolve(self) -> Listing:
        """The revision's commit, and its files."""
        set_client_factory(lambda: httpx2.Client(transport=_Transport(self._web, self._endpoint)))
        try:
            info = self._api.model_info(self._at.authority, revision=self._at.revision)
            self._commit = info.sha or ""
            if len(self._commit) != _COMMIT_DIGITS:
                raise Transient("the hub does not say which commit the revision is")
            entries = tuple(self._entries())
        except (HfHubHTTPError, httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
            raise self._failure(error) from error
        if not entries:
            raise not_found(f"{self._at} names no file of the repository")
        single = len(entries) == 1 and entries[0].key == self._at.path
        return Listing(
            resolved=self._at.at(self._commit),
            entries=entries,
            identity=Identity.PINNED,
            is_single=single,
        )

    def read(self, entry: Entry, start: int, end: int | None) -> Iterator[bytes]:
        """A range of a file at the commit."""
        url = httpx2.URL(f"{self._endpoint}/").join(f"{self._at.authority}/resolve/{self._commit}/")
        url = url.copy_with(raw_path=url.raw_path + httpx2.URL(path=f"/{entry.key}").raw_path[1:])
        with self._web.get(str(url), ranged(start, end), authorize=self._authorize) as answer:
            check(answer)
            yield from part_of(answer, start, end, entry.size)

    def close(self) -> None:
        """Ends connections."""
        self._web.close()

    def _entries(self) -> Iterator[Entry]:
        path, taken, count, total = self._at.path.strip("/"), Taken(), 0, 0
        tree = self._api.list_repo_tree(self._at.authority, recursive=True, revision=self._commit)
        for item in tree:
            if not isinstance(item, RepoFile) or not _is_below(item.path, path):
                continue
            entry = _entry(item, path)
            taken.add(safe_path(entry.path))
            count, total = count + 1, total + (entry.size or 0)
            self._limits.check(files=count, bytes_=total, what=f"the repository {self._at.authority}")
            yield entry

    def _authorize(self, _url: str) -> str:
        return f"Bearer {self._token}" if self._token else ""

    def _failure(self, error: Exception) -> Exception:
        who = "with the token of the Secret" if self._token else "without a token"
        where = f"{self._at.authority} on {self._endpoint}"
        match error:
            case GatedRepoError():
                return denied(
                    f"{where} is gated ({who})",
                    remedy="Accept its licence on the hub with the account of the token.",
                )
            case RevisionNotFoundError():
                return not_found(
                    f"{where} has no revision {self._at.revision}",
                    remedy="Name a branch, tag or commit that exists.",
                )
            case RepositoryNotFoundError() if (
                error.response is not None and error.response.status_code == 401
            ):
                return denied(f"{where} does not exist or may not be read ({who})", remedy=_TOKEN)
            case RepositoryNotFoundError() | RemoteEntryNotFoundError() | DisabledRepoError():
                return not_found(f"{where} does not exist or may not be read ({who})", remedy=_TOKEN)
            case HfHubHTTPError() if error.response is not None:
                return _of_status(error.response, where, who)
            case _:
                return Transient(f"the hub gives no usable answer about {where}")


def _of_status(response: httpx2.Response, where: str, who: str) -> Exception:
    status = response.status_code
    if status in {401, 403}:
        return denied(f"the hub answers {status} about {where} ({who})", remedy=_TOKEN)
    if status in {408, 425, 429} or status >= 500:
        return Transient(f"the hub answers {status} about {where}", retry_after=retry_after(response.headers))
    return FetchFailed(
        Reason.UNREACHABLE,
        f"the hub answers {status} about {where}",
        remedy="Check the address and HF_ENDPOINT.",
    )


_TOKEN: Final = (
    "Check the name; a private repository needs HF_TOKEN in the Secret, with the right to read it."  # noqa: S105
)


def _is_below(name: str, path: str) -> bool:
    return not path or name == path or name.startswith(f"{path}/")


def _entry(item: RepoFile, path: str) -> Entry:
    name = item.path.removeprefix(f"{path}/") if path and item.path != path else item.path
    return Entry(
        path=name.rpartition("/")[2] if item.path == path else name,
        size=item.size,
        key=item.path,
        mark=item.blob_id,
        sha256=item.lfs.sha256 if item.lfs else "",
        git_sha1="" if item.lfs else item.blob_id,
    )


class _Transport(httpx2.BaseTransport):
    """huggingface_hub's requests by our client: addresses are checked, the token goes to the hub alone."""

    def __init__(self, web: Web, endpoint: str) -> None:
        self._web = web
        self._origin = httpx2.URL(endpoint)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Without redirects: the client that asks decides on them, and asks here again."""
        headers = {key.lower(): value for key, value in request.headers.items()}
        if (request.url.scheme, request.url.netloc) != (self._origin.scheme, self._origin.netloc):
            headers.pop("authorization", None)
        headers = {
            key: headers[key] for key in ("accept", "authorization", "user-agent", "range") if key in headers
        }
        with self._web.send(request.method, str(request.url), headers, request.read()) as answer:
            kept = {
                key: value
                for key, value in answer.headers.items()
                if key not in {"content-encoding", "transfer-encoding"}
            }
            return httpx2.Response(answer.status, headers=kept, content=answer.read(), request=request)
