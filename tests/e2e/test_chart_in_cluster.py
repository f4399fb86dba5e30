"""The operator as Helm starts it, on a real node: requests and pods of a model do not notice what becomes of the release.

A release for one namespace, so that it meets nothing of the operator that other tests run. Both admission policies are
part of it: the operator works under them. The tests build on one another, as an installation's life does.
"""

from collections.abc import Iterator
from typing import Any, Final

import helm_python
import pytest

from demo.traffic import Traffic, first_answer
from devcluster import Cluster
from devcluster.images import REFERENCES, build_image
from support import served
from support.audit import lacked_a_right, requests
from support.chart import RELEASE, Manifest, chart, helm
from support.kubectl import Kubectl
from support.models import KIND, children, status, wait_ready
from support.waiting import until

MODEL: Final = "breast-cancer"
NAME: Final = "charted"
SELECTOR: Final = "app.kubernetes.io/name=modelward"
PATIENCE_SECONDS: Final = 120
ENOUGH_REQUESTS: Final = 30

pytestmark = [pytest.mark.slow, pytest.mark.integrations]


@pytest.fixture(scope="module")
def system(node: Cluster, namespace: str, admin: Kubectl) -> Iterator[Kubectl]:
    """Kubectl in a restricted namespace for the operator, on a node that has its image."""
    node.load_image(build_image("operator"))
    name = f"{namespace}-system"
    admin("create", "namespace", name)
    admin("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield Kubectl(node, name)
    admin("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def values(namespace: str) -> Manifest:
    """The operator of this repository for one namespace, and nothing that the cluster has already."""
    repository, _, tag = REFERENCES["operator"].rpartition(":")
    return {
        "image": {"repository": repository, "tag": tag},
        "settings": {"namespaces": [namespace], "resyncSeconds": 30},
        "policies": {"serviceAccounts": True, "confinement": True},
        "priorityClass": {"name": namespace},
        "crds": {"install": False},
        "userRoles": {"create": False},
    }


@pytest.fixture(scope="module")
def release(node: Cluster, system: Kubectl, values: Manifest) -> Iterator[helm_python.Config]:
    """Helm, with the release installed; it waits until all of it is there."""
    with helm(node, system.namespace) as config:
        try:
            config.install(chart(), RELEASE, values, wait="watcher", timeout=PATIENCE_SECONDS)
            yield config
        finally:
            config.uninstall(RELEASE, ignore_not_found=True)


@pytest.fixture(scope="module")
def url(release: helm_python.Config, kubectl: Kubectl) -> Iterator[str]:
    """Address of a model that the operator of the release has made Ready."""
    kubectl.apply(served.runtime(signals=False))
    kubectl.apply(served.served(NAME, "1", {"strategy": "Direct"}, replicas=2))
    wait_ready(kubectl, NAME)
    address = f"http://{kubectl('get', 'service', NAME, '-o', 'jsonpath={.spec.clusterIP}')}"
    first_answer(address, MODEL)
    yield address
    kubectl("delete", KIND, NAME, "--wait=false")


@pytest.fixture(scope="module")
def load(url: str) -> Iterator[Traffic]:
    """Requests all the time, from here to the last test."""
    with Traffic(url, MODEL) as traffic:
        yield traffic


@pytest.fixture(scope="module")
def first_pods(load: Traffic, kubectl: Kubectl) -> dict[str, int]:
    """The model's pods as they were at first."""
    return serving_pods(kubectl)


def serving_pods(kubectl: Kubectl) -> dict[str, int]:
    """How often each pod of the model has restarted, by uid; less those that are ending."""
    return {
        pod["metadata"]["uid"]: sum(each["restartCount"] for each in pod["status"]["containerStatuses"])
        for pod in children(kubectl, "pods", NAME)
        if "deletionTimestamp" not in pod["metadata"]
    }


def operators(system: Kubectl) -> set[str]:
    """Names of the operator's ready pods."""
    return {
        pod["metadata"]["name"]
        for pod in system.all("pods", SELECTOR)
        if any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"]["conditions"])
    }


def looked_after(kubectl: Kubectl, deadline_seconds: int) -> None:
    """Change what restarts nothing, and wait until an operator has seen it."""
    kubectl.patch(KIND, NAME, {"spec": {"rollout": {"progressDeadlineSeconds": deadline_seconds}}})
    model = kubectl.get(KIND, NAME)
    assert model is not None
    generation = model["metadata"]["generation"]
    until(
        lambda: status(kubectl, NAME).get("observedGeneration") == generation,
        "an operator has seen the change",
        seconds=PATIENCE_SECONDS,
    )


@pytest.mark.usefixtures("url")
def test_two_operators_run_where_restricted_is_enforced(system: Kubectl) -> None:
    """By the time that `helm install --wait` returns; before ordinary pods, but evicting none."""
    assert len(operators(system)) == 2
    for each in system.all("pods", SELECTOR):
        assert (each["spec"]["priority"], each["spec"]["preemptionPolicy"]) == (1_000_000, "Never")


def test_an_upgrade_changes_the_operators_and_nothing_else(
    release: helm_python.Config,
    values: Manifest,
    system: Kubectl,
    kubectl: Kubectl,
    first_pods: dict[str, int],
) -> None:
    """Another setting is another pair of operators; the model's pods are those that there were."""
    before = operators(system)
    settings: dict[str, Any] = values["settings"] | {"workers": 4}
    release.upgrade(
        chart(), RELEASE, values | {"settings": settings}, wait="watcher", timeout=PATIENCE_SECONDS
    )
    until(
        lambda: not operators(system) & before, "the operators of before are gone", seconds=PATIENCE_SECONDS
    )
    looked_after(kubectl, 601)
    assert serving_pods(kubectl) == first_pods


def test_uninstalling_leaves_the_model_serving(
    release: helm_python.Config,
    system: Kubectl,
    kubectl: Kubectl,
    load: Traffic,
    first_pods: dict[str, int],
) -> None:
    """The operators go; what belongs to the model stays as it is, though nobody looks after it."""
    objects = [
        each["metadata"]["uid"]
        for kind in ("deployments", "services")
        for each in children(kubectl, kind, NAME)
    ]
    release.uninstall(RELEASE)
    until(lambda: not system.all("pods", SELECTOR), "the operators are gone", seconds=PATIENCE_SECONDS)
    count = len(load.samples())
    until(lambda: len(load.samples()) >= count + ENOUGH_REQUESTS, "the model answers")
    assert serving_pods(kubectl) == first_pods
    assert objects == [
        each["metadata"]["uid"]
        for kind in ("deployments", "services")
        for each in children(kubectl, kind, NAME)
    ]


def test_installed_again_it_takes_the_model_up_where_it_was(
    release: helm_python.Config,
    values: Manifest,
    node: Cluster,
    system: Kubectl,
    kubectl: Kubectl,
    load: Traffic,
    first_pods: dict[str, int],
) -> None:
    """No pod has restarted in all this time, not one request failed, and nothing was forbidden to the operator."""
    release.install(chart(), RELEASE, values | {"replicas": 1}, wait="watcher", timeout=PATIENCE_SECONDS)
    looked_after(kubectl, 602)
    assert serving_pods(kubectl) == first_pods
    assert set(first_pods.values()) == {0}
    assert load.failures() == []
    account = f"system:serviceaccount:{system.namespace}:modelward"
    refused = [each for each in requests(node, account) if lacked_a_right(each)]
    # The leader gives the Lease back when it ends, for which an uninstalled one has no right any more.
    assert [each["requestURI"] for each in refused if each["objectRef"]["resource"] != "leases"] == []
