"""The Gateway API as an optional kind: the operator works without it, and finds it later."""

import httpx
import pytest

from devcluster import Cluster
from devcluster.gateway import install_crds
from devcluster.progress import silence
from support.kubectl import Kubectl
from support.models import fake_model, status, wait_ready
from support.operator import OperatorProcess
from support.waiting import until

pytestmark = pytest.mark.slow

ROUTES = "httproutes.gateway.networking.k8s.io"


def watches_routes(operator: OperatorProcess) -> bool:
    """Whether the operator tells how old its view of routes is."""
    return 'modelward_watch_age_seconds{kind="HTTPRoute"}' in httpx.get(operator.url("metrics")).text


def told(kubectl: Kubectl, name: str) -> str:
    """What the conditions of a model say, in a row."""
    return " ".join(each["message"] for each in status(kubectl, name).get("conditions", []))


def take_away(admin: Kubectl) -> None:
    """Delete the kind, and no other one.

    F26: a CRD whose objects nobody has read yet may hang in its deletion (InstanceDeletionFailed: storage is
    (re)initializing), so they are read first.
    """
    if admin.get("crd", ROUTES) is None:
        return
    until(lambda: admin.run("get", ROUTES, "--all-namespaces").returncode == 0, "the kind is served")
    admin("delete", "crd", ROUTES, "--wait", "--timeout=60s")


@pytest.fixture(scope="module")
def without_gateway_api(cluster: Cluster, admin: Kubectl) -> None:
    """A cluster that has no Gateway API, or has it no more."""
    if cluster.gateway is not None:
        pytest.skip("this cluster's gateway needs the CRDs")
    take_away(admin)


@pytest.fixture(scope="module")
def operator_without(without_gateway_api: None, operator: OperatorProcess) -> OperatorProcess:
    """An operator that began without the kind."""
    return operator


def test_a_kind_that_comes_and_goes(
    cluster: Cluster, admin: Kubectl, kubectl: Kubectl, operator_without: OperatorProcess
) -> None:
    """Models are served before, between and after; the same process watches routes while there are any."""
    operator, process = operator_without, operator_without.pid
    assert not watches_routes(operator)
    kubectl.apply(fake_model("before"))
    wait_ready(kubectl, "before")

    kubectl.apply(fake_model("waits", traffic={"gateway": {"parentRefs": [{"name": "public"}]}}))
    until(lambda: "needs the Gateway API" in told(kubectl, "waits"), "status says what is missing")
    install_crds(cluster.directory, cluster.binaries, silence)
    until(lambda: watches_routes(operator), "routes are watched")
    until(lambda: kubectl.get("httproute", "waits"), "the route that waited for its kind is made")

    take_away(admin)
    until(lambda: not watches_routes(operator), "routes are watched no more")
    kubectl.apply(fake_model("after"))
    wait_ready(kubectl, "after")
    assert operator.pid == process
    assert operator.metric("modelward_reconcile_errors_total", reason="Unexpected") == 0
