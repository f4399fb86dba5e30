"""The operator is killed or replaced in every state of a rollout; the end is the same. Pods are kwok's."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from conftest import OPERATOR_NAMESPACE
from devcluster import Cluster
from support.kubectl import Kubectl
from support.models import (
    KIND,
    children,
    fake_model,
    selected_revision,
    status,
    unschedulable_model,
    wait_quiet,
    wait_ready,
    wait_reason,
)
from support.operator import OperatorProcess
from support.replicas import LEASE_NAME
from support.terms import Write, account
from support.waiting import until

CHANGED_BUILDER = (
    "-c",
    "from modelward_cli import main; from modelward.runtimes import render; render.PRE_STOP_SECONDS = 7; main()",
)
"""An operator of another version: its pod templates differ."""


def settled(operator: OperatorProcess) -> None:
    """Wait until the operator has reconciled everything."""
    until(lambda: operator.metric("modelward_queue_depth") == 0, "the queue is empty")


def written(cluster: Cluster, kubectl: Kubectl, since: float) -> list[Write]:
    """What operators have written since then of what these tests have made."""
    return account(cluster.audit_log, (OPERATOR_NAMESPACE, LEASE_NAME), since=since).within(kubectl.namespace)


def uids(kubectl: Kubectl, kind: str, model: str) -> set[str]:
    """Identities of the children of a kind."""
    return {each["metadata"]["uid"] for each in children(kubectl, kind, model)}


def test_restart_at_rest_writes_nothing(
    cluster: Cluster, kubectl: Kubectl, operator: OperatorProcess
) -> None:
    """An operator that starts with models present reads them and sends no mutating request."""
    for number in range(5):
        kubectl.apply(fake_model(f"rest-{number}", replicas=2))
    for number in range(5):
        wait_ready(kubectl, f"rest-{number}")
        wait_quiet(kubectl, f"rest-{number}")
    settled(operator)  # status is reported before what follows from it is written
    before = [kubectl.get(KIND, f"rest-{number}") for number in range(5)]
    operator.kill()
    since = time.time()
    operator.start()
    settled(operator)
    assert written(cluster, kubectl, since) == []
    assert [kubectl.get(KIND, f"rest-{number}") for number in range(5)] == before


def test_upgrade_restarts_no_pod(cluster: Cluster, kubectl: Kubectl, operator: OperatorProcess) -> None:
    """An operator whose template builder has changed leaves running revisions alone, and renders new ones its way."""
    kubectl.apply(fake_model("upgrade", replicas=2))
    wait_ready(kubectl, "upgrade")
    wait_quiet(kubectl, "upgrade")
    before = {kind: uids(kubectl, kind, "upgrade") for kind in ("deploy", "rs", "pods")}
    operator.stop()
    operator.start(program=CHANGED_BUILDER)
    settled(operator)
    kubectl("scale", KIND, "upgrade", "--replicas=3")  # the changed operator writes the old Deployment
    until(lambda: status(kubectl, "upgrade").get("readyReplicas") == 3, "three pods are ready")
    assert uids(kubectl, "deploy", "upgrade") == before["deploy"]
    assert uids(kubectl, "rs", "upgrade") == before["rs"]
    assert uids(kubectl, "pods", "upgrade") > before["pods"]
    kubectl.apply(fake_model("upgrade", version="2", replicas=3))
    wait_ready(kubectl, "upgrade")
    wait_quiet(kubectl, "upgrade")
    (deployment,) = children(kubectl, "deploy", "upgrade")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] == 7
    operator.stop()
    since = time.time()
    operator.start()
    settled(operator)
    assert written(cluster, kubectl, since) == [], "a downgrade restarts no pod either"


def first_not_scheduled(kubectl: Kubectl, name: str) -> None:
    """The first revision waits for a node."""
    kubectl.apply(unschedulable_model(name))
    wait_reason(kubectl, name, "Deploying")


def change_not_scheduled(kubectl: Kubectl, name: str) -> None:
    """A second revision waits for a node beside the first."""
    kubectl.apply(fake_model(name))
    wait_ready(kubectl, name)
    kubectl.apply(unschedulable_model(name, version="2"))
    wait_reason(kubectl, name, "Deploying")


def just_switched(kubectl: Kubectl, name: str) -> None:
    """The second revision serves, the first one drains."""
    kubectl.apply(fake_model(name))
    wait_ready(kubectl, name)
    kubectl.apply(fake_model(name, version="2"))
    until(lambda: status(kubectl, name).get("previousRevision"), "the previous revision drains")


def serving(kubectl: Kubectl, name: str) -> None:
    """One revision serves."""
    kubectl.apply(fake_model(name))
    wait_ready(kubectl, name)


def no_runtime(kubectl: Kubectl, name: str) -> None:
    """Nothing can serve the model."""
    kubectl.apply(fake_model(name, model={"format": "unheard-of"}, runtime={}))
    wait_reason(kubectl, name, "NoRuntime")


STATES = [first_not_scheduled, change_not_scheduled, just_switched, serving, no_runtime]
WAYS = [
    pytest.param(
        state,
        what,
        id=f"{state.__name__.replace('_', ' ')}-{what}",
        marks=[] if (number + other) % 2 else pytest.mark.integrations,  # by turns; at night the other half
    )
    for number, state in enumerate(STATES)
    for other, what in enumerate(("nothing happens", "spec changes"))
]


@pytest.mark.parametrize(("reach", "while_down"), WAYS)
def test_killed_in_every_state(
    kubectl: Kubectl, operator: OperatorProcess, reach: Callable[[Kubectl, str], None], while_down: str
) -> None:
    """Killed in a state and started again, the operator ends where an undisturbed one does."""
    name = f"killed-{reach.__name__.replace('_', '-')}-{'quiet' if while_down == 'nothing happens' else 'change'}"
    reach(kubectl, name)
    stood = status(kubectl, name)
    operator.kill()
    if while_down == "spec changes":
        _apply_last(kubectl, name)
    operator.start()
    if while_down == "nothing happens":
        settled(operator)
        later = status(kubectl, name)
        for field in ("stableRevision", "canaryRevision", "revisionNonce", "history", "rejectedRevisions"):
            assert later.get(field) == stood.get(field), "a restart decides nothing by itself"
        assert (later.get("rollout") or {}).get("startTime") == (stood.get("rollout") or {}).get(
            "startTime"
        ) or stood.get("previousRevision"), "the rollout goes on, it does not begin anew"
        _apply_last(kubectl, name)
    final = wait_ready(kubectl, name)
    quiet = wait_quiet(kubectl, name)
    assert quiet["stableRevision"] == final["stableRevision"] == selected_revision(kubectl, name)
    assert len(children(kubectl, "svc", name)) == 1
    assert not final.get("canaryRevision")


def _apply_last(kubectl: Kubectl, name: str) -> None:
    """The spec that all of these rollouts end with."""
    last: dict[str, Any] = fake_model(name, version="9")
    changes = [{"op": "replace", "path": "/spec", "value": last["spec"]}]
    kubectl.patch(KIND, name, changes)


def test_deleted_while_the_operator_is_down(kubectl: Kubectl, operator: OperatorProcess) -> None:
    """A model deleted without an operator takes its children along, and one of the same name is a new one."""
    kubectl.apply(fake_model("reborn"))
    wait_ready(kubectl, "reborn")
    operator.kill()
    kubectl("delete", KIND, "reborn")
    kubectl.apply(fake_model("reborn", version="2"))
    operator.start()
    final = wait_ready(kubectl, "reborn")
    wait_quiet(kubectl, "reborn")
    model = kubectl.get(KIND, "reborn")
    assert model is not None
    for kind in ("deploy", "svc", "controllerrevision"):
        owners = {each["metadata"]["ownerReferences"][0]["uid"] for each in children(kubectl, kind, "reborn")}
        assert owners == {model["metadata"]["uid"]}, kind
    assert final["history"][0]["result"] == "Promoted"


def test_lost_status(kubectl: Kubectl, operator: OperatorProcess) -> None:
    """A model whose status is lost (a restored backup) finds its stable revision again; no pod restarts."""
    kubectl.apply(fake_model("lost", replicas=2))
    before = wait_ready(kubectl, "lost")
    wait_quiet(kubectl, "lost")
    pods = uids(kubectl, "pods", "lost")
    operator.kill()
    kubectl(
        "patch",
        KIND,
        "lost",
        "--subresource=status",
        "--type=json",
        '-p=[{"op":"replace","path":"/status","value":{}}]',
    )
    operator.start()
    found = wait_ready(kubectl, "lost")
    assert found["stableRevision"] == before["stableRevision"]
    assert found["decision"] >= before["decision"]
    assert uids(kubectl, "pods", "lost") == pods
