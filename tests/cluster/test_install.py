"""The ways to install it, against a real API server: the overlays, the static file, an operator without cluster-wide rights."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import Cluster
from support.audit import lacked_a_right
from support.kubectl import Kubectl
from support.models import UNSEEN, fake_model, status, wait_ready
from support.operator import OperatorProcess

MANIFESTS = Path(__file__).parents[2] / "manifests"
OVERLAYS = MANIFESTS / "overlays"


def objects(text: str) -> dict[str, dict[str, Any]]:
    """Objects by kind, namespace and name."""
    found = (each for each in yaml.safe_load_all(text) if each)
    return {
        f"{each['kind']}/{each['metadata'].get('namespace', '')}/{each['metadata']['name']}": each
        for each in found
    }


def test_the_static_file_is_what_kustomize_builds(admin: Kubectl) -> None:
    """Beside the CRDs it has the objects of the overlay `cluster-wide`, each equal."""
    built = objects(admin("kustomize", str(OVERLAYS / "cluster-wide")))
    static = objects((MANIFESTS / "install.yaml").read_text(encoding="utf-8"))
    assert {name: each for name, each in static.items() if "CustomResource" not in name} == built


def test_the_static_file_is_accepted(cluster: Cluster) -> None:
    """As its first line says, by a plain apply."""
    kubectl = Kubectl(cluster, "modelward-system")
    path = str(MANIFESTS / "install.yaml")
    assert "deployment.apps/modelward" in kubectl("apply", "--dry-run=server", "-f", path)


@pytest.fixture(scope="module")
def namespaced(
    cluster: Cluster, namespace: str, admin: Kubectl, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """An operator with the rights and settings of the overlay `namespaced`, for `namespace` and `namespace`-b."""
    system = f"{namespace}-system"
    admin("create", "namespace", f"{namespace}-b")
    text = admin("kustomize", str(OVERLAYS / "namespaced"))
    for before, after in (("modelward-system", system), ("team-a", namespace), ("team-b", f"{namespace}-b")):
        text = text.replace(before, after)
    directory = tmp_path_factory.mktemp("namespaced")
    built = objects(text)
    (settings,) = (each["data"]["settings.yaml"] for each in built.values() if each["kind"] == "ConfigMap")
    (directory / "settings.yaml").write_text(settings, encoding="utf-8")
    kept = [each for each in built.values() if each["kind"] != "Deployment"]  # it runs as a process
    cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(kept))
    process = OperatorProcess(
        cluster.kubeconfig_for(system, "modelward"),
        directory,
        f"--settings={directory / 'settings.yaml'}",
        f"--lease-namespace={system}",
        fresh=True,
    )
    try:
        process.start()
        yield process
    finally:
        process.stop()
        names = [system, f"{namespace}-b"]
        admin("delete", "namespace", *names, "--wait=false")
        admin("delete", "clusterrolebinding,clusterrole", "modelward-cluster-runtimes")


@pytest.mark.usefixtures("namespaced")
def test_a_model_of_a_named_namespace_is_served(kubectl: Kubectl) -> None:
    """By rights in that namespace alone."""
    kubectl.apply(fake_model("inside"))
    wait_ready(kubectl, "inside")


def test_a_model_elsewhere_is_none_of_its_business(
    cluster: Cluster, namespaced: OperatorProcess, kubectl: Kubectl, admin: Kubectl
) -> None:
    """It has no status while later ones of a served namespace get Ready, and nothing was forbidden meanwhile."""
    elsewhere = Kubectl(cluster, f"{kubectl.namespace}-c")
    admin("create", "namespace", elsewhere.namespace)
    try:
        elsewhere.apply(fake_model("outside"))
        kubectl.apply(fake_model("later"))
        wait_ready(kubectl, "later")
        assert status(elsewhere, "outside") == UNSEEN
    finally:
        admin("delete", "namespace", elsewhere.namespace, "--wait=false")
    mine = account_requests(cluster, f"system:serviceaccount:{kubectl.namespace}-system:modelward")
    assert mine, "the audit log knows the account"
    assert [each["requestURI"] for each in mine if lacked_a_right(each)] == []
    assert namespaced.is_ready()


def account_requests(cluster: Cluster, account: str) -> list[dict[str, Any]]:
    """Audit events of an account."""
    lines = cluster.audit_log.read_text(encoding="utf-8").splitlines()
    events = (json.loads(line) for line in lines if account in line)
    return [each for each in events if each["user"]["username"] == account]
