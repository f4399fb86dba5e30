"""F16: what kstatus' own library says of a ModelDeployment that no operator has seen, and of one in every condition."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from devcluster.kstatus import ensure_program, kstatus
from support.kubectl import Kubectl


@pytest.fixture(scope="module", autouse=True)
def _program() -> None:
    """It is built outside the time of any test."""
    ensure_program(print)


@pytest.fixture
def name(kubectl: Kubectl) -> Iterator[str]:
    """A ModelDeployment in a namespace where no operator runs."""
    raw = {
        "apiVersion": "modelward.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "unseen"},
        "spec": {"runtime": {"image": "registry.example.com/own:1"}},
    }
    kubectl.apply(raw)
    yield "unseen"
    kubectl("delete", "modeldeployment", "unseen", "--ignore-not-found")


def read(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """The object as it is."""
    return kubectl.get("modeldeployment", name) or {}


def test_f16_an_object_that_no_operator_has_seen_is_in_progress(kubectl: Kubectl, name: str) -> None:
    """Without the default of status kstatus takes an object without a status for Current."""
    raw = read(kubectl, name)
    assert raw["status"] == {"observedGeneration": 0}
    assert kstatus(raw, print) == "InProgress"
    assert kstatus({**raw, "status": {}}, print) == "Current"


def test_f16_a_change_that_no_operator_has_seen_is_in_progress(kubectl: Kubectl, name: str) -> None:
    """Whatever the status of before says."""
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-22T12:00:00Z"}
    status = {"observedGeneration": 1, "conditions": [{**ready, "reason": "Available"}]}
    patch = json.dumps({"status": status})
    kubectl("patch", "modeldeployment", name, "--subresource=status", "--type=merge", "-p", patch)
    assert kstatus(read(kubectl, name), print) == "Current"
    kubectl.patch("modeldeployment", name, {"spec": {"replicas": 3}})
    assert kstatus(read(kubectl, name), print) == "InProgress"
