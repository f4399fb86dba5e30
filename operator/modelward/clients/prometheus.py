"""Queries to a server with Prometheus' HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api/).

Two of its calls, by POST, within limits of time and size. Whatever else comes back has a name of its own, and
nothing that the server wrote is repeated but its word for the kind of an error. By aiohttp: a query that is given up
while others wait for a connection costs httpx that connection for good (encode/httpcore#1093), and a source that was
slow for a minute could then not be asked again.
"""

import asyncio
import math
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Literal

import aiohttp
import msgspec

from modelward.analysis.sampled_evidence import MetricsUnknown, Unknown
from modelward.api.names import MANAGER
from modelward.clients.bounded_http import again_if_closed, bounded_body, bounded_session, refusal

TIMEOUT_SECONDS: Final = 5.0
ANSWER_LIMIT: Final = 8 * 1024 * 1024
_ERROR_TYPES: Final = frozenset(
    {"timeout", "canceled", "execution", "bad_data", "internal", "unavailable", "not_found"}
)
_CONNECTIONS: Final = 16
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": MANAGER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One series of an answer, without points that are no numbers."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]
    """Time (Unix seconds) and value. NaN and infinities are kept: the reader decides."""


class _Result(msgspec.Struct, frozen=True):
    metric: dict[str, str]
    value: tuple[float, str] | None = None
    values: list[tuple[float, str]] | None = None
    histogram: msgspec.Raw = msgspec.Raw()
    histograms: msgspec.Raw = msgspec.Raw()


class _Data(msgspec.Struct, frozen=True, rename="camel"):
    result_type: str
    result: msgspec.Raw


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    status: Literal["success", "error"]
    data: _Data | None = None
    error_type: str = ""
    warnings: list[Any] | None = None


class Prometheus:
    """One server."""

    def __init__(
        self,
        *,
        name: str,
        url: str,
        token_file: Path | None = None,
        ca_file: Path | None = None,
        timeout: float = TIMEOUT_SECONDS,
        limit: int = ANSWER_LIMIT,
    ) -> None:
        """`name` is what users call it; the URL stays out of messages. Raises OSError for a CA file that is none."""
        self.name = name
        self._base = url.rstrip("/")
        self._token_file = token_file
        self._timeout = timeout
        self._limit = limit
        self._context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._session:
            await self._session.close()

    async def instant(self, query: str, time: float) -> list[Series]:
        """The value of each series at `time`. Raises MetricsUnknown."""
        return await self._ask("query", {"query": query, "time": _stamp(time)}, "vector")

    async def range(self, query: str, start: float, end: float, step: float) -> list[Series]:
        """The values of each series at start, start + step, ... up to end. Raises MetricsUnknown."""
        form = {"query": query, "start": _stamp(start), "end": _stamp(end), "step": _stamp(step)}
        return await self._ask("query_range", form, "matrix")

    async def _ask(self, call: str, form: dict[str, str], kind: str) -> list[Series]:
        try:
            async with asyncio.timeout(self._timeout):
                form = {**form, "timeout": f"{self._timeout:g}s"}
                status, body = await again_if_closed(lambda: self._post(call, form))
        except TimeoutError as error:
            raise self._unknown(Unknown.TIMEOUT, f"no whole answer within {self._timeout:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._unknown(Unknown.SOURCE_UNREACHABLE, "no connection") from error
        except MetricsUnknown as unknown:
            raise self._unknown(unknown.problem.reason, unknown.problem.message) from unknown
        return self._read(status, body, kind)

    async def _post(self, call: str, form: dict[str, str]) -> tuple[int, bytes]:
        url = f"{self._base}/api/v1/{call}"
        headers = self._credentials()
        async with self._connected().post(url, data=form, headers=headers, allow_redirects=False) as response:
            body = await bounded_body(response.headers, response.content.iter_any(), self._limit)
            return response.status, body

    def _connected(self) -> aiohttp.ClientSession:
        """Made at the first query: only where an event loop runs can it be."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=_CONNECTIONS, ssl=self._context)
            self._session = bounded_session(connector, _HEADERS, self._timeout)
        return self._session

    def _credentials(self) -> dict[str, str]:
        """Read at every request: mounted tokens are renewed in place."""
        if self._token_file is None:
            return {}
        try:
            token = self._token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise MetricsUnknown(Unknown.UNAUTHORIZED, "the token file cannot be read") from error
        return {"Authorization": f"Bearer {token}"}

    def _read(self, status: int, body: bytes, kind: str) -> list[Series]:
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if status != HTTPStatus.OK:
                raise self._unknown(*refusal(status)) from error
            raise self._unknown(Unknown.NOT_METRICS, "the answer is not Prometheus' JSON") from error
        if status != HTTPStatus.OK or answer.status != "success":
            raise self._refused(status, answer.error_type)
        if answer.warnings:
            raise self._unknown(
                Unknown.QUERY_FAILED, "the answer is given with warnings: it may be incomplete"
            )
        if answer.data is None or answer.data.result_type != kind:
            raise self._unknown(Unknown.NOT_METRICS, "the answer is of the wrong type")
        try:
            results = msgspec.json.decode(answer.data.result, type=list[_Result])
            return [self._series(result) for result in results]
        except (msgspec.DecodeError, ValueError) as error:
            raise self._unknown(Unknown.NOT_METRICS, "the answer has values that are none") from error

    def _refused(self, status: int, kind: str) -> MetricsUnknown:
        if kind not in _ERROR_TYPES:
            return self._unknown(*refusal(status))
        if kind in {"timeout", "canceled"}:
            return self._unknown(Unknown.TIMEOUT, "the query took too long there")
        return self._unknown(Unknown.QUERY_FAILED, f"the query was refused ({kind})")

    def _series(self, result: _Result) -> Series:
        if bytes(result.histogram) or bytes(result.histograms):
            raise self._unknown(
                Unknown.METRIC_INVALID, "a native histogram; classic buckets are needed (name_bucket with le)"
            )
        points = result.values if result.values is not None else [result.value] if result.value else []
        return Series(labels=result.metric, points=tuple((at, _number(value)) for at, value in points))

    def _unknown(self, reason: Unknown, message: str) -> MetricsUnknown:
        return MetricsUnknown(reason, f"metric source {self.name}: {message}")


def _number(text: str) -> float:
    """As Prometheus writes it. Raises ValueError."""
    return {"+Inf": math.inf, "-Inf": -math.inf, "NaN": math.nan}.get(text) or float(text)


def _stamp(seconds: float) -> str:
    return f"{seconds:.3f}"
