"""/metrics, /healthz and /readyz, as the kubelet and Prometheus ask for them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge

from modelward.controller.endpoints import Endpoints


@dataclass
class Process:
    """What the checks say, and a client of the endpoints."""

    client: httpx.AsyncClient
    unhealthy: list[str] = field(default_factory=list)
    unready: list[str] = field(default_factory=list)
    scrapes: int = 0

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask for a page."""
        return await self.client.get(path, headers=headers)

    def scraped(self) -> None:
        """Count what is asked before a scrape."""
        self.scrapes += 1


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    """Endpoints on a free port; stopped afterwards."""
    registry = CollectorRegistry()
    Gauge("models", "Models.", registry=registry).set(3)
    async with httpx.AsyncClient(trust_env=False) as client:
        found = Process(client)
        endpoints = Endpoints(
            registry=registry,
            healthy=(lambda: "", lambda: "; ".join(found.unhealthy)),
            ready=(lambda: "; ".join(found.unready), lambda: "; ".join(found.unhealthy)),
            before_scrape=found.scraped,
        )
        client.base_url = httpx.URL(f"http://127.0.0.1:{await endpoints.start('127.0.0.1', 0)}")
        try:
            yield found
        finally:
            await endpoints.stop()


async def test_all_is_well(process: Process) -> None:
    """200, and a word for people."""
    for path in ("/healthz", "/readyz"):
        answer = await process.get(path)
        assert (answer.status_code, answer.text) == (200, "ok\n")


async def test_each_problem_is_a_line_and_the_status_is_503(process: Process) -> None:
    """What is not ready may be healthy; what is ill is neither."""
    process.unready = ["the first list is not complete"]
    assert (await process.get("/healthz")).status_code == 200
    answer = await process.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "the first list is not complete\n")
    process.unhealthy = ["the event loop stands still"]
    assert (await process.get("/healthz")).status_code == 503
    answer = await process.get("/readyz")
    assert answer.text.splitlines() == ["the first list is not complete", "the event loop stands still"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("text/plain", "text/plain"), ("application/openmetrics-text", "application/openmetrics-text")],
)
async def test_metrics_come_in_the_form_that_is_asked_for(process: Process, accept: str, kind: str) -> None:
    """With values as of now."""
    answer = await process.get("/metrics", Accept=accept)
    assert answer.headers["Content-Type"].startswith(kind)
    assert "models 3.0" in answer.text
    assert process.scrapes == 1


async def test_stopping_what_never_began_is_no_error() -> None:
    """As when the port is taken by another one."""
    endpoints = Endpoints(registry=CollectorRegistry(), healthy=(), ready=(), before_scrape=lambda: None)
    await endpoints.stop()
