"""The write gate: what it lets through, and that nothing leaves the process while it is shut."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from modelward.clients.write_gate import Gate, guarded
from modelward.errors import NotLeader

WRITES = ["POST", "PUT", "PATCH", "DELETE"]


@dataclass
class Clock:
    """Stands still until it is set."""

    now: float = 100.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def test_a_new_gate_is_shut() -> None:
    """Nobody has taken a lease yet."""
    with pytest.raises(NotLeader):
        Gate().check()


@pytest.mark.parametrize(
    ("until", "now", "passes"),
    [
        pytest.param(110.0, 109.9, True, id="before the deadline"),
        pytest.param(110.0, 110.0, False, id="at the deadline"),
        pytest.param(110.0, 5000.0, False, id="after a long sleep"),
        pytest.param(math.inf, 5000.0, True, id="for ever, without election"),
    ],
)
def test_a_gate_is_open_until_its_deadline(until: float, now: float, passes: bool) -> None:  # noqa: FBT001
    """It shuts by itself: a process that slept need not be reported."""
    clock = Clock()
    gate = Gate(clock=clock)
    gate.open(until)
    clock.now = now
    if passes:
        gate.check()
    else:
        with pytest.raises(NotLeader):
            gate.check()


def test_a_gate_can_be_shut_early() -> None:
    """Who stops or has lost the lease writes no more, whatever the deadline was."""
    gate = Gate(clock=Clock())
    gate.open(1000.0)
    gate.shut()
    assert gate.left() < 0


@dataclass
class Server:
    """Counts the bytes that come in, and answers as a well-behaved server would."""

    url: str = ""
    received: list[str] = field(default_factory=list)
    connections: int = 0
    hangs_up: bool = False
    """End the connection at the next request instead of answering it."""

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, with as many requests as come."""
        self.connections += 1
        try:
            while line := await reader.readline():
                self.received.append(line.decode().split()[0])
                length = 0
                while (header := await reader.readline()).strip():
                    name, _, value = header.decode().partition(":")
                    length = int(value) if name.lower() == "content-length" else length
                await reader.readexactly(length)
                if self.hangs_up:
                    self.hangs_up = False
                    return
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                await writer.drain()
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server on the loopback."""
    made = Server()
    listening = await asyncio.start_server(made.connected, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    yield made
    listening.close()


def session(check: Callable[[], None]) -> aiohttp.ClientSession:
    """A session behind a gate."""
    return aiohttp.ClientSession(request_class=guarded(check), timeout=aiohttp.ClientTimeout(total=5))


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("body", [None, "{}"], ids=["without a body", "with a body"])
async def test_nothing_is_sent_while_shut(server: Server, method: str, body: str | None) -> None:
    """Not a byte of it reaches the server; reading stays allowed."""
    async with session(Gate().check) as client:
        with pytest.raises(NotLeader):
            await client.request(method, server.url, data=body)
        async with client.get(server.url) as answer:
            assert answer.status == web.HTTPOk.status_code
    assert server.received == ["GET"]


@pytest.mark.parametrize("method", WRITES)
async def test_an_open_gate_changes_nothing(server: Server, method: str) -> None:
    """The request goes out whole, and is answered."""
    gate = Gate()
    gate.open()
    async with session(gate.check) as client, client.request(method, server.url, data="{}") as answer:
        assert await answer.text() == "{}"
    assert server.received == [method]


async def test_asked_again_when_the_bytes_are_written(server: Server) -> None:
    """The lease runs out after the connection is there, before anything was written."""
    asked = 0

    def check() -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise NotLeader("too late")

    async with session(check) as client:
        with pytest.raises(NotLeader):
            await client.patch(server.url, data="{}")
    assert (server.connections, server.received) == (1, [])


async def test_the_library_s_own_second_attempt_is_gated_too(server: Server) -> None:
    """aiohttp repeats a DELETE by itself when a kept connection has gone; the lease may have gone meanwhile."""
    gate = Gate()
    gate.open()
    async with session(gate.check) as client:
        async with client.get(server.url):
            pass
        server.hangs_up = True
        server_hung_up = len(server.received) + 1
        deleting = asyncio.ensure_future(client.delete(server.url, data="{}"))
        while len(server.received) < server_hung_up:  # noqa: ASYNC110 - not a moment later
            await asyncio.sleep(0)
        gate.shut()
        with pytest.raises(NotLeader):
            await deleting
    assert server.received == ["GET", "DELETE"]
