"""HTTP as a fetch needs it: each connection to an address that was checked, each redirect a decision, no surprises.

Redirects are followed here and not by the library: credentials go only to the origin that they are for, https never
becomes http, and what a server leads to is checked like what a user wrote. Proxies of the environment are not used: who
connects to whom could not be checked.
"""

import json
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

import httpcore2 as httpcore

from modelward_fetch.addresses import Guard
from modelward_fetch.failures import FetchFailed, Reason, SourceChanged, Transient, denied, not_found
from modelward_fetch.limits import MIB, WORKERS

USER_AGENT: Final = "modelward-fetch"
LARGEST_ANSWER: Final = 16 * MIB
"""Of an answer that is read as a whole: JSON of an API."""
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_OVERLOADED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_RETRY_AFTER: Final = 120.0

Authorize = Callable[[str], str]
"""Header Authorization for the address; empty for none. Asked only for the origin of the request."""


class _Backend(httpcore.NetworkBackend):
    """Connects to addresses that the guard has checked, and to no other."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        *first, last = self._guard.addresses(host, port)
        for address in first:
            try:
                return self._sockets.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._sockets.connect_tcp(last, port, timeout, local_address, socket_options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Status, headers (names in lower case), and the body, which is read once."""

    status: int
    headers: Mapping[str, str]
    url: str
    chunks: Callable[[], Iterator[bytes]]

    def read(self, largest: int = LARGEST_ANSWER) -> bytes:
        """The whole body. Raises FetchFailed if it is larger than any answer should be."""
        body = bytearray()
        for chunk in self.chunks():
            body += chunk
            if len(body) > largest:
                raise FetchFailed(
                    Reason.TOO_LARGE,
                    f"{shown(self.url)} answers with more than {largest} bytes where a description was asked for",
                    remedy="Check that the address is that of the store and not of a page.",
                )
        return bytes(body)

    def json(self) -> Any:
        """The body as JSON. Raises Transient for anything else: gateways answer with pages."""
        try:
            return json.loads(self.read())
        except ValueError as error:
            raise Transient(f"{shown(self.url)} does not answer with JSON") from error


class Web:
    """A client for one store."""

    def __init__(
        self, guard: Guard, *, ca: str = "", stall_seconds: float = 30.0, redirects: int = 5
    ) -> None:
        self._guard = guard
        self._redirects = redirects
        times = {"connect": min(stall_seconds, 10.0), "read": stall_seconds, "write": stall_seconds}
        self._extensions = {"timeout": {**times, "pool": 600.0}}
        self._pool = httpcore.ConnectionPool(
            ssl_context=_tls(ca), max_connections=WORKERS * 2, network_backend=_Backend(guard)
        )

    def close(self) -> None:
        """Ends connections."""
        self._pool.close()

    @contextmanager
    def get(
        self, url: str, headers: Mapping[str, str] | None = None, *, authorize: Authorize = lambda _: ""
    ) -> Iterator[Answer]:
        """The answer to GET, after redirects. Raises Transient or FetchFailed where there is none."""
        first = _origin(url)
        for _ in range(self._redirects + 1):
            authorization = authorize(url) if _origin(url) == first else ""
            with self.send(
                "GET", url, {**(headers or {}), **_if_any("authorization", authorization)}
            ) as answer:
                target = answer.headers.get("location", "")
                if answer.status not in _REDIRECTS or not target:
                    yield answer
                    return
            url = self._next(url, target)
        raise FetchFailed(
            Reason.UNREACHABLE,
            f"more than {self._redirects} redirects, the last to {shown(url)}",
            remedy="Name the address that they lead to.",
        )

    def ask(
        self, url: str, headers: Mapping[str, str] | None = None, *, authorize: Authorize = lambda _: ""
    ) -> Any:
        """JSON of an API."""
        with self.get(url, {"accept": "application/json", **(headers or {})}, authorize=authorize) as answer:
            check(answer)
            return answer.json()

    @contextmanager
    def send(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes = b""
    ) -> Iterator[Answer]:
        """One request, without redirects."""
        split = urlsplit(url)
        self._guard.check_scheme(split.scheme, split.hostname or "")
        sent = {"host": split.netloc, "user-agent": USER_AGENT, "accept-encoding": "identity", **headers}
        with (
            _named(url),
            self._pool.stream(
                method,
                _ascii(url),
                headers=list(sent.items()),
                content=content or None,
                extensions=self._extensions,
            ) as response,
        ):
            yield Answer(
                status=response.status,
                headers={
                    key.decode("latin-1").lower(): value.decode("latin-1") for key, value in response.headers
                },
                url=url,
                chunks=lambda: _chunks(url, response),
            )

    def _next(self, url: str, target: str) -> str:
        try:
            joined = urljoin(url, target)
            split = urlsplit(joined)
            _ = split.port
        except ValueError:
            split = urlsplit("")
        if split.scheme not in {"http", "https"} or not split.hostname or split.username is not None:
            raise FetchFailed(
                Reason.UNREACHABLE,
                f"{shown(url)} redirects to what is no address",
                remedy="Name the address of the file itself.",
            )
        if urlsplit(url).scheme == "https":
            Guard().check_scheme(split.scheme, "a redirect's target")
        return urlunsplit(split._replace(fragment=""))


def shown(url: str) -> str:
    """The address for people: without query, which may hold a signature, and without a user."""
    split = urlsplit(url)
    return f"{split.scheme}://{split.netloc.rpartition('@')[2]}{split.path}"


def check(answer: Answer) -> None:
    """Raises what the status says; nothing for 2xx."""
    status, where = answer.status, shown(answer.url)
    if 200 <= status < 300:
        return
    if status in _OVERLOADED:
        raise Transient(f"{where} answers {status}", retry_after=retry_after(answer.headers))
    if status in {401, 403, 407}:
        raise denied(f"{where} answers {status}")
    if status in {404, 410}:
        raise not_found(f"{where} answers {status}")
    if status in {412, 416}:
        raise SourceChanged(f"{where} answers {status}")
    raise FetchFailed(
        Reason.UNREACHABLE,
        f"{where} answers {status}, which no store does",
        remedy="Check the address and what stands before the store.",
    )


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that the server asks to wait for, within reason."""
    value = headers.get("retry-after", "")
    return min(float(value), _LONGEST_RETRY_AFTER) if value.isdecimal() and value.isascii() else 0.0


def _tls(ca: str) -> ssl.SSLContext:
    context = httpcore.default_ssl_context()
    if ca:
        try:
            context.load_verify_locations(cadata=ca)
            # From Python 3.13 on authorities must have all that RFC 5280 asks for. Private ones often have not, and
            # are trusted by curl, browsers and stores' own tools all the same; whoever gave one has vouched for it.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        except (ssl.SSLError, ValueError) as error:
            raise denied(
                "the CA bundle is no PEM", remedy="Put certificates in PEM under the key ca.crt."
            ) from error
    return context


def _origin(url: str) -> tuple[str, str, int]:
    split = urlsplit(url)
    return split.scheme, split.hostname or "", split.port or (443 if split.scheme == "https" else 80)


def _if_any(name: str, value: str) -> dict[str, str]:
    return {name: value} if value else {}


def _ascii(url: str) -> bytes:
    try:
        return url.encode("ascii")
    except UnicodeEncodeError:
        split = urlsplit(url)
        host = split.netloc.encode("idna").decode()
        path = quote(split.path, safe="/%:@!$&'()*+,;=~-._")
        return urlunsplit(
            (split.scheme, host, path, quote(split.query, safe="=&%/:@!$'()*+,;?~-._"), "")
        ).encode()


def _chunks(url: str, response: httpcore.Response) -> Iterator[bytes]:
    with _named(url):
        yield from response.iter_stream()


@contextmanager
def _named(url: str) -> Iterator[None]:
    """What the library raises, as ours."""
    where = shown(url)
    try:
        yield
    except httpcore.ConnectError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise FetchFailed(
                Reason.UNREACHABLE,
                f"the certificate of {where} is not trusted",
                remedy="Put the CA's certificate under the key ca.crt of the Secret, or correct the server's.",
                field="spec.model.secretRef",
            ) from error
        raise Transient(f"no connection to {where}") from error
    except httpcore.TimeoutException as error:
        raise Transient(f"{where} stopped answering") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise Transient(f"{where} ended the connection early") from error
