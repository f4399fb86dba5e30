"""Sessions with servers that are somebody's: nothing of theirs is kept, followed or unpacked, and none is waited for long."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import aiohttp

T = TypeVar("T")


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
