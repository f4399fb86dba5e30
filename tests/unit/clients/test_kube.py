"""The client against a real server on the loopback that answers whatever a broken world answers."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from aiohttp import web
from kubernetes.aio import client

from modelward.clients import kube
from modelward.clients.kube import Kube
from modelward.clients.resources import DEPLOYMENT, MODEL_DEPLOYMENT, POD
from modelward.errors import AlreadyExists, ApiError, Conflict, NotFound, Refused, Unreachable

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Guard:
    """The object that a write was decided for."""

    uid: str = "u"
    resource_version: str = "7"


@dataclass
class Server:
    """Answers every request with `answer`, and remembers what was asked."""

    answer: Answer | None = None
    asked: list[tuple[str, str, Any]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Take a request in."""
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, request.path_qs, body))
        assert self.answer
        return await self.answer(request)


@dataclass
class World:
    """A server and a client that talks to it."""

    server: Server
    kube: Kube
    counted: list[tuple[str, str]]

    def answers(self, status: int = 200, body: Any = None, **headers: str) -> None:
        """From now on."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}

        async def answer(_: web.Request) -> web.StreamResponse:
            if isinstance(body, str):
                return web.Response(status=status, text=body, headers=named, content_type="text/html")
            return web.json_response(body if body is not None else {}, status=status, headers=named)

        self.server.answer = answer

    def refuses(self, status: int, reason: str, **headers: str) -> None:
        """With a Status of Kubernetes."""
        self.answers(status, {"kind": "Status", "reason": reason, "message": "so it is"}, **headers)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A server and a client; both closed afterwards."""
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    configuration = client.Configuration()
    configuration.host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    configuration.retries = None
    counted: list[tuple[str, str]] = []
    kube = Kube(
        client.ApiClient(configuration=configuration),
        count=lambda verb, code: counted.append((verb, code)),
    )
    try:
        yield World(server, kube, counted)
    finally:
        await kube.close()
        await runner.cleanup()


async def test_get_returns_the_object(world: World) -> None:
    """Plain JSON, at the path of the resource."""
    world.answers(body={"kind": "Deployment"})
    assert await world.kube.get(DEPLOYMENT, "shop", "fraud") == {"kind": "Deployment"}
    assert world.server.asked[0][1] == "/apis/apps/v1/namespaces/shop/deployments/fraud"
    assert world.counted == [("get", "200")]


@pytest.mark.parametrize(
    ("status", "reason", "error"),
    [
        pytest.param(404, "NotFound", NotFound, id="404 is not found"),
        pytest.param(409, "AlreadyExists", AlreadyExists, id="409 of a create that met another"),
        pytest.param(409, "Conflict", Conflict, id="409 of a stale write"),
        pytest.param(401, "Unauthorized", ApiError, id="401"),
        pytest.param(403, "Forbidden", Refused, id="403"),
        pytest.param(422, "Invalid", Refused, id="422"),
        pytest.param(500, "InternalError", ApiError, id="500"),
        pytest.param(503, "ServiceUnavailable", ApiError, id="503"),
    ],
)
async def test_refusals_become_errors_of_ours(
    world: World, status: int, reason: str, error: type[ApiError]
) -> None:
    """Each says what happens next; nothing of the client library comes through."""
    world.refuses(status, reason)
    with pytest.raises(error) as raised:
        await world.kube.create(DEPLOYMENT, {"metadata": {"namespace": "shop", "name": "x"}})
    assert type(raised.value) is error
    assert (raised.value.status, raised.value.reason) == (status, reason)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        pytest.param({"Retry_After": "7"}, 7.0, id="in seconds"),
        pytest.param({"Retry_After": "Sun, 22 Nov 2026 12:00:00 GMT"}, None, id="a date is not read"),
        pytest.param({}, None, id="not given"),
    ],
)
async def test_too_many_requests_says_how_long_to_wait(
    world: World, header: dict[str, str], seconds: float | None
) -> None:
    """429 with Retry-After."""
    world.refuses(429, "TooManyRequests", **header)
    with pytest.raises(ApiError) as raised:
        await world.kube.get(DEPLOYMENT, "shop", "fraud")
    assert raised.value.retry_after == seconds


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(200, "<html>Please log in</html>", id="a page of HTML with 200"),
        pytest.param(404, "<html>Not here</html>", id="a proxy's 404 is no word about the object"),
        pytest.param(502, "", id="an empty answer"),
        pytest.param(200, [1, 2], id="JSON that is no object"),
    ],
)
async def test_what_is_no_answer_of_kubernetes_is_distinguished(world: World, status: int, body: Any) -> None:
    """A login page must not read as an empty list, nor a proxy's 404 as a deleted object."""
    world.answers(status, body)
    with pytest.raises(ApiError, match="is this an API server") as raised:
        await world.kube.get(DEPLOYMENT, "shop", "fraud")
    assert type(raised.value) is ApiError


async def test_a_kind_that_is_missing_is_distinguished(world: World) -> None:
    """The API server's own words for a path that it does not serve; they show what to do, and nothing of an object."""
    world.answers(404, "404 page not found\n")
    with pytest.raises(ApiError, match="are the CRDs installed") as raised:
        await world.kube.get(DEPLOYMENT, "shop", "fraud")
    assert type(raised.value) is ApiError


async def test_a_connection_that_is_reset_is_unreachable(world: World) -> None:
    """Whether the request was carried out is not known: poll again."""

    async def reset(request: web.Request) -> web.StreamResponse:
        assert request.transport
        request.transport.abort()
        return web.Response()

    world.server.answer = reset
    with pytest.raises(Unreachable, match="get /apis/apps/v1"):
        await world.kube.get(DEPLOYMENT, "shop", "fraud")
    assert world.counted == [("get", "error")]


async def test_an_answer_that_is_cut_short_is_unreachable(world: World) -> None:
    """Half an object is none."""

    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"kind"')
        assert request.transport
        request.transport.abort()
        return response

    world.server.answer = cut
    with pytest.raises(Unreachable):
        await world.kube.get(DEPLOYMENT, "shop", "fraud")


async def test_nobody_listening_is_unreachable(world: World) -> None:
    """As while the API server restarts."""
    world.kube._api.configuration.host = "http://127.0.0.1:1"
    with pytest.raises(Unreachable):
        await world.kube.get(DEPLOYMENT, "shop", "fraud")


async def test_a_request_is_never_repeated_by_the_library(world: World) -> None:
    """What may have been carried out is checked again first."""
    world.refuses(503, "ServiceUnavailable")
    with pytest.raises(ApiError):
        await world.kube.create(DEPLOYMENT, {"metadata": {"namespace": "shop"}})
    assert len(world.server.asked) == 1


async def test_a_list_is_read_in_chunks(world: World) -> None:
    """The continue token leads to the next one."""
    pages = [
        {"metadata": {"continue": "more", "resourceVersion": "7"}, "items": [{"n": 1}]},
        {"metadata": {"resourceVersion": "7"}, "items": [{"n": 2}]},
    ]

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(pages[len(world.server.asked) - 1])

    world.server.answer = answer
    found = [page async for page in world.kube.list(POD, None, labels="a=b")]
    assert [item for page in found for item in page.items] == [{"n": 1}, {"n": 2}]
    assert {page.version for page in found} == {"7"}
    first, second = (path for _, path, _ in world.server.asked)
    assert "labelSelector=a%3Db" in first
    assert "continue=more" in second


async def test_every_patch_is_guarded_and_names_its_manager(world: World) -> None:
    """The API server refuses it when the object has moved on."""
    world.answers(body={"ok": True})
    operation = {"op": "add", "path": "/status", "value": {}}
    await world.kube.patch(
        MODEL_DEPLOYMENT, "shop", "fraud", subresource="status", guard=Guard(), operations=[operation]
    )
    ((method, path, body),) = world.server.asked
    assert method == "PATCH"
    assert path.endswith("/modeldeployments/fraud/status?fieldManager=modelward")
    assert body == [
        {"op": "add", "path": "/metadata/uid", "value": "u"},
        {"op": "add", "path": "/metadata/resourceVersion", "value": "7"},
        operation,
    ]


async def test_every_delete_has_preconditions(world: World) -> None:
    """Another object of the same name stays."""
    world.answers(body={"kind": "Status"})
    await world.kube.delete(DEPLOYMENT, "shop", "fraud", guard=Guard())
    assert world.server.asked[0][2]["preconditions"] == {"uid": "u", "resourceVersion": "7"}


async def test_f22_a_delete_shows_what_is_left(world: World) -> None:
    """An object that finalizers keep, which the API server shows, or nothing."""
    left = {"kind": "Deployment", "metadata": {"name": "fraud", "deletionTimestamp": "2026-11-22T12:00:00Z"}}
    world.answers(body=left)
    assert await world.kube.delete(DEPLOYMENT, "shop", "fraud", guard=Guard()) == left
    for gone in ({"kind": "Status", "metadata": {}}, {"kind": "Deployment", "metadata": {"name": "fraud"}}):
        world.answers(body=gone)
        assert await world.kube.delete(DEPLOYMENT, "shop", "fraud", guard=Guard()) is None


async def test_f24_a_dry_run_says_so(world: World) -> None:
    """Nothing is stored by it."""
    world.answers(body={"ok": True})
    await world.kube.patch(DEPLOYMENT, "shop", "fraud", guard=Guard(), operations=[], dry_run=True)
    ((_, path, _),) = world.server.asked
    assert path.endswith("/deployments/fraud?dryRun=All&fieldManager=modelward")


async def test_cancelling_a_request_is_not_an_error_of_the_server(world: World) -> None:
    """A stop must go through, not turn into a retry."""
    begun = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        begun.set()
        await asyncio.Event().wait()
        return web.Response()

    world.server.answer = hang
    request = asyncio.ensure_future(world.kube.get(DEPLOYMENT, "shop", "fraud"))
    await begun.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request


@pytest.mark.parametrize(
    ("message", "reported"),
    [
        ('pods is forbidden: User "system:serviceaccount:a:b" cannot list resource "pods"', True),
        ("exceeded quota: small, requested: services=1, used: services=1, limited: services=1", False),
    ],
)
async def test_a_right_that_is_missing_is_reported_with_the_remedy(
    world: World, *, message: str, reported: bool
) -> None:
    """What else is forbidden has other remedies."""
    world.answers(403, {"kind": "Status", "reason": "Forbidden", "message": message})
    with pytest.raises(Refused) as raised:
        await world.kube.get(POD, "shop", "x")
    assert raised.value.message.startswith(message)
    assert ("a right of the operator is missing" in raised.value.message) == reported


async def test_f01_a_refusal_names_the_fields(world: World) -> None:
    """By which whoever writes finds what is in the way."""
    causes = [
        {"reason": "FieldValueForbidden", "field": "spec.LoadBalancerSourceRanges"},
        {"message": "more"},
    ]
    refusal = {"kind": "Status", "reason": "Invalid", "message": "no", "details": {"causes": causes}}
    world.answers(422, refusal)
    with pytest.raises(Refused) as raised:
        await world.kube.create(DEPLOYMENT, {"metadata": {"namespace": "shop", "name": "x"}})
    assert raised.value.fields == ("spec.LoadBalancerSourceRanges",)


async def test_f01_a_webhook_that_cannot_be_had_is_a_refusal(world: World) -> None:
    """Nothing passes without it: the user is shown, as of any refusal."""
    message = 'Internal error occurred: failed calling webhook "freeze.example.com": connection refused'
    world.answers(500, {"kind": "Status", "reason": "InternalError", "message": message})
    with pytest.raises(Refused, match=r"freeze\.example\.com"):
        await world.kube.create(DEPLOYMENT, {"metadata": {"namespace": "shop", "name": "x"}})


# --- watches ------------------------------------------------------------------------------------------------


def streams(world: World, *lines: str, cut: bool = False) -> None:
    """The server answers with these lines and ends the stream; with `cut` it drops the connection instead."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for line in lines:
            await response.write(line.encode())
        if cut:
            assert request.transport
            request.transport.abort()
        return response

    world.server.answer = answer


async def watched(world: World, version: str = "7") -> list[Any]:
    """All events of one watch of pods, up to its end."""
    return [event async for event in world.kube.watch(POD, "shop", labels="a=b", version=version)]


async def test_a_watch_brings_events_until_the_server_ends_it(world: World) -> None:
    """Whatever pieces they arrive in."""
    pod = '{"metadata": {"resourceVersion": "8"}}'
    streams(world, '{"type": "ADDED", "obj', f'ect": {pod}}}\n{{"type": "BOOKMARK", "object": {pod}}}\n')
    assert [event["type"] for event in await watched(world)] == ["ADDED", "BOOKMARK"]
    (_, path, _) = world.server.asked[0]
    assert path.startswith(
        "/api/v1/namespaces/shop/pods?watch=true&allowWatchBookmarks=true&resourceVersion=7"
    )
    assert path.endswith("labelSelector=a%3Db")
    assert world.counted == [("watch", "200")]


async def test_a_watch_brings_the_largest_object(world: World) -> None:
    """Anybody who may make a pod may make one of 1.5 MiB, all of it `<`, which the API server writes as six bytes."""
    object_ = f'{{"metadata": {{"resourceVersion": "8"}}, "spec": "{"<" * 1_500_000}"}}'
    line = f'{{"type": "ADDED", "object": {object_}}}\n'.replace("<", "\\u003c")
    streams(world, line, line)
    assert [len(event["object"]["spec"]) for event in await watched(world)] == [1_500_000] * 2


async def test_what_is_nested_too_deep_is_read_all_the_same(world: World) -> None:
    """Any writer of an object may set its managedFields: ten thousand levels of them must not end the operator."""
    deep = '{"f:a":' * 9_000 + "{}" + "}" * 9_000
    metadata = f'{{"name": "x", "resourceVersion": "8", "managedFields": [{{"fieldsV1": {deep}}}]}}'
    streams(world, f'{{"type": "ADDED", "object": {{"metadata": {metadata}}}}}\n')
    assert [event["object"]["metadata"]["name"] for event in await watched(world)] == ["x"]
    streams(world, f'{{"items": [{{"metadata": {metadata}}}], "metadata": {{}}}}')
    assert [item["metadata"]["name"] async for page in world.kube.list(POD) for item in page.items] == ["x"]


@pytest.mark.parametrize(
    ("lines", "cut"),
    [
        pytest.param(['{"type": "ADD'], False, id="half an event"),
        pytest.param(
            ['{"type": "ADDED", "object": {"metadata": {"resourceVersion": "8"}}}\n'], True, id="cut"
        ),
        pytest.param(['{"type": "ADDED", "object": {}}\n'], False, id="an object without metadata"),
        pytest.param(['{"type": "ADDED", "object": {"metadata": {}}}\n'], False, id="no version"),
        pytest.param(['{"type": "ADDED", "object": null}\n'], False, id="no object"),
        pytest.param(["[]\n"], False, id="a list"),
        pytest.param(['{"type": "ERROR"}\n'], False, id="an error without words"),
        pytest.param(["<html>a proxy's page</html>\n"], False, id="no JSON"),
    ],
)
async def test_a_watch_that_breaks_says_so(world: World, lines: list[str], cut: bool) -> None:  # noqa: FBT001 - a parametrized case
    """It is no end: something may be missing."""
    streams(world, *lines, cut=cut)
    with pytest.raises(Unreachable):
        await watched(world)


async def test_an_error_event_is_an_error(world: World) -> None:
    """Most often: the version is too old."""
    streams(world, '{"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}\n')
    with pytest.raises(ApiError) as raised:
        await watched(world)
    assert (raised.value.status, raised.value.reason) == (410, "Expired")


async def test_an_error_event_with_odd_words_is_an_error(world: World) -> None:
    """It ends the stream, and nothing else."""
    streams(world, '{"type": "ERROR", "object": {"code": "many", "reason": null}}\n')
    with pytest.raises(ApiError) as raised:
        await watched(world)
    assert raised.value.status == 500


async def test_a_refused_watch_is_an_error(world: World) -> None:
    """A missing right, say."""
    world.refuses(403, "Forbidden")
    with pytest.raises(Refused):
        await watched(world)


async def test_a_silent_watch_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server sends a bookmark every minute; without one the connection is dead."""
    monkeypatch.setattr("modelward.clients.kube.WATCH_SILENCE_SECONDS", 0.05)

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.sleep(5)
        return response

    world.server.answer = answer
    with pytest.raises(Unreachable):
        await watched(world)


def test_snapshot_is_sent_as_yaml_that_is_json() -> None:
    """Every character that YAML takes for something else is escaped: line breaks, control characters, emoji."""
    odd = {
        "a": "tab\t nl\n del\x7f nel\x85 ls\u2028 bom\ufeff \U0001f600 <x>&'\"# : - {}[]",
        "e": "1e3",
        "n": None,
    }
    text = kube._yaml(odd)
    assert yaml.safe_load(text) == odd == json.loads(text)
