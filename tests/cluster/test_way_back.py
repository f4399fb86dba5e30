"""The way back where a write is not taken: traffic leaves the canary all the same. Real API server; pods are kwok's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from devcluster import Cluster
from devcluster.gateway import install_crds
from devcluster.progress import silence
from modelward.api.names import MODEL_LABEL, REVISION_LABEL
from support.kubectl import Kubectl
from support.models import KIND, condition, fake_model, status, wait_ready
from support.waiting import until

pytestmark = pytest.mark.usefixtures("operator")

DAY = 86_400
HALF = {"steps": [{"weightPercent": 50}], "stepMinSeconds": DAY, "stepMaxSeconds": DAY}
FREEZE = "change-freeze"
GATEWAY = {"gateway": {"parentRefs": [{"name": "nowhere"}]}}


@contextmanager
def frozen(admin: Kubectl, namespace: str, group: str, resource: str, *operations: str) -> Iterator[None]:
    """A change freeze: nobody does this to objects of a kind in the namespace."""
    rule = {
        "apiGroups": [group],
        "apiVersions": ["*"],
        "resources": [resource],
        "operations": list(operations),
    }
    here = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    name = f"{FREEZE}-{namespace}-{resource}"
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [rule], "namespaceSelector": here},
            "validations": [{"expression": "false", "message": "a change freeze"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }
    admin.apply(policy, binding)
    try:
        yield
    finally:
        for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            admin("delete", kind, name)


def denied(kubectl: Kubectl, *change: str) -> Callable[[], bool]:
    """Whether a change is refused by now: a policy is in force a moment after it is stored."""

    def found() -> bool:
        return "a change freeze" in kubectl.run(*change, "--dry-run=server").stderr

    return found


def at_half(kubectl: Kubectl, name: str, **spec: Any) -> tuple[str, str]:
    """A model with a canary that has half of the requests; returns both revisions."""
    kubectl.apply(fake_model(name, replicas=2, rollout=HALF, **spec))
    stable = wait_ready(kubectl, name)["stableRevision"]
    kubectl.apply(fake_model(name, version="2", replicas=2, rollout=HALF, **spec))

    def weighed() -> str:
        now = status(kubectl, name)
        return now["canaryRevision"] if (now.get("rollout") or {}).get("weightPercent") == 50 else ""

    return stable, until(weighed, "the canary has its weight")


def abort(kubectl: Kubectl, name: str, canary: str) -> None:
    """Take the canary back, and wait until its pods are gone."""
    kubectl("annotate", KIND, name, f"modelward.dev/abort={canary}")
    until(lambda: not pods(kubectl, name, canary), f"the pods of {canary} go; {condition(kubectl, name)}")


def pods(kubectl: Kubectl, name: str, revision: str) -> list[dict[str, Any]]:
    """Those of a revision that are not ending."""
    found = kubectl.all("pods", f"{MODEL_LABEL}={name},{REVISION_LABEL}={revision}")
    return [each for each in found if "deletionTimestamp" not in each["metadata"]]


def selects(kubectl: Kubectl, service: str) -> str | None:
    """The revision that a Service selects; None for the pods of all."""
    found = kubectl.get("service", service)
    assert found is not None
    revision: str | None = found["spec"]["selector"].get(REVISION_LABEL)
    return revision


def refusals(kubectl: Kubectl, name: str) -> list[str]:
    """What Events say of refusals."""
    found = kubectl.all("events.events.k8s.io")
    return [
        each["note"] for each in found if each["reason"] == "Refused" and each["regarding"]["name"] == name
    ]


def test_f01_no_service_may_be_changed(admin: Kubectl, kubectl: Kubectl) -> None:
    """The canary's pods go; the rejection and the refusal are said side by side; the Service is switched later."""
    stable, canary = at_half(kubectl, "frozen")
    with frozen(admin, kubectl.namespace, "", "services", "UPDATE"):
        until(denied(kubectl, "label", "service", "frozen", "probe=1"), "Services are frozen")
        abort(kubectl, "frozen", canary)
        until(lambda: status(kubectl, "frozen").get("rollout") is None, "the rollout is over")
        until(lambda: "a change freeze" in condition(kubectl, "frozen")["message"], "the refusal is said")
        ready = condition(kubectl, "frozen")
        assert ready["reason"] == "Aborted"
        assert "was aborted by annotation" in ready["message"]
        assert "Service frozen" in refusals(kubectl, "frozen")[0]
        assert selects(kubectl, "frozen") is None
        kubectl.apply(fake_model("frozen", version="3", replicas=2, rollout=HALF))
        until(
            lambda: "selects" in condition(kubectl, "frozen")["message"],
            "the next change does not set out: its pods would have requests at once",
        )
    until(lambda: selects(kubectl, "frozen") == stable, "the Service is switched")


def test_f01_a_service_stays_with_a_promoted_revision(admin: Kubectl, kubectl: Kubectl) -> None:
    """It was rejected after its promotion, and goes on getting all requests: that is said, until the freeze is over."""
    kept = {"strategy": "BlueGreen", "keepPreviousSeconds": DAY}
    kubectl.apply(fake_model("stays", replicas=2, rollout=kept))
    good = wait_ready(kubectl, "stays")["stableRevision"]
    kubectl.apply(fake_model("stays", version="2", replicas=2, rollout=kept))
    until(lambda: selects(kubectl, "stays") != good, "the second version is promoted")
    until(lambda: (status(kubectl, "stays").get("rollout") or {}).get("state") == "Watching", "it is watched")
    bad = status(kubectl, "stays")["stableRevision"]
    with frozen(admin, kubectl.namespace, "", "services", "UPDATE"):
        until(denied(kubectl, "label", "service", "stays", "probe=1"), "Services are frozen")
        kubectl("annotate", KIND, "stays", f"modelward.dev/abort={bad}")
        reported = f"Service stays still leads to {bad}, which gets all requests"
        until(lambda: reported in condition(kubectl, "stays", "Available")["message"], "it is said")
        assert f"{good} has ready pods and gets no requests" in condition(kubectl, "stays")["message"]
        assert status(kubectl, "stays")["rollout"]["actualWeightPercent"] == 100
        assert selects(kubectl, "stays") == bad
        assert pods(kubectl, "stays", bad)
    until(lambda: selects(kubectl, "stays") == good, "the Service is switched")
    until(lambda: not pods(kubectl, "stays", bad), "the pods of the rejected revision go")
    until(
        lambda: reported not in condition(kubectl, "stays", "Available")["message"],
        "nothing is said any more",
    )


def test_f01_a_field_of_somebodys_is_in_the_way(kubectl: Kubectl) -> None:
    """A Service that was made a LoadBalancer with source ranges is still switched back."""
    stable, canary = at_half(kubectl, "balanced")
    ranges = {"spec": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8"]}}
    kubectl.patch("service", "balanced", ranges)
    abort(kubectl, "balanced", canary)
    until(lambda: selects(kubectl, "balanced") == stable, "the Service is switched")
    assert refusals(kubectl, "balanced") == []


@pytest.fixture
def routes(cluster: Cluster) -> None:
    """The kinds of the Gateway API."""
    if cluster.gateway is None:
        install_crds(cluster.directory, cluster.binaries, silence)


@pytest.mark.parametrize("also", [(), ("services",)], ids=["the route", "the route and Services"])
def test_f01_no_route_may_be_changed(
    admin: Kubectl, kubectl: Kubectl, routes: None, also: tuple[str, ...]
) -> None:
    """What the route sends to the canary comes to stable: its Service leads there."""
    name = f"routed{len(also)}"
    stable, canary = at_half(kubectl, name, traffic=GATEWAY)
    backend = f"{name}-{canary}"
    until(lambda: kubectl.get("service", backend), "the canary has a Service")
    with frozen(admin, kubectl.namespace, "gateway.networking.k8s.io", "httproutes", "UPDATE"):
        until(denied(kubectl, "label", "httproute", name, "probe=1"), "routes are frozen")
        if also:
            with frozen(admin, kubectl.namespace, "", "services", "UPDATE"):
                until(denied(kubectl, "label", "service", backend, "probe=1"), "Services are frozen")
                abort(kubectl, name, canary)
        else:
            abort(kubectl, name, canary)
        assert selects(kubectl, backend) == stable
        assert f"HTTPRoute {name}" in refusals(kubectl, name)[0]
    until(lambda: kubectl.get("service", backend) is None, "the Service goes with its place in the route")


def test_f01_no_deployment_may_be_deleted(admin: Kubectl, kubectl: Kubectl) -> None:
    """Its pods end by its scale."""
    _, canary = at_half(kubectl, "kept")
    with frozen(admin, kubectl.namespace, "apps", "deployments", "DELETE"):
        until(denied(kubectl, "delete", "deployment", f"kept-{canary}"), "deletions are refused")
        abort(kubectl, "kept", canary)
        until(lambda: "a change freeze" in condition(kubectl, "kept")["message"], "it is said")
        assert kubectl.get("deployment", f"kept-{canary}") is not None
    until(lambda: kubectl.get("deployment", f"kept-{canary}") is None, "it goes")
