"""Objects that the API server takes and that are hard to read: they cost their writer something, and nobody else."""

import json
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from devcluster import Cluster
from support.api_server import administrator
from support.kubectl import Kubectl
from support.models import FAKE_IMAGE, fake_model, status, wait_ready
from support.operator import OperatorProcess
from support.waiting import until

LEVELS: Final = 5_000
LARGE: Final = "<" * 1_000_000
"""The API server writes each of them as six bytes."""
FIELDS: Final = '{"f:a":' * LEVELS + "{}" + "}" * LEVELS
MARK: Final = '"FIELDS"'
MODELS: Final = "/apis/modelward.dev/v1alpha1/namespaces/{namespace}/modeldeployments"
PODS: Final = "/api/v1/namespaces/{namespace}/pods"


@pytest.fixture
def client(cluster: Cluster) -> Iterator[httpx.Client]:
    """The administrator's: kubectl and Python would not write such objects."""
    with administrator(cluster) as client:
        yield client


def create(client: httpx.Client, path: str, manifest: dict[str, Any]) -> None:
    """Create an object, with deep managedFields where it has the mark."""
    text = json.dumps(manifest).replace(MARK, FIELDS)
    answer = client.post(path, content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == httpx.codes.CREATED, answer.text[:300]
    assert FIELDS in answer.text or MARK not in json.dumps(manifest), "the API server keeps it"


def deep(version: str) -> list[dict[str, str]]:
    """managedFields of a thousand levels, which any writer of an object may set."""
    about = {"operation": "Update", "apiVersion": version, "fieldsType": "FieldsV1", "fieldsV1": "FIELDS"}
    return [{"manager": "somebody", "time": "2026-01-01T00:00:00Z", **about}]


def pod(name: str, **metadata: Any) -> dict[str, Any]:
    """A pod that claims to be of the operator's, and would never run."""
    labels = {"app.kubernetes.io/managed-by": "modelward", "modelward.dev/model": "hostile"}
    container = {
        "name": "a",
        "image": FAKE_IMAGE,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "containers": [container],
        "nodeSelector": {"type": "nowhere"},
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels, **metadata},
        "spec": spec,
    }


def test_the_operator_reads_what_is_deep_and_what_is_large(
    kubectl: Kubectl, client: httpx.Client, operator: OperatorProcess
) -> None:
    """By its watches and, after a restart, by its lists; models are served all the while, the deep one among them."""
    process = operator.pid
    model = fake_model("deep")
    model["metadata"]["managedFields"] = deep("modelward.dev/v1alpha1")
    create(client, MODELS.format(namespace=kubectl.namespace), model)
    create(client, PODS.format(namespace=kubectl.namespace), pod("deep", managedFields=deep("v1")))
    large = pod("large")
    large["spec"]["containers"][0]["env"] = [{"name": "A", "value": LARGE}]
    create(client, PODS.format(namespace=kubectl.namespace), large)
    kubectl.apply(fake_model("beside"))
    wait_ready(kubectl, "beside")
    kubectl("wait", "--for=condition=Ready", "modeldeployment/deep", "--timeout=60s")
    assert operator.pid == process
    operator.stop()
    operator.start()
    kubectl("scale", "modeldeployment", "beside", "--replicas=2")
    until(lambda: status(kubectl, "beside").get("readyReplicas") == 2, "a change is acted upon")
    assert operator.is_ready()
    assert "Recursion" not in operator.log.read_text(encoding="utf-8")
