"""What people and their tools do in the middle of a canary, on a real API server. Pods are kwok's.

Every command in every phase is tested on `decide` itself (tests/unit/rollout/test_events.py); here is what only a
real API server and a process can show.
"""

import itertools
import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from conftest import OPERATOR_NAMESPACE
from devcluster import Cluster
from devcluster.gateway import install_crds
from devcluster.progress import silence
from support import audit
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
from support.replicas import LEASE_NAME
from support.states import (
    ROUTE,
    Case,
    command,
    gate,
    own_route,
    promote_behind_the_gate,
    wait_states,
    weights,
)
from support.terms import account
from support.waiting import until

pytestmark = pytest.mark.usefixtures("operator")

CHANGES: Final = 10
QUICK: Final = {"steps": [{"weightPercent": 34}, {"weightPercent": 50}], "stepMinSeconds": 1}


def in_mid_canary(kubectl: Kubectl, case: Case) -> dict[str, Any]:
    """Bring a model into the middle of its first step, where it stays; returns the status."""
    kubectl.apply(case.manifest("1"))
    wait_ready(kubectl, case.name)
    kubectl.apply(case.manifest("2"))
    wait_states(kubectl, {case.name: ("Analyzing", 34)})
    return status(kubectl, case.name)


def errors(operator: OperatorProcess) -> float:
    """Bugs, as the operator counts them."""
    return operator.metric("modelward_reconcile_errors_total", reason="Unexpected")


def uids(kubectl: Kubectl, kinds: str, model: str) -> set[str]:
    """Identities of a model's objects."""
    return {each["metadata"]["uid"] for each in children(kubectl, kinds, model)}


# --- tools --------------------------------------------------------------------------------------------------


def synced(kubectl: Kubectl, manifest: dict[str, Any], second: int) -> None:
    """Apply as a GitOps tool does: server-side, with force, and a note of its own."""
    noted = {**manifest["metadata"], "annotations": {"example.com/synced": str(second)}}
    flags = ("--server-side", "--force-conflicts", "--field-manager=argocd")
    kubectl("apply", *flags, "-f", "-", stdin=json.dumps({**manifest, "metadata": noted}))


def test_a_tool_that_applies_again_and_again(kubectl: Kubectl, operator: OperatorProcess) -> None:
    """The canary goes its way at its pace; nothing begins anew, and the tool keeps what it says of spec."""
    case = Case(name="synced", state="", rollout={**QUICK, "keepPreviousSeconds": 0})
    synced(kubectl, case.manifest("1"), 0)
    first = wait_ready(kubectl, "synced")["stableRevision"]
    second = 0

    def promoted() -> bool:
        nonlocal second
        second += 1
        synced(kubectl, case.manifest("2"), second)
        return bool(status(kubectl, "synced")["history"][0]["modelVersion"] == "2")

    until(promoted, "the canary is promoted")
    quiet = wait_quiet(kubectl, "synced")
    assert [entry["result"] for entry in quiet["history"]] == ["Promoted", "Promoted"]
    assert quiet["stableRevision"] != first
    found = kubectl.get(KIND, "synced")
    assert found is not None
    assert found["metadata"]["generation"] == 2
    owners = {each["manager"] for each in found["metadata"]["managedFields"] if "f:spec" in each["fieldsV1"]}
    assert owners == {"argocd"}


def test_many_changes_while_the_operator_is_slow(
    cluster: Cluster, kubectl: Kubectl, operator: OperatorProcess
) -> None:
    """One after the other, some of them while it is stopped: revisions do not pile up, and the last one serves."""
    case = Case(name="undecided", state="", rollout={**QUICK, "keepPreviousSeconds": 0})
    kubectl.apply(case.manifest("1"))
    wait_ready(kubectl, "undecided")
    since = time.time()
    with stopped_at_times(operator) as tick:
        for number in range(CHANGES):
            kubectl.apply(case.manifest("ABC"[number % 3]))
            tick(number)
    wait_ready(kubectl, "undecided")
    quiet = wait_quiet(kubectl, "undecided")
    assert quiet["history"][0]["modelVersion"] == "ABC"[(CHANGES - 1) % 3]
    assert {entry["result"] for entry in quiet["history"][1:-1]} <= {"Superseded"}
    assert selected_revision(kubectl, "undecided") == quiet["stableRevision"]
    assert deployments_at_once(cluster, "undecided", since) <= 4, (
        "one is made just before another one is deleted, at the next reconcile if its pods were just counted anew"
    )


@contextmanager
def stopped_at_times(operator: OperatorProcess) -> Iterator[Any]:
    """Yield what stops the operator at each fifth call and lets it go on two later."""

    def tick(number: int) -> None:
        if number % 5 == 2:
            operator.send(signal.SIGSTOP)
        if number % 5 == 4:
            operator.send(signal.SIGCONT)

    try:
        yield tick
    finally:
        operator.send(signal.SIGCONT)


def deployments_at_once(cluster: Cluster, model: str, since: float) -> int:
    """The largest number of a model's Deployments at a time, by the audit log; there was one before."""
    found = account(cluster.audit_log, (OPERATOR_NAMESPACE, LEASE_NAME), since=since)
    steps = {"create": 1, "delete": -1}
    changes = [
        steps[each.verb]
        for each in found.writes
        if each.resource == "deployments"
        and each.verb in steps
        and each.accepted
        and each.name.startswith(f"{model}-")
    ]
    return max(itertools.accumulate(changes, initial=1))


# --- objects ------------------------------------------------------------------------------------------------

EDITS: Final = {
    "the canary's pods get another image": (
        "deploy",
        "canary",
        [
            {
                "op": "replace",
                "path": "/spec/template/spec/containers/0/image",
                "value": "registry.invalid/evil:1",
            }
        ],
    ),
    "the canary is scaled to none": (
        "deploy",
        "canary",
        [{"op": "replace", "path": "/spec/replicas", "value": 0}],
    ),
    "stable is scaled to none": (
        "deploy",
        "stable",
        [{"op": "replace", "path": "/spec/replicas", "value": 0}],
    ),
    "the Service selects the canary alone": (
        "service",
        "",
        [{"op": "add", "path": "/spec/selector/version", "value": "2"}],
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_child_is_edited_in_mid_canary(kubectl: Kubectl, operator: OperatorProcess, edit: str) -> None:
    """It is corrected, the canary stays at its step, and neither revision is blamed."""
    kind, of, operations = EDITS[edit]
    case = Case(name=f"edited-{list(EDITS).index(edit)}", state="")
    before = in_mid_canary(kubectl, case)
    revision = before.get(f"{of}Revision")
    name = f"{case.name}-{revision}" if revision else case.name
    was = kubectl.get(kind, name)
    assert was is not None
    kubectl.patch(kind, name, operations)

    def repaired() -> bool:
        now = kubectl.get(kind, name)
        return now is not None and now["spec"] == was["spec"]

    until(repaired, f"{kind} {name} is as it was")
    wait_states(kubectl, {case.name: ("Analyzing", 34)})
    after = status(kubectl, case.name)
    for each in ("stableRevision", "canaryRevision", "rejectedRevisions", "history"):
        assert after.get(each) == before.get(each)


def test_the_canary_is_deleted_in_mid_canary(kubectl: Kubectl, operator: OperatorProcess) -> None:
    """Its Deployment is made anew from the same revision; requests wait at stable until it is back at its step."""
    case = Case(name="beheaded", state="")
    before = in_mid_canary(kubectl, case)
    name = f"beheaded-{before['canaryRevision']}"
    gone = kubectl.get("deploy", name)
    kubectl("delete", "deploy", name, "--wait=false")
    until(lambda: kubectl.get("deploy", name) not in (None, gone), "it is made anew")
    wait_states(kubectl, {"beheaded": ("Analyzing", 34)})
    after = status(kubectl, "beheaded")
    assert after["canaryRevision"] == before["canaryRevision"]
    assert after["history"] == before["history"]


def test_a_snapshot_loses_its_labels_in_mid_canary(kubectl: Kubectl, operator: OperatorProcess) -> None:
    """The watches do not show it any more: it gets them back, and is the same object with the same data."""
    case = Case(name="hidden", state="")
    before = in_mid_canary(kubectl, case)
    name = f"hidden-{before['canaryRevision']}"
    was = kubectl.get("controllerrevision", name)
    assert was is not None
    kubectl.patch("controllerrevision", name, [{"op": "remove", "path": "/metadata/labels"}])

    def found() -> bool:
        now = kubectl.get("controllerrevision", name)
        return now is not None and now["metadata"].get("labels") == was["metadata"]["labels"]

    until(found, "it has its labels again")
    now = kubectl.get("controllerrevision", name)
    assert now is not None
    assert (now["metadata"]["uid"], now["data"]) == (was["metadata"]["uid"], was["data"])
    assert status(kubectl, "hidden").get("canaryRevision") == before["canaryRevision"]


# --- models -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gateway_api(cluster: Cluster) -> None:
    """The Gateway API's kinds are there."""
    if cluster.gateway is None:
        install_crds(cluster.directory, cluster.binaries, silence)


def asked(cluster: Cluster, namespace: str) -> list[str]:
    """What the operator has tried to write there, refused or not."""
    audit.wait_written(cluster)
    return [
        f"{event['verb']} {event['objectRef']['resource']}"
        for event in audit.requests(cluster)
        if event["verb"] in {"create", "patch", "delete"} and event["objectRef"].get("namespace") == namespace
    ]


def test_a_namespace_is_deleted_in_mid_canary(
    cluster: Cluster, admin: Kubectl, operator: OperatorProcess, gateway_api: None, namespace: str
) -> None:
    """It is gone soon, finalizers and all, and the operator takes note of it without a fuss."""
    doomed = Kubectl(cluster, f"{namespace}-doomed")
    admin("create", "namespace", doomed.namespace)
    routed = Case(name=ROUTE, state="", spec={"traffic": {"httpRouteRef": {"name": ROUTE}}})
    doomed.apply(own_route())
    until(lambda: operator.metric("modelward_watch_age_seconds", kind="HTTPRoute") >= 0, "routes are watched")
    in_mid_canary(doomed, routed)
    in_mid_canary(doomed, Case(name="plain", state=""))
    assert weights(doomed) == [66, 34]
    before = len(asked(cluster, doomed.namespace))
    log = len(operator.text())
    admin("delete", "namespace", doomed.namespace, "--wait=false")
    until(lambda: admin.get("namespace", doomed.namespace) is None, "the namespace is gone")
    assert len(asked(cluster, doomed.namespace)) - before < 40
    reported = operator.text()[log:].splitlines()
    assert [line for line in reported if " WARNING " in line or " ERROR " in line] == []
    assert errors(operator) == 0


def test_a_model_is_deleted_after_its_children_in_mid_canary(
    kubectl: Kubectl, operator: OperatorProcess, gateway_api: None
) -> None:
    """`--cascade=foreground`: nothing is made again while its children go, and the user's route is put back."""
    kubectl.apply(own_route())
    in_mid_canary(kubectl, Case(name=ROUTE, state="", spec={"traffic": {"httpRouteRef": {"name": ROUTE}}}))
    kubectl("delete", KIND, ROUTE, "--cascade=foreground", "--timeout=60s")
    assert weights(kubectl) == [100, 0]
    assert children(kubectl, "deploy,service,controllerrevision,pdb", ROUTE) == []


def test_a_model_is_deleted_and_made_again_at_once_in_mid_canary(
    kubectl: Kubectl, operator: OperatorProcess
) -> None:
    """The new one waits for the old one's objects to go, has its own then, and remembers nothing."""
    case = Case(name="again", state="")
    in_mid_canary(kubectl, case)
    kubectl("delete", KIND, "again", "--wait=false")
    kubectl.apply(case.manifest("3"))
    ready = wait_ready(kubectl, "again")
    wait_quiet(kubectl, "again")
    model = kubectl.get(KIND, "again")
    assert model is not None
    for kind in ("deploy", "service", "controllerrevision", "pdb"):
        owners = {each["metadata"]["ownerReferences"][0]["uid"] for each in children(kubectl, kind, "again")}
        assert owners == {model["metadata"]["uid"]}, kind
    assert [entry["modelVersion"] for entry in ready["history"]] == ["3"]
    assert errors(operator) == 0


def test_a_model_is_deleted_without_its_children(kubectl: Kubectl, operator: OperatorProcess) -> None:
    """Orphans are left alone, by their namesake, too: it says whom they stand in the way of, and is served when they go."""
    case = Case(name="orphan", state="")
    in_mid_canary(kubectl, case)
    kinds = "deploy,service,controllerrevision,pdb,pods"
    before = uids(kubectl, kinds, "orphan")
    kubectl("delete", KIND, "orphan", "--cascade=orphan")
    kubectl.apply(case.manifest("1"))
    message = wait_reason(kubectl, "orphan", "NameConflict")["message"]
    assert "left alone" in message
    assert uids(kubectl, kinds, "orphan") == before
    kubectl("delete", "deploy,service,controllerrevision,pdb", "-lmodelward.dev/model=orphan")
    wait_ready(kubectl, "orphan")
    assert condition(kubectl, "orphan", "Stalled") == {}


# --- commands -----------------------------------------------------------------------------------------------


def test_an_abort_during_the_promotion_wins(kubectl: Kubectl, operator: OperatorProcess) -> None:
    """The canary has no place for all its pods; stable never lost any, and goes on."""
    case = Case(name="promoting", state="", gated=("2",))
    gate(kubectl, case.name, opened=True)
    try:
        before = in_mid_canary(kubectl, case)
        stable = pods(kubectl, case.name, before["stableRevision"])
        promote_behind_the_gate(kubectl, case.name)
        wait_states(kubectl, {case.name: ("Promoting", None)})
        command("abort")(kubectl, case.name)
        quiet = wait_quiet(kubectl, case.name)
    finally:
        gate(kubectl, case.name, opened=False)
    assert quiet["history"][0]["result"] == "Aborted"
    assert quiet["stableRevision"] == before["stableRevision"] == selected_revision(kubectl, case.name)
    assert pods(kubectl, case.name, before["stableRevision"]) == stable


def pods(kubectl: Kubectl, model: str, revision: str) -> set[str]:
    """uids of the pods of a revision."""
    found = kubectl.all("pods", f"modelward.dev/model={model},modelward.dev/revision={revision}")
    return {each["metadata"]["uid"] for each in found}


def test_of_two_commands_in_one_write_the_safer_is_done(kubectl: Kubectl, operator: OperatorProcess) -> None:
    """Abort and promote; both are acknowledged, and the other one is not done later."""
    case = Case(name="torn", state="")
    canary = in_mid_canary(kubectl, case)["canaryRevision"]
    words = [f"modelward.dev/{name}={canary}" for name in ("promote", "abort")]
    kubectl("annotate", KIND, "torn", *words)
    quiet = wait_quiet(kubectl, "torn")
    assert [entry["result"] for entry in quiet["history"]] == ["Aborted", "Promoted"]
    assert quiet["commands"] == {"abort": canary, "promote": canary}
