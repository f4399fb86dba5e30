"""ModelDeployments for tests, and what is asked of them."""

from typing import Any, Final

from support.kubectl import Kubectl, KubectlError
from support.waiting import PATIENCE_SECONDS, until

KIND = "modeldeployment"
FAKE_IMAGE = "registry.invalid/fake:1"
"""Nobody pulls it: pods on fake nodes are asked to be ready by kwok."""


def fake_model(name: str, *, version: str = "1", **spec: Any) -> dict[str, Any]:
    """A ModelDeployment whose pods land on fake nodes and are ready at once; no real node is needed."""
    return {
        "apiVersion": "modelward.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {
            "model": {"version": version},
            "runtime": {"image": FAKE_IMAGE},
            "scheduling": {
                "nodeSelector": {"type": "kwok"},
                "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
            },
            "rollout": {"strategy": "Direct"},
            **spec,
        },
    }


def unschedulable_model(name: str, *, version: str = "1", **spec: Any) -> dict[str, Any]:
    """A ModelDeployment whose pods find no node."""
    return fake_model(name, version=version, scheduling={"nodeSelector": {"type": "nowhere"}}, **spec)


UNSEEN: Final = {"observedGeneration": 0}
"""Status of a model that no operator has seen: the default of the CRD."""


def status(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """The status; empty when there is none."""
    found = kubectl.get(KIND, name)
    assert found is not None, f"there is no ModelDeployment {name}"
    return dict(found.get("status", {}))


def condition(kubectl: Kubectl, name: str, kind: str = "Ready") -> dict[str, Any]:
    """One condition; empty when there is none."""
    conditions = status(kubectl, name).get("conditions", [])
    return next((each for each in conditions if each["type"] == kind), {})


def wait_ready(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """Wait as a pipeline does, then return the status. Raises KubectlError, which shows why it is not Ready."""
    try:
        kubectl("wait", "--for=condition=Ready", f"{KIND}/{name}", f"--timeout={PATIENCE_SECONDS:.0f}s")
    except KubectlError as error:
        raise KubectlError(f"{error}; {condition(kubectl, name)}") from error
    return status(kubectl, name)


def wait_reason(kubectl: Kubectl, name: str, reason: str) -> dict[str, Any]:
    """Wait until Ready has that reason for the current generation; returns the condition."""

    def found() -> dict[str, Any]:
        model = kubectl.get(KIND, name) or {}
        conditions: list[dict[str, Any]] = model.get("status", {}).get("conditions", [])
        ready = next((each for each in conditions if each["type"] == "Ready"), {})
        seen = ready.get("observedGeneration") == model.get("metadata", {}).get("generation")
        return ready if seen and ready.get("reason") == reason else {}

    return until(found, f"{name} is {reason}; it is {condition(kubectl, name)}")


def reject(kubectl: Kubectl, name: str, **spec: Any) -> str:
    """Apply version 2, abort it before it has any request, and return its revision. Spec asks for it still.

    It is paused: a Direct one whose pods are ready at once is promoted before anybody can abort it.
    """
    paused = {"strategy": "Canary", "steps": [{"weightPercent": 50}], "paused": True}
    kubectl.apply(fake_model(name, version="2", rollout=paused, **spec))
    canary = str(until(lambda: status(kubectl, name).get("canaryRevision"), "the canary is there"))
    kubectl("annotate", KIND, name, "--overwrite", f"modelward.dev/abort={canary}")
    wait_reason(kubectl, name, "Aborted")
    until(lambda: not status(kubectl, name).get("canaryRevision"), "the canary is gone")
    return canary


def wait_quiet(kubectl: Kubectl, name: str, *, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
    """Wait until no rollout is under way and the previous revision's objects are gone; returns the status."""

    def found() -> dict[str, Any]:
        seen = status(kubectl, name)
        quiet = seen.get("rollout") is None and len(children(kubectl, "deploy", name)) == 1
        return seen if quiet else {}

    return until(found, f"{name} has one revision and no rollout", seconds=seconds)


def children(kubectl: Kubectl, kind: str, model: str) -> list[dict[str, Any]]:
    """The children of one kind."""
    return kubectl.all(kind, f"modelward.dev/model={model}")


def selected_revision(kubectl: Kubectl, name: str) -> str:
    """The revision that the model's Service selects."""
    service = kubectl.get("service", name)
    assert service is not None
    return str(service["spec"]["selector"]["modelward.dev/revision"])
