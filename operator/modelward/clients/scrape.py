"""The metrics page of a pod, as it is: one GET, within limits of time and size, to nobody else.

A pod is somebody's program. It may hang, flood, point elsewhere or lie; none of that costs more than the
limits here, and each has a name of its own (docs/metrics.md).
"""

import asyncio
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx

from modelward.analysis.problem import Unknown
from modelward.api.names import MANAGER
from modelward.clients.bodies import bounded_body
from modelward.clients.unknown import MetricsUnknown

TIMEOUT_SECONDS: Final = 2.0
PAGE_LIMIT: Final = 1024 * 1024
_CONNECTIONS: Final = 512
_KEPT: Final = 256
"""Connections kept for the next look. At rest a pod is asked rarely, and each takes about 20 KiB."""
_KEPT_SECONDS: Final = 20.0
_TYPES: Final = frozenset({"text/plain", "application/openmetrics-text", ""})
_HEADERS: Final = {
    "Accept": "text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0;q=0.5",
    "Accept-Encoding": "identity",
    "User-Agent": MANAGER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Where a page is. The address is a number, never a name: nothing is looked up."""

    address: str
    port: int
    path: str

    @property
    def url(self) -> httpx.URL:
        """As httpx takes it. The path is given apart, so it cannot name another host; a fragment is never sent."""
        path = self.path.partition("#")[0]
        return httpx.URL(scheme="http", host=self.address, port=self.port, raw_path=path.encode("ascii"))


def no_cookies() -> CookieJar:
    """A jar that takes nothing: what a server sets, it never gets back, and it fills no memory."""
    return CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))


class Scraper:
    """Reads pages over connections that are kept for a while."""

    def __init__(self, *, timeout: float = TIMEOUT_SECONDS, limit: int = PAGE_LIMIT) -> None:
        """`timeout` in seconds is for the whole of a reading, `limit` in bytes for the page, unpacked."""
        self._timeout = timeout
        self._limit = limit
        self._client = httpx.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            cookies=no_cookies(),
            headers=_HEADERS,
            timeout=timeout,
            limits=httpx.Limits(
                max_connections=_CONNECTIONS,
                max_keepalive_connections=_KEPT,
                keepalive_expiry=_KEPT_SECONDS,
            ),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def read(self, page: Page) -> str:
        """The text of a page. Raises MetricsUnknown."""
        try:
            async with asyncio.timeout(self._timeout):
                body = await self._twice(page)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise MetricsUnknown(
                Unknown.TIMEOUT, f"no whole answer from {_place(page)} within {self._timeout:g} s"
            ) from error
        except httpx.RemoteProtocolError as error:
            raise MetricsUnknown(
                Unknown.NOT_METRICS, f"the answer from {_place(page)} breaks off, or is no HTTP"
            ) from error
        except (httpx.HTTPError, OSError) as error:
            raise MetricsUnknown(Unknown.REFUSED, f"no connection to {_place(page)}") from error
        try:
            return body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise MetricsUnknown(Unknown.NOT_METRICS, "the page is not UTF-8 text") from error

    async def _twice(self, page: Page) -> bytes:
        """A server may close a kept connection in the moment in which it is used: then a new one is tried."""
        try:
            return await self._once(page)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            return await self._once(page)

    async def _once(self, page: Page) -> bytes:
        async with self._client.stream("GET", page.url) as response:
            _check(response)
            return await bounded_body(response, self._limit)


def _check(response: httpx.Response) -> None:
    status = response.status_code
    if status != httpx.codes.OK:
        raise MetricsUnknown(*refusal(status))
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in _TYPES:
        raise MetricsUnknown(Unknown.NOT_METRICS, "the page is no text of metrics; is the path right?")


def refusal(status: int) -> tuple[Unknown, str]:
    """What a status other than 200 means, in words without anything that the server wrote."""
    if 300 <= status < 400:
        return Unknown.REDIRECTED, f"the answer ({status}) points elsewhere, which is never followed"
    if status == httpx.codes.NOT_FOUND:
        return Unknown.NOT_FOUND, "there is nothing at this path (404)"
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return Unknown.UNAUTHORIZED, f"reading is not allowed ({status})"
    return Unknown.HTTP_STATUS, f"the answer is {status} instead of 200"


def _place(page: Page) -> str:
    """Port and path; the address is left out, because it changes with every pod."""
    return f"port {page.port}, path {page.path}"
