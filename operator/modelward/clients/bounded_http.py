"""HTTP with servers that are somebody's: nothing of theirs is kept or followed, and each answer has limits of time and size.

What is compressed is unpacked no further than the limit, either.
"""

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final, TypeVar

import aiohttp

from modelward.analysis.sampled_evidence import MetricsUnknown, Unknown

T = TypeVar("T")

_GZIP_WINDOW: Final = 31
"""zlib's word for "with a gzip header"."""


def bounded_session(
    connector: aiohttp.TCPConnector, headers: Mapping[str, str], timeout: float
) -> aiohttp.ClientSession:
    """A session of which each request takes at most `timeout` seconds. To be made where an event loop runs."""
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=timeout),
        auto_decompress=False,
        trust_env=False,
    )


async def again_if_closed(ask: Callable[[], Awaitable[T]]) -> T:
    """A server may close a kept connection in the moment in which it is used: then a new one is tried."""
    try:
        return await ask()
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
        return await ask()


def refusal(status: int) -> tuple[Unknown, str]:
    """What a status other than 200 means, in words without anything that the server wrote."""
    if 300 <= status < 400:
        return Unknown.REDIRECTED, f"the answer ({status}) points elsewhere, which is never followed"
    if status == HTTPStatus.NOT_FOUND:
        return Unknown.NOT_FOUND, "there is nothing at this path (404)"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return Unknown.UNAUTHORIZED, f"reading is not allowed ({status})"
    return Unknown.HTTP_STATUS, f"the answer is {status} instead of 200"


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
