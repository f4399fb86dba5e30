"""The HTTP endpoints /metrics, /healthz and /readyz, on one port."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

Check = Callable[[], str]
"""Returns what is wrong, or an empty string."""


@dataclass(slots=True, kw_only=True)
class Endpoints:
    """Serves them until `stop`."""

    registry: CollectorRegistry
    healthy: tuple[Check, ...]
    """What would make the kubelet restart the pod."""
    ready: tuple[Check, ...]
    """What would keep the pod out of its Service."""
    before_scrape: Callable[[], None]
    _runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, which differs from `port` if that is 0."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/readyz", self._readiness)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        self.before_scrape()
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self.registry), headers={"Content-Type": content_type})

    async def _health(self, _: web.Request) -> web.Response:
        return _answer(self.healthy)

    async def _readiness(self, _: web.Request) -> web.Response:
        return _answer(self.ready)


def _answer(checks: tuple[Check, ...]) -> web.Response:
    problems = [problem for check in checks if (problem := check())]
    return web.Response(
        status=503 if problems else 200, text="".join(f"{line}\n" for line in problems or ["ok"])
    )
