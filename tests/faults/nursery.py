"""Operators that start in no time: a process that has loaded all modules already, and forks one whenever it is asked.

A fork has nothing of the one before it but the code. A new interpreter would take a second or two more.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self


class Nursery:
    """Use as a context manager. One thread at a time."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """`environment` is added to the tests' own."""
        self._environment = environment
        self._process: subprocess.Popen[str]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "faults.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | dict(self._environment),
            start_new_session=True,
        )
        assert self._answer() == "ready"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait(timeout=10)

    def start(self, arguments: Sequence[str], log: Path) -> int:
        """The process id of a new operator; what it logs is appended to a file."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"arguments": list(arguments), "log": str(log)}) + "\n")
        self._process.stdin.flush()
        return int(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        if not (line := self._process.stdout.readline()):
            raise AssertionError("the nursery has ended")
        return line.strip()


def kill(pid: int) -> None:
    """End a process as a crash does; it is gone when this returns."""
    os.kill(pid, signal.SIGKILL)
    while is_alive(pid):
        time.sleep(0.001)


def is_alive(pid: int) -> bool:
    """Whether a child of the nursery runs; it reaps those that have ended at once."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _serve() -> None:
    from faults.metric_endpoints import redirected  # noqa: PLC0415
    from modelward.controller.run import run  # noqa: PLC0415, F401
    from modelward_cli import main  # noqa: PLC0415 - what makes the start slow

    redirected()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(order, main)
        print(pid, flush=True)


def _become(order: dict[str, Any], main: Any) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    random.seed()
    try:
        main(order["arguments"])
    finally:
        os._exit(1)


if __name__ == "__main__":
    _serve()
