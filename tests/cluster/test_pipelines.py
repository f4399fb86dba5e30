"""F15 as a pipeline sees it: `kubectl wait` for RolloutSucceeded. Pods are kwok's."""

from typing import Any

import pytest

from support.kubectl import Kubectl
from support.models import KIND, condition, fake_model, reject, status, wait_ready

pytestmark = pytest.mark.usefixtures("operator")


def wait_succeeded(kubectl: Kubectl, name: str, value: str = "True") -> dict[str, Any]:
    """Wait as docs/pipelines.md says; returns the condition."""
    kubectl("wait", f"--for=condition=RolloutSucceeded={value}", f"{KIND}/{name}", "--timeout=120s")
    return condition(kubectl, name, "RolloutSucceeded")


def test_f15_a_pipeline_sees_that_a_change_without_a_runtime_does_not_serve(kubectl: Kubectl) -> None:
    """Also if the number of pods changes with it; it is True again once spec asks for what serves."""
    kubectl.apply(fake_model("pipe"))
    wait_succeeded(kubectl, "pipe")
    stable = status(kubectl, "pipe")["stableRevision"]
    kubectl.apply(fake_model("pipe", version="2", replicas=2, runtime={"name": "nobody-made-it"}))
    reported = wait_succeeded(kubectl, "pipe", "False")
    assert reported["reason"] == "NoRuntime"
    assert f"{stable} goes on serving" in reported["message"]
    assert reported["observedGeneration"] == 2
    kubectl.apply(fake_model("pipe"))
    assert stable in wait_succeeded(kubectl, "pipe")["message"]


def test_f15_a_pipeline_sees_that_what_was_rejected_before_does_not_serve(kubectl: Kubectl) -> None:
    """It is applied a second time, after a version that served."""
    kubectl.apply(fake_model("again"))
    stable = wait_ready(kubectl, "again")["stableRevision"]
    reject(kubectl, "again")
    wait_succeeded(kubectl, "again", "False")
    kubectl.apply(fake_model("again"))
    wait_succeeded(kubectl, "again")
    kubectl.apply(fake_model("again", version="2"))
    reported = wait_succeeded(kubectl, "again", "False")
    assert reported["reason"] == "Aborted"
    assert f"{stable} goes on serving" in reported["message"]
