"""F20 on a real API server: a model is orphaned and applied again, or restored, and takes back what served for it."""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from support.kubectl import Kubectl
from support.models import (
    KIND,
    children,
    condition,
    fake_model,
    reject,
    selected_revision,
    status,
    wait_quiet,
    wait_ready,
    wait_reason,
)
from support.operator import OperatorProcess
from support.waiting import until

pytestmark = pytest.mark.usefixtures("operator")
_KINDS = "deployments,services,controllerrevisions,poddisruptionbudgets"
_VELERO: Final = ("services", "controllerrevisions", "deployments", KIND, "poddisruptionbudgets")
"""The order in which Velero restores: Services by its `--restore-resource-priorities`, what is not named there by kind."""


def identities(kubectl: Kubectl, name: str) -> dict[str, str]:
    """uids of the children of a model, and of its pods."""
    found = json.loads(kubectl("get", f"{_KINDS},pods", f"-lmodelward.dev/model={name}", "-o", "json"))[
        "items"
    ]
    return {f"{each['kind']}/{each['metadata']['name']}": each["metadata"]["uid"] for each in found}


def owners(kubectl: Kubectl, name: str) -> set[str | None]:
    """uids of the owners of a model's children."""
    found = json.loads(kubectl("get", _KINDS, f"-lmodelward.dev/model={name}", "-o", "json"))["items"]
    return {
        next((each["uid"] for each in raw["metadata"].get("ownerReferences") or ()), None) for raw in found
    }


def orphaned(kubectl: Kubectl, name: str, raw: dict[str, Any]) -> None:
    """Delete the model without its children, and apply it again."""
    kubectl("delete", KIND, name, "--cascade=orphan")
    until(lambda: owners(kubectl, name) == {None}, "the garbage collector has taken the owners off")
    kubectl.apply(raw)


def test_f20_what_served_is_taken_back_by_the_command_of_the_message(kubectl: Kubectl) -> None:
    """Nothing is started, deleted or restarted, and the same revision serves."""
    kubectl.apply(fake_model("lost"))
    stable = wait_ready(kubectl, "lost")["stableRevision"]
    before = identities(kubectl, "lost")
    orphaned(kubectl, "lost", fake_model("lost"))
    message = wait_reason(kubectl, "lost", "NameConflict")["message"]
    assert message.endswith(f"modelward.dev/adopt={stable}")
    assert identities(kubectl, "lost") == before
    kubectl("annotate", KIND, "lost", "--overwrite", f"modelward.dev/adopt={stable}")
    assert wait_ready(kubectl, "lost")["stableRevision"] == stable
    assert identities(kubectl, "lost") == before
    uid = (kubectl.get(KIND, "lost") or {})["metadata"]["uid"]
    until(lambda: owners(kubectl, "lost") == {uid}, "all of them belong to the new model")


def test_f20_a_rejection_that_a_snapshot_has_noted_holds(kubectl: Kubectl) -> None:
    """Spec still asks for what was rejected: it does not serve after the restore either."""
    kubectl.apply(fake_model("twice"))
    stable = wait_ready(kubectl, "twice")["stableRevision"]
    reject(kubectl, "twice")
    orphaned(kubectl, "twice", fake_model("twice", version="2"))
    wait_reason(kubectl, "twice", "NameConflict")
    kubectl("annotate", KIND, "twice", f"modelward.dev/adopt={stable}")
    wait_reason(kubectl, "twice", "Aborted")
    assert selected_revision(kubectl, "twice") == stable
    assert condition(kubectl, "twice", "RolloutSucceeded")["status"] == "False"


def backed_up(kubectl: Kubectl, name: str) -> Iterator[dict[str, Any]]:
    """What a backup has of a model, as Velero restores it: without status, uids, owners and addresses, with a label."""
    for kind in _VELERO:
        which = [name] if kind == KIND else [f"-lmodelward.dev/model={name}"]
        found = json.loads(kubectl("get", kind, *which, "-o", "json"))
        for raw in found.get("items", [found]):
            kept = {
                key: value
                for key, value in raw["metadata"].items()
                if key in ("name", "labels", "annotations", "finalizers")
            }
            kept["labels"] = {**kept.get("labels", {}), "velero.io/restore-name": "monday"}
            spec = {
                key: value
                for key, value in raw.get("spec", {}).items()
                if key not in ("clusterIP", "clusterIPs")
            }
            yield {
                key: {"metadata": kept, "spec": spec}.get(key, value)
                for key, value in raw.items()
                if key != "status"
            }


def test_f20_what_velero_restores_is_taken_back_and_what_was_rejected_stays_so(kubectl: Kubectl) -> None:
    """In its order, one object after the other, with the operator at work."""
    kubectl.apply(fake_model("backed", replicas=2))
    stable = wait_ready(kubectl, "backed")["stableRevision"]
    reject(kubectl, "backed", replicas=2)
    wait_quiet(kubectl, "backed")
    kubectl.apply(fake_model("backed", version="2", replicas=2))
    backup = list(backed_up(kubectl, "backed"))
    kubectl("delete", KIND, "backed")
    until(lambda: not identities(kubectl, "backed"), "nothing is left of it")
    for raw in backup:
        kubectl("create", "-f", "-", stdin=json.dumps(raw))
    message = wait_reason(kubectl, "backed", "NameConflict")["message"]
    assert message.endswith(f"modelward.dev/adopt={stable}")
    deployment = f"backed-{stable}"
    until(lambda: ready_pods(kubectl, deployment) == 2, "the restored pods serve before anybody adopts them")
    before = identities(kubectl, "backed")
    kubectl("annotate", KIND, "backed", f"modelward.dev/adopt={stable}", "--overwrite")
    wait_reason(kubectl, "backed", "Aborted")
    assert selected_revision(kubectl, "backed") == stable
    assert status(kubectl, "backed")["stableRevision"] == stable
    uid = (kubectl.get(KIND, "backed") or {})["metadata"]["uid"]
    until(lambda: owners(kubectl, "backed") == {uid}, "all of them belong to the restored model")
    assert identities(kubectl, "backed") == before, "nothing was started, restarted or deleted"


def ready_pods(kubectl: Kubectl, deployment: str) -> int:
    """How many pods of a Deployment are ready."""
    found = kubectl.get("deployment", deployment) or {}
    return int(found.get("status", {}).get("readyReplicas", 0))


def test_f20_once_what_is_left_is_deleted_the_model_starts_anew(
    kubectl: Kubectl, operator: OperatorProcess
) -> None:
    """It is seen at once."""
    del operator
    kubectl.apply(fake_model("anew"))
    wait_ready(kubectl, "anew")
    orphaned(kubectl, "anew", fake_model("anew"))
    wait_reason(kubectl, "anew", "NameConflict")
    kubectl("delete", _KINDS, "-lmodelward.dev/model=anew")
    wait_ready(kubectl, "anew")
    assert children(kubectl, "deployment", "anew")
