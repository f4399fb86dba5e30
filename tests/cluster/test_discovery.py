"""The Gateway API as an optional kind: the operator works without it, and finds it later."""

import httpx
import pytest

from devcluster import Cluster
from devcluster.gateway import install_crds
from devcluster.progress import silence
from support.gateway import remove_kind
from support.kubectl import Kubectl
from support.models import fake_model, status, wait_ready
from support.operator import OperatorProcess
from support.waiting import until

pytestmark = pytest.mark.slow


def watches_routes(operator: OperatorProcess) -> bool:
    """Whether the operator shows how old its view of routes is."""
    return 'modelward_watch_age_seconds{kind="HTTPRoute"}' in httpx.get(operator.url("metrics")).text


def reported(kubectl: Kubectl, name: str) -> str:
    """What the conditions of a model say, in a row."""
    return " ".join(each["message"] for each in status(kubectl, name).get("conditions", []))


@pytest.fixture(scope="module")
def without_gateway_api(cluster: Cluster, admin: Kubectl) -> None:
    """A cluster that has no Gateway API, or has it no more."""
    if cluster.gateway is not None:
        pytest.skip("this cluster's gateway needs the CRDs")
    remove_kind(admin)


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
    until(lambda: "needs the Gateway API" in reported(kubectl, "waits"), "status says what is missing")
    install_crds(cluster.directory, cluster.binaries, silence)
    until(lambda: watches_routes(operator), "routes are watched")
    until(lambda: kubectl.get("httproute", "waits"), "the route that waited for its kind is made")

    remove_kind(admin)
    until(lambda: not watches_routes(operator), "routes are watched no more")
    kubectl.apply(fake_model("after"))
    wait_ready(kubectl, "after")
    assert operator.pid == process
    assert operator.metric("modelward_reconcile_errors_total", reason="Unexpected") == 0
