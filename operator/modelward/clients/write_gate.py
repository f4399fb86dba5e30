"""The write gate: who does not lead, or cannot know whether it still does, sends nothing that changes the cluster.

The gate stands where bytes leave the process. A check further up would be early by as long as a connection
takes to be made, and the HTTP library repeats some requests by itself on a new connection.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import Connection

from modelward.clients.clock import boot_seconds
from modelward.errors import NotLeader

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(slots=True)
class Gate:
    """Open until a deadline that its leader moves on; shut at first."""

    clock: Callable[[], float] = boot_seconds
    _until: float = -math.inf

    def open(self, until: float = math.inf) -> None:
        """Let writes through until that time of `clock`."""
        self._until = until

    def shut(self) -> None:
        """Let none through from now on."""
        self._until = -math.inf

    def left(self) -> float:
        """Seconds for which it stays open; none or less when it is shut."""
        return self._until - self.clock()

    def check(self) -> None:
        """Pass, or raise NotLeader."""
        if self.left() <= 0:
            raise NotLeader(
                "not sent: this process does not hold the lease, or cannot know whether it still does"
            )


def guarded(check: Callable[[], None]) -> type[aiohttp.ClientRequest]:
    """A request of aiohttp that asks `check` at the last moment before it is written to its connection."""

    class GuardedRequest(aiohttp.ClientRequest):
        async def send(self, conn: Connection) -> aiohttp.ClientResponse:
            """Begin: a connection is there. Nothing is written yet if the request has a body."""
            if self.method not in _READING:
                check()
            return await super().send(conn)

        async def write_bytes(self, writer: AbstractStreamWriter, conn: Connection, *rest: Any) -> None:
            """Write headers and body. A task of its own: others may have run since `send`."""
            try:
                if self.method not in _READING:
                    check()
            except NotLeader as error:
                if conn.protocol is not None:
                    conn.protocol.set_exception(error)
                return
            await super().write_bytes(writer, conn, *rest)

    return GuardedRequest
