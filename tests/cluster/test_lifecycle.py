"""The main job on a real API server: create, change, scale, delete. Pods are kwok's."""

import json
import time
from typing import Any

import pytest

from conftest import OPERATOR_NAMESPACE
from devcluster import Cluster
from support.kubectl import Kubectl
from support.models import (
    KIND,
    children,
    condition,
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
from support.terms import account
from support.waiting import until

pytestmark = pytest.mark.usefixtures("operator")

OURS = "modelward"


def owners_of(obj: dict[str, Any], path: str) -> set[str]:
    """Field managers that own a field of spec, such as f:replicas."""
    entries = obj["metadata"]["managedFields"]
    return {each["manager"] for each in entries if path in each.get("fieldsV1", {}).get("f:spec", {})}


def test_first_deployment(kubectl: Kubectl) -> None:
    """A new model gets a snapshot, a Deployment, a Service and a budget, and becomes Ready."""
    kubectl.apply(fake_model("first", replicas=2))
    found = wait_ready(kubectl, "first")
    name = f"first-{found['stableRevision']}"
    assert [each["metadata"]["name"] for each in children(kubectl, "deploy", "first")] == [name]
    assert [each["metadata"]["name"] for each in children(kubectl, "controllerrevision", "first")] == [name]
    assert [each["metadata"]["name"] for each in children(kubectl, "pdb", "first")] == ["first"]
    assert selected_revision(kubectl, "first") == found["stableRevision"]
    assert found["url"] == f"http://first.{kubectl.namespace}.svc"
    assert (found["replicas"], found["readyReplicas"]) == (2, 2)
    assert found["history"][0]["result"] == "Promoted"


def test_conditions_of_a_model_that_serves(kubectl: Kubectl) -> None:
    """Ready and Available are True, Progressing False, and kstatus's abnormal conditions are absent."""
    kubectl.apply(fake_model("conditions"))
    found = wait_ready(kubectl, "conditions")
    statuses = {each["type"]: each["status"] for each in found["conditions"]}
    assert statuses == {
        "Ready": "True",
        "Available": "True",
        "Progressing": "False",
        "RolloutSucceeded": "True",
    }
    assert found["observedGeneration"] == 1


def test_columns(kubectl: Kubectl) -> None:
    """`kubectl get` shows what serves and in which state it is."""
    kubectl.apply(fake_model("columns"))
    found = wait_ready(kubectl, "columns")
    header, row = kubectl("get", KIND, "columns").splitlines()
    assert header.split() == ["NAME", "AVAILABLE", "STATUS", "STABLE", "CANARY", "WEIGHT", "AGE"]
    assert row.split()[:4] == ["columns", "True", "Available", found["stableRevision"]]


def test_change_goes_out_beside_the_old_revision(kubectl: Kubectl) -> None:
    """A changed spec starts a new revision, switches to it when it is ready and removes the old one."""
    kubectl.apply(fake_model("change", replicas=2))
    old = wait_ready(kubectl, "change")["stableRevision"]
    kubectl.apply(fake_model("change", version="2", replicas=2))
    new = wait_ready(kubectl, "change")["stableRevision"]
    assert new != old
    assert selected_revision(kubectl, "change") == new
    found = wait_quiet(kubectl, "change")
    assert [each["revision"] for each in found["history"]] == [new, old]
    assert len(children(kubectl, "controllerrevision", "change")) == 2, "the old snapshot is kept"


def test_old_revision_serves_until_the_new_one_is_ready(kubectl: Kubectl) -> None:
    """A new revision whose pods find no node never gets traffic; the old one is not touched."""
    kubectl.apply(fake_model("waits"))
    old = wait_ready(kubectl, "waits")["stableRevision"]
    pods = {each["metadata"]["uid"] for each in children(kubectl, "pods", "waits")}
    kubectl.apply(unschedulable_model("waits"))
    ready = wait_reason(kubectl, "waits", "Deploying")
    assert ready["status"] == "Unknown"
    until(
        lambda: "not scheduled" in condition(kubectl, "waits").get("message", ""),
        "the message shows that no node was found",
    )
    assert condition(kubectl, "waits", "Available")["status"] == "True"
    assert selected_revision(kubectl, "waits") == old
    kubectl.apply(fake_model("waits"))
    wait_ready(kubectl, "waits")
    found = wait_quiet(kubectl, "waits")
    assert found["stableRevision"] == old, "back to the first spec is back to the first revision"
    assert found["history"][0]["result"] == "Superseded"
    assert {each["metadata"]["uid"] for each in children(kubectl, "pods", "waits")} == pods


def test_superseded_before_it_was_ready(kubectl: Kubectl) -> None:
    """A, then B, then C: B never serves, C does."""
    kubectl.apply(fake_model("supersede"))
    wait_ready(kubectl, "supersede")
    kubectl.apply(unschedulable_model("supersede", version="2"))
    between = until(lambda: status(kubectl, "supersede").get("canaryRevision"), "B is on its way")
    kubectl.apply(fake_model("supersede", version="3"))
    found = wait_ready(kubectl, "supersede")
    assert found["stableRevision"] != between
    assert [each["result"] for each in found["history"]] == ["Promoted", "Superseded", "Promoted"]


def test_scaling_makes_no_revision(kubectl: Kubectl) -> None:
    """`kubectl scale` on the resource acts at once and keeps revision and pods."""
    kubectl.apply(fake_model("scale"))
    before = wait_ready(kubectl, "scale")["stableRevision"]
    pods = {each["metadata"]["uid"] for each in children(kubectl, "pods", "scale")}
    kubectl("scale", KIND, "scale", "--replicas=3")
    until(lambda: status(kubectl, "scale").get("readyReplicas") == 3, "three pods are ready")
    assert status(kubectl, "scale")["stableRevision"] == before
    assert pods < {each["metadata"]["uid"] for each in children(kubectl, "pods", "scale")}


def test_scaled_to_zero_is_ready(kubectl: Kubectl) -> None:
    """`replicas: 0` is a wish like any other: Ready, with the reason ScaledToZero."""
    kubectl.apply(fake_model("zero", replicas=0))
    assert wait_reason(kubectl, "zero", "ScaledToZero")["status"] == "True"


def let_go(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """A Deployment whose replicas are the autoscaler's: we give them up once there is one."""

    def found() -> dict[str, Any]:
        deployment = kubectl.get("deployment", name) or {}
        return {} if OURS in owners_of(deployment, "f:replicas") else deployment

    return until(found, f"{name} has replicas that are not ours")


def test_autoscaling_on_and_off_keeps_the_count(kubectl: Kubectl) -> None:
    """Switching an autoscaler on and off neither dips nor jumps, and replicas change owners cleanly."""
    kubectl.apply(fake_model("auto", replicas=4))
    revision = wait_ready(kubectl, "auto")["stableRevision"]
    name = f"auto-{revision}"
    kubectl.apply(fake_model("auto", replicas=4, autoscaling={"minReplicas": 2, "maxReplicas": 8}))
    until(lambda: children(kubectl, "hpa", "auto"), "there is an autoscaler")
    assert let_go(kubectl, name)["spec"]["replicas"] == 4
    kubectl("scale", "deployment", name, "--replicas=6")  # what an autoscaler does
    kubectl.apply(fake_model("auto", replicas=4))
    until(lambda: not children(kubectl, "hpa", "auto"), "the autoscaler is gone")
    deployment = kubectl.get("deployment", name)
    assert deployment is not None
    assert deployment["spec"]["replicas"] == 6, "the count that the autoscaler left is held"
    reason = "kept from the autoscaler that was switched off; change spec.replicas"
    until(
        lambda: reason in condition(kubectl, "auto").get("message", ""), "the message shows why there are six"
    )
    kubectl("scale", KIND, "auto", "--replicas=2")
    until(lambda: status(kubectl, "auto").get("replicas") == 2, "the user's word counts again")
    assert children(kubectl, "pdb", "auto")
    kubectl("scale", KIND, "auto", "--replicas=1")
    until(lambda: not children(kubectl, "pdb", "auto"), "one pod needs no disruption budget")
    assert status(kubectl, "auto")["stableRevision"] == revision


def test_bounds_of_the_autoscaler_change_at_once(kubectl: Kubectl) -> None:
    """Another maximum is a change of the autoscaler, and no revision."""
    kubectl.apply(fake_model("bounds", autoscaling={"maxReplicas": 3}))
    revision = wait_ready(kubectl, "bounds")["stableRevision"]
    until(lambda: children(kubectl, "hpa", "bounds"), "there is an autoscaler")
    kubectl.patch(KIND, "bounds", {"spec": {"autoscaling": {"maxReplicas": 7}}})
    until(
        lambda: children(kubectl, "hpa", "bounds")[0]["spec"]["maxReplicas"] == 7,
        "the autoscaler has the new maximum",
    )
    assert wait_ready(kubectl, "bounds")["stableRevision"] == revision


def test_old_snapshots_go(kubectl: Kubectl) -> None:
    """Beside the live revision only `revisionHistoryLimit` snapshots are kept, the newest."""
    for version in ("1", "2", "3"):
        rollout = {"strategy": "Direct", "revisionHistoryLimit": 1}
        kubectl.apply(fake_model("history", version=version, rollout=rollout))
        wait_ready(kubectl, "history")
    wait_quiet(kubectl, "history")
    until(lambda: len(children(kubectl, "controllerrevision", "history")) == 2, "two snapshots are left")
    numbers = sorted(each["revision"] for each in children(kubectl, "controllerrevision", "history"))
    assert numbers == [2, 3]


def test_autoscaled_from_the_start(kubectl: Kubectl) -> None:
    """With an autoscaler from the start our field manager does not own the replicas, and min is the first count."""
    kubectl.apply(fake_model("auto-first", autoscaling={"minReplicas": 3, "maxReplicas": 8}))
    wait_ready(kubectl, "auto-first")
    until(lambda: children(kubectl, "hpa", "auto-first"), "there is an autoscaler")
    (deployment,) = children(kubectl, "deploy", "auto-first")
    assert let_go(kubectl, deployment["metadata"]["name"])["spec"]["replicas"] == 3


def test_reapplying_changes_nothing(kubectl: Kubectl) -> None:
    """A GitOps tool that applies the same spec again and again causes no write."""
    manifest = fake_model("gitops")
    kubectl.apply(manifest)
    wait_ready(kubectl, "gitops")
    wait_quiet(kubectl, "gitops")
    before = kubectl.get(KIND, "gitops")
    for _ in range(5):
        kubectl.apply(manifest)
    after = kubectl.get(KIND, "gitops")
    assert before == after


def test_spec_is_never_written(kubectl: Kubectl) -> None:
    """Our field manager owns status and nothing else of the resource."""
    kubectl.apply(fake_model("spec"))
    wait_ready(kubectl, "spec")
    model = kubectl.get(KIND, "spec")
    assert model is not None
    ours = [each for each in model["metadata"]["managedFields"] if each["manager"] == OURS]
    assert [each["subresource"] for each in ours] == ["status"]
    assert [set(each["fieldsV1"]) for each in ours] == [{"f:status"}]


def test_restart_by_annotation(kubectl: Kubectl) -> None:
    """`modelward.dev/restart` starts new pods of the same model beside the old ones; the same value twice does not."""
    kubectl.apply(fake_model("again"))
    before = wait_ready(kubectl, "again")["stableRevision"]
    kubectl("annotate", KIND, "again", "modelward.dev/restart=monday")
    after = until(
        lambda: (found := status(kubectl, "again")["stableRevision"]) != before and found,
        "a new revision serves",
    )
    wait_quiet(kubectl, "again")
    kubectl("annotate", KIND, "again", "modelward.dev/restart=monday", "--overwrite")
    kubectl("annotate", KIND, "again", "unrelated=1")
    assert wait_ready(kubectl, "again")["stableRevision"] == after


def test_changed_runtime_rolls_nobody(kubectl: Kubectl) -> None:
    """A changed runtime is said in status; only `modelward.dev/refresh` rolls it out."""
    runtime = {
        "apiVersion": "modelward.dev/v1alpha1",
        "kind": "ModelRuntime",
        "metadata": {"name": "local"},
        "spec": {"formats": [{"name": "fake"}], "container": {"image": "registry.invalid/server:1"}},
    }
    kubectl.apply(runtime)
    model = fake_model("runtime", runtime={"name": "local"})
    kubectl.apply(model)
    before = wait_ready(kubectl, "runtime")["stableRevision"]
    runtime["spec"]["container"]["image"] = "registry.invalid/server:2"  # type: ignore[index]
    kubectl.apply(runtime)
    until(
        lambda: condition(kubectl, "runtime", "RuntimeOutdated"), "status shows that the runtime has changed"
    )
    assert status(kubectl, "runtime")["stableRevision"] == before
    kubectl("annotate", KIND, "runtime", "modelward.dev/refresh=now")
    until(lambda: status(kubectl, "runtime")["stableRevision"] != before, "the new runtime is rolled out")
    wait_quiet(kubectl, "runtime")
    (deployment,) = children(kubectl, "deploy", "runtime")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.invalid/server:2"
    until(lambda: not condition(kubectl, "runtime", "RuntimeOutdated"), "the runtime is up to date")


def test_no_runtime_recovers_by_itself(kubectl: Kubectl) -> None:
    """A format that no runtime reads is said with the remedy, and served as soon as a runtime appears."""
    kubectl.apply(fake_model("formats", model={"format": "exotic"}, runtime={}))
    message = wait_reason(kubectl, "formats", "NoRuntime")["message"]
    assert "spec.model.format: no runtime reads exotic" in message
    kubectl.apply(
        {
            "apiVersion": "modelward.dev/v1alpha1",
            "kind": "ModelRuntime",
            "metadata": {"name": "exotic"},
            "spec": {"formats": [{"name": "exotic"}], "container": {"image": "registry.invalid/exotic:1"}},
        }
    )
    wait_ready(kubectl, "formats")


def test_a_uri_where_nothing_fetches(kubectl: Kubectl) -> None:
    """An operator without an image that fetches says so, in a condition that names the field; a spec without a uri recovers."""
    kubectl.apply(fake_model("uri", model={"uri": "s3://models/fraud/7"}))
    assert "spec.model.uri" in wait_reason(kubectl, "uri", "FetchNotConfigured")["message"]
    model = fake_model("uri")
    kubectl.patch(KIND, "uri", [{"op": "replace", "path": "/spec/model", "value": model["spec"]["model"]}])
    wait_ready(kubectl, "uri")


def test_events_show_the_story(kubectl: Kubectl) -> None:
    """`kubectl describe` shows one Event for each transition."""
    kubectl.apply(fake_model("story"))
    wait_ready(kubectl, "story")

    def reported() -> list[str]:
        events = json.loads(kubectl("events", "--for", f"{KIND}/story", "-o", "json"))["items"]
        return sorted(each["reason"] for each in events)

    until(lambda: reported() == ["Promoted", "RevisionCreated"], "two events")
    assert "is ready and serves" in kubectl("describe", KIND, "story")


def test_long_and_odd_names(kubectl: Kubectl) -> None:
    """A name that a Service may not have, and one that is longer than labels allow, are served all the same."""
    for name in ("1st.model", "m" * 100):
        kubectl.apply(fake_model(name))
        wait_ready(kubectl, name)


def test_delete_leaves_nothing(kubectl: Kubectl) -> None:
    """Deleting the resource deletes everything that was made for it; there is no finalizer to hang on."""
    kubectl.apply(fake_model("gone", replicas=2))
    wait_ready(kubectl, "gone")
    kubectl("delete", KIND, "gone")
    for kind in ("deploy", "rs", "pods", "svc", "pdb", "controllerrevision"):
        until(lambda kind=kind: not children(kubectl, kind, "gone"), f"no {kind} is left", seconds=120)  # type: ignore[misc]


def test_quiet_at_rest(cluster: Cluster, kubectl: Kubectl, operator: OperatorProcess) -> None:
    """When nothing changes nothing is written: not one mutating request between two reconciles."""
    kubectl.apply(fake_model("rest"))
    wait_ready(kubectl, "rest")
    wait_quiet(kubectl, "rest")
    until(lambda: operator.metric("modelward_queue_depth") == 0, "no write is under way")
    since, reconciles = time.time(), operator.metric("modelward_reconcile_seconds_count")
    kubectl("annotate", KIND, "rest", "unrelated=annotation")  # a reconcile without a reason to act
    until(lambda: operator.metric("modelward_reconcile_seconds_count") > reconciles, "it has reconciled")
    until(lambda: operator.metric("modelward_queue_depth") == 0, "the queue is empty")
    found = account(cluster.audit_log, (OPERATOR_NAMESPACE, LEASE_NAME), since=since)
    assert [each for each in found.writes if each.name.startswith("rest")] == []
