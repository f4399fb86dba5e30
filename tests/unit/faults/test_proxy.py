"""The fault proxy: what passes, what is numbered, and each kind of harm that it can do."""

import asyncio
import json
import math
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from aiohttp import web

from devcluster.certificates import Authority
from devcluster.kubeconfig import render
from faults.plan import (
    EACH,
    PASS,
    Answer,
    CrashAt,
    Delay,
    Double,
    Drop,
    End,
    Fault,
    Frame,
    FrameFault,
    Kill,
    Moment,
    Place,
    Plan,
    Replace,
    Reply,
    Request,
    Reset,
    Truncate,
)
from faults.proxy import Proxy
from support.waiting import until

PODS = "/api/v1/namespaces/a/pods"
FRAMES = [f'{{"type":"ADDED","object":{{"n":{number}}}}}\n'.encode() for number in range(3)]


@dataclass
class Behind:
    """An API server that stores names, and shows three events to who watches."""

    url: str = ""
    stored: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    authorized: set[str] = field(default_factory=set)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Every path."""
        self.asked.append(request.raw_path)
        self.authorized.add(request.headers.get("Authorization", ""))
        if "watch" in request.query:
            response = web.StreamResponse()
            await response.prepare(request)
            for frame in FRAMES:
                await response.write(frame)
            return response
        if request.method != "GET":
            self.stored.append(await request.text())
            return web.json_response({"stored": len(self.stored)}, status=201)
        return web.json_response({"items": self.stored})


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Behind]:
    """An API server in a thread."""
    server, loop = Behind(), asyncio.new_event_loop()
    Authority(tmp_path, "ca").issue("server", "server", hosts=("127.0.0.1",))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")

    async def start() -> web.AppRunner:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", server.serve)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        server.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(start(), loop).result()
    yield server
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def proxy(behind: Behind, tmp_path: Path) -> Iterator[Proxy]:
    """Before it."""
    original = tmp_path / "original"
    original.write_text(render(behind.url, tmp_path, {"token": "secret"}))
    with Proxy(original, tmp_path / "proxy") as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[httpx.Client]:
    """The operator: all it knows is the kubeconfig."""
    config = yaml.safe_load(proxy.kubeconfig.read_text())
    tls = ssl.create_default_context(cafile=proxy.kubeconfig.parent / "ca.crt")
    headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}"}
    server = config["clusters"][0]["cluster"]["server"]
    with httpx.Client(base_url=server, verify=tls, headers=headers, trust_env=False, timeout=5) as client:
        yield client


class Always(Plan):
    """One fault for every request or one for the second frame."""

    def __init__(self, fault: Fault = PASS, second: FrameFault = PASS) -> None:
        self.fault, self.second = fault, second

    def request(self, request: Request) -> Fault:
        """It."""
        del request
        return self.fault

    def frame(self, watch: Request, frame: Frame) -> FrameFault:
        """It, at the second one."""
        del watch
        return self.second if frame.number == 2 else PASS


def test_passes_on(proxy: Proxy, client: httpx.Client, behind: Behind) -> None:
    """Method, path and query as they were written, credentials, body, status code and answer."""
    answer = client.post(f"{PODS}/x%2Fy?fieldManager=a%20b", content=b"one")
    assert (answer.status_code, answer.json()) == (201, {"stored": 1})
    assert behind.stored == ["one"]
    assert behind.asked == [f"{PODS}/x%2Fy?fieldManager=a%20b"]
    assert behind.authorized == {"Bearer secret"}
    assert client.get(PODS).json() == {"items": ["one"]}


def test_numbers_what_changes_something(proxy: Proxy, client: httpx.Client) -> None:
    """Reads, Events and Leases have no number; a reset begins anew."""
    for path in (PODS, "/apis/events.k8s.io/v1/namespaces/a/events", PODS):
        client.post(path, content=b"x")
    client.patch("/apis/coordination.k8s.io/v1/namespaces/a/leases/b", content=b"x")
    client.get(PODS)
    assert [(each.number, str(each)) for each in proxy.requests] == [(1, "POST pods"), (2, "POST pods")]
    proxy.reset()
    client.delete(f"{PODS}/x")
    assert [(each.number, str(each)) for each in proxy.requests] == [(1, "DELETE pods/x")]


@pytest.mark.parametrize(
    ("moment", "stored", "answered"),
    [(Moment.UNSENT, 0, False), (Moment.STORED, 1, False), (Moment.ANSWERED, 1, True)],
)
def test_crash_points(
    proxy: Proxy, client: httpx.Client, behind: Behind, moment: Moment, stored: int, *, answered: bool
) -> None:
    """The operator is killed once, at the second write: what is stored then, and what it knows."""
    kills: list[int] = []
    last_words = threading.Event()

    def kill() -> None:
        """What a process sends it sends before it is killed, however slow it is."""
        assert not answered or last_words.wait(5)
        kills.append(len(behind.stored))

    def trace(event: str, _: object) -> None:
        if event == "http11.send_request_body.complete":
            last_words.set()

    proxy.kill = kill
    client.post(PODS, content=b"first")
    proxy.reset(CrashAt(1, moment))
    assert _was_answered(lambda: client.post(PODS, content=b"second")) == answered
    if answered:
        with pytest.raises(httpx.TransportError):
            client.post(PODS, content=b"what a killed one sends is lost", extensions={"trace": trace})
    assert kills == [1 + stored]
    assert client.post(PODS, content=b"third").status_code == 201
    assert behind.stored == ["first", *["second"] * stored, "third"]


def _was_answered(send: Callable[[], httpx.Response]) -> bool:
    try:
        return send().is_success
    except httpx.TransportError:
        return False


def test_replies(proxy: Proxy, client: httpx.Client, behind: Behind) -> None:
    """An answer with any code, headers and body, of which the API server knows nothing."""
    proxy.plan = Always(Reply(Answer(status=429, headers={"Retry-After": "7"}, body=b"<html>")))
    answer = client.post(PODS, content=b"x")
    assert (answer.status_code, answer.headers["Retry-After"], answer.content) == (429, "7", b"<html>")
    assert behind.stored == []


@pytest.mark.parametrize("stored", [False, True])
def test_resets(proxy: Proxy, client: httpx.Client, behind: Behind, *, stored: bool) -> None:
    """Before the API server has it, or after."""
    proxy.plan = Always(Reset(stored=stored))
    with pytest.raises(httpx.TransportError):
        client.post(PODS, content=b"x")
    assert behind.stored == ["x"] * stored


@pytest.mark.parametrize("stored", [False, True])
def test_delays_for_ever(proxy: Proxy, client: httpx.Client, behind: Behind, *, stored: bool) -> None:
    """The request, or only its answer; a connection that is cut ends the wait."""
    proxy.plan = Always(Delay(math.inf, stored=stored))
    with ThreadPoolExecutor() as pool:
        waits = pool.submit(client.post, PODS, content=b"x", timeout=None)
        until(lambda: proxy.stored if stored else proxy.requests, "the proxy has it")
        assert not waits.done()
        proxy.cut()
        with pytest.raises(httpx.TransportError):
            waits.result()
    assert behind.stored == ["x"] * stored


def test_changes_answers(proxy: Proxy, client: httpx.Client) -> None:
    """A list as it was before, for instance."""

    class Old(Plan):
        def answer(self, request: Request, answer: Answer) -> Answer:
            return (
                Answer(status=200, body=json.dumps({"items": ["old"]}).encode()) if request.lists else answer
            )

    proxy.plan = Old()
    assert client.get(PODS).json() == {"items": ["old"]}
    assert client.get(f"{PODS}/x").json() == {"items": []}


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        pytest.param(PASS, FRAMES, id="pass"),
        pytest.param(Drop(), [FRAMES[0], FRAMES[2]], id="drop"),
        pytest.param(Double(), [FRAMES[0], FRAMES[1], FRAMES[1], FRAMES[2]], id="double"),
        pytest.param(Delay(0.05), FRAMES, id="delay"),
        pytest.param(Truncate(), [FRAMES[0], FRAMES[1][: len(FRAMES[1]) // 2]], id="truncate"),
        pytest.param(End(), [FRAMES[0]], id="end"),
        pytest.param(Replace((b"{}\n", b"[]\n")), [FRAMES[0], b"{}\n", b"[]\n", FRAMES[2]], id="replace"),
    ],
)
def test_frames(proxy: Proxy, client: httpx.Client, fault: FrameFault, seen: list[bytes]) -> None:
    """What of a watch arrives."""
    proxy.plan = Always(second=fault)
    assert client.get(f"{PODS}?watch=true").content == b"".join(seen)


def test_freezes_a_stream(proxy: Proxy, client: httpx.Client) -> None:
    """It stays open and is silent."""
    proxy.plan = Always(second=Delay())
    with ThreadPoolExecutor() as pool, client.stream("GET", f"{PODS}?watch=1", timeout=None) as stream:
        lines = stream.iter_lines()
        assert next(lines).encode() + b"\n" == FRAMES[0]
        silent = pool.submit(next, lines)
        assert client.get(PODS).is_success, "others are answered"
        assert not silent.done()
        proxy.cut()
        with pytest.raises(httpx.TransportError):
            silent.result()


def test_breaks_all_connections(proxy: Proxy, client: httpx.Client) -> None:
    """At once, streams too."""
    proxy.plan = Always(second=Delay())
    with client.stream("GET", f"{PODS}?watch=1") as stream:
        lines = stream.iter_lines()
        assert json.loads(next(lines))["object"] == {"n": 0}
        proxy.cut()
        with pytest.raises(httpx.TransportError):
            next(lines)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (PODS, ("pods", "a", "", "")),
        ("/apis/apps/v1/namespaces/a/deployments/b/scale", ("deployments", "a", "b", "scale")),
        ("/api/v1/namespaces/a", ("namespaces", "", "a", "")),
        ("/apis/modelward.dev/v1alpha1/modeldeployments", ("modeldeployments", "", "", "")),
        ("/apis", ("", "", "", "")),
    ],
)
def test_places(path: str, place: tuple[Any, ...]) -> None:
    """Resource, namespace, name and subresource of a path."""
    found = Place.of(path)
    assert (found.resource, found.namespace, found.name, found.subresource) == place


def test_kills_only_once() -> None:
    """The count goes on after the restart, but nothing is killed any more."""
    plan = CrashAt(2, Moment.UNSENT)
    requests = [
        Request(method="POST", path=PODS, target=PODS, query={}, headers={}, number=n) for n in (1, 2, 2, 3)
    ]
    assert [plan.request(each) for each in requests] == [PASS, Kill(Moment.UNSENT), PASS, PASS]
    assert plan.struck is requests[1]


@pytest.mark.parametrize(("moment", "kills"), [(Moment.UNSENT, 2), (Moment.STORED, 3), (Moment.ANSWERED, 3)])
def test_kills_again_and_again(moment: Moment, kills: int) -> None:
    """A crash loop: at each write; before it is sent at every other one, so that something is done at all."""
    plan = CrashAt(EACH, moment)
    for number in (0, 1, 2, 0, 3):
        plan.request(Request(method="POST", path=PODS, target=PODS, query={}, headers={}, number=number))
    assert plan.kills == kills
    assert plan.struck
    assert plan.struck.number == 1
