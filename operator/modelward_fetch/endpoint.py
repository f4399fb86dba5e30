"""`/progress` while a fetch runs: what the operator asks for the model's status."""

import contextlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from modelward_fetch.progress import Counter

LONGEST_SECONDS = 5
"""For a request: who asks slowly does not hold a thread for long."""


@contextlib.contextmanager
def served(address: str, counter: Counter) -> Iterator[int]:
    """The endpoint at `host:port` until the block ends; the port, which may have been asked for as 0."""
    host, _, port = address.rpartition(":")

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

    with ThreadingHTTPServer((host.strip("[]") or "0.0.0.0", int(port)), Handler) as server:  # noqa: S104
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
