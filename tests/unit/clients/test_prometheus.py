"""Answers of a metric source: numbers, or a problem by its name. Real sockets throughout."""

import asyncio
import gzip
import json
import math
import socket
from pathlib import Path
from typing import Any

import pytest

from modelward.analysis.sampled_evidence import MetricsUnknown, Unknown
from modelward.clients.prometheus import Prometheus, Series
from support.faulty_server import ADDRESS, Behaviour, answer, dripping, faulty_server, hanging, sent

LIMIT = 64 * 1024


def _json(body: Any, *, status: str = "200 OK") -> Behaviour:
    return answer(json.dumps(body).encode(), status=status, kind="application/json")


def _data(kind: str, result: Any, **more: Any) -> Behaviour:
    return _json({"status": "success", "data": {"resultType": kind, "result": result}, **more})


def _client(port: int, *, token_file: Path | None = None) -> Prometheus:
    return Prometheus(
        name="prom", url=f"http://{ADDRESS}:{port}/", token_file=token_file, timeout=0.3, limit=LIMIT
    )


async def _instant(behaviour: Behaviour) -> list[Series]:
    async with faulty_server(behaviour) as server:
        client = _client(server.port)
        try:
            return await client.instant("up", 1_700_000_000.25)
        finally:
            await client.close()


async def test_an_instant_query() -> None:
    """The query goes out as a form, with its time and timeout; values come back as numbers, odd ones, too."""

    async def behave(reader: Any, writer: Any, head: bytes) -> None:
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        forms.append((head, await reader.readexactly(length)))
        result = [
            {"metric": {"pod": "a"}, "value": [1_700_000_000.25, "3.5"]},
            {"metric": {"pod": "b"}, "value": [1_700_000_000.25, "NaN"]},
            {"metric": {"pod": "c"}, "value": [1_700_000_000.25, "+Inf"]},
        ]
        await _data("vector", result)(reader, writer, head)

    forms: list[tuple[bytes, bytes]] = []
    found = await _instant(behave)
    assert [each.labels for each in found] == [{"pod": "a"}, {"pod": "b"}, {"pod": "c"}]
    assert [each.points[0][1] for each in found[::2]] == [3.5, math.inf]
    assert math.isnan(found[1].points[0][1])
    assert forms[0][0].startswith(b"POST /api/v1/query HTTP/1.1\r\n")
    assert forms[0][1] == b"query=up&time=1700000000.250&timeout=0.3s"


async def test_a_range_query() -> None:
    """All values of each series."""
    result = [{"metric": {}, "values": [[1, "1"], [2, "3"]]}]
    async with faulty_server(_data("matrix", result)) as server:
        client = _client(server.port)
        found = await client.range("up", 1, 2, 1)
        await client.close()
    assert found == [Series(labels={}, points=((1, 1), (2, 3)))]


async def test_a_token_is_read_at_every_request(tmp_path: Path) -> None:
    """Mounted tokens are renewed in place; and none is sent anywhere else."""
    token = tmp_path / "token"
    async with faulty_server(_data("vector", [])) as server:
        client = _client(server.port, token_file=token)
        for text in ("one\n", "two"):
            token.write_text(text)
            await client.instant("up", 1)
        await client.close()
    assert b"Authorization: Bearer one\r\n" in server.heads[0]
    assert b"Authorization: Bearer two\r\n" in server.heads[1]


@pytest.mark.parametrize("content", [None, "ü"])
async def test_a_token_that_cannot_be_read(tmp_path: Path, content: str | None) -> None:
    """Unauthorized, without a request and without the path of the file."""
    token = tmp_path / "token"
    if content:
        token.write_text(content, encoding="utf-8")
    async with faulty_server(_data("vector", [])) as server:
        client = _client(server.port, token_file=token)
        with pytest.raises(MetricsUnknown) as raised:
            await client.instant("up", 1)
        await client.close()
    assert raised.value.problem.reason is Unknown.UNAUTHORIZED
    assert str(tmp_path) not in raised.value.problem.message
    assert not server.heads


BOMB = gzip.compress(b"[" * (16 * 1024 * 1024))
ERROR = {"status": "error", "errorType": "bad_data", "error": "secret-token in the query"}


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        pytest.param(_json(ERROR, status="400 Bad Request"), Unknown.QUERY_FAILED, id="bad query"),
        pytest.param(_json(ERROR), Unknown.QUERY_FAILED, id="an error with 200"),
        pytest.param(
            _json({**ERROR, "errorType": "timeout"}, status="503 Busy"), Unknown.TIMEOUT, id="too slow"
        ),
        pytest.param(
            _json({**ERROR, "errorType": "<b>"}, status="500 Error"), Unknown.HTTP_STATUS, id="odd error"
        ),
        pytest.param(_json({}, status="401 Unauthorized"), Unknown.UNAUTHORIZED, id="401"),
        pytest.param(answer(b"no", status="403 Forbidden"), Unknown.UNAUTHORIZED, id="403"),
        pytest.param(answer(b"no", status="404 Not Found"), Unknown.NOT_FOUND, id="404"),
        pytest.param(answer(b"<html>", status="502 Bad"), Unknown.HTTP_STATUS, id="a proxy's page"),
        pytest.param(
            answer(status="302 Found", headers="Location: /login\r\n"), Unknown.REDIRECTED, id="a login"
        ),
        pytest.param(answer(b"<html>", kind="text/html"), Unknown.NOT_METRICS, id="HTML with 200"),
        pytest.param(answer(b""), Unknown.NOT_METRICS, id="nothing with 200"),
        pytest.param(answer(b"[" * 60_000), Unknown.NOT_METRICS, id="deep JSON"),
        pytest.param(_json({"status": "success"}), Unknown.NOT_METRICS, id="no data"),
        pytest.param(_data("matrix", []), Unknown.NOT_METRICS, id="a matrix"),
        pytest.param(_data("scalar", [1, "1"]), Unknown.NOT_METRICS, id="a scalar"),
        pytest.param(
            _data("vector", [{"metric": {}, "value": [1, "x"]}]), Unknown.NOT_METRICS, id="no number"
        ),
        pytest.param(
            _data("vector", [{"metric": {}, "value": [1, 1]}]), Unknown.NOT_METRICS, id="a bare number"
        ),
        pytest.param(_data("vector", {"metric": {}}), Unknown.NOT_METRICS, id="no list"),
        pytest.param(
            _data("vector", [{"metric": {}, "histogram": [1, {"count": "1"}]}]),
            Unknown.METRIC_INVALID,
            id="a native histogram",
        ),
        pytest.param(
            _data("vector", [], warnings=["one store is down"]), Unknown.QUERY_FAILED, id="warnings"
        ),
        pytest.param(answer(b" " * (LIMIT + 1)), Unknown.TOO_LARGE, id="too large"),
        pytest.param(answer(BOMB, headers="Content-Encoding: gzip\r\n"), Unknown.TOO_LARGE, id="a bomb"),
        pytest.param(hanging, Unknown.TIMEOUT, id="hangs"),
        pytest.param(dripping(b"HTTP/1.1 200 OK\r\n\r\n", b" ", 0.02), Unknown.TIMEOUT, id="drips"),
        pytest.param(sent(b"", close=True), Unknown.SOURCE_UNREACHABLE, id="closes"),
    ],
)
async def test_every_failure_has_its_name(behaviour: Behaviour, reason: Unknown) -> None:
    """The message names the source, and repeats nothing of what the server wrote."""
    with pytest.raises(MetricsUnknown) as raised:
        await _instant(behaviour)
    assert raised.value.problem.reason is reason
    assert raised.value.problem.message.startswith("metric source prom: ")
    assert "secret" not in raised.value.problem.message
    assert ADDRESS not in raised.value.problem.message


async def test_nobody_listens() -> None:
    """SourceUnreachable."""
    with socket.socket() as free:
        free.bind((ADDRESS, 0))
        port = free.getsockname()[1]
    client = _client(port)
    with pytest.raises(MetricsUnknown) as raised:
        await client.instant("up", 1)
    await client.close()
    assert raised.value.problem.reason is Unknown.SOURCE_UNREACHABLE


@pytest.mark.parametrize("turns", range(0, 24, 2))
async def test_f04_queries_that_are_given_up_cost_no_connection(turns: int) -> None:
    """All connections wait for a source that hangs, others wait for them; when all are given up, it is asked again."""
    hangs = True

    async def behave(reader: Any, writer: Any, head: bytes) -> None:
        await (hanging if hangs else _data("vector", []))(reader, writer, head)

    async with faulty_server(behave) as server:
        client = Prometheus(name="prom", url=f"http://{ADDRESS}:{server.port}", timeout=5)
        asked = [asyncio.create_task(client.instant("up", 1)) for _ in range(48)]
        while len(server.heads) < 16:  # noqa: ASYNC110 - another end of the connection
            await asyncio.sleep(0.01)
        for begin in range(0, 48, 16):
            for task in asked[begin : begin + 16]:
                task.cancel()
            for _ in range(turns):
                await asyncio.sleep(0)  # the next ones have got their connections, or are about to
        await asyncio.wait(asked)
        hangs = False
        try:
            assert await client.instant("up", 1) == []
        finally:
            await client.close()


def test_a_file_of_authorities_that_is_none(tmp_path: Path) -> None:
    """Reported at start, not at the first rollout."""
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(OSError, match=r".*"):
        Prometheus(name="prom", url="https://prom", ca_file=file)
