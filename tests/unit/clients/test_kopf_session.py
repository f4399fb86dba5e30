"""One Kopf against a server that answers whatever a broken world answers: it gets over all of it."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import kopf
import pytest
import yaml
from aiohttp import web

from modelward.clients.connection import connect
from modelward.clients.kopf_session import kopf_session
from modelward.clients.resources import MODEL_DEPLOYMENT, MODEL_RUNTIME, Resource
from modelward.controller import handlers
from modelward.controller.handlers import operator_settings, registry

Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]
DEEP = '{"f:a":' * 9_000 + "{}" + "}" * 9_000
"""What the API server takes in managedFields, and Python's decoders do not."""

HOSTILE = '"annotations": {"kopf.zalando.org/last-handled-configuration": "no JSON"}'
"""Kopf's own memory, if it were used: it would stumble over this at every event."""


def model(version: int, extra: str = "null") -> str:
    """An object as it is sent."""
    metadata = f'"name": "fraud", "namespace": "shop", "uid": "u", "resourceVersion": "{version}", {HOSTILE}'
    kind = f'"apiVersion": "modelward.dev/v1alpha1", "kind": "{MODEL_DEPLOYMENT.kind}"'
    return f'{{{kind}, "metadata": {{{metadata}, "managedFields": {extra}}}}}'


def event(version: int, kind: str = "MODIFIED", extra: str = "null") -> str:
    """A line of a watch."""
    return f'{{"type": "{kind}", "object": {model(version, extra)}}}\n'


def says(status: int, text: str, **headers: str) -> Fault:
    """An answer."""

    async def answer(_: web.Request) -> web.StreamResponse:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return web.Response(status=status, text=text, headers=named)

    return answer


def refuses(status: int, reason: str, **headers: str) -> Fault:
    """A refusal in Kubernetes' form."""
    return says(status, json.dumps({"kind": "Status", "code": status, "reason": reason}), **headers)


async def cut(request: web.Request) -> web.StreamResponse:
    """Half an event."""
    return await says(200, event(2)[:40])(request)


@dataclass
class Server:
    """The API server: two of our kinds, one object. Each fault is met once, at the list or the watch it is meant for."""

    lists: list[Fault] = field(default_factory=list)
    watches: list[Fault] = field(default_factory=list)
    version: int = 1
    asked: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer."""
        self.tokens.append(request.headers.get("Authorization", ""))
        kind = request.path.rpartition("/")[2]
        if kind == "apis":
            group = {"name": MODEL_DEPLOYMENT.group, "preferredVersion": {"version": "v1alpha1"}}
            return web.json_response({"groups": [{**group, "versions": [{"version": "v1alpha1"}]}]})
        if kind == "v1alpha1":
            return web.json_response({"resources": [_served(MODEL_DEPLOYMENT), _served(MODEL_RUNTIME)]})
        if kind == "api":
            return web.json_response({"versions": ["v1"]})
        if kind == "v1":
            namespaces = {"name": "namespaces", "singularName": "namespace", "kind": "Namespace"}
            return web.json_response({"resources": [{**namespaces, "namespaced": False, "verbs": []}]})
        watch = "watch" in request.query
        faults = self.watches if watch else self.lists
        if faults and kind == MODEL_DEPLOYMENT.plural:
            return await faults.pop(0)(request)
        if kind == MODEL_DEPLOYMENT.plural:
            self.asked.append("watch" if watch else "list")
        return await (self._watched if watch else self._listed)(request, kind)

    async def _listed(self, _: web.Request, kind: str) -> web.StreamResponse:
        items = f"[{model(self.version)}]" if kind == MODEL_DEPLOYMENT.plural else "[]"
        text = f'{{"kind": "ModelDeploymentList", "metadata": {{"resourceVersion": "{self.version}"}}, "items": {items}}}'
        return web.Response(text=text, content_type="application/json")

    async def _watched(self, request: web.Request, kind: str) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        if kind == MODEL_DEPLOYMENT.plural:
            self.version += 1
            await response.write(event(self.version, extra=f'[{{"fieldsV1": {DEEP}}}]').encode())
        await asyncio.Event().wait()
        return response


def _served(resource: Resource) -> dict[str, Any]:
    names = {"name": resource.plural, "singularName": resource.kind.lower(), "kind": resource.kind}
    return {**names, "namespaced": True, "verbs": ["list", "watch"]}


@dataclass
class World:
    """A server, and one Kopf that watches it."""

    server: Server
    url: str
    directory: Path
    taken: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    failed: list[str] = field(default_factory=list)
    logins: int = 0
    session: aiohttp.ClientSession = field(init=False)

    def kubeconfig(self) -> Path:
        """For the server."""
        file = self.directory / "config"
        content: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {"token": "hunter2"}}],
        }
        file.write_text(yaml.safe_dump(content))
        return file

    async def until(self, version: int) -> None:
        """Wait until Kopf has brought that version, or a later one."""
        async with asyncio.timeout(20):
            while int(await self.taken.get()) < version:
                pass

    async def run(self) -> None:
        """Kopf, as the operator runs it."""

        async def log_in() -> kopf.AiohttpSession:
            self.logins += 1
            api = await connect(self.kubeconfig())
            self.session = kopf_session(api, lambda kind, why: self.failed.append(f"{kind}: {why}"))
            return kopf.AiohttpSession(server=api.configuration.host, aiohttp_session=self.session)

        def take(each: Any) -> None:
            self.taken.put_nowait(each["object"]["metadata"]["resourceVersion"])

        await kopf.operator(
            registry=registry(take, (MODEL_DEPLOYMENT, MODEL_RUNTIME), log_in),
            settings=operator_settings(),
            standalone=True,
            namespaces=["shop"],
        )


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A server and a Kopf without pauses."""
    monkeypatch.setattr(handlers, "RECONNECT_SECONDS", (0.01,))
    monkeypatch.setattr(handlers, "RELIST_SECONDS", 0.01)
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield World(server, f"http://127.0.0.1:{runner.addresses[0][1]}", tmp_path)
    await runner.cleanup()


DATE = "Wed, 21 Oct 2026 07:28:00 GMT"
ERROR = '{"type": "ERROR", "object": {"kind": "Status", "code": %d, "message": "by plan"}}\n'
ANYWHERE = [
    pytest.param(refuses(401, "Unauthorized"), id="401"),
    pytest.param(refuses(403, "Forbidden"), id="403"),
    pytest.param(refuses(404, "NotFound"), id="404"),
    pytest.param(says(404, "404 page not found\n"), id="the kind is gone"),
    pytest.param(refuses(410, "Expired"), id="410"),
    pytest.param(refuses(429, "TooManyRequests", Retry_After=DATE), id="429 with a date"),
    pytest.param(refuses(500, "InternalError"), id="500"),
    pytest.param(says(502, "<html>bad gateway</html>"), id="502 in HTML"),
    pytest.param(says(200, "<html>sign in</html>"), id="HTML with 200"),
    pytest.param(says(200, "[]"), id="a list of JSON with 200"),
    pytest.param(cut, id="half an answer"),
]
STREAMS = [
    pytest.param(says(200, ERROR % 410), id="ERROR 410"),
    pytest.param(says(200, ERROR % 500), id="ERROR 500"),
    pytest.param(says(200, '{"type": "ADDED", "object": {}}\n'), id="no object"),
    pytest.param(says(200, "<html>\n"), id="no JSON"),
    pytest.param(says(200, ""), id="ended at once"),
]


@pytest.mark.parametrize("fault", ANYWHERE)
async def test_a_list_that_fails(world: World, fault: Fault) -> None:
    """It is asked for once more, and the watch follows."""
    world.server.lists = [fault, fault]
    await played(world, 2)
    assert world.server.asked[:2] == ["list", "watch"]


@pytest.mark.parametrize("fault", [*ANYWHERE, *STREAMS])
async def test_a_watch_that_fails(world: World, fault: Fault) -> None:
    """It is started again; what is nested too deep to be decoded is read all the same."""
    world.server.watches = [fault, fault]
    await played(world, 2)
    assert "watch" in world.server.asked


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        pytest.param(refuses(403, "Forbidden"), "Forbidden", id="refused"),
        pytest.param(says(200, ERROR % 500), "by plan", id="an error in the stream"),
        pytest.param(cut, "in the middle of an event", id="half an event"),
    ],
)
async def test_a_watch_that_fails_is_counted_and_says_why(world: World, fault: Fault, why: str) -> None:
    """For each kind, as the streams of our own."""
    world.server.watches = [fault]
    await played(world, 2)
    (said,) = world.failed
    assert said.startswith(MODEL_DEPLOYMENT.plural)
    assert why in said


async def played(world: World, version: int) -> None:
    """Run one Kopf until it has brought a version; it has not ended by itself, and has logged in once."""
    running = asyncio.create_task(world.run())
    try:
        await world.until(version)
        assert not running.done()
    finally:
        running.cancel()  # asked to stop, Kopf would wait for the server, which runs in the same event loop
        await asyncio.gather(running, return_exceptions=True)
        await world.session.close()
    assert world.logins == 1
    assert {*world.server.tokens} == {"Bearer hunter2"}
    assert world.server.lists == world.server.watches == []


async def test_certificates_without_key_identifiers_are_accepted(world: World) -> None:
    """They are verified, with the host name, but not by the stricter rules that Python 3.13 made its default."""
    session = kopf_session(await connect(world.kubeconfig()), lambda *_: None)
    assert isinstance(session.connector, aiohttp.TCPConnector)
    context = session.connector._ssl
    await session.close()
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
