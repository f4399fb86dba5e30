"""The count of pods goes through /scale, so that no policy of admission changes a running template. Pods are kwok's."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from devcluster import Cluster
from support.audit import requests
from support.kubectl import Kubectl
from support.models import KIND, children, condition, fake_model, wait_quiet, wait_ready
from support.waiting import until

pytestmark = pytest.mark.usefixtures("operator")

MIRROR: Final = "mirror.invalid/fake:1"
HOLD: Final = "example.com/hold"
API: Final = "admissionregistration.k8s.io/v1"


def policy(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A policy that puts another image into every Deployment of the namespace `name`, and its binding."""
    deployments = {"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]}
    image = f"[JSONPatch{{op: 'replace', path: '/spec/template/spec/containers/0/image', value: '{MIRROR}'}}]"
    spec = {
        "reinvocationPolicy": "Never",
        "matchConstraints": {
            "resourceRules": [{**deployments, "operations": ["CREATE", "UPDATE"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
        },
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": image}}],
    }
    metadata = {"name": name}
    return (
        {"apiVersion": API, "kind": "MutatingAdmissionPolicy", "metadata": metadata, "spec": spec},
        {
            "apiVersion": API,
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": metadata,
            "spec": {"policyName": name},
        },
    )


@contextmanager
def rewritten_images(kubectl: Kubectl) -> Iterator[None]:
    """The policy, in force."""
    kubectl.apply(*policy(kubectl.namespace))
    probe = ("create", "deployment", "probe", "--image=registry.invalid/a:1", "--dry-run=server", "-oyaml")
    try:
        until(lambda: MIRROR in kubectl(*probe), "the policy is in force")
        yield
    finally:
        kinds = "mutatingadmissionpolicybinding,mutatingadmissionpolicy"
        kubectl("delete", kinds, kubectl.namespace)


def test_f24_scaling_brings_no_other_template(kubectl: Kubectl) -> None:
    """Stable's template is what it was when the model is scaled, to zero and back, and under an autoscaler."""
    kubectl.apply(fake_model("kept", replicas=2))
    name = f"kept-{wait_ready(kubectl, 'kept')['stableRevision']}"
    wait_quiet(kubectl, "kept")
    before = kubectl.get("deployment", name)
    assert before is not None
    with rewritten_images(kubectl):
        for replicas in (4, 0, 3):
            kubectl("scale", KIND, "kept", f"--replicas={replicas}")
            until(lambda: _replicas(kubectl, name) == replicas, "it is scaled")  # noqa: B023 - used at once
        kubectl.patch(KIND, "kept", {"spec": {"autoscaling": {"minReplicas": 2, "maxReplicas": 8}}})
        until(lambda: children(kubectl, "hpa", "kept"), "there is an autoscaler")
        wait_quiet(kubectl, "kept")
        after = kubectl.get("deployment", name)
        assert after is not None
        assert after["spec"]["template"] == before["spec"]["template"]
        assert after["spec"]["replicas"] == 3


def test_f22_an_autoscaler_that_somebody_keeps_is_held_to_the_count(kubectl: Kubectl) -> None:
    """Its controller goes on scaling by it while a finalizer keeps it: its bounds are the count, and status names it."""
    kubectl.apply(fake_model("held", replicas=1, autoscaling={"minReplicas": 4, "maxReplicas": 8}))
    name = f"held-{wait_ready(kubectl, 'held')['stableRevision']}"
    until(lambda: _replicas(kubectl, name) == 4, "the autoscaler has scaled it")
    kubectl.patch("hpa", name, {"metadata": {"finalizers": [HOLD]}})
    try:
        kubectl.patch(KIND, "held", {"spec": {"autoscaling": None, "replicas": 2}})
        until(lambda: _bounds(kubectl, name) == (2, 2), "the autoscaler has one count left")
        until(lambda: _seen_by_autoscaler(kubectl, name) == 2, "its controller has seen it")
        wait_quiet(kubectl, "held")
        assert _replicas(kubectl, name) == 2
        reported = f"HorizontalPodAutoscaler {name} is deleted, kept by the finalizers {HOLD}."
        assert reported in condition(kubectl, "held")["message"]
    finally:
        kubectl.patch("hpa", name, {"metadata": {"finalizers": None}})
    until(lambda: not children(kubectl, "hpa", "held"), "it goes")


def _bounds(kubectl: Kubectl, name: str) -> tuple[int, int]:
    """The fewest and the most pods of an autoscaler."""
    spec = _part(kubectl, "hpa", name, "spec")
    return spec["minReplicas"], spec["maxReplicas"]


def _seen_by_autoscaler(kubectl: Kubectl, name: str) -> int:
    """How many pods an autoscaler's controller counted last."""
    return int(_part(kubectl, "hpa", name, "status").get("currentReplicas", 0))


def _part(kubectl: Kubectl, kind: str, name: str, part: str) -> dict[str, Any]:
    """A part of an object."""
    found = kubectl.get(kind, name)
    assert found is not None
    return dict(found.get(part) or {})


def _replicas(kubectl: Kubectl, name: str) -> int:
    found = kubectl.get("deployment", name)
    assert found is not None
    return int(found["spec"]["replicas"])


def test_f24_a_count_is_one_write_of_scale(cluster: Cluster, kubectl: Kubectl) -> None:
    """Each count is set once, nothing is refused, and the Deployment itself is not written."""
    kubectl.apply(fake_model("counted", replicas=1))
    name = f"counted-{wait_ready(kubectl, 'counted')['stableRevision']}"
    wait_quiet(kubectl, "counted")
    for replicas in (3, 2):
        kubectl("scale", KIND, "counted", f"--replicas={replicas}")
        until(lambda: _replicas(kubectl, name) == replicas, "it is scaled")  # noqa: B023 - used at once
        wait_ready(kubectl, "counted")
    wait_quiet(kubectl, "counted")
    written = [
        (event["objectRef"].get("subresource", ""), event["responseStatus"]["code"])
        for event in requests(cluster)
        if event["verb"] == "patch"
        and event["stage"] == "ResponseComplete"
        and event["objectRef"]["resource"] == "deployments"
        and (event["objectRef"]["namespace"], event["objectRef"]["name"]) == (kubectl.namespace, name)
    ]
    assert written == [("scale", 200), ("scale", 200)]


def test_f24_an_autoscaler_measures_the_models_container(kubectl: Kubectl) -> None:
    """The API server takes it so; that it has no metrics here is reported in the conditions."""
    kubectl.apply(fake_model("measured", autoscaling={"maxReplicas": 3}))
    wait_ready(kubectl, "measured")
    (autoscaler,) = until(lambda: children(kubectl, "hpa", "measured"), "there is an autoscaler")
    (metric,) = autoscaler["spec"]["metrics"]
    assert metric["containerResource"]["container"] == "model-server"
    until(
        lambda: "does not scale: FailedGet" in _message(kubectl, "measured"),
        "the conditions show that there are no metrics",
    )


def _message(kubectl: Kubectl, name: str) -> str:
    found = kubectl.get(KIND, name)
    assert found is not None
    return str([each["message"] for each in found["status"]["conditions"] if each["type"] == "Available"])
