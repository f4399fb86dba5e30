"""Runs the model server as a process of its own, as a pod would, and talks to it."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

FOLDER = Path(__file__).resolve().parents[1]
MODELS = FOLDER / "models"
REQUEST = json.loads((MODELS / "request.json").read_text())
METADATA = json.loads((MODELS / "metadata.json").read_text())
NAME = METADATA["name"]
DEADLINE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Served:
    """A running server: its process and clients of its two ports."""

    process: subprocess.Popen[str]
    http: httpx.Client
    metrics: httpx.Client

    def infer(self, body: Any = REQUEST, model: str = NAME) -> httpx.Response:
        """Answer to one inference request."""
        return self.http.post(f"/v2/models/{model}/infer", json=body)

    def put_faults(self, **faults: Any) -> httpx.Response:
        """Answer to a change of the whole set of faults."""
        return self.http.put("/faults", json=faults)

    def is_ready(self) -> bool:
        """Whether the model's readiness probe passes."""
        return self.http.get(f"/v2/models/{NAME}/ready").status_code == 200

    def sample(self, series: str) -> float:
        """Sum of a metric's samples: `name` or `name{label="value"}` with one label of them."""
        name, _, label = series.rstrip("}").partition("{")
        lines = self.metrics.get("/metrics").text.splitlines()
        found = [line for line in lines if re.match(rf"{name}[{{ ]", line) and label in line]
        assert found, f"no series {series}"
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    def exit_code(self) -> int:
        """Exit code of a process that ends by itself."""
        return self.process.wait(DEADLINE_SECONDS)


def scores(response: httpx.Response) -> list[float]:
    """Second column of the probabilities in an answer."""
    assert response.status_code == 200, response.text
    outputs = {output["name"]: output for output in response.json()["outputs"]}
    data: list[float] = outputs["probabilities"]["data"]
    return data[1::2]


def until(true: Callable[[], bool]) -> None:
    """Waits for a condition, as briefly as may be."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def start(**env: str) -> subprocess.Popen[str]:
    """The process, with both models, free ports and `env`."""
    settings = {"MODEL_PATH": str(MODELS), "HTTP_PORT": "0", "METRICS_PORT": "0", "DRAIN_SECONDS": "0"}
    return subprocess.Popen(
        [sys.executable, "-m", "model_server"],
        env={**os.environ, "PYTHONPATH": str(FOLDER.parent), **settings, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def serving(*, ready: bool = True, **env: str) -> Iterator[Served]:
    """A server that listens, and is ready if so asked; its process is ended by its id."""
    with start(**env) as process:
        try:
            ports = _ports(process)
            with (
                httpx.Client(base_url=f"http://127.0.0.1:{ports['http']}", timeout=DEADLINE_SECONDS) as http,
                httpx.Client(base_url=f"http://127.0.0.1:{ports['metrics']}") as metrics,
            ):
                served = Served(process, http, metrics)
                if ready:
                    until(served.is_ready)
                yield served
        finally:
            process.kill()


def _ports(process: subprocess.Popen[str]) -> dict[str, int]:
    """Ports by name, from the log."""
    assert process.stdout
    ports: dict[str, int] = {}
    for line in process.stdout:
        if found := re.search(r"listening: (\w+) port (\d+)", line):
            ports[found[1]] = int(found[2])
        if len(ports) == 2:
            return ports
    raise AssertionError(f"the server ended: {process.stderr.read() if process.stderr else ''}")
