"""An HTTPS server that does what it is asked to, wrong things above all."""

import contextlib
import datetime as dt
import ipaddress
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

STALLED_SECONDS = 20.0


@dataclass
class Page:
    """A file, and how the server gives it."""

    content: bytes = b""
    etag: str = '"one"'
    ranges: bool = True
    cut_after: int | None = None
    """Each connection ends after so many bytes."""
    stall_after: int | None = None
    stalls: int = 10**9
    """How often it does that."""
    stalls_from: int = 0
    """And only for what begins at this byte or later."""
    length: int | None = None
    """What it says its length is; -1 for nothing: the end of the connection is that of the file."""
    redirect: str = ""
    status: int = 200
    failures: int = 0
    """So many answers 503 first."""
    authorization: str = ""
    """What must be sent; else 401."""


@dataclass
class Seen:
    """A request."""

    method: str
    path: str
    headers: dict[str, str]


Api = Callable[["Handler"], bool]
"""Answers a request; whether it did."""


@dataclass
class Site:
    """A running server."""

    url: str
    port: int
    ca: str
    pages: dict[str, Page] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    apis: list[Api] = field(default_factory=list)

    def counted(self, path: str) -> int:
        """Requests for the path."""
        return sum(each.path.partition("?")[0] == path for each in self.seen)


class Handler(BaseHTTPRequestHandler):
    """Answers from `site`."""

    protocol_version = "HTTP/1.1"
    site: Site
    over: threading.Event

    def do_GET(self) -> None:
        """A page, or what an API says."""
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.site.seen.append(Seen(self.command, self.path, headers))
        if any(api(self) for api in self.site.apis):
            return
        page = self.site.pages.get(self.path.partition("?")[0])
        if page is None:
            self.answer(404)
        elif page.authorization and headers.get("authorization") != page.authorization:
            self.answer(401)
        elif page.failures > 0:
            page.failures -= 1
            self.answer(503, {"Retry-After": "0"})
        elif page.redirect:
            self.answer(302, {"Location": page.redirect})
        elif page.status != 200:
            self.answer(page.status)
        else:
            self.give(page)

    do_POST = do_HEAD = do_GET  # noqa: N815 - the names that http.server looks for

    def answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> bool:
        """A short answer; True, for an API that has answered."""
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        return True

    def body(self) -> bytes:
        """Of the request."""
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def give(self, page: Page, content: bytes | None = None, etag: str | None = None) -> bool:
        """The page, or what of it is asked for; or another content by the page's rules, for several at once."""
        headers = {key.lower(): value for key, value in self.headers.items()}
        content = page.content if content is None else content
        etag = page.etag if etag is None else etag
        start, end, size = 0, len(content), len(content)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
        partial = bool(wanted and page.ranges and headers.get("if-range", etag) == etag)
        if wanted and partial:
            start = int(wanted[1])
            end = min(int(wanted[2]) + 1, size) if wanted[2] else size
            if start >= size:
                return self.answer(416, {"Content-Range": f"bytes */{size}"})
        self.send_response(206 if partial else 200)
        if partial:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        if etag:
            self.send_header("ETag", etag)
        self.send_header("Last-Modified", self.date_time_string())
        if page.length != -1:
            self.send_header("Content-Length", str(end - start if page.length is None else page.length))
        self.end_headers()
        if self.command != "HEAD":
            self._send(page, content[start:end], start)
        return True

    def _send(self, page: Page, body: bytes, start: int) -> None:
        stalls = page.stall_after is not None and len(body) > page.stall_after and start >= page.stalls_from
        if page.stall_after is not None and stalls and page.stalls > 0:
            page.stalls -= 1
            self.wfile.write(body[: page.stall_after])
            self.over.wait(STALLED_SECONDS)
            self.close_connection = True
        elif page.cut_after is not None and len(body) > page.cut_after:
            self.wfile.write(body[: page.cut_after])
            self.close_connection = True
        else:
            self.wfile.write(body)
            self.close_connection = page.length is not None

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are what is tested."""


@contextlib.contextmanager
def serving(folder: Path, *, tls: bool = True, host: str = "127.0.0.1") -> Iterator[Site]:
    """The server on a free port of this machine, until the block ends."""
    over = threading.Event()
    handler = type("Bound", (Handler,), {"over": over})
    with _Server((host, 0), handler) as server:
        ca = ""
        if tls:
            ca, chain = certificate(folder, host)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(chain)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "https" if tls else "http"
        name = "localhost" if host == "127.0.0.1" else host
        site = Site(url=f"{scheme}://{name}:{server.server_port}", port=server.server_port, ca=ca)
        handler.site = site  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield site
        finally:
            over.set()
            server.shutdown()
            thread.join()


def certificate(folder: Path, host: str = "127.0.0.1") -> tuple[str, Path]:
    """The certificate of an authority, as PEM, and a file with that of this machine and its key."""
    authority, key = _signed("an authority", None, host)
    own, private = _signed("localhost", (authority, key), host)
    chain = folder / f"chain-{time.monotonic_ns()}.pem"
    text = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain.write_bytes(own.public_bytes(serialization.Encoding.PEM) + text)
    return authority.public_bytes(serialization.Encoding.PEM).decode(), chain


def _signed(
    name: str, by: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None, host: str
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    here = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(host))]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by[0].subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(here), critical=False)
        .sign(by[1] if by else key, hashes.SHA256())
    )
    return made, key
