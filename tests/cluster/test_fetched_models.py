"""What the operator makes of reports of pods, on a real API server, with exactly the rights that are shipped.

No model is fetched here: the pods are on fake nodes, and their status says what the fetch container would have said.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelward.api.fetch_report import CONTAINER
from support.kubectl import Kubectl
from support.models import KIND, children, condition, fake_model, status, wait_quiet, wait_ready, wait_reason
from support.operator import OperatorProcess
from support.waiting import until

pytestmark = pytest.mark.usefixtures("operator")

SHA, OTHER = (f"sha256:{each * 64}" for each in "ab")
URI = "s3://models/fraud/7"


@pytest.fixture(scope="module")
def operator(credentials: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """The operator with the name of an image that fetches; no pod runs it here."""
    folder = tmp_path_factory.mktemp("operator")
    (folder / "settings.yaml").write_text(
        yaml.safe_dump({"fetch": {"image": "registry.invalid/fetch:1"}}), encoding="utf-8"
    )
    process = OperatorProcess(credentials, folder, "--settings", str(folder / "settings.yaml"))
    try:
        process.start()
        yield process
    finally:
        process.stop()


def report(digest: str = SHA, **fields: Any) -> dict[str, Any]:
    """What a fetch container says."""
    done = {"version": 1, "result": "Fetched", "resolved": f"{URI}?versionId=3", "identity": "Pinned"}
    return done | {"digest": digest, "listing": SHA, "files": 1, "bytes": 10} | fields


def reported(kubectl: Kubectl, pod: str, said: dict[str, Any]) -> None:
    """The kubelet has seen the fetch container of a pod end."""
    code = 10 if said["result"] == "Failed" else 0
    ended = {"exitCode": code, "reason": "Error" if code else "Completed", "message": json.dumps(said)}
    container = {
        "name": CONTAINER,
        "image": "i",
        "imageID": "i",
        "restartCount": 0,
        "ready": not code,
        "state": {"terminated": ended | {"startedAt": None, "finishedAt": None}},
    }
    change = json.dumps({"status": {"initContainerStatuses": [container]}})
    kubectl("patch", "pod", pod, "--subresource=status", "--type=merge", "-p", change)


def pods(kubectl: Kubectl, name: str) -> list[str]:
    """Names of the pods of a model, in the order in which they were made."""
    found = children(kubectl, "pods", name)
    found.sort(key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))
    return [pod["metadata"]["name"] for pod in found]


def test_the_first_report_is_recorded_pinned_and_noted(kubectl: Kubectl) -> None:
    """In status, in a ConfigMap that nobody can change, on the snapshot; and the pin goes with the model."""
    kubectl.apply(fake_model("first", model={"uri": URI}))
    wait_ready(kubectl, "first")
    (pod,) = pods(kubectl, "first")
    reported(kubectl, pod, report())
    until(lambda: status(kubectl, "first").get("fetched"), "it is recorded")
    found = wait_quiet(kubectl, "first")
    assert found["modelUri"] == f"{URI}?versionId=3"
    assert found["fetched"][0]["digest"] == SHA
    name = f"first-{found['stableRevision']}"
    pin = kubectl.get("configmap", name)
    assert pin is not None
    assert json.loads(pin["data"]["pin.json"])["digest"] == SHA
    snapshot = kubectl.get("controllerrevision", name)
    assert snapshot is not None
    assert SHA in snapshot["metadata"]["annotations"]["modelward.dev/fetched"]
    changed = kubectl.run("patch", "configmap", name, "--type=merge", "-p", '{"data": {"pin.json": "{}"}}')
    assert "immutable" in changed.stderr
    kubectl("delete", KIND, "first")
    until(lambda: kubectl.get("configmap", name) is None, "the pin is collected")


def test_another_digest_is_reported_and_the_record_stays(kubectl: Kubectl) -> None:
    """Whatever a later pod says; a pin that somebody wrote before counts as done."""
    kubectl.apply(fake_model("other", model={"uri": URI}, replicas=2))
    found = wait_ready(kubectl, "other")
    planted = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"other-{found['stableRevision']}"},
    }
    kubectl.apply(planted)
    first, second = pods(kubectl, "other")
    reported(kubectl, first, report())
    until(lambda: status(kubectl, "other").get("fetched"), "it is recorded")
    reported(kubectl, second, report(OTHER))
    until(lambda: condition(kubectl, "other", "ModelChanged").get("status") == "True", "it is reported")
    assert second in condition(kubectl, "other", "ModelChanged")["message"]
    assert status(kubectl, "other")["fetched"][0]["digest"] == SHA
    assert len(pods(kubectl, "other")) == 2, "no pod is taken away"
    wait_quiet(kubectl, "other")


def test_a_canary_whose_pod_cannot_fetch_goes_back(kubectl: Kubectl) -> None:
    """By what its status says, as the kubelet writes it."""
    kubectl.apply(fake_model("back", model={"uri": URI}))
    wait_ready(kubectl, "back")
    rollout = {"steps": [{"weightPercent": 50}], "paused": True}
    kubectl.apply(fake_model("back", model={"uri": f"{URI}0"}, rollout=rollout))
    canary = until(lambda: status(kubectl, "back").get("canaryRevision"), "a canary is on its way")
    late = until(lambda: [pod for pod in pods(kubectl, "back") if f"-{canary}-" in pod], "its pod is there")
    failed = report(result="Failed", reason="Denied", message="the store says no", remedy="Check the Secret.")
    unready = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    kubectl("patch", "pod", late[0], "--subresource=status", "-p", json.dumps(unready))
    reported(kubectl, late[0], failed)
    ready = wait_reason(kubectl, "back", "RolledBack")
    assert "its model cannot be fetched (Denied): the store says no. Check the Secret" in ready["message"]
