"""Waiting for the cluster, while reporting what it is waiting for."""

from __future__ import annotations

import time
from typing import Any

from demo.console import Console
from demo.errors import DemoError
from demo.kubectl import Kubectl
from demo.objects import MODEL, NAMESPACE, OPERATOR_NAMESPACE

PATIENCE_SECONDS = 180
POLL_SECONDS = 0.25


def wait_operator(kubectl: Kubectl) -> None:
    """Until the operator's Deployment is rolled out. Raises DemoError with what its pod says."""
    where = f"--namespace={OPERATOR_NAMESPACE}"
    timeout = f"--timeout={PATIENCE_SECONDS - 30}s"
    if kubectl.attempt("rollout", "status", "deployment/modelward", where, timeout).returncode:
        raise DemoError("the operator does not get ready:\n" + "\n".join(_evidence(kubectl, where)))


def _evidence(kubectl: Kubectl, where: str) -> list[str]:
    """What Kubernetes says about the operator: its pods, the latest events, the end of its log."""
    asked = (
        ("get", "pods", where),
        ("get", "events", where, "--sort-by=.metadata.creationTimestamp"),
        ("logs", "deployment/modelward", where, "--tail=3"),
    )
    return [line for each in asked for line in kubectl.attempt(*each).stdout.splitlines()[-4:]]


def wait_model(kubectl: Kubectl, console: Console) -> dict[str, Any]:
    """Until the model is Ready for what its spec says now; shows each new message. Returns the object."""
    reported = ""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        model = kubectl.get("modeldeployment", MODEL, NAMESPACE) or {}
        ready = condition(model, "Ready")
        if is_ready(model):
            return model
        if ready.get("message", reported) != reported:
            reported = ready["message"]
            console.say(reported)
        time.sleep(POLL_SECONDS)
    raise DemoError(
        f"the model is not Ready after {PATIENCE_SECONDS} s: {reported or 'the operator has not taken it up'}."
        f" See: kubectl get pods,events -n {NAMESPACE}"
    )


def is_ready(model: dict[str, Any]) -> bool:
    """Whether Ready is True for the spec as it is now."""
    ready = condition(model, "Ready")
    return (
        ready.get("status") == "True" and ready.get("observedGeneration") == model["metadata"]["generation"]
    )


def condition(model: dict[str, Any], kind: str) -> dict[str, Any]:
    """One condition of the object; empty when there is none."""
    conditions = model.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == kind), {})
