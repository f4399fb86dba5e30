"""F20 on a real API server: a model is deleted with --cascade=orphan, applied again, and takes back what served for it."""

import json
from typing import Any

import pytest

from support.kubectl import Kubectl
from support.models import (
    KIND,
    children,
    condition,
    fake_model,
    selected_revision,
    status,
    wait_ready,
    wait_reason,
)
from support.operator import OperatorProcess
from support.waiting import until

pytestmark = pytest.mark.usefixtures("operator")
_KINDS = "deployments,services,controllerrevisions,poddisruptionbudgets"


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
    kubectl.apply(fake_model("twice", version="2"))
    until(lambda: status(kubectl, "twice").get("canaryRevision"), "the canary is there")
    canary = status(kubectl, "twice")["canaryRevision"]
    kubectl("annotate", KIND, "twice", f"modelward.dev/abort={canary}")
    wait_reason(kubectl, "twice", "Aborted")
    until(lambda: not status(kubectl, "twice").get("canaryRevision"), "the canary is gone")
    orphaned(kubectl, "twice", fake_model("twice", version="2"))
    wait_reason(kubectl, "twice", "NameConflict")
    kubectl("annotate", KIND, "twice", f"modelward.dev/adopt={stable}")
    wait_reason(kubectl, "twice", "Aborted")
    assert selected_revision(kubectl, "twice") == stable
    assert condition(kubectl, "twice", "RolloutSucceeded")["status"] == "False"


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
