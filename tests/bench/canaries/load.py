"""A constant load: half of it by clients that keep their connections, half on a new connection each time.

Requests are sent when they are due, however long answers take, so a slow model does not lower the load.
"""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import aiohttp

from demo.traffic import REQUEST

KEPT_CLIENTS: Final = 6
KEPT_SECONDS: Final = 10.0
"""After so long a client begins with a new connection, as pools of connections do."""
TIMEOUT_SECONDS: Final = 10.0
SERVER_ERROR: Final = 500
_BODY: Final = json.dumps(REQUEST)
_HEADERS: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one request."""

    ended: float
    """Monotonic seconds."""
    kept: bool
    """Sent by a client that keeps its connection."""
    revision: str = ""
    """Who answered; empty: no model server did."""
    status: int = 0
    trouble: str = ""

    @property
    def lost(self) -> bool:
        """Whether no model server answered: refused, reset, too late, or turned away by the gateway."""
        return not self.revision

    @property
    def failed(self) -> bool:
        """Whether the user did not get what was asked for."""
        return self.lost or self.status >= SERVER_ERROR


@dataclass(slots=True)
class Load:
    """So many requests a second on a model, while an `async with` block runs."""

    url: str
    model: str
    rps: float
    host: str = ""
    """Host name of a route; empty for a Service."""
    answers: list[Answer] = field(default_factory=list)
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    _open: set["asyncio.Task[None]"] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        """Begin."""
        kept = [self._keep(number) for number in range(KEPT_CLIENTS)]
        self._tasks = [asyncio.create_task(each) for each in (*kept, self._anew())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; what is on its way is awaited."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def of(self, revision: str, *, kept: bool | None = None) -> list[Answer]:
        """The answers of a revision, all or those by clients that keep their connections or not."""
        return [each for each in self.answers if each.revision == revision and kept in {None, each.kept}]

    async def _keep(self, number: int) -> None:
        """One client that keeps its connection for a while."""
        pause = 2 * KEPT_CLIENTS / self.rps
        await asyncio.sleep(pause * number / KEPT_CLIENTS)
        life = (
            KEPT_SECONDS * (1 + number) / KEPT_CLIENTS
        )  # the first lives differ, so that not all end at once
        while True:
            async with self._session(aiohttp.TCPConnector(limit=0)) as session:
                await self._paced(pause, time.monotonic() + life, lambda: self._one(session, kept=True))
            life = KEPT_SECONDS

    async def _anew(self) -> None:
        """All requests that open a connection of their own."""
        async with self._session(aiohttp.TCPConnector(limit=0, force_close=True)) as session:
            await self._paced(2 / self.rps, float("inf"), lambda: self._one(session, kept=False))

    async def _paced(self, pause: float, end: float, send: Callable[[], asyncio.Future[None]]) -> None:
        """Send every `pause` seconds until `end`, then wait for the answers that are due."""
        began, sent = time.monotonic(), set()
        try:
            for number in itertools.count():
                due = began + number * pause
                if due > end:
                    break
                await asyncio.sleep(due - time.monotonic())
                request = send()
                sent.add(request)
                request.add_done_callback(sent.discard)
        finally:
            await asyncio.gather(*sent, return_exceptions=True)

    def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        headers = _HEADERS | ({"Host": self.host} if self.host else {})
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        return aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout)

    def _one(self, session: aiohttp.ClientSession, *, kept: bool) -> asyncio.Future[None]:
        return asyncio.ensure_future(self._send(session, kept=kept))

    async def _send(self, session: aiohttp.ClientSession, *, kept: bool) -> None:
        url = f"{self.url}/v2/models/{self.model}/infer"
        try:
            async with session.post(url, data=_BODY) as response:
                await response.read()
                revision = response.headers.get("X-Model-Revision", "")
                trouble = "" if revision else f"HTTP {response.status}"
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            revision, status, trouble = "", 0, f"{type(error).__name__}: {error}"
        self.answers.append(
            Answer(ended=time.monotonic(), kept=kept, revision=revision, status=status, trouble=trouble)
        )


async def first_answer(url: str, model: str, host: str = "", patience: float = 60.0) -> None:
    """Wait until the model answers. Raises TimeoutError."""
    headers = {"Host": host} if host else {}
    async with asyncio.timeout(patience):
        while True:
            timeout = aiohttp.ClientTimeout(total=2)
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                async with (
                    aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
                    session.get(f"{url}/v2/models/{model}/ready") as response,
                ):
                    if response.ok:
                        return
            await asyncio.sleep(0.2)
