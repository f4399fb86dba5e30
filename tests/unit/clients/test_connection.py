"""Where the API server is and who we are: from a kubeconfig, or from what a pod is given."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import certifi
import pytest
import yaml
from aiohttp import web
from kubernetes.aio.config import incluster_config

from modelward.clients import connection
from modelward.clients.connection import connect, own_namespace, runs_in_cluster
from modelward.clients.kube import Kube
from modelward.clients.resources import POD
from modelward.errors import InvalidSettings, Unreachable

VARIABLES = ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "NO_PROXY", "HTTPS_PROXY")


@pytest.fixture(autouse=True)
def _outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No word about a cluster or a proxy in the environment."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def kubeconfig(directory: Path, server: str = "https://10.0.0.1:6443") -> Path:
    """A file with a token."""
    file = directory / "config"
    content: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "hunter2"}}],
    }
    file.write_text(yaml.safe_dump(content))
    return file


async def host_of(file: Path | None) -> tuple[str, str | None]:
    """Server and proxy of the client that is made."""
    api = await connect(file)
    try:
        return api.configuration.host, api.configuration.proxy
    finally:
        await api.close()


async def test_a_kubeconfig_names_the_server(tmp_path: Path) -> None:
    """Nothing is asked of it yet."""
    assert await host_of(kubeconfig(tmp_path)) == ("https://10.0.0.1:6443", None)


async def test_the_environment_names_the_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the servers that it excepts."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
    assert (await host_of(kubeconfig(tmp_path)))[1] == "http://proxy.example.com:3128"
    monkeypatch.setenv("NO_PROXY", "10.0.0.1")
    assert (await host_of(kubeconfig(tmp_path)))[1] is None


async def test_no_request_waits_for_a_watch(tmp_path: Path) -> None:
    """An operator with many named namespaces keeps hundreds of watches, each on a connection of its own."""
    count, opened, done = 150, asyncio.Semaphore(0), asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            opened.release()
            await done.wait()
        return web.json_response({})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    kube = Kube(await connect(kubeconfig(tmp_path, f"http://127.0.0.1:{runner.addresses[0][1]}")))

    async def watch(namespace: str) -> None:
        with suppress(Unreachable):
            async for _ in kube.watch(POD, namespace, labels="a=b", version="0"):
                pass

    watches = [asyncio.create_task(watch(f"team-{number}")) for number in range(count)]
    try:
        async with asyncio.timeout(20):
            for _ in watches:
                await opened.acquire()
            assert await kube.get(POD, "shop", "fraud") == {}
    finally:
        done.set()
        await asyncio.gather(*watches)
        await kube.close()
        await runner.cleanup()


async def test_without_any_credentials_the_message_says_what_to_set(tmp_path: Path) -> None:
    """A file that is not there."""
    with pytest.raises(InvalidSettings, match="Set KUBECONFIG or pass --kubeconfig"):
        await connect(tmp_path / "none")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("token: hunter2: [", id="no YAML"),
        pytest.param("- hunter2", id="a list"),
        pytest.param("clusters: hunter2", id="the wrong shape"),
    ],
)
async def test_a_kubeconfig_that_cannot_be_read_is_not_quoted(tmp_path: Path, content: str) -> None:
    """There are tokens in it."""
    file = tmp_path / "config"
    file.write_text(content)
    with pytest.raises(InvalidSettings) as raised:
        await connect(file)
    assert "hunter2" not in str(raised.value)


def test_a_pod_uses_its_own_account_unless_spec_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kubeconfig that is named wins."""
    assert not runs_in_cluster(None)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    assert runs_in_cluster(None)
    assert not runs_in_cluster(tmp_path)
    monkeypatch.setenv("KUBECONFIG", "config")
    assert not runs_in_cluster(None)


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [
        ("10.96.0.1", "6443", "https://10.96.0.1:6443"),
        ("fd00::1", "443", "https://[fd00::1]:443"),
    ],
)
async def test_the_api_server_of_a_pod_needs_no_dns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, port: str, url: str
) -> None:
    """Its address is in the environment of every pod."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    token = tmp_path / "token"
    token.write_text("hunter2")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", certifi.where())
    api = await connect()
    await api.close()
    assert api.configuration.host == url


def test_the_own_namespace_is_that_of_the_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of a cluster the one of the manifests."""
    assert own_namespace(None) == "modelward-system"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    mounted = tmp_path / "namespace"
    monkeypatch.setattr(connection, "_OWN_NAMESPACE", mounted)
    with pytest.raises(InvalidSettings, match="which namespace is this"):
        own_namespace(None)
    mounted.write_text("serving\n")
    assert own_namespace(None) == "serving"


async def test_a_pod_without_a_token_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """automountServiceAccountToken is off, say."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    with pytest.raises(InvalidSettings, match="token must be mounted"):
        await connect()
