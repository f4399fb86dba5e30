"""Changes that go wrong, with real model servers on a real node: the old version serves on, and status says why."""

from collections.abc import Iterator
from typing import Any

import pytest

from demo.traffic import Traffic, first_answer
from devcluster import Cluster
from devcluster.images import REFERENCES
from support import served
from support.kubectl import Kubectl
from support.models import (
    KIND,
    children,
    condition,
    selected_revision,
    status,
    wait_quiet,
    wait_ready,
    wait_reason,
)
from support.operator import OperatorProcess
from support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("operator")]

ENOUGH_REQUESTS = 50


def served_model(
    name: str, *, version: str = "1", env: dict[str, str] | None = None, deadline: int = 120, **spec: Any
) -> dict[str, Any]:
    """A ModelDeployment of the test server. Versions 1 and 2 exist; another one ends the server at its start.

    The deadline, in seconds, is short only where nothing but it ends the rollout: pods start late on a busy machine.
    """
    runtime = {
        "image": REFERENCES["model-server"],
        "env": [{"name": "FAULT_" + key.upper(), "value": value} for key, value in (env or {}).items()],
    }
    return {
        "apiVersion": "modelward.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {
            "model": {"name": "breast-cancer", "version": version},
            "runtime": {"name": "onnx-server", **runtime} if runtime["env"] else {"name": "onnx-server"},
            "rollout": {"strategy": "Direct", "progressDeadlineSeconds": deadline},
            **spec,
        },
    }


@pytest.fixture(scope="module", autouse=True)
def runtime(kubectl: Kubectl, node: Cluster) -> None:
    """A runtime of the namespace for the test server."""
    kubectl.apply(served.runtime(signals=False, startup_seconds=60))


def url(kubectl: Kubectl, name: str) -> str:
    """Address of the Service, as the host reaches it."""
    service = kubectl.get("service", name)
    assert service is not None
    return f"http://{service['spec']['clusterIP']}"


@pytest.fixture
def serving(kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[str]:
    """A model whose version 1 serves; its name. Deleted afterwards."""
    name = "m-" + str(abs(hash(request.node.name)))[:8]
    kubectl.apply(served_model(name))
    wait_ready(kubectl, name)
    wait_quiet(kubectl, name)
    first_answer(url(kubectl, name), "breast-cancer")
    yield name
    kubectl("delete", KIND, name, "--wait=false")


BAD = {
    "ends at its start": ({"version": "no-such-version"}, "ended with exit code 1", "RolledBack"),
    "image cannot be pulled": (
        {"deadline": 12, "runtime": {"name": "onnx-server", "image": "registry.invalid/none:1"}},
        "cannot be pulled",
        "DeadlineExceeded",
    ),
    "never gets ready": (
        {"deadline": 12, "version": "2", "env": {"corrupt_model": "unready"}},
        "does not succeed yet",
        "DeadlineExceeded",
    ),
}


@pytest.mark.parametrize(("change", "problem_text", "reason"), BAD.values(), ids=BAD)
def test_bad_version_is_rejected(
    kubectl: Kubectl, serving: str, change: dict[str, Any], problem_text: str, reason: str
) -> None:
    """One that crashes goes at once, one that does not get ready at its deadline; no request fails meanwhile."""
    before = status(kubectl, serving)["stableRevision"]
    pods = {each["metadata"]["uid"] for each in children(kubectl, "pods", serving)}
    with Traffic(url(kubectl, serving), "breast-cancer") as load:
        kubectl.apply(served_model(serving, **change))
        until(
            lambda: problem_text in condition(kubectl, serving).get("message", ""),
            f"status says: {problem_text}",
        )
        ready = wait_reason(kubectl, serving, reason)
        found = wait_quiet(kubectl, serving)
        until(lambda: len(load.samples()) >= ENOUGH_REQUESTS, "requests were answered")
    assert load.failures() == []
    assert set(load.versions()) == {"1"}
    assert found["stableRevision"] == before == selected_revision(kubectl, serving)
    assert {each["metadata"]["uid"] for each in children(kubectl, "pods", serving)} >= pods
    assert problem_text in ready["message"]
    assert "modelward.dev/retry" in ready["message"], "the message shows the remedy"
    assert found["history"][0]["result"] == "RolledBack"
    assert condition(kubectl, serving, "Available")["status"] == "True"
    assert condition(kubectl, serving, "RolloutSucceeded")["status"] == "False"


def test_rejected_revision_comes_back_only_by_a_retry(kubectl: Kubectl, serving: str) -> None:
    """Applied again, the rejected revision stays rejected; a retry that names it starts it anew; a good one recovers."""
    kubectl.apply(served_model(serving, version="no-such-version"))
    wait_reason(kubectl, serving, "RolledBack")
    rejected = status(kubectl, serving)["rejectedRevisions"][0]["revision"]
    kubectl.apply(served_model(serving))
    wait_ready(kubectl, serving)
    kubectl.apply(served_model(serving, version="no-such-version"))
    wait_reason(kubectl, serving, "RolledBack")
    assert not status(kubectl, serving).get("canaryRevision")
    kubectl("annotate", KIND, serving, f"modelward.dev/retry={rejected}/1")
    until(lambda: status(kubectl, serving).get("canaryRevision"), "it is tried again")
    kubectl.apply(served_model(serving, version="2"))
    assert wait_ready(kubectl, serving)["history"][0]["modelVersion"] == "2"


def test_abort(kubectl: Kubectl, serving: str) -> None:
    """`modelward.dev/abort` takes back the revision that is on its way."""
    before = status(kubectl, serving)["stableRevision"]
    kubectl.apply(served_model(serving, version="2", env={"load_seconds": "9"}))
    awaited = until(lambda: status(kubectl, serving).get("canaryRevision"), "a revision is on its way")
    kubectl("annotate", KIND, serving, f"modelward.dev/abort={awaited}")
    wait_reason(kubectl, serving, "Aborted")
    found = wait_quiet(kubectl, serving)
    assert found["stableRevision"] == before
    assert found["history"][0]["result"] == "Aborted"


def test_slow_model_is_awaited(kubectl: Kubectl, serving: str) -> None:
    """A model that takes its time to load gets no request before it is loaded, and then all of them."""
    with Traffic(url(kubectl, serving), "breast-cancer") as load:
        kubectl.apply(served_model(serving, version="2", env={"load_seconds": "5"}))
        wait_ready(kubectl, serving)
        wait_quiet(kubectl, serving)
        until(lambda: load.samples()[-1].version == "2", "version 2 answers")
    assert load.failures() == []


def test_f18_a_model_that_needs_longer_than_it_is_given_says_so(kubectl: Kubectl, serving: str) -> None:
    """The kubelet ends its container, which looks like an end of its own; the message names the field."""
    slow = served_model(serving, version="2", env={"load_seconds": "600"})
    slow["spec"]["runtime"]["startupSeconds"] = 4
    kubectl.apply(slow)
    reason = "stopped by the kubelet, because it was not ready within startupSeconds 4"
    until(lambda: reason in condition(kubectl, serving).get("message", ""), f"status says: {reason}")
    wait_reason(kubectl, serving, "RolledBack")
    assert condition(kubectl, serving, "Available")["status"] == "True"


def test_first_revision_that_is_late_recovers_by_itself(kubectl: Kubectl, operator: OperatorProcess) -> None:
    """There is nothing to roll back to, so the operator says so and waits; a good spec takes over."""
    kubectl.apply(served_model("late", version="no-such-version", deadline=12))
    wait_reason(kubectl, "late", "DeadlineExceeded")
    until(lambda: "ended with exit code 1" in condition(kubectl, "late")["message"], "it says why")
    kubectl.apply(served_model("late", version="2"))
    wait_ready(kubectl, "late")
    wait_quiet(kubectl, "late")
    assert operator.metric("modelward_reconcile_errors_total", reason="Unexpected") == 0


def test_describe_reads_well(kubectl: Kubectl, serving: str) -> None:
    """`kubectl describe` shows what happened in words."""
    kubectl.apply(served_model(serving, version="2"))
    wait_ready(kubectl, serving)

    def reported() -> bool:
        text = kubectl("describe", KIND, serving)
        return "is started beside" in text and "is ready and serves in place of" in text

    until(reported, "both events are there")
