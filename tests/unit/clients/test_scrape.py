"""A page is read within limits, from nobody else, and every way to fail has its name. Real sockets throughout."""

import asyncio
import gzip
import socket
import tracemalloc
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelward.analysis.sampled_evidence import MetricsUnknown, Unknown
from modelward.clients.scrape import Page, Scraper
from support.faulty_server import ADDRESS, Behaviour, answer, dripping, faulty_server, hanging, sent

PAGE = b'# TYPE a counter\na{x="1"} 3\n'
LIMIT = 64 * 1024
TIMEOUT = 0.3
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
BOMB = gzip.compress(b"\0" * (64 * 1024 * 1024))


async def _read(port: int, path: str = "/metrics", *, timeout_seconds: float = TIMEOUT) -> str:
    scraper = Scraper(timeout=timeout_seconds, limit=LIMIT)
    try:
        return (await scraper.read(Page(address=ADDRESS, port=port, path=path))).text
    finally:
        await scraper.close()


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(answer(PAGE), id="text"),
        pytest.param(answer(PAGE, kind="text/plain; version=0.0.4; charset=utf-8"), id="text with version"),
        pytest.param(answer(PAGE, kind="application/openmetrics-text; version=1.0.0"), id="OpenMetrics"),
        pytest.param(answer(gzip.compress(PAGE), headers="Content-Encoding: gzip\r\n"), id="gzip, unasked"),
        *(
            pytest.param(answer(PAGE, kind=kind), id=f"test_f11 {kind}")
            for kind in ("application/json", "text/html; charset=utf-8", "application/octet-stream", "")
        ),
        pytest.param(sent(CHUNKED + b"1c\r\n" + PAGE + b"\r\n0\r\n\r\n"), id="chunked"),
        pytest.param(sent(b"HTTP/1.1 200 OK\r\n\r\n" + PAGE, close=True), id="until the connection ends"),
    ],
)
async def test_a_page_is_read(behaviour: Behaviour) -> None:
    """The text arrives as it is."""
    async with faulty_server(behaviour) as server:
        assert await _read(server.port) == PAGE.decode()


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        pytest.param(answer(status="301 Moved", headers="Location: /x\r\n"), Unknown.REDIRECTED, id="301"),
        pytest.param(answer(status="307 Temporary", headers="Location: /\r\n"), Unknown.REDIRECTED, id="307"),
        pytest.param(answer(status="304 Not Modified"), Unknown.REDIRECTED, id="304"),
        pytest.param(answer(status="401 Unauthorized"), Unknown.UNAUTHORIZED, id="401"),
        pytest.param(answer(status="403 Forbidden"), Unknown.UNAUTHORIZED, id="403"),
        pytest.param(answer(status="404 Not Found"), Unknown.NOT_FOUND, id="404"),
        pytest.param(answer(PAGE, status="500 Error"), Unknown.HTTP_STATUS, id="500"),
        pytest.param(answer(PAGE, status="206 Partial"), Unknown.HTTP_STATUS, id="206"),
        pytest.param(answer(status="204 No Content"), Unknown.HTTP_STATUS, id="204"),
        pytest.param(answer(b"a \xff\xfe"), Unknown.NOT_METRICS, id="not UTF-8"),
        pytest.param(
            answer(PAGE, headers="Content-Encoding: br\r\n"), Unknown.NOT_METRICS, id="another compression"
        ),
        pytest.param(
            answer(PAGE, headers="Content-Encoding: gzip\r\n"), Unknown.NOT_METRICS, id="gzip that is none"
        ),
        pytest.param(
            answer(gzip.compress(PAGE)[:-9], headers="Content-Encoding: gzip\r\n"),
            Unknown.NOT_METRICS,
            id="gzip cut short",
        ),
        pytest.param(answer(b"a 1\n" * 20_000), Unknown.TOO_LARGE, id="too large"),
        pytest.param(
            sent(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"), Unknown.TOO_LARGE, id="announced"
        ),
        pytest.param(
            dripping(CHUNKED, b"ffff\r\n" + b"a" * 0xFFFF + b"\r\n", 0), Unknown.TOO_LARGE, id="endless"
        ),
        pytest.param(dripping(CHUNKED, b"1\r\na\r\n", 0.02), Unknown.TIMEOUT, id="drop by drop"),
        pytest.param(
            dripping(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n", 0.02), Unknown.TIMEOUT, id="headers without end"
        ),
        pytest.param(
            dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.01), Unknown.TIMEOUT, id="continue for ever"
        ),
        pytest.param(
            dripping(b"HTTP/1.1 200 OK\r\nA: ", b"b" * 65536, 0), Unknown.NOT_METRICS, id="a flood of headers"
        ),
        pytest.param(hanging, Unknown.TIMEOUT, id="no answer"),
        pytest.param(
            sent(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na 1", close=True),
            Unknown.NOT_METRICS,
            id="cut",
        ),
        pytest.param(sent(b"SSH-2.0-OpenSSH_9.6\r\n", close=True), Unknown.NOT_METRICS, id="no HTTP"),
        pytest.param(sent(b"", close=True), Unknown.NOT_METRICS, id="closed at once"),
    ],
)
async def test_every_failure_has_its_name(behaviour: Behaviour, reason: Unknown) -> None:
    """Nothing but a whole page of text is taken, within the limits; the words are ours alone."""
    async with faulty_server(behaviour) as server:
        with pytest.raises(MetricsUnknown) as raised:
            await _read(server.port)
        assert raised.value.problem.reason is reason
        assert raised.value.problem.message.isprintable()


async def test_nobody_listens() -> None:
    """A refused connection is Refused."""
    with socket.socket() as free:
        free.bind((ADDRESS, 0))
        port = free.getsockname()[1]
    with pytest.raises(MetricsUnknown) as raised:
        await _read(port)
    assert raised.value.problem.reason is Unknown.REFUSED


async def test_a_bomb_is_not_unpacked() -> None:
    """64 KiB that unpack to 64 MiB take no more memory than the limit and the packed bytes."""
    async with faulty_server(answer(BOMB, headers="Content-Encoding: gzip\r\n")) as server:
        scraper = Scraper(timeout=5, limit=LIMIT)
        tracemalloc.start()
        try:
            with pytest.raises(MetricsUnknown) as raised:
                await scraper.read(Page(address=ADDRESS, port=server.port, path="/"))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            await scraper.close()
    assert raised.value.problem.reason is Unknown.TOO_LARGE
    assert peak < 4 * 1024 * 1024


async def test_a_redirect_is_not_followed() -> None:
    """The place that it points to gets no request."""
    async with faulty_server(answer(PAGE)) as target:
        there = f"Location: http://{ADDRESS}:{target.port}/\r\n"
        async with faulty_server(answer(status="302 Found", headers=there)) as server:
            with pytest.raises(MetricsUnknown):
                await _read(server.port)
        assert target.connections == 0


@pytest.mark.parametrize("path", ["//other.host/x", "/@other.host", "/a?b=c", "/a%0d%0ab"])
async def test_a_path_stays_a_path(path: str) -> None:
    """Whatever the path is, it goes to the pod as it is, in the first line."""
    async with faulty_server(answer(PAGE)) as server:
        await _read(server.port, path)
        assert server.heads[0].startswith(f"GET {path} HTTP/1.1\r\n".encode())
        assert f"\r\nHost: {ADDRESS}:{server.port}\r\n".encode() in server.heads[0]


@given(path=st.from_regex(r"/[!-~]{0,60}", fullmatch=True), address=st.ip_addresses())
def test_no_path_names_another_host(path: str, address: IPv4Address | IPv6Address) -> None:
    """Host and port are the page's, with every path that the API takes; nothing is raised."""
    url = Page(address=str(address), port=8123, path=path).url
    assert (url.scheme, ip_address(url.host or ""), url.port, url.user) == ("http", address, 8123, None)


async def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pods are asked directly."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://{ADDRESS}:9")
    async with faulty_server(answer(PAGE)) as server:
        assert await _read(server.port) == PAGE.decode()


async def test_cookies_are_not_given_back_and_connections_are_kept() -> None:
    """Two readings take one connection, and the second says nothing that the first was reported."""
    async with faulty_server(answer(PAGE, headers="Set-Cookie: a=b; Path=/\r\n")) as server:
        scraper = Scraper()
        page = Page(address=ADDRESS, port=server.port, path="/metrics")
        try:
            await scraper.read(page)
            await scraper.read(page)
        finally:
            await scraper.close()
        assert server.connections == 1
        assert len(server.heads) == 2
        assert b"cookie" not in server.heads[1].lower()


async def test_a_kept_connection_that_was_closed_is_no_failure() -> None:
    """A server that closes a kept connection just when it is used again is asked once more."""
    requests = 0

    async def every_second_dies(_: asyncio.StreamReader, writer: asyncio.StreamWriter, _head: bytes) -> None:
        nonlocal requests
        requests += 1
        if requests == 2:
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(PAGE), PAGE))

    async with faulty_server(every_second_dies) as server:
        scraper = Scraper()
        page = Page(address=ADDRESS, port=server.port, path="/metrics")
        try:
            assert [(await scraper.read(page)).text for _ in range(2)] == [PAGE.decode()] * 2
        finally:
            await scraper.close()
    assert requests == 3
