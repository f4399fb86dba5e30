"""A Prometheus that fails: under each fault's name as a path it is a server of its own, which fails until it is repaired.

One port serves all of them, so that a single operator follows a rollout under every fault at once. `Refused` has a
port apart, on which nobody listens before it is repaired.
"""

import asyncio
import gzip
import json
import math
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from support.little_prometheus import LittlePrometheus, Timeseries

HEALTHY: Final = "healthy"
REFUSED: Final = "refused"
SCRAPE_SECONDS: Final = 0.5
TIMEOUT_SECONDS: Final = 2.0
"""What the operator is asked to wait; a slow answer takes longer."""
_BODY: Final = 9 * 1024 * 1024
_STALE_SECONDS: Final = 120.0
_FALLS: Final = 1_000_000
Answer = Callable[[web.Request, LittlePrometheus], Awaitable[web.StreamResponse]]
Change = Callable[[Timeseries], list[Timeseries]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way to fail, and words by which a person learns of it."""

    words: str
    answer: Answer | None = None
    """Instead of the server's own; None for the server's own."""
    change: Change | None = None
    """What becomes of each series of the canary."""


@dataclass(slots=True)
class _Place:
    fault: Fault | None
    server: LittlePrometheus = field(default_factory=LittlePrometheus)
    good: list[Timeseries] = field(default_factory=list)
    """What it would hold without the fault."""
    struck: int = 0
    """Questions that the fault was the answer to, once it had series to spoil."""


class FailingPrometheus:
    """All servers, on an event loop in a thread. Use `failing_prometheus`."""

    def __init__(self, faults: Mapping[str, Fault]) -> None:
        """One server by each fault's name, and one that never fails."""
        self._places = {HEALTHY: _Place(None)} | {name: _Place(fault) for name, fault in faults.items()}
        self._loop = asyncio.new_event_loop()
        self._sockets = {name: _bound() for name in (HEALTHY, REFUSED)}
        self._runner = web.AppRunner(self._application(), access_log=None)

    def url(self, name: str) -> str:
        """Address of the server that fails so."""
        port = self._sockets[REFUSED if name == REFUSED else HEALTHY].getsockname()[1]
        return f"http://127.0.0.1:{port}/{name}"

    def holds(self, name: str, canary: list[Timeseries], stable: list[Timeseries]) -> None:
        """Give a server its series; the canary's are as the fault has them."""
        place = self._places[name]
        change = place.fault.change if place.fault else None
        place.good = [*canary, *stable]
        place.server.series = [*(each for one in canary for each in (change or _as_it_is)(one)), *stable]

    def struck(self, name: str) -> int:
        """How often the fault had its way."""
        return self._places[name].struck

    def repair(self) -> None:
        """From now on none fails."""
        for place in self._places.values():
            place.fault = None
            place.server.series = place.good
        asyncio.run_coroutine_threadsafe(self._listen(REFUSED), self._loop).result()

    def run(self) -> None:
        """Serve until `stop`; the thread's own."""
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._runner.setup())
        self._loop.run_until_complete(self._listen(HEALTHY))
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())
        self._loop.close()

    def stop(self) -> None:
        """End `run`."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    def close(self) -> None:
        """Give the ports back."""
        for each in self._sockets.values():
            each.close()

    async def _listen(self, name: str) -> None:
        await web.SockSite(self._runner, self._sockets[name]).start()

    def _application(self) -> web.Application:
        application = web.Application()
        application.add_routes([web.post("/{name}/api/v1/{call}", self._serve)])
        return application

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        place = self._places[request.match_info["name"]]
        place.struck += bool(place.fault and place.good)
        if place.fault and place.fault.answer:
            return await place.fault.answer(request, place.server)
        return await _true(request, place.server)


@contextmanager
def failing_prometheus(faults: Mapping[str, Fault]) -> Iterator[FailingPrometheus]:
    """Yield the servers, while they serve."""
    servers = FailingPrometheus(faults)
    thread = threading.Thread(target=servers.run, daemon=True)
    thread.start()
    try:
        yield servers
    finally:
        servers.stop()
        thread.join()
        servers.close()


def requests(namespace: str, pod: str, *, per_second: float, error_share: float) -> list[Timeseries]:
    """Counters of a pod that has answered so many requests a second since an hour ago, some of them badly."""
    began = time.time() - 3600
    own = {"__name__": "requests_total", "namespace": namespace, "pod": pod, "job": "pods", "instance": pod}

    def counter(rate: float) -> Callable[[float], float]:
        return lambda at: math.floor(max(0.0, at - began) * rate)

    return [
        Timeseries(
            labels=own | {"code": code},
            value=counter(per_second * share),
            every=SCRAPE_SECONDS,
        )
        for code, share in (("200", 1 - error_share), ("500", error_share))
    ]


def _bound() -> socket.socket:
    """A socket with an address, on which nobody listens yet."""
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    return made


async def _true(request: web.Request, server: LittlePrometheus) -> web.Response:
    instant = request.match_info["call"] == "query"
    return await (server.instant(request) if instant else server.range(request))


def _status(code: int, text: str = "no", **headers: str) -> Answer:
    async def answer(_request: web.Request, _server: LittlePrometheus) -> web.StreamResponse:
        return web.Response(status=code, text=text, headers=headers)

    return answer


def _page(body: bytes, kind: str, **headers: str) -> Answer:
    async def answer(_request: web.Request, _server: LittlePrometheus) -> web.StreamResponse:
        return web.Response(body=body, content_type=kind, headers=headers)

    return answer


def _json(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Answer:
    """The server's own answer, changed."""

    async def answer(request: web.Request, server: LittlePrometheus) -> web.StreamResponse:
        true = await _true(request, server)
        return web.json_response(change(json.loads(true.text or "{}")))

    return answer


async def _slow(_request: web.Request, _server: LittlePrometheus) -> web.StreamResponse:
    await asyncio.sleep(3 * TIMEOUT_SECONDS)
    return web.Response(text="too late")


async def _reset(request: web.Request, _server: LittlePrometheus) -> web.StreamResponse:
    if request.transport:
        request.transport.abort()
    return web.Response()


async def _cut(request: web.Request, server: LittlePrometheus) -> web.StreamResponse:
    """Half of what the header promises, then the end of the connection."""
    body = (await _true(request, server)).body
    assert isinstance(body, bytes)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    if request.transport:
        request.transport.write(head.encode() + body[: len(body) // 2])
        request.transport.close()
    return web.Response()


async def _elsewhere(request: web.Request, _server: LittlePrometheus) -> web.StreamResponse:
    """A redirect to where the truth is: whoever follows it gets good answers."""
    raise web.HTTPTemporaryRedirect(f"/{HEALTHY}/api/v1/{request.match_info['call']}")


def _as_it_is(series: Timeseries) -> list[Timeseries]:
    return [series]


def _valued(value: Callable[[Timeseries, float], float]) -> Change:
    return lambda series: [_like(series, value=lambda at: value(series, at))]


def _like(series: Timeseries, **changes: Any) -> Timeseries:
    kept = {"labels": series.labels, "value": series.value, "every": series.every}
    return Timeseries(**{**kept, **changes})


def _nothing(_series: Timeseries) -> list[Timeseries]:
    return []


def _old(series: Timeseries) -> list[Timeseries]:
    """Nobody has scraped it for long, and nobody has said that it ended."""
    return [_like(series, last=time.time() - _STALE_SECONDS, stuck=True)]


def _twice(series: Timeseries) -> list[Timeseries]:
    """Another job scrapes the same pod."""
    return [series, _like(series, labels={**series.labels, "job": "again"})]


def _of_another(series: Timeseries) -> list[Timeseries]:
    """What the canary's series were in the revision before: the names of its pods are others."""
    return [_like(series, labels={**series.labels, "pod": "gone-" + series.labels["pod"]})]


def _no_series(answer: dict[str, Any]) -> dict[str, Any]:
    answer["data"]["result"] = []
    return answer


def _histograms(answer: dict[str, Any]) -> dict[str, Any]:
    for series in answer["data"]["result"]:
        series["histogram"] = [0, {"count": "1", "sum": "1"}]
    return answer


def _typed(kind: str, result: Any) -> Answer:
    return _json(lambda _: {"status": "success", "data": {"resultType": kind, "result": result}})


_UNREACHABLE: Final = "no connection"
_NO_JSON: Final = "not Prometheus' JSON"
_NO_COUNT: Final = "requests_total"
FAULTS: Final[Mapping[str, Fault]] = {
    REFUSED: Fault(words=_UNREACHABLE),
    "slow": Fault(words="no whole answer within", answer=_slow),
    "reset": Fault(words=_UNREACHABLE, answer=_reset),
    "cut": Fault(words=_UNREACHABLE, answer=_cut),
    "unauthorized": Fault(words="reading is not allowed (401)", answer=_status(401)),
    "forbidden": Fault(words="reading is not allowed (403)", answer=_status(403)),
    "not-found": Fault(words="nothing at this path (404)", answer=_status(404)),
    "busy": Fault(words="429", answer=_status(429, **{"Retry-After": "3600"})),
    "broken": Fault(words="500", answer=_status(500)),
    "unavailable": Fault(words="503", answer=_status(503, "<html>")),
    "redirect": Fault(words="points elsewhere", answer=_elsewhere),
    "html": Fault(words=_NO_JSON, answer=_page(b"<html>welcome</html>", "text/html")),
    "no-body": Fault(words=_NO_JSON, answer=_page(b"", "application/json")),
    "huge": Fault(words="larger than", answer=_page(b"[" * _BODY, "application/json")),
    "bomb": Fault(
        words="larger than",
        answer=_page(gzip.compress(b"[" * _BODY), "application/json", **{"Content-Encoding": "gzip"}),
    ),
    "brotli": Fault(
        words="compressed in a way", answer=_page(b"x", "application/json", **{"Content-Encoding": "br"})
    ),
    "empty": Fault(words=_NO_COUNT, answer=_json(_no_series)),
    "scalar": Fault(words="wrong type", answer=_typed("scalar", [0, "1"])),
    "words": Fault(
        words="values that are none", answer=_typed("vector", [{"metric": {}, "value": [0, "many"]}])
    ),
    "histogram": Fault(words="native histogram", answer=_json(_histograms)),
    "warnings": Fault(words="with warnings", answer=_json(lambda found: {**found, "warnings": ["partial"]})),
    "refused-query": Fault(
        words="refused (bad_data)",
        answer=_json(lambda _: {"status": "error", "errorType": "bad_data", "error": "no"}),
    ),
    "absent": Fault(words=_NO_COUNT, change=_nothing),
    "nan": Fault(words="errors", change=_valued(lambda _series, _at: math.nan)),
    "infinite": Fault(words="errors", change=_valued(lambda _series, _at: math.inf)),
    "minus-infinite": Fault(words="errors", change=_valued(lambda _series, _at: -math.inf)),
    "negative": Fault(words="errors", change=_valued(lambda series, at: -series.value(at))),
    "stale": Fault(words="old", change=_old),
    "twice": Fault(words="more than once", change=_twice),
    "previous-revision": Fault(words=_NO_COUNT, change=_of_another),
    "falling": Fault(
        words="fall and rise again",
        change=_valued(lambda series, at: max(0.0, _FALLS - series.value(at) % _FALLS)),
    ),
}
"""By name."""
