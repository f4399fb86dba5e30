"""Processes that start in no time: forks of one that has loaded the operator, which the standard library's fork server is.

To import the operator costs two seconds of processor time, and the tests start it hundreds of times. A fork has nothing
of the one before it but the code; what it runs, its environment, its session and its log are its own.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["support.forked", "modelward_cli", "modelward.controller.run"])


class Forked:
    """`python -m MODULE ARGUMENTS`, with what the tests use of subprocess.Popen."""

    def __init__(self, argv: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        """Start `argv`, a module and its arguments. What it prints is appended to `log`."""
        self._process = _CONTEXT.Process(
            target=_become, args=(list(argv), str(log), dict(environment)), daemon=True
        )
        self._process.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as a crash does."""
        self.send_signal(signal.SIGKILL)


def _become(argv: list[str], log: str, environment: dict[str, str]) -> None:
    os.setsid()
    threading.Thread(target=_end_with_the_tests, daemon=True).start()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = argv
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)


def _end_with_the_tests() -> None:
    """Leave nothing behind when the process that started this one is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
