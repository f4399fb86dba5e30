"""A server with Prometheus' HTTP API, for the few queries that the operator puts: `op by (labels) (selector)`.

Values come from a function of time, so that a query of the past is possible. Staleness is Prometheus' own: the
newest point of the last five minutes counts, and a series that has ended is absent at once.
"""

import asyncio
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import promql_parser
import re2
from aiohttp import web

LOOKBACK_SECONDS = 300
_REDUCE: dict[str, Callable[[list[float]], float]] = {
    "sum": math.fsum,
    "max": max,
    "min": min,
    "count": lambda values: float(len(values)),
    "avg": lambda values: math.fsum(values) / len(values),
}

Vector = dict[tuple[tuple[str, str], ...], float]
"""Values by labels."""
Evaluated = Callable[[float], Vector]


@dataclass(frozen=True, kw_only=True)
class Timeseries:
    """One series: its labels, its value at the time of a scrape, and when it is scraped."""

    labels: Mapping[str, str]
    value: Callable[[float], float]
    every: float = 15.0
    offset: float = 0.0
    first: float = -math.inf
    last: float = math.inf
    stuck: bool = False
    """Nobody marked it as ended: its last point stays for five minutes."""

    def point(self, at: float) -> tuple[float, float] | None:
        """Time and value of the newest scrape that counts at a time."""
        scraped = math.floor((min(at, self.last) - self.offset) / self.every) * self.every + self.offset
        if scraped < self.first or at - scraped > LOOKBACK_SECONDS:
            return None
        if at > self.last + self.every and not self.stuck:
            return None
        return scraped, self.value(scraped)


@dataclass
class LittlePrometheus:
    """What it holds, and what it was asked."""

    series: list[Timeseries] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    returned: list[int] = field(default_factory=list)
    """How many series each answer had."""
    url: str = ""
    down: bool = False
    refused: Callable[[str], bool] = lambda _query: False
    """Queries that it does not answer, as if they had too many series."""
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is not set, a query is taken in and gets no answer."""

    def __post_init__(self) -> None:
        """It answers, until somebody says otherwise."""
        self.answers.set()

    def evaluate(self, query: str) -> Evaluated:
        """The instant vector of a query, by time."""
        return self._evaluated(_parsed(query))

    def _evaluated(self, expression: Any) -> Evaluated:
        match expression:
            case promql_parser.BinaryExpr():
                left, right = self._evaluated(expression.lhs), self._evaluated(expression.rhs)
                return lambda at: {**right(at), **left(at)}
            case promql_parser.Call():
                return _labelled(self._evaluated(expression.args[0]), *expression.args[1:3])
        return self._aggregated(expression)

    def _aggregated(self, expression: Any) -> Evaluated:
        inner, stamps = expression.expr, False
        if isinstance(inner, promql_parser.Call):
            inner, stamps = inner.args[0], True
        reduce, by = _REDUCE[str(expression.op)], expression.modifier.labels
        whole = str(expression.modifier.type).endswith("Without")
        matching = [
            (
                _key(
                    series.labels, [label for label in series.labels if label != "__name__"] if whole else by
                ),
                series,
            )
            for series in self.series
            if _matches(inner, series.labels)
        ]

        def vector(at: float) -> Vector:
            groups: dict[tuple[tuple[str, str], ...], list[float]] = defaultdict(list)
            for key, series in matching:
                if at >= series.first and (point := series.point(at)):
                    groups[key].append(point[0] if stamps else point[1])
            return {key: reduce(values) for key, values in groups.items()}

        return vector

    async def instant(self, request: web.Request) -> web.Response:
        """`/api/v1/query`."""
        form = await self._asked(request)
        at = float(form["time"])
        result = [
            {"metric": dict(key), "value": [at, _text(value)]}
            for key, value in self.evaluate(form["query"])(at).items()
        ]
        return self._answer("vector", result)

    async def range(self, request: web.Request) -> web.Response:
        """`/api/v1/query_range`."""
        form = await self._asked(request)
        start, end, step = (float(form[name]) for name in ("start", "end", "step"))
        found: dict[tuple[tuple[str, str], ...], list[list[Any]]] = defaultdict(list)
        vector = self.evaluate(form["query"])
        for number in range(int((end - start) / step + 1e-9) + 1):
            at = start + number * step
            for key, value in vector(at).items():
                found[key].append([at, _text(value)])
        result = [{"metric": dict(key), "values": values} for key, values in found.items()]
        return self._answer("matrix", result)

    def _answer(self, kind: str, result: list[dict[str, Any]]) -> web.Response:
        self.returned.append(len(result))
        return web.json_response({"status": "success", "data": {"resultType": kind, "result": result}})

    async def _asked(self, request: web.Request) -> dict[str, str]:
        form = {key: str(value) for key, value in (await request.post()).items()}
        self.queries.append(form)
        self.headers.append(dict(request.headers))
        await self.answers.wait()
        if self.down or self.refused(form["query"]):
            raise web.HTTPBadGateway
        return form


@asynccontextmanager
async def little_prometheus(*series: Timeseries) -> AsyncIterator[LittlePrometheus]:
    """Yield a server on a free loopback port."""
    server = LittlePrometheus(list(series))
    application = web.Application()
    application.add_routes(
        [web.post("/api/v1/query", server.instant), web.post("/api/v1/query_range", server.range)]
    )
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


@lru_cache(maxsize=128)
def _parsed(query: str) -> Any:
    return promql_parser.parse(query)


def _labelled(vector: Evaluated, label: Any, value: Any) -> Evaluated:
    """`label_replace` with a source that matches whatever there is."""
    return lambda at: {(*key, (label.val, value.val)): number for key, number in vector(at).items()}


def _key(labels: Mapping[str, str], by: list[str]) -> tuple[tuple[str, str], ...]:
    return tuple((label, labels[label]) for label in by if label in labels)


def _matches(selector: Any, labels: Mapping[str, str]) -> bool:
    if labels["__name__"] != selector.name:
        return False
    return all(_fits(each, labels.get(each.name, "")) for each in selector.matchers.matchers)


def _fits(matcher: Any, value: str) -> bool:
    match str(matcher.op):
        case "MatchOp.Equal":
            return bool(matcher.value == value)
        case "MatchOp.NotEqual":
            return bool(matcher.value != value)
        case "MatchOp.Re":
            return re2.fullmatch(matcher.value, value) is not None
        case _:
            return re2.fullmatch(matcher.value, value) is None


def _text(value: float) -> str:
    return {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN" if math.isnan(value) else repr(value))
