"""The metrics page of a pod, as it is: one GET, within limits of time and size, to nobody else.

A pod is somebody's program. It may hang, flood, point elsewhere or lie; none of that costs more than the
limits here, and each has a name of its own (docs/metrics.md). By aiohttp, because a reading costs a tenth of what
httpx takes for it, and hundreds are made a second.
"""

import asyncio
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import aiohttp
from yarl import URL

from modelward.analysis.sampled_evidence import MetricsUnknown, Unknown
from modelward.api.names import MANAGER
from modelward.clients.bounded_http import again_if_closed, bounded_body, bounded_session, refusal

TIMEOUT_SECONDS: Final = 2.0
PAGE_LIMIT: Final = 1024 * 1024
_CONNECTIONS: Final = 512
_KEPT_SECONDS: Final = 20.0
_TYPE: Final = re.compile(r"[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,40}")
_HEADERS: Final = {
    "Accept": "text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0;q=0.5",
    "Accept-Encoding": "identity",
    "User-Agent": MANAGER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Where a page is. The address is a number, never a name: nothing is resolved."""

    address: str
    port: int
    path: str

    @property
    def url(self) -> URL:
        """The path is given apart, so it cannot name another host; a fragment is never sent."""
        path, _, query = self.path.partition("#")[0].partition("?")
        host = f"[{self.address}]" if ":" in self.address else self.address
        return URL.build(
            scheme="http", host=host, port=self.port, path=path, query_string=query, encoded=True
        )


@dataclass(frozen=True, slots=True)
class Body:
    """What a pod has answered. Its type says little: servers send pages as HTML, JSON or bytes."""

    text: str
    content_type: str = ""
    """Empty: none that is one."""


class Scraper:
    """Reads pages over connections that are kept for a while. To be made where an event loop runs."""

    def __init__(self, *, timeout: float = TIMEOUT_SECONDS, limit: int = PAGE_LIMIT) -> None:
        """`timeout` in seconds is for the whole of a reading, `limit` in bytes for the page, unpacked."""
        self._timeout = timeout
        self._limit = limit
        connector = aiohttp.TCPConnector(limit=_CONNECTIONS, keepalive_timeout=_KEPT_SECONDS)
        self._session = bounded_session(connector, _HEADERS, timeout)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def read(self, page: Page) -> Body:
        """The text of a page, whatever type it is said to be of. Raises MetricsUnknown."""
        try:
            async with asyncio.timeout(self._timeout):
                body, kind = await again_if_closed(lambda: self._once(page))
        except TimeoutError as error:
            raise MetricsUnknown(
                Unknown.TIMEOUT, f"no whole answer from {_place(page)} within {self._timeout:g} s"
            ) from error
        except (aiohttp.ClientConnectorError, aiohttp.ClientOSError) as error:
            raise MetricsUnknown(Unknown.REFUSED, f"no connection to {_place(page)}") from error
        except aiohttp.ClientError as error:
            raise MetricsUnknown(
                Unknown.NOT_METRICS, f"the answer from {_place(page)} breaks off, or is no HTTP"
            ) from error
        try:
            return Body(body.decode("utf-8"), kind)
        except UnicodeDecodeError as error:
            of_type = f" (its type is {kind})" if kind else ""
            raise MetricsUnknown(Unknown.NOT_METRICS, f"the page is not UTF-8 text{of_type}") from error

    async def _once(self, page: Page) -> tuple[bytes, str]:
        async with self._session.get(page.url, allow_redirects=False) as response:
            if response.status != HTTPStatus.OK:
                raise MetricsUnknown(*refusal(response.status))
            kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            body = await bounded_body(response.headers, response.content.iter_any(), self._limit)
            return body, kind if _TYPE.fullmatch(kind) else ""


def _place(page: Page) -> str:
    """Port and path; the address is left out, because it changes with every pod."""
    return f"port {page.port}, path {page.path}"
