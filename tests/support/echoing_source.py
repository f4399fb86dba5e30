"""A metric source that fails and shows a secret with each failure: in bodies, headers and addresses."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle


@dataclass
class EchoingSource:
    """Where it listens, and what it was sent."""

    url: str = ""
    authorizations: list[str] = field(default_factory=list)


@contextmanager
def echoing_source(secret: str) -> Iterator[EchoingSource]:
    """Yield a server on a free loopback port that answers each request by the next of its failures."""
    reported = EchoingSource()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(secret, reported))
    reported.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield reported
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(secret: str, reported: EchoingSource) -> Callable[..., BaseHTTPRequestHandler]:
    error = json.dumps({"status": "error", "errorType": secret, "error": f"no such user: {secret}"})
    warned = json.dumps({"status": "success", "data": {"resultType": secret, "result": secret}})
    failures = cycle(
        [(422, error), (200, warned), (500, f"<html>{secret}</html>"), (307, ""), (200, f'{{"{secret}": ')]
    )
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            reported.authorizations.append(self.headers.get("Authorization", ""))
            with lock:
                status, body = next(failures)
            self.send_response(status, secret)
            self.send_header("Set-Cookie", f"session={secret}")
            self.send_header("X-Debug", secret)
            self.send_header("Location", f"http://user:{secret}@127.0.0.1:1/{secret}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Nothing on standard error."""

    return Handler
