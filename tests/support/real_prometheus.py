"""A real Prometheus on a free loopback port, configured by a test; the program is that of Debian's package.

It is unpacked into the cache, not installed: the package would start a service. Where neither the program nor apt is
there, a test that needs it is skipped, which the report shows.
"""

import asyncio
import json
import random
import shutil
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from aiohttp import web

from devcluster import system_packages
from devcluster.errors import DevclusterError

STARTED_SECONDS = 120.0
PORTS_TRIED = 5


def program() -> str:
    """The program. Skips the test where it cannot be had."""
    if found := shutil.which("prometheus"):
        return found
    try:
        return str(system_packages.unpacked("prometheus") / "prometheus")
    except (DevclusterError, OSError) as error:
        pytest.skip(f"NOT RUN: no program prometheus, and its package cannot be had: {error}")


@dataclass(kw_only=True)
class RealPrometheus:
    """One server. Its targets are in a file that it watches."""

    folder: Path
    port: int = 0
    external_labels: Mapping[str, str] = field(default_factory=dict)
    """Shown by whoever takes its series over, and not in its own answers. They also decide when a target is scraped, so
    servers with different ones scrape it at different times."""
    every_seconds: int = 1
    federates: tuple[int, ...] = ()
    """Ports of servers whose series it takes over, labels, times and all."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"http://127.0.0.1:{self.port}"

    def scrape(self, targets: Iterable[Mapping[str, Any]]) -> None:
        """Replace the targets; the server sees the new file by itself."""
        new = self.folder / "targets.new"
        new.write_text(json.dumps(list(targets)), encoding="utf-8")
        new.replace(self.folder / "targets.json")

    async def start(self) -> None:
        """Start, and wait until it is ready."""
        if not (self.folder / "targets.json").exists():
            self.scrape([])
        configuration = self.folder / "prometheus.yml"
        configuration.write_text(yaml.safe_dump(self._configuration()), encoding="utf-8")
        command = [
            program(),
            f"--config.file={configuration}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=error",
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: ASYNC220 - returns at once
        async with (
            asyncio.timeout(STARTED_SECONDS),
            httpx.AsyncClient(trust_env=False, timeout=STARTED_SECONDS) as client,
        ):
            while not await self._is_ready(client):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)

    async def _is_ready(self, client: httpx.AsyncClient) -> bool:
        if self.process and self.process.poll() is not None:
            raise RuntimeError((self.folder / "log").read_text(encoding="utf-8")[-2000:])
        try:
            return (await client.get(f"{self.url}/-/ready")).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """End it without a word: no series of it is marked as ended."""
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _configuration(self) -> dict[str, Any]:
        pods = {
            "job_name": "pods",
            "file_sd_configs": [{"files": [str(self.folder / "targets.json")]}],
        }
        federated = {
            "job_name": "federated",
            "honor_labels": True,
            "metrics_path": "/federate",
            "params": {"match[]": ['{job="pods"}']},
            "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in self.federates]}],
        }
        return {
            "global": {
                "scrape_interval": f"{self.every_seconds}s",
                "scrape_timeout": "1s",
                "external_labels": dict(self.external_labels),
            },
            "scrape_configs": [federated if self.federates else pods],
        }


@asynccontextmanager
async def real_prometheus(
    folder: Path,
    *,
    external_labels: Mapping[str, str] | None = None,
    federates: tuple[int, ...] = (),
    every_seconds: int = 1,
) -> AsyncIterator[RealPrometheus]:
    """Yield a server that runs."""
    folder.mkdir()  # noqa: ASYNC240 - of this test alone
    server = RealPrometheus(
        folder=folder,
        external_labels=external_labels or {},
        federates=federates,
        every_seconds=every_seconds,
    )
    try:
        await _started(server)
        yield server
    finally:
        server.kill()


async def _started(server: RealPrometheus) -> None:
    """Start at a free port, which it keeps. Between asking for it and taking it somebody else may: then at another one."""
    for attempt in range(PORTS_TRIED):
        server.port = _free_port()
        try:
            return await server.start()
        except RuntimeError as error:
            server.kill()
            if "address already in use" not in str(error) or attempt + 1 == PORTS_TRIED:
                raise
    return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(kw_only=True)
class OneAddress:
    """Several servers behind one address: who answers is drawn for each request, among those that are there."""

    servers: Sequence[RealPrometheus]
    draw: random.Random
    client: httpx.AsyncClient
    url: str = ""
    answered: Counter[int] = field(default_factory=Counter)
    """Requests by the port of who has answered."""

    async def forward(self, request: web.Request) -> web.Response:
        """The answer of one of them."""
        body = await request.read()
        for server in self.draw.sample(self.servers, len(self.servers)):
            try:
                found = await self.client.post(
                    f"{server.url}{request.path}",
                    content=body,
                    headers={"Content-Type": request.headers.get("Content-Type", "")},
                )
            except httpx.HTTPError:
                continue
            if found.status_code != httpx.codes.SERVICE_UNAVAILABLE:  # it starts
                self.answered[server.port] += 1
                return web.Response(
                    status=found.status_code, body=found.content, content_type="application/json"
                )
        return web.Response(status=httpx.codes.BAD_GATEWAY)


@asynccontextmanager
async def one_address(*servers: RealPrometheus, seed: int = 1) -> AsyncIterator[OneAddress]:
    """Yield an address behind which these servers are."""
    async with httpx.AsyncClient(trust_env=False, timeout=STARTED_SECONDS) as client:
        front = OneAddress(servers=servers, draw=random.Random(seed), client=client)
        application = web.Application()
        application.add_routes([web.post("/{path:.*}", front.forward)])
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            front.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield front
        finally:
            await runner.cleanup()
