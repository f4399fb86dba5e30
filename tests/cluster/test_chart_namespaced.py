"""The Helm chart for named namespaces: an operator with the account, the rights and the settings that Helm made for it."""

from collections.abc import Iterator

import helm_python
import pytest

from devcluster import Cluster
from support.audit import lacked_a_right, requests
from support.chart import RELEASE, Manifest, chart, helm
from support.kubectl import Kubectl
from support.models import UNSEEN, fake_model, status, wait_ready
from support.operator import OperatorProcess


@pytest.fixture(scope="module")
def system(cluster: Cluster, namespace: str, admin: Kubectl) -> Iterator[Kubectl]:
    """Kubectl in a namespace for the operator, which is deleted afterwards."""
    name = f"{namespace}-system"
    admin("create", "namespace", name)
    yield Kubectl(cluster, name)
    admin("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def values(namespace: str) -> Manifest:
    """One namespace, nothing that the cluster has already, and no pods: the operator is a process."""
    return {
        "replicas": 0,
        "settings": {"namespaces": [namespace]},
        "priorityClass": {"name": namespace},
        "crds": {"install": False},
        "userRoles": {"create": False},
    }


@pytest.fixture(scope="module")
def release(cluster: Cluster, system: Kubectl, values: Manifest) -> Iterator[helm_python.Config]:
    """Helm, with the release installed."""
    with helm(cluster, system.namespace) as config:
        config.install(chart(), RELEASE, values)
        yield config
        config.uninstall(RELEASE, ignore_not_found=True)


@pytest.fixture(scope="module")
def operator(
    cluster: Cluster,
    system: Kubectl,
    release: helm_python.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[OperatorProcess]:
    """The operator as a process, with the account and the settings of the release."""
    directory = tmp_path_factory.mktemp("chart")
    file = directory / "settings.yaml"
    settings = system.get("configmap", "modelward-settings")
    assert settings is not None
    file.write_text(settings["data"]["settings.yaml"], encoding="utf-8")
    process = OperatorProcess(
        cluster.kubeconfig_for(system.namespace, "modelward"),
        directory,
        f"--settings={file}",
        f"--lease-namespace={system.namespace}",
    )
    try:
        process.start()
        yield process
    finally:
        process.stop()


@pytest.mark.usefixtures("operator")
def test_a_model_is_served_by_these_rights_alone(cluster: Cluster, system: Kubectl, kubectl: Kubectl) -> None:
    """One of another namespace is not reconciled, and nothing was forbidden."""
    system.apply(fake_model("outside"))
    kubectl.apply(fake_model("inside"))
    wait_ready(kubectl, "inside")
    assert status(system, "outside") == UNSEEN
    mine = list(requests(cluster, f"system:serviceaccount:{system.namespace}:modelward"))
    assert mine, "the audit log knows the account"
    assert [each["requestURI"] for each in mine if lacked_a_right(each)] == []


def test_an_upgrade_gives_rights_in_another_namespace(
    system: Kubectl, release: helm_python.Config, values: Manifest
) -> None:
    """And a rollback takes them away again."""
    more = [*values["settings"]["namespaces"], system.namespace]
    assert not may_create_deployments(system)
    release.upgrade(chart(), RELEASE, values | {"settings": {"namespaces": more}})
    assert may_create_deployments(system)
    release.rollback(RELEASE)
    assert not may_create_deployments(system)


def test_uninstalling_leaves_models_and_what_belongs_to_them(
    system: Kubectl, operator: OperatorProcess, release: helm_python.Config, kubectl: Kubectl
) -> None:
    """Same objects, same pods. Of the operator only the Lease is left, which is not Helm's."""
    before = owned(kubectl)
    assert {each.partition("/")[0] for each in before} == {
        "controllerrevision",
        "deployment",
        "pod",
        "service",
    }
    operator.stop()
    release.uninstall(RELEASE)
    assert owned(kubectl) == before
    assert (
        names(system, "deployment,configmap,role,rolebinding,networkpolicy,poddisruptionbudget,service") == []
    )
    assert names(system, "lease") == ["modelward"]


def may_create_deployments(system: Kubectl) -> bool:
    """Whether the operator's account may, in its own namespace."""
    account = f"--as=system:serviceaccount:{system.namespace}:modelward"
    return system.run("auth", "can-i", "create", "deployments.apps", account).stdout.strip() == "yes"


def owned(kubectl: Kubectl) -> set[str]:
    """Kind, name and uid of all that belongs to models."""
    kinds = ("controllerrevision", "deployment", "pod", "service")
    return {
        f"{kind}/{each['metadata']['name']} {each['metadata']['uid']}"
        for kind in kinds
        for each in kubectl.all(kind, "app.kubernetes.io/managed-by=modelward")
    }


def names(kubectl: Kubectl, kinds: str) -> list[str]:
    """Names of objects, less those that every namespace has."""
    return [
        each["metadata"]["name"]
        for each in kubectl.all(kinds)
        if each["metadata"]["name"] != "kube-root-ca.crt"
    ]
