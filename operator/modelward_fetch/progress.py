"""How far a fetch is: counted by those who write, logged every second, and served at `/progress` for the model's status."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from modelward_fetch.failures import FetchFailed, Reason

EVERY_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 5
"""For a request: who asks slowly does not hold a thread for long."""
_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")


@dataclass(slots=True)
class Progress:
    """Counts only grow, but for a file without ranges that begins anew."""

    state: str = "Resolving"
    """Resolving, Fetching, Unpacking, Verifying, Done, Failed."""
    files: int = 0
    files_done: int = 0
    total: int = 0
    """Bytes as listed; 0 where that is not known."""
    done: int = 0
    """Bytes that are there, those of an earlier start included."""
    transferred: int = 0
    """Bytes that this start has read from the store."""
    began: float = 0.0

    def as_json(self, now: float | None = None) -> dict[str, Any]:
        """For the endpoint `/progress`."""
        return {
            "state": self.state,
            "percent": self.percent,
            "bytes": self.done,
            "totalBytes": self.total or None,
            "files": self.files_done,
            "totalFiles": self.files,
            "bytesPerSecond": round(self.rate(now)),
        }

    @property
    def percent(self) -> int | None:
        """Whole percent, 100 only at the end; None while the total is not known."""
        if not self.total:
            return None
        return min(self.done * 100 // self.total, 100 if self.state == "Done" else 99)

    def rate(self, now: float | None = None) -> float:
        """Bytes a second since the first one."""
        seconds = (now or time.monotonic()) - self.began if self.began else 0.0
        return self.transferred / seconds if seconds > 0.05 else 0.0

    def sentence(self, now: float | None = None) -> str:
        """For people."""
        if self.state != "Fetching":
            return f"{self.state.lower()}"
        rate = self.rate(now)
        of = f"{self.percent} % of {amount(self.total)}" if self.total else amount(self.done)
        left = f", about {(self.total - self.done) / rate:.0f} s" if rate and self.total else ""
        return f"fetching {of}, {self.files_done} of {self.files} files, {amount(rate)}/s{left}"


class Counter:
    """Progress shared by several threads."""

    def __init__(self) -> None:
        self.progress = Progress()
        self._lock = threading.Lock()

    def add(self, *, done: int = 0, transferred: int = 0, files: int = 0) -> None:
        """What is new."""
        with self._lock:
            self.progress.done += done
            self.progress.transferred += transferred
            self.progress.files_done += files


@contextmanager
def progress_logged(counter: Counter) -> Iterator[None]:
    """A line a second while bytes come."""
    over = threading.Event()

    def say() -> None:
        while not over.wait(EVERY_SECONDS):
            if counter.progress.state == "Fetching":
                logging.getLogger("modelward_fetch").info("%s", counter.progress.sentence(time.monotonic()))

    thread = threading.Thread(target=say, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def served(address: str, counter: Counter) -> Iterator[int]:
    """The endpoint at `host:port` until the block ends; the port, which may have been asked for as 0. Raises FetchFailed."""

    class Handler(BaseHTTPRequestHandler):
        timeout = LONGEST_SECONDS

        def do_GET(self) -> None:
            """Numbers alone: no name, no address, nothing to protect."""
            found = self.path == "/progress"
            body = json.dumps(counter.progress.as_json()).encode() if found else b""
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Nothing: it is asked every few seconds."""

    with _server(address, Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


def _server(address: str, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    host, _, port = address.rpartition(":")
    try:
        return ThreadingHTTPServer((host.strip("[]") or "0.0.0.0", int(port)), handler)  # noqa: S104
    except (OSError, ValueError, OverflowError) as error:
        problem = (error.strerror if isinstance(error, OSError) else "") or "it is not HOST:PORT"
        raise FetchFailed(
            Reason.INVALID_URI,
            f"progress cannot be served at {address}: {problem}",
            remedy="Name an address of this machine and a port that is free, such as 127.0.0.1:8089.",
            field="--progress-address",
        ) from error


def amount(count: float) -> str:
    """As 1.3 GiB."""
    for unit in _UNITS:
        if count < 1024 or unit == _UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError(count)
