"""https://: one file from any server; ranges where it has them and says by a strong mark which content they are of."""

from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from modelward_fetch.addresses import guard_for
from modelward_fetch.credentials import Credentials
from modelward_fetch.failures import FetchFailed, Reason, SourceChanged, Transient
from modelward_fetch.limits import Limits
from modelward_fetch.names import safe_path
from modelward_fetch.sources.base import Entry, Identity, Listing
from modelward_fetch.uri import Location
from modelward_fetch.web import Answer, Web, check, shown

SETTLED_SECONDS: Final = 60.0
"""A time of modification that old when it is reported is a mark: nothing was written in the same second since."""


class HttpsSource:
    """A file. The address may be a signed one: its query is sent, and shown nowhere."""

    def __init__(
        self, at: Location, credentials: Credentials, limits: Limits, plain_hosts: frozenset[str]
    ) -> None:
        self._at = at
        self._url = f"{'http' if at.plain else 'https'}://{at.authority}/{at.path}"
        credentials.redactor.add(urlsplit(self._url).query)
        self._authorization = credentials.basic()
        if credentials["token"]:
            self._authorization = f"Bearer {credentials['token']}"
        self._web = Web(
            guard_for(self._url, plain_hosts),
            ca=credentials.ca_bundle(),
            stall_seconds=limits.stall_seconds,
            redirects=limits.redirects,
        )

    def resolve(self) -> Listing:
        """One entry, with what the server says of it."""
        name = unquote(PurePosixPath(urlsplit(self._url).path).name)
        if not name:
            raise FetchFailed(
                Reason.INVALID_URI,
                "https has no folders: the address must end with the name of a file",
                remedy="Name one file; put several into a .tar.gz or .zip, which is unpacked.",
            )
        entry = self._described(str(safe_path(name)))
        return Listing(resolved=self._at, entries=(entry,), identity=Identity.MUTABLE, is_single=True)

    def read(self, entry: Entry, start: int, end: int | None) -> Iterator[bytes]:
        """A range if the server has ranges, else the whole."""
        headers = ranged(start, end) if entry.resumable else {}
        if entry.mark and entry.resumable:
            headers["if-range"] = entry.mark
        with self._web.get(self._url, headers, authorize=self._authorize) as answer:
            check(answer)
            if entry.mark and mark_of(answer.headers) != entry.mark:
                raise SourceChanged("the file on the server is another one now")
            if entry.resumable:
                check_range(answer, start, end, entry.size)
            elif not _tells_its_end(answer.headers):
                raise FetchFailed(
                    Reason.UNREACHABLE,
                    f"{shown(self._url)} does not say how long the file is, so nobody could see that it was cut",
                    remedy="Serve it with Content-Length, or by chunks.",
                )
            yield from answer.chunks()

    def close(self) -> None:
        """Ends connections."""
        self._web.close()

    def _described(self, path: str) -> Entry:
        """Asked by GET for one byte: signed addresses are signed for GET, and servers differ about HEAD."""
        with self._web.get(self._url, {"range": "bytes=0-0"}, authorize=self._authorize) as answer:
            if answer.status == 416:  # nothing to take a byte of
                return Entry(path=path, size=0, mark=mark_of(answer.headers), resumable=False)
            check(answer)
            mark = mark_of(answer.headers)
            if answer.status == 206:
                return Entry(path=path, size=total_of(answer), mark=mark, resumable=bool(mark))
            length = answer.headers.get("content-length", "")
            size = int(length) if length.isdecimal() else None
            return Entry(path=path, size=size, mark=mark, resumable=False)

    def _authorize(self, _url: str) -> str:
        return self._authorization


def _tells_its_end(headers: Mapping[str, str]) -> bool:
    return "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower()


def ranged(start: int, end: int | None) -> dict[str, str]:
    """Header Range."""
    return {"range": f"bytes={start}-{'' if end is None else end - 1}"}


def mark_of(headers: Mapping[str, str]) -> str:
    """What can stand in If-Range: a strong ETag, or a time of modification that is settled; else empty."""
    etag = headers.get("etag", "")
    if etag.startswith('"'):
        return etag
    modified, now = headers.get("last-modified", ""), headers.get("date", "")
    try:
        age = parsedate_to_datetime(now) - parsedate_to_datetime(modified)
    except (TypeError, ValueError):
        return ""
    return modified if age.total_seconds() >= SETTLED_SECONDS else ""


def total_of(answer: Answer) -> int:
    """The size of the file by Content-Range. Raises Transient where there is none."""
    total = answer.headers.get("content-range", "").rpartition("/")[2]
    if not total.isdecimal():
        raise Transient(f"{shown(answer.url)} answers a range without saying of how much")
    return int(total)


def check_range(answer: Answer, start: int, end: int | None, size: int | None) -> None:
    """Raises SourceChanged, Transient where the answer is not the range that was asked for."""
    if answer.status == 200:  # If-Range did not hold
        raise SourceChanged(f"{shown(answer.url)} has another content now")
    last = (size if end is None else end) or 0
    wanted = f"bytes {start}-{last - 1}/{size}"
    if size is not None and answer.headers.get("content-range", "").strip() != wanted:
        raise Transient(f"{shown(answer.url)} answers another range than was asked for")


def part_of(answer: Answer, start: int, end: int | None, size: int | None) -> Iterator[bytes]:
    """The bytes that were asked for, also of a server that has no ranges and sends the whole each time.

    For contents that a digest, commit or version names, so that no mark is needed. Raises SourceChanged, Transient.
    """
    if answer.status == 206:
        check_range(answer, start, end, size)
        yield from answer.chunks()
        return
    offset, stop = 0, size if end is None else end
    for chunk in answer.chunks():
        piece = chunk[max(start - offset, 0) : None if stop is None else max(stop - offset, 0)]
        offset += len(chunk)
        if piece:
            yield piece
        if stop is not None and offset >= stop:
            return
