"""The development cluster's control plane: what the operator's tests rely on is really switched on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from devcluster import Cluster, DevclusterError, ensure_up, find, lifecycle, processes
from devcluster import plan as plans
from devcluster.leftovers import leftovers
from devcluster.paths import cluster_directory
from devcluster.progress import silence
from devcluster.report import status

pytestmark = pytest.mark.slow

# The tool as a process of its own finds the same modules as this test.
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A control plane with two fake nodes."""
    try:
        yield ensure_up(_name("a"), node=False, kwok=2, say=silence)
    finally:
        lifecycle.down(_name("a"), wipe=True, say=silence)


@pytest.mark.integrations
def test_two_clusters_at_once(cluster: Cluster) -> None:
    """A second cluster has its own ports, addresses and objects, and goes without harming the first."""
    other = ensure_up(_name("b"), node=False, say=silence)
    try:
        assert other.api_url != cluster.api_url
        assert other.service_cidr != cluster.service_cidr
        other.kubectl("create", "namespace", "only-here")
        assert "only-here" not in cluster.kubectl("get", "namespaces", "-o", "name")
    finally:
        other.down()
    assert find(other.name) is None
    assert "kube-system" in cluster.kubectl("get", "namespaces", "-o", "name")


def test_up_again_changes_nothing(cluster: Cluster) -> None:
    """`up` on a running cluster starts no second process and gives the same answer."""
    before = processes.marked(cluster.directory)
    assert ensure_up(cluster.name, node=False, kwok=1, say=silence) == cluster
    assert processes.marked(cluster.directory) == before


def test_fake_pods_become_ready(cluster: Cluster) -> None:
    """Pods on fake nodes are Ready without running anything."""
    cluster.kubectl("create", "deployment", "fake", "--image=example.org/none", "--replicas=3")
    cluster.kubectl("wait", "--for=condition=Available", "deployment/fake", "--timeout=60s")


def test_service_account_has_only_its_rights(cluster: Cluster) -> None:
    """A kubeconfig for a ServiceAccount may do what RBAC grants it, and nothing before."""
    cluster.kubectl("create", "serviceaccount", "operator", "-n", "default")
    path = cluster.kubeconfig_for("default", "operator")
    mine = f"--kubeconfig={path}"
    who = json.loads(cluster.kubectl(mine, "auth", "whoami", "-o", "json"))
    assert who["status"]["userInfo"]["username"] == "system:serviceaccount:default:operator"
    with pytest.raises(DevclusterError, match="cannot list resource"):
        cluster.kubectl(mine, "get", "pods")
    cluster.kubectl(
        "create", "rolebinding", "operator", "--clusterrole=view", "--serviceaccount=default:operator"
    )
    cluster.kubectl(mine, "get", "pods")


def test_node_authorizer(cluster: Cluster) -> None:
    """The group of nodes has rights that no RBAC rule gives it, but cannot read any Secret."""
    node = ["--as=system:node:x", "--as-group=system:nodes"]
    assert cluster.kubectl("auth", "can-i", "create", "nodes", *node).strip() == "yes"
    with pytest.raises(DevclusterError):
        cluster.kubectl("auth", "can-i", "get", "secrets/x", *node)


def test_pod_security_admission(cluster: Cluster) -> None:
    """A namespace that enforces `restricted` refuses a pod without a security context."""
    cluster.kubectl("create", "namespace", "strict")
    cluster.kubectl("label", "namespace", "strict", "pod-security.kubernetes.io/enforce=restricted")
    with pytest.raises(DevclusterError, match="violates PodSecurity"):
        cluster.kubectl("run", "x", "-n", "strict", "--image=example.org/none")


def test_validating_admission_policy(cluster: Cluster) -> None:
    """A ValidatingAdmissionPolicy denies what its CEL expression forbids."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "no-evil"},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "object.metadata.name != 'evil'", "message": "not this name"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "no-evil"},
        "spec": {"policyName": "no-evil", "validationActions": ["Deny"]},
    }
    items = {"apiVersion": "v1", "kind": "List", "items": [policy, binding]}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(items))

    def denied() -> bool:  # the API server learns of a policy a moment after it is stored
        try:
            cluster.kubectl("create", "configmap", "evil", "--dry-run=server")
        except DevclusterError as error:
            return "not this name" in str(error)
        return False

    _eventually(denied)


def test_audit_log(cluster: Cluster) -> None:
    """Every request is one JSON line with its user and object, without the object's content."""
    cluster.kubectl("create", "secret", "generic", "audited", "--from-literal=key=top-secret")

    def logged() -> list[dict[str, object]]:
        lines = cluster.audit_log.read_text().splitlines()
        return [
            json.loads(line) for line in lines if '"name":"audited"' in line and '"verb":"create"' in line
        ]

    _eventually(lambda: bool(logged()))
    (event,) = logged()
    assert event["level"] == "Metadata"
    assert "requestObject" not in event
    assert "top-secret" not in cluster.audit_log.read_text()


@pytest.mark.integrations
def test_killed_api_server_comes_back(cluster: Cluster) -> None:
    """`status` shows that a part died, and `up` starts it again with the data as it was."""
    server = processes.main_process(cluster.directory, "kube-apiserver", "kube-apiserver")
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    plan = plans.load(cluster.name)
    assert plan is not None
    _eventually(lambda: status(plan).pids["kube-apiserver"] is None)
    assert not status(plan).ready
    ensure_up(cluster.name, node=False, say=silence)
    assert status(plan).ready
    assert "kube-system" in cluster.kubectl("get", "namespaces", "-o", "name")


@pytest.mark.integrations
def test_down_after_the_tool_was_killed() -> None:
    """When `up` itself is killed half way, `down` finds what it had started, and running it twice is fine."""
    name = _name("c")
    directory = cluster_directory(name)
    command = [sys.executable, "-m", "devcluster", "up", "--name", name, "--no-node"]
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL) as tool:
        _eventually(lambda: processes.main_process(directory, "etcd", "etcd") is not None)
        tool.kill()
    for _ in range(2):
        lifecycle.down(name, wipe=True, say=silence)
        assert leftovers(directory, name) == []
        assert not directory.exists()


@pytest.mark.integrations
def test_gateway_is_a_layer_like_the_others() -> None:
    """A running cluster gets a gateway later, a killed one is started again, and `down` leaves nothing of it."""
    name = _name("d")
    try:
        assert ensure_up(name, node=False, say=silence).gateway is None
        cluster = ensure_up(name, with_gateway=True, say=silence)
        assert cluster.gateway is not None
        traefik = processes.main_process(cluster.directory, "traefik", "traefik")
        plan = plans.load(name)
        assert traefik is not None
        assert plan is not None
        os.kill(traefik.pid, signal.SIGKILL)
        _eventually(lambda: status(plan).pids["traefik"] is None)
        assert ensure_up(name, say=silence).gateway == cluster.gateway
        assert httpx.get(cluster.gateway.url).status_code == httpx.codes.NOT_FOUND  # no route yet
    finally:
        lifecycle.down(name, wipe=True, say=silence)
    assert leftovers(cluster.directory, name) == []


def test_command_line_answers_with_exit_codes() -> None:
    """A cluster that does not exist is exit code 3 and one line with the remedy; wrong usage is 2."""
    missing = _tool("status", "--name", "nosuch")
    assert missing.returncode == 3
    assert missing.stderr == "error: there is no cluster nosuch. Make it: up --name nosuch\n"
    assert _tool("down", "--name", "nosuch", "--all").returncode == 2
    assert _tool("up", "--help").returncode == 0


def _name(suffix: str) -> str:
    """A name of this test run only: others may run tests on the same machine."""
    return f"t{os.getpid() % 10**8}{suffix}"


def _tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "devcluster", *arguments]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def _eventually(condition: Callable[[], bool]) -> None:
    """Wait for something that takes a moment; the limit only ends a hopeless wait."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
