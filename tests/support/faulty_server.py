"""A server on a free loopback port that answers as it is written, down to the byte: for what real ones do wrong."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

ADDRESS = "127.0.0.1"
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]]
"""Is given the head of each request, the writer, and the reader for the rest."""


@dataclass
class FaultyServer:
    """Where it listens, and the heads of the requests that came."""

    port: int = 0
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0


@asynccontextmanager
async def faulty_server(
    behave: Behaviour, *, address: str = ADDRESS, port: int = 0
) -> AsyncIterator[FaultyServer]:
    """Yield a server that behaves so at every request until the connection is closed."""
    record = FaultyServer()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        record.connections += 1
        if task := asyncio.current_task():
            tasks.add(task)
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                record.heads.append(head)
                await behave(reader, writer, head)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, address, port)
    record.port = server.sockets[0].getsockname()[1]
    try:
        yield record
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answer(
    body: bytes = b"", *, status: str = "200 OK", kind: str = "text/plain", headers: str = ""
) -> Behaviour:
    """One whole answer, the connection kept."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return sent(head.encode() + body)


def sent(data: bytes, *, close: bool = False) -> Behaviour:
    """These bytes, and then, if asked to, the end of the connection."""

    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        writer.write(data)
        if close:
            await writer.drain()
            writer.close()

    return behave


def dripping(head: bytes, piece: bytes, pause: float) -> Behaviour:
    """A head, and then a piece after every pause, for ever."""

    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter, _head: bytes) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return behave


async def hanging(_: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
    """Nothing, for longer than anybody waits."""
    await asyncio.sleep(60)
