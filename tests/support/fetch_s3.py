"""S3's wire format on a server that misbehaves: listing by pages, HEAD, ranges, If-Match."""

import hashlib
import itertools
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from support.fetch_site import Handler, Page, Site

PAGE_KEYS = 1000


class Objects:
    """Objects of the bucket `models`; the server's faults are those of `Page`."""

    def __init__(self, site: Site, objects: dict[str, bytes], **faults: Any) -> None:
        self._objects = dict(sorted(objects.items()))
        self._keys = list(self._objects)
        self._faults = Page(**faults)
        self._change: tuple[int, str, bytes] | None = None
        self._reads = itertools.count(1)
        site.apis.append(self._answer)

    def change_after(self, reads: int, key: str, content: bytes) -> None:
        """Overwrite an object when so many reads have begun."""
        self._change = (reads, key, content)

    def _answer(self, handler: Handler) -> bool:
        split = urlsplit(handler.path)
        query = {key: values[0] for key, values in parse_qs(split.query, keep_blank_values=True).items()}
        if query.get("list-type") == "2":
            handler.answer(200, {"Content-Type": "application/xml"}, self._listed(query).encode())
            return True
        key = unquote(split.path).removeprefix("/models/")
        if key not in self._objects:
            handler.answer(404, {}, b"<Error><Code>NoSuchKey</Code></Error>")
            return True
        if handler.command == "HEAD":
            self._head(handler, self._objects[key])
            return True
        return self._get(handler, key)

    def _get(self, handler: Handler, key: str) -> bool:
        if self._change and next(self._reads) == self._change[0]:
            self._objects[self._change[1]] = self._change[2]
        content = self._objects[key]
        if handler.headers.get("if-match", etag(content)) != etag(content):
            handler.answer(412, {}, b"<Error><Code>PreconditionFailed</Code></Error>")
            return True
        handler.give(self._faults, content, etag(content))
        return True

    def _head(self, handler: Handler, content: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.send_header("ETag", etag(content))
        handler.send_header("Last-Modified", "Mon, 30 Nov 2026 10:00:00 GMT")
        handler.end_headers()

    def _listed(self, query: dict[str, str]) -> str:
        start = int(query.get("continuation-token", "0"))
        prefix = query.get("prefix", "")
        keys = [key for key in self._keys[start : start + PAGE_KEYS] if key.startswith(prefix)]
        more = start + PAGE_KEYS < len(self._keys)
        said = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self._objects[key])}</Size>"
            f"<ETag>{etag(self._objects[key])}</ETag><LastModified>2026-11-30T10:00:00.000Z</LastModified></Contents>"
            for key in keys
        )
        token = f"<NextContinuationToken>{start + PAGE_KEYS}</NextContinuationToken>" if more else ""
        return (
            f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}"
            f"<KeyCount>{len(keys)}</KeyCount>{said}</ListBucketResult>"
        )


def etag(content: bytes) -> str:
    """As S3 makes it of an object that was put at once."""
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
