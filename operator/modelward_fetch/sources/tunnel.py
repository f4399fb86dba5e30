"""Where obstore may connect to: its connections go through here, and each target is checked like any other.

obstore follows redirects without asking and has no way to check an address. It has a proxy, though: this one, within the
process, on this machine. It knows CONNECT alone, checks where to, connects to what it checked, and passes bytes (encrypted ones)
on. A store on plain http, which only this machine or an allowed host may be, is excepted from it; a redirect from there to elsewhere
by plain http comes here and is refused.
"""

import base64
import re
import secrets
import socket
import threading
from contextlib import suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Final

from modelward_fetch.addresses import Guard, refused
from modelward_fetch.failures import FetchFailed, Transient

LARGEST_HEAD: Final = 16 * 1024
BUFFER_BYTES: Final = 256 * 1024
_CONNECT: Final = re.compile(r"CONNECT (\[[0-9a-fA-F:.]+\]|[^\s:]+):(\d{1,5}) HTTP/1\.1")
_TARGET: Final = re.compile(r"[A-Z]+ (\w+)://([^/\s:?#]+)")


class Tunnel:
    """Runs until it is closed. `problem` is the last refusal, which its user hears of as a status alone."""

    def __init__(self, guard: Guard, *, connect_seconds: float) -> None:
        self._guard = guard
        self._connect_seconds = connect_seconds
        self.password = secrets.token_hex(16)
        self.problem: FetchFailed | Transient | None = None
        tunnel = self

        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                """One connection."""
                tunnel.serve(self.request)

        self._server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """For obstore; nobody else on this machine knows the password."""
        return f"http://fetch:{self.password}@127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """No new connections."""
        self._server.shutdown()
        self._server.server_close()

    def serve(self, client: socket.socket) -> None:
        """CONNECT, or a refusal."""
        client.settimeout(self._connect_seconds)
        with suppress(OSError):
            head = _head(client)
            try:
                server = self._connected(head)
            except (FetchFailed, Transient) as problem:
                self.problem = problem
                client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            with server:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                _pass_on(client, server)

    def _connected(self, head: str) -> socket.socket:
        known = base64.b64encode(f"fetch:{self.password}".encode()).decode()
        if f"\nproxy-authorization: basic {known}".lower() not in head.lower():
            raise refused("somebody else asked this program for a connection")
        found = _CONNECT.match(head)
        if not found:
            target = _TARGET.match(head)
            raise refused(f"the store redirects to {target[2] if target else 'nowhere'} by plain http")
        host, port = found[1], int(found[2])
        for address in self._guard.addresses(host, port):
            with suppress(OSError):
                return socket.create_connection((address, port), self._connect_seconds)
        raise Transient(f"no connection to {host}")


def _head(client: socket.socket) -> str:
    head = b""
    while b"\r\n\r\n" not in head and len(head) < LARGEST_HEAD and (chunk := client.recv(4096)):
        head += chunk
    return head.decode("latin-1")


def _pass_on(client: socket.socket, server: socket.socket) -> None:
    """Both ways until either side ends. Time limits are those of who reads at the end."""
    client.settimeout(None)
    server.settimeout(None)
    other = threading.Thread(target=_copy, args=(client, server), daemon=True)
    other.start()
    _copy(server, client)
    other.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    buffer = memoryview(bytearray(BUFFER_BYTES))
    with suppress(OSError):
        while count := source.recv_into(buffer):
            sink.sendall(buffer[:count])
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
