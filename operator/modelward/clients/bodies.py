"""The body of an answer, up to a limit: what is compressed is unpacked no further than that, either."""

import zlib
from collections.abc import AsyncIterator, Mapping
from typing import Final

from modelward.analysis.sampled_evidence import MetricsUnknown, Unknown

_GZIP_WINDOW: Final = 31
"""zlib's word for "with a gzip header"."""


async def bounded_body(headers: Mapping[str, str], chunks: AsyncIterator[bytes], limit: int) -> bytes:
    """The body of raw `chunks`, unpacked, at most `limit` bytes.

    Raises MetricsUnknown: it is too large, or packed in another way than was asked for.
    """
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"", "identity", "gzip"}:
        raise MetricsUnknown(Unknown.NOT_METRICS, "the answer is compressed in a way that was not asked for")
    length = headers.get("Content-Length", "")
    if length.isascii() and length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    return await (_unpacked(chunks, limit) if encoding == "gzip" else _plain(chunks, limit))


async def _plain(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


async def _unpacked(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    """A few KiB unpack to gigabytes if one lets them; so each step has a limit of what it may write."""
    body, unpacker = bytearray(), zlib.decompressobj(wbits=_GZIP_WINDOW)
    try:
        async for chunk in chunks:
            body += unpacker.decompress(chunk, limit + 1 - len(body))
            if len(body) > limit:
                raise _too_large(limit)
            if unpacker.eof:
                break
    except zlib.error as error:
        raise MetricsUnknown(Unknown.NOT_METRICS, "the answer says gzip and is something else") from error
    if not unpacker.eof:
        raise MetricsUnknown(Unknown.NOT_METRICS, "the answer ends in the middle")
    return bytes(body)


def _too_large(limit: int) -> MetricsUnknown:
    return MetricsUnknown(Unknown.TOO_LARGE, f"the answer is larger than {limit // 1024} KiB")
