"""A real Prometheus on a free loopback port, configured by a test; the program is that of Debian's package.

It is unpacked into the cache, not installed: the package would start a service. Where neither the program nor apt is
there, a test that needs it is skipped, which the report shows.
"""

import asyncio
import json
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from devcluster import system_packages
from devcluster.errors import DevclusterError

STARTED_SECONDS = 60.0


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
    port: int
    external_labels: Mapping[str, str] = field(default_factory=dict)
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
        async with asyncio.timeout(STARTED_SECONDS), httpx.AsyncClient(trust_env=False) as client:
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
                "scrape_interval": "1s",
                "scrape_timeout": "1s",
                "external_labels": dict(self.external_labels),
            },
            "scrape_configs": [federated if self.federates else pods],
        }


@asynccontextmanager
async def real_prometheus(
    folder: Path, *, external_labels: Mapping[str, str] | None = None, federates: tuple[int, ...] = ()
) -> AsyncIterator[RealPrometheus]:
    """Yield a server that runs."""
    folder.mkdir()  # noqa: ASYNC240 - of this test alone
    server = RealPrometheus(
        folder=folder, port=_free_port(), external_labels=external_labels or {}, federates=federates
    )
    try:
        await server.start()
        yield server
    finally:
        server.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
