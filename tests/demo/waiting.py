"""Waiting for the cluster, while telling what it is waiting for."""

from __future__ import annotations

import time
from typing import Any

from demo.console import Console
from demo.errors import DemoError
from demo.kubectl import Kubectl
from demo.objects import MODEL, NAMESPACE, OPERATOR_NAMESPACE

PATIENCE_SECONDS = 180
LOOK_SECONDS = 0.25


def wait_operator(kubectl: Kubectl) -> None:
    """Until the operator's Deployment is rolled out. Raises DemoError with what its pod says."""
    where = f"--namespace={OPERATOR_NAMESPACE}"
    timeout = f"--timeout={PATIENCE_SECONDS - 30}s"
    if kubectl.attempt("rollout", "status", "deployment/modelward", where, timeout).returncode:
        log = kubectl.attempt("logs", "deployment/modelward", where, "--tail=3").stdout.strip()
        raise DemoError(
            "the operator does not get ready. Look: kubectl get pods,events -n modelward-system"
            + (f". Its log ends with:\n{log}" if log else "")
        )


def wait_model(kubectl: Kubectl, console: Console) -> dict[str, Any]:
    """Until the model is Ready for what its spec says now; tells each new message. Returns the object."""
    told = ""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        model = kubectl.get("modeldeployment", MODEL, NAMESPACE) or {}
        ready = condition(model, "Ready")
        if is_ready(model):
            return model
        if ready.get("message", told) != told:
            told = ready["message"]
            console.say(told)
        time.sleep(LOOK_SECONDS)
    raise DemoError(
        f"the model is not Ready after {PATIENCE_SECONDS} s: {told or 'the operator has not taken it up'}."
        f" Look: kubectl get pods,events -n {NAMESPACE}"
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
