"""A proxy between the operator and the API server that does harm by plan. A tool of the tests.

It speaks HTTP/1.1 over TLS with a certificate of its own, for which it makes a kubeconfig. What it hears is passed on
word by word, watches event by event; a plan (see plan.py) is asked about each request, answer and event. It runs in
a thread of its own.
"""

import asyncio
import base64
import contextlib
import itertools
import math
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import yaml
from aiohttp import web
from yarl import URL

from devcluster.certificates import LOOPBACK, Authority
from faults.plan import (
    Answer,
    Delay,
    Double,
    Drop,
    End,
    Fault,
    Frame,
    FrameFault,
    Kill,
    Moment,
    Pass,
    Plan,
    Replace,
    Reply,
    Request,
    Reset,
    Truncate,
)

_ANSWER_SECONDS: Final = 0.01
"""How long the operator may think about an answer before it is killed; what it sends meanwhile is not let through."""
_LINE_LIMIT: Final = 2**23
"""Bytes of one event of a watch."""
_FAREWELL_SECONDS: Final = 0.25
"""What connections with TLS take to be closed, after they were asked to."""
_HOP_BY_HOP: Final = frozenset(
    {
        "host",
        "connection",
        "keep-alive",
        "transfer-encoding",
        "content-length",
        "accept-encoding",
        "content-encoding",
        "te",
        "upgrade",
    }
)


class Proxy:
    """Use as a context manager. `plan` and `kill` may be changed at any time."""

    def __init__(
        self,
        original: Path,
        directory: Path,
        *,
        plan: Plan | None = None,
        kill: Callable[[], None] = lambda: None,
    ) -> None:
        """`original` is the kubeconfig with which the operator would work; `kill` ends the operator at once."""
        self.plan = plan or Plan()
        self.kill = kill
        self.requests: list[Request] = []
        """The mutating ones that were numbered, in order, whatever became of them."""
        self.stored: list[tuple[Request, Answer]] = []
        """The same with the API server's answer, of those that it has answered, in the order of the answers."""
        self.problems: list[BaseException] = []
        """What went wrong in here; raised at the end."""
        self._original = yaml.safe_load(original.read_text(encoding="utf-8"))
        self._server = str(self._original["clusters"][0]["cluster"]["server"])
        self._directory = directory
        self._numbers = itertools.count(1)
        self._dying: asyncio.Event | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner
        self._session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://{LOOPBACK}:{self._runner.addresses[0][1]}"

    @property
    def kubeconfig(self) -> Path:
        """The original one, but this way."""
        return self._directory / "kubeconfig"

    def reset(self, plan: Plan | None = None) -> None:
        """Count from 1 again, with another plan or without faults."""

        async def begin() -> None:
            self.plan = plan or Plan()
            self._numbers = itertools.count(1)
            self.requests = []
            self.stored = []

        self._do(begin())

    def cut(self) -> None:
        """Break all connections that there are."""

        async def abort() -> None:
            self._abort()

        self._do(abort())

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        self._do(self._start())
        self._write_kubeconfig()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self.problems and error is None:
            raise self.problems[0]

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    # --- start and end --------------------------------------------------------------------------------------

    async def _start(self) -> None:
        Authority(self._directory, "ca").issue("proxy", "fault-proxy", hosts=(LOOPBACK,))
        listening = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        listening.load_cert_chain(self._directory / "proxy.crt", self._directory / "proxy.key")
        listening.set_alpn_protocols(["http/1.1"])
        server = self._original["clusters"][0]["cluster"]
        authority = base64.b64decode(server["certificate-authority-data"]).decode()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context(cadata=authority)),
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=_LINE_LIMIT,
            trust_env=False,
        )
        application = web.Application(client_max_size=_LINE_LIMIT)
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(
            application, handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, 0, ssl_context=listening).start()

    async def _stop(self) -> None:
        self._abort()
        await self._runner.cleanup()
        await self._session.close()
        await asyncio.sleep(_FAREWELL_SECONDS)
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def _write_kubeconfig(self) -> None:
        authority = base64.b64encode((self._directory / "ca.crt").read_bytes()).decode()
        cluster = {"server": self.url, "certificate-authority-data": authority}
        named = {**self._original["clusters"][0], "cluster": cluster}
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(yaml.safe_dump({**self._original, "clusters": [named]}), encoding="utf-8")

    def _abort(self) -> None:
        server = self._runner.server
        for connection in server.connections if isinstance(server, web.Server) else ():
            if connection.transport:
                connection.transport.abort()

    # --- one request ----------------------------------------------------------------------------------------

    async def _serve(self, incoming: web.Request) -> web.StreamResponse:
        try:
            return await self._carry(incoming)
        except (aiohttp.ClientError, ConnectionError) as error:
            return web.Response(status=502, text=f"{type(error).__name__}: {error}")
        except Exception as error:
            self.problems.append(error)
            raise

    async def _carry(self, incoming: web.Request) -> web.StreamResponse:
        body = await incoming.read()
        if self._dying and incoming.method != "GET":
            await self._dying.wait()
            return _aborted(incoming)
        request = self._received(incoming, body)
        fault = self.plan.request(request)
        match fault:
            case Kill(moment=Moment.UNSENT):
                self._killed()
                return _aborted(incoming)
            case Reset(stored=False):
                return _aborted(incoming)
            case Reply(answer=answer):
                return _response(answer)
            case Delay(stored=False, seconds=seconds):
                await asyncio.sleep(_finite(seconds))
        if request.watches:
            return await self._stream(incoming, request, fault)
        answer = await asyncio.shield(self._asked(request))
        return await self._answered(incoming, self.plan.answer(request, answer), fault)

    def _received(self, incoming: web.Request, body: bytes) -> Request:
        headers = {key: value for key, value in incoming.headers.items() if key.lower() not in _HOP_BY_HOP}
        request = Request(
            method=incoming.method,
            path=incoming.path,
            target=incoming.raw_path,
            query=dict(incoming.query),
            headers=headers,
            body=body,
            arrived=time.monotonic(),
        )
        if self.plan.counts(request):
            request = replace(request, number=next(self._numbers))
            self.requests.append(request)
        return request

    async def _asked(self, request: Request) -> Answer:
        """What the API server says. Once it has begun it is carried out, whatever becomes of the operator."""
        async with self._session.request(
            request.method, self._behind(request), headers=request.headers, data=request.body or None
        ) as response:
            answer = Answer(status=response.status, headers=_kept(response), body=await response.read())
        if request.number:
            self.stored.append((request, answer))
        return answer

    async def _answered(self, incoming: web.Request, answer: Answer, fault: Fault) -> web.StreamResponse:
        match fault:
            case Kill(moment=Moment.STORED):
                self._killed()
                return _aborted(incoming)
            case Reset():
                return _aborted(incoming)
            case Delay(stored=True, seconds=seconds):
                await asyncio.sleep(_finite(seconds))
        response = _response(answer)
        if not isinstance(fault, Kill):
            return response
        self._dying = asyncio.Event()
        await response.prepare(incoming)
        await response.write_eof()
        await asyncio.sleep(_ANSWER_SECONDS)
        self._killed()
        return response

    def _killed(self) -> None:
        """End the operator, and what it still had to say."""
        self.kill()
        self._abort()
        if self._dying:
            self._dying.set()
            self._dying = None

    def _behind(self, request: Request) -> URL:
        return URL(self._server + request.target, encoded=True)

    # --- watches --------------------------------------------------------------------------------------------

    async def _stream(self, incoming: web.Request, request: Request, fault: Fault) -> web.StreamResponse:
        async with self._session.get(self._behind(request), headers=request.headers) as upstream:
            outgoing = web.StreamResponse(status=upstream.status, headers=_kept(upstream))
            await outgoing.prepare(incoming)
            if isinstance(fault, Reset):
                return _aborted(incoming)
            if isinstance(fault, Delay) and fault.stored:
                await asyncio.sleep(_finite(fault.seconds))
            number = 0
            async for line in upstream.content:
                number += 1
                frame = Frame(line, number)
                if not await _sent(outgoing, frame, self.plan.frame(request, frame)):
                    break
            with contextlib.suppress(ConnectionError):
                await outgoing.write_eof()
            return outgoing


async def _sent(outgoing: web.StreamResponse, frame: Frame, fault: FrameFault) -> bool:
    """Whether the stream goes on."""
    match fault:
        case Drop():
            lines: tuple[bytes, ...] = ()
        case Double():
            lines = (frame.line, frame.line)
        case Replace(lines=other):
            lines = other
        case Truncate():
            lines = (frame.line[: len(frame.line) // 2],)
        case End():
            return False
        case Delay(seconds=seconds):
            await asyncio.sleep(_finite(seconds))
            lines = (frame.line,)
        case Pass():
            lines = (frame.line,)
    for line in lines:
        await outgoing.write(line)
    return not isinstance(fault, Truncate)


def _finite(seconds: float) -> float:
    """What a sleep takes for "never": a year."""
    return seconds if math.isfinite(seconds) else 3.2e7


def _kept(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {key: value for key, value in response.headers.items() if key.lower() not in _HOP_BY_HOP}


def _response(answer: Answer) -> web.Response:
    headers = {key: value for key, value in answer.headers.items() if key.lower() not in _HOP_BY_HOP}
    return web.Response(status=answer.status, headers=headers, body=answer.body)


def _aborted(incoming: web.Request) -> web.StreamResponse:
    """No answer: the connection is reset."""
    if incoming.transport:
        incoming.transport.abort()
    raise asyncio.CancelledError
