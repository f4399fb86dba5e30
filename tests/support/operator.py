"""The operator as a process: started as a user starts it, ended by its own process id."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from support.forked import Forked
from support.waiting import until

_PORT = re.compile(r"listens on port (\d+)")
_ENDPOINTS = httpx.Client(verify=False, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))  # noqa: S501 - plain HTTP; reading all CAs anew takes longer than asking


class OperatorProcess:
    """`modelward run` on a free port. Several runs append to one log."""

    def __init__(self, kubeconfig: Path, directory: Path, *flags: str, fresh: bool = False) -> None:
        """`flags` are added to every start. `fresh` has a new interpreter for each, as users have it: no fork."""
        self.log = directory / "operator.log"
        self.environment: dict[str, str] = {}
        """Added to the tests' own."""
        self._kubeconfig = kubeconfig
        self._flags = flags
        self._fresh = fresh
        self._process: subprocess.Popen[bytes] | Forked | None = None
        self._began = 0

    def start(self, *flags: str, program: tuple[str, ...] = ("-m", "modelward")) -> None:
        """Start it, and wait until it works. `program` may be another operator: a changed one."""
        self.launch(*flags, program=program)
        until(self.is_ready, f"the operator is ready; its log: {self.log}")
        until(self.leads, f"the operator leads; its log: {self.log}")

    def launch(self, *flags: str, program: tuple[str, ...] = ("-m", "modelward")) -> None:
        """Start it, and do not wait."""
        self._began = self.log.stat().st_size if self.log.exists() else 0
        argv = [
            "run",
            f"--kubeconfig={self._kubeconfig}",
            "--host=127.0.0.1",
            "--port=0",
            "--log-format=text",
        ]
        argv = [*program, *argv, *self._flags, *flags]
        environment = os.environ | self.environment
        if self._can_fork(program):
            self._process = Forked(argv[1:], self.log, environment)
            return
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *argv], stdout=log, stderr=log, env=environment, start_new_session=True
            )

    def _can_fork(self, program: tuple[str, ...]) -> bool:
        """Whether it is a module of the code that is loaded, and nobody measures which of its lines run."""
        other = "PYTHONPATH" in self.environment or any(each.startswith("COVERAGE_") for each in os.environ)
        return program[0] == "-m" and not self._fresh and not other

    def leads(self) -> bool:
        """Whether it is the one that works; not if it does not say so."""
        try:
            return self.is_ready() and self.metric("modelward_leader") == 1
        except httpx.TransportError:
            return False

    def is_ready(self) -> bool:
        """Whether /readyz says so. Raises AssertionError when the process has ended."""
        if self._process is None or self._process.poll() is not None:
            raise AssertionError(f"the operator ended:\n{self.text()[-3000:]}")
        try:
            return bool(self.port) and _ENDPOINTS.get(self.url("readyz")).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def port(self) -> int | None:
        """The port that it took, once it has reported."""
        found = _PORT.search(self.text())
        return int(found.group(1)) if found else None

    def url(self, path: str) -> str:
        """Address of one of its endpoints."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the samples of a metric that carry the labels."""
        from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

        families = text_string_to_metric_families(_ENDPOINTS.get(self.url("metrics")).text)
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return sum(each.value for each in samples if labels.items() <= each.labels.items())

    def writes(self) -> float:
        """Mutating requests that it has sent since it started."""
        name = "modelward_api_requests_total"
        return sum(self.metric(name, verb=verb) for verb in ("create", "patch", "delete"))

    def text(self) -> str:
        """What it has logged since its last start."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(self._began)
            return log.read().decode(errors="replace")

    def stop(self) -> int:
        """End it as the kubelet does, by SIGTERM; returns its exit code."""
        return self._end(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, and do not wait."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash does."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(number)
        try:
            return process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
