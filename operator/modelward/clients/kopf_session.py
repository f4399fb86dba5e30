"""The connection that Kopf gets: what would end Kopf becomes what it gets over.

Kopf tries again what is a broken connection, and lists anew when a watch gets the answer that its version has expired (410).
Whatever else it meets in one stream - another refusal, an event that it cannot decode - would end it as a whole, and
there is one Kopf for the process.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any, Final, cast

import aiohttp
import msgspec

from modelward.clients.decoding import lines
from modelward.clients.kube import REQUEST_TIMEOUT_SECONDS, answer, watch_event
from modelward.errors import ApiError, ModelwardError

Failed = Callable[[str, str], None]
"""Called for every watch that broke: the plural of its kind, and why."""

_EXPIRED: Final = msgspec.json.encode(
    {"type": "ERROR", "object": {"kind": "Status", "code": HTTPStatus.GONE}}
)


def kopf_session(api: Any, failed: Failed) -> aiohttp.ClientSession:
    """A session with the credentials of an API client (`connect`); a token that was renewed is used at once."""

    async def authorize(
        request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        path = request.url.path
        await api.update_params_for_auth(request.headers, [], ["BearerToken"], path, request.method, None)
        return await send(request)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=api.rest_client.ssl_context),
        proxy=api.configuration.proxy,
        trust_env=False,
        middlewares=(authorize,),
        response_class=_response_class(failed),
    )


def _response_class(failed: Failed) -> type[aiohttp.ClientResponse]:
    class Response(aiohttp.ClientResponse):
        _decoded: Any = None

        async def start(self, connection: Any) -> aiohttp.ClientResponse:
            """As of any response; then a stream of events, or the whole body decoded. Raises ClientError else."""
            await super().start(connection)
            plural, watches = self.url.path.rpartition("/")[2], "watch" in self.url.query
            if watches and self.status == HTTPStatus.GONE:
                self.status = HTTPStatus.OK  # no event is in the body: that, too, is reported as expired
            if watches and self.status == HTTPStatus.OK:
                content = _Events(self.content, lambda why: failed(plural, why))
                self.content = cast("aiohttp.StreamReader", content)
                return self
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                    self._decoded = answer(self.status, await self.read(), self.headers)
            except ModelwardError as error:
                if watches:
                    failed(plural, str(error))
                expired = isinstance(error, ApiError) and error.status == HTTPStatus.GONE
                # Of a list of which the rest has expired Kopf begins anew; all else it asks for once more.
                broken = aiohttp.ClientPayloadError if expired else aiohttp.ClientConnectionError
                raise broken(str(error)) from error
            return self

        async def json(self, **_: Any) -> Any:
            """The whole body, decoded."""
            return self._decoded

    return Response


class _Events:
    """A stream that Kopf reads in chunks: events only. Anything else ends it, as expired."""

    def __init__(self, inner: aiohttp.StreamReader, failed: Callable[[str], None]) -> None:
        self._inner = inner
        self._failed = failed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Line by line, whatever size is asked for."""
        del size
        try:
            async for line in lines(self._inner):
                watch_event(line)
                yield line + b"\n"
        except ModelwardError as error:
            self._failed(str(error))
            yield _EXPIRED + b"\n"
