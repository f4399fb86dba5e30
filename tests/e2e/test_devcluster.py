"""The development cluster's real node: pods run, are reached from the host, and nothing stays behind."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from devcluster import Cluster, cgroups, commands, ensure_up, lifecycle, node, processes
from devcluster.images import build_image
from devcluster.leftovers import leftovers
from devcluster.node_images import import_image
from devcluster.paths import cluster_directory
from devcluster.progress import silence

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(node.blocker() is not None, reason=f"no real node: {node.blocker()}"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster with a real node and a fake one."""
    with _running("a", kwok=1) as made:
        yield made


def test_pod_is_reached_from_the_host(cluster: Cluster) -> None:
    """An ordinary pod lands on the real node, and the host reaches it by its own IP and by its ClusterIP."""
    _run_server(cluster)
    assert cluster.kubectl("get", "pod", "server", "-o", "jsonpath={.spec.nodeName}") == cluster.node_name
    pod = cluster.kubectl("get", "pod", "server", "-o", "jsonpath={.status.podIP}")
    assert _get(f"http://{pod}:2379/health")["health"] == "true"
    service = cluster.kubectl("get", "service", "server", "-o", "jsonpath={.spec.clusterIP}")
    assert _get(f"http://{service}/health")["health"] == "true"
    assert "kubectl" not in cluster.kubectl("logs", "server")


def test_pod_reaches_the_api_with_its_token(cluster: Cluster) -> None:
    """From within a pod the API server answers by its ClusterIP and knows who asks."""
    _run_server(cluster)
    who = cluster.kubectl("exec", "server", "--", "/programs/kubectl", "auth", "whoami", "-o", "json")
    assert json.loads(who)["status"]["userInfo"]["username"] == "system:serviceaccount:default:default"


@pytest.mark.integrations
def test_two_nodes_at_once(cluster: Cluster) -> None:
    """A second cluster's node has its own network, and both are reached from the host at the same time."""
    _run_server(cluster)
    with _running("b") as other:
        _run_server(other)
        for each in (cluster, other):
            address = each.kubectl("get", "service", "server", "-o", "jsonpath={.spec.clusterIP}")
            assert _get(f"http://{address}/health")["health"] == "true"
    assert leftovers(other.directory, other.name) == []
    address = cluster.kubectl("get", "service", "server", "-o", "jsonpath={.spec.clusterIP}")
    assert _get(f"http://{address}/health")["health"] == "true"


def test_an_image_is_imported_once(cluster: Cluster) -> None:
    """An archive whose images are there with the same digests is not imported again."""
    assert import_image(cluster.directory, build_image("pause"))


@pytest.mark.integrations
def test_restarted_node_runs_its_pods_again(cluster: Cluster) -> None:
    """After `down` without wiping and `up`, the pods of before run again."""
    _run_server(cluster)
    cluster.down(wipe=False)
    assert leftovers(cluster.directory, cluster.name) == []
    ensure_up(cluster.name, say=silence)
    service = cluster.kubectl("get", "service", "server", "-o", "jsonpath={.spec.clusterIP}")
    deadline = time.monotonic() + 90
    while True:
        try:
            assert _get(f"http://{service}/health")["health"] == "true"
        except httpx.HTTPError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


@pytest.mark.integrations
@pytest.mark.parametrize(
    "victims",
    [
        pytest.param(["kubelet"], id="kubelet"),
        pytest.param(["containerd", "anchor"], id="containerd and the holder of the mounts"),
        pytest.param(
            ["kube-apiserver", "etcd", "api-forward", "kube-proxy"], id="everything around the kubelet"
        ),
    ],
)
def test_down_after_a_crash_leaves_nothing(victims: list[str]) -> None:
    """With parts killed and a pod running, `down` leaves the host as it was, and doing it twice is fine."""
    before = _host(_name("c"))
    with _running("c") as crashed:
        _run_server(crashed)
        assert _host(crashed.name) != before
        for process in processes.marked(crashed.directory):
            if process.component in victims and process.program != "containerd-shim-runc-v2":
                processes.kill([process.pid])
        for _ in range(2):
            crashed.down()
            assert leftovers(crashed.directory, crashed.name) == []
            assert not crashed.directory.exists()
    assert _host(crashed.name) == before


@pytest.mark.integrations
def test_up_repairs_a_crashed_node(cluster: Cluster) -> None:
    """When the node's container runtime was killed, `up` brings the node and its pods back."""
    _run_server(cluster)
    for name in ("containerd", "anchor"):
        process = processes.main_process(cluster.directory, name, node.PROGRAMS[name])
        assert process is not None
        processes.kill([process.pid])
    ensure_up(cluster.name, say=silence)
    cluster.kubectl("delete", "pod", "server", "--wait=true", "--timeout=60s")
    _run_server(cluster)


@contextlib.contextmanager
def _running(suffix: str, kwok: int = 0) -> Iterator[Cluster]:
    """A cluster with a real node, which goes at the end even if it never came up."""
    try:
        yield ensure_up(_name(suffix), node=True, kwok=kwok, say=silence)
    finally:
        lifecycle.down(_name(suffix), wipe=True, say=silence)


def _name(suffix: str) -> str:
    """A name of this test run only: others may run tests on the same machine."""
    return f"n{os.getpid() % 10**8}{suffix}"


def _run_server(cluster: Cluster) -> None:
    """A pod that answers HTTP. It runs etcd, which is on the node anyway, so that no image needs building."""
    container: dict[str, Any] = {
        "name": "server",
        "image": "modelward.local/pause:1",
        "imagePullPolicy": "Never",
        "command": [
            "/programs/etcd",
            "--data-dir=/data",
            "--listen-client-urls=http://0.0.0.0:2379",
            "--advertise-client-urls=http://0.0.0.0:2379",
        ],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 2379}, "periodSeconds": 1},
        "resources": {"limits": {"memory": "200Mi"}},
        "volumeMounts": [
            {"name": "programs", "mountPath": "/programs"},
            {"name": "data", "mountPath": "/data"},
        ],
    }
    volumes = [{"name": "programs", "hostPath": {"path": "/mnt/node/bin"}}, {"name": "data", "emptyDir": {}}]
    metadata = {"name": "server", "labels": {"app": "server"}}
    spec = {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 1}
    ports = [{"port": 80, "targetPort": 2379}]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": metadata["labels"], "ports": ports},
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    cluster.kubectl(
        "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [pod, service]})
    )
    cluster.kubectl("wait", "--for=condition=Ready", "pod/server", "--timeout=90s")


def _get(url: str) -> dict[str, str]:
    with httpx.Client(trust_env=False, transport=httpx.HTTPTransport(retries=5)) as client:
        return dict(client.get(url).raise_for_status().json())


def _host(name: str) -> dict[str, list[str]]:
    """What of the host a cluster could change, without what other clusters on it change meanwhile."""
    ours = f"mw-{name}"
    listed = {
        "links": _output("ip", "-o", "link"),
        "routes": _output("ip", "route"),
        "namespaces": _output("ip", "netns", "list"),
        "mounts": Path("/proc/mounts").read_text(),
        "cgroups": "\n".join(str(path) for path in cgroups.groups(cluster_directory(name)) if path.exists()),
    }
    seen = {what: [line for line in text.splitlines() if ours in line] for what, text in listed.items()}
    forwarding = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    return {**seen, "rules": _rules(), "forwarding": [forwarding]}


def _rules() -> list[str]:
    """The host's own packet filter, without counters and times."""
    return [line for line in _output("iptables-save").splitlines() if not line.startswith((":", "#"))]


def _output(*argv: str) -> str:
    return subprocess.run(commands.privileged(argv), capture_output=True, text=True, check=True).stdout
