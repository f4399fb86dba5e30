"""Objects follow the decision: what is corrected, left alone, paused, handed over and deleted, and in which order."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest

from builders import NAME, NAMESPACE, manifest
from modelward.api.names import (
    DECISION_ANNOTATION,
    MANAGED_BY_LABEL,
    MANAGER,
    MODEL_LABEL,
    REVISION_LABEL,
    VERDICT_ANNOTATION,
)
from modelward.api.objects import Manifest
from modelward.cache import convert
from modelward.controller.apply import NOTE_AGAIN_SECONDS, REPAIR_PERIOD, REPAIRS_PER_PERIOD
from modelward.controller.reconcile import BLOCKER_POLL_SECONDS
from modelward.errors import Conflict, Unreachable
from modelward.rollout.observed import Child
from modelward.simulator.world import Version
from support.memory_cluster import MemoryCluster, lost, overtaken, refused

CANARY: Final = {"strategy": "Canary", "steps": [{"weightPercent": 50}], "stepMinSeconds": 600}
AUTOSCALING: Final = {"minReplicas": 2, "maxReplicas": 20, "targetCPUUtilizationPercent": 80}


async def serving(cluster: MemoryCluster | None = None, **spec: Any) -> MemoryCluster:
    """A cluster in which version 1 serves and nothing is left to do."""
    cluster = cluster or MemoryCluster()
    cluster.create(manifest("1", **spec))
    await cluster.run_until_quiet()
    assert cluster.condition()[:2] == ("True", "Available")
    cluster.writes()
    return cluster


async def with_canary(**spec: Any) -> MemoryCluster:
    """The same with a canary of version 2 that has weight."""
    cluster = await serving(rollout=CANARY, **spec)
    cluster.spec(model={"version": "2"})
    for _ in range(30):
        await cluster.after(5.0)
        if cluster.status()["rollout"]["weightPercent"]:
            cluster.writes()
            return cluster
    raise AssertionError(cluster.condition())


def set_in(raw: Manifest, path: str, value: Any) -> None:
    """Set what is at the end of a path of keys and indexes, with spaces between them."""
    *parents, last = path.split(" ")
    target: Any = raw
    for part in parents:
        target = target[int(part)] if isinstance(target, list) else target.setdefault(part, {})
    target[last] = value


async def test_each_version_of_an_object_is_converted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By whatever it comes: the answer to a write, or the event of a watch that shows the same later."""
    converted: Counter[tuple[str, str, str]] = Counter()
    child = convert.child

    def counted(raw: Manifest) -> Child:
        metadata = raw["metadata"]
        converted[raw["kind"], metadata["name"], metadata["resourceVersion"]] += 1
        return child(raw)

    monkeypatch.setattr(convert, "child", counted)
    await with_canary(replicas=2)
    kinds = {kind for kind, _, _ in converted}
    assert {"ControllerRevision", "Deployment", "Service", "PodDisruptionBudget"} <= kinds
    assert {each: times for each, times in converted.items() if times > 1} == {}


# --- drift --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", "spec template spec containers 0 image", "registry.example.com/other:1"),
        ("Deployment", "spec template metadata annotations", {"kubectl.kubernetes.io/restartedAt": "now"}),
        ("Deployment", "spec strategy", {"type": "Recreate"}),
        ("Deployment", f"metadata labels {REVISION_LABEL}", "another"),
        ("Service", "spec selector", {"app": "theirs"}),
        ("Service", f"metadata labels {MODEL_LABEL}", "another"),
        ("PodDisruptionBudget", "spec maxUnavailable", 2),
        ("HorizontalPodAutoscaler", "spec maxReplicas", 1),
    ],
)
async def test_what_is_ours_to_say_is_put_back(kind: str, path: str, value: Any) -> None:
    """Whoever changed it; in one write, after which all is quiet."""
    cluster = await serving(autoscaling=AUTOSCALING)
    (name,) = cluster.names(kind)
    before = cluster.get(kind, name)
    cluster.edit(kind, name, lambda raw: set_in(raw, path, value))
    assert cluster.get(kind, name) != before
    cluster.watch()
    await cluster.reconcile()
    after = cluster.get(kind, name)
    assert (after["spec"], after["metadata"]["labels"]) == (before["spec"], before["metadata"]["labels"])
    assert [what for _, what, _ in cluster.writes() if what not in ("status", "Event")] == [kind]
    await cluster.run_until_quiet()
    assert {what for _, what, _ in cluster.writes()} <= {"status"}


async def test_what_is_not_ours_to_say_stays() -> None:
    """Labels, annotations and status of others."""
    cluster = await serving()
    name = cluster.child()

    def theirs(raw: Manifest) -> None:
        raw["metadata"]["labels"]["example.com/team"] = "shop"
        raw["metadata"]["annotations"]["example.com/checked"] = "yes"

    cluster.edit("Deployment", name, theirs)
    await cluster.run_until_quiet()
    assert cluster.writes() == []
    cluster.edit("Deployment", name, lambda raw: set_in(raw, "spec strategy", {"type": "Recreate"}))
    await cluster.run_until_quiet()
    metadata = cluster.get("Deployment", name)["metadata"]
    assert cluster.get("Deployment", name)["spec"]["strategy"] != {"type": "Recreate"}
    assert metadata["labels"]["example.com/team"] == "shop"
    assert metadata["annotations"]["example.com/checked"] == "yes"


async def test_what_was_changed_while_no_operator_ran_is_put_back() -> None:
    """The field managers show of it; what nobody changed is not written."""
    cluster = await serving()
    cluster.edit("Service", NAME, lambda raw: set_in(raw, "spec selector", {"app": "theirs"}))
    cluster.start()
    await cluster.run_until_quiet()
    assert [each for each in cluster.writes() if each[1] != "Event"] == [("patch", "Service", NAME)]


async def test_an_operator_that_starts_writes_nothing() -> None:
    """Where all is as it should be."""
    cluster = await serving()
    cluster.start()
    await cluster.run_until_quiet()
    assert cluster.writes() == []


@pytest.mark.parametrize("part", ["labels", "annotations"])
async def test_an_object_without_any_labels_or_annotations_gets_ours_again(part: str) -> None:
    """There is no map to put them in, and without its label the watch does not show it."""
    cluster = await serving()
    name = cluster.child()
    before = cluster.get("Deployment", name)["metadata"][part]
    cluster.edit("Deployment", name, lambda raw: raw["metadata"].pop(part))
    await cluster.run_until_quiet()
    after = cluster.get("Deployment", name)["metadata"][part]
    decided = {DECISION_ANNOTATION: str(cluster.status()["decision"])} if part == "annotations" else {}
    assert after == {**before, **decided}
    assert cluster.condition()[:2] == ("True", "Available")


async def test_a_snapshot_without_labels_gets_them_again() -> None:
    """Its data stays: it cannot change."""
    cluster = await serving()
    name = cluster.child()
    before = cluster.get("ControllerRevision", name)
    cluster.edit("ControllerRevision", name, lambda raw: raw["metadata"].pop("labels"))
    await cluster.run_until_quiet()
    after = cluster.get("ControllerRevision", name)
    assert after["data"] == before["data"]
    assert after["metadata"]["labels"] == before["metadata"]["labels"]


async def test_an_object_that_is_changed_again_and_again_is_put_back_at_a_bounded_pace() -> None:
    """Nobody wins such a fight, and the API server would lose it."""
    cluster = await serving()

    async def meddle() -> float | None:
        cluster.edit("Service", NAME, lambda raw: set_in(raw, "spec selector", {"app": "theirs"}))
        cluster.watch()
        return await cluster.reconcile()

    for _ in range(REPAIRS_PER_PERIOD):
        await meddle()
        cluster.second += 1.0
    assert cluster.writes().count(("patch", "Service", NAME)) == REPAIRS_PER_PERIOD
    wait = await meddle()
    assert wait is not None
    assert timedelta() < timedelta(seconds=wait) <= REPAIR_PERIOD
    assert cluster.writes() == []
    await cluster.after(wait)
    assert cluster.get("Service", NAME)["spec"]["selector"] != {"app": "theirs"}


async def test_one_object_that_is_fought_over_leaves_all_others_to_be_put_back() -> None:
    """The pause is the object's own."""
    cluster = await serving()
    for _ in range(REPAIRS_PER_PERIOD + 1):
        cluster.edit("Service", NAME, lambda raw: set_in(raw, "spec selector", {"app": "theirs"}))
        cluster.watch()
        await cluster.reconcile()
    cluster.edit("PodDisruptionBudget", NAME, lambda raw: set_in(raw, "spec maxUnavailable", 2))
    cluster.watch()
    cluster.writes()
    await cluster.reconcile()
    assert [each for each in cluster.writes() if each[1] != "Event"] == [
        ("patch", "PodDisruptionBudget", NAME)
    ]


async def test_a_write_whose_answer_is_lost_is_not_taken_for_somebody_elses() -> None:
    """It was carried out: no second one follows."""
    cluster = await serving()
    cluster.edit("Service", NAME, lambda raw: set_in(raw, "spec selector", {"app": "theirs"}))
    cluster.watch()
    fault = cluster.fail("PATCH", "Service", lost, times=1)
    with pytest.raises(Unreachable):
        await cluster.reconcile()
    assert fault.struck == 1
    await cluster.run_until_quiet()
    assert cluster.writes().count(("patch", "Service", NAME)) == 1


async def test_a_write_from_an_old_view_changes_nothing() -> None:
    """What was changed meanwhile is read first, and then put back."""
    cluster = await serving()
    cluster.edit("Service", NAME, lambda raw: set_in(raw, "spec selector", {"app": "theirs"}))
    cluster.watch()
    again = overtaken(
        lambda: cluster.edit("Service", NAME, lambda raw: set_in(raw, "spec selector", {"app": "new"}))
    )
    cluster.fail("PATCH", "Service", again, times=1)
    with pytest.raises(Conflict):
        await cluster.reconcile()
    assert cluster.get("Service", NAME)["spec"]["selector"] == {"app": "new"}
    await cluster.run_until_quiet()
    assert (
        cluster.get("Service", NAME)["spec"]["selector"][REVISION_LABEL] == cluster.status()["stableRevision"]
    )


# --- whose it is --------------------------------------------------------------------------------------------


def decided_later(cluster: MemoryCluster, number: int) -> None:
    """Another operator has written all children for a later decision."""
    for kind in ("Deployment", "Service", "PodDisruptionBudget"):
        (name,) = cluster.names(kind)
        cluster.edit(
            kind,
            name,
            lambda raw: set_in(raw, f"metadata annotations {DECISION_ANNOTATION}", str(number)),
            by=MANAGER,
        )


async def test_a_later_decision_is_not_written_over_by_one_that_knows_less() -> None:
    """Another operator leads: its children have come, its status has not. Nothing is written, nothing deleted."""
    cluster = await serving()
    cluster.spec(replicas=1)
    cluster.watch()
    cluster.edit(
        "ModelDeployment", NAME, lambda raw: set_in(raw, "status decision", 99), subresource="status"
    )
    decided_later(cluster, 99)
    for raw in map(cluster.get, ("Deployment", "Service"), (cluster.child(), NAME)):
        cluster.store.put(raw)
    cluster.writes()
    with pytest.raises(Conflict):
        await cluster.reconcile()
    assert cluster.writes() == []


async def test_the_number_of_a_decision_is_above_that_of_every_child() -> None:
    """As after a status that was restored from a backup; the number is recorded before a child is written."""
    cluster = await serving()
    decided_later(cluster, 99)
    cluster.spec(replicas=1)
    cluster.writes()
    await cluster.run_until_quiet()
    assert cluster.status()["decision"] >= 99
    assert cluster.writes()[0] == ("patch", "status", NAME)
    assert cluster.get("Deployment", cluster.child())["spec"]["replicas"] == 1


async def test_what_loses_its_owner_is_given_it_again_only_if_it_is_ours() -> None:
    """An object without our controller is a foreign one: left alone and said."""
    cluster = await serving()
    cluster.edit("Service", NAME, lambda raw: raw["metadata"].pop("ownerReferences"))
    assert await cluster.run_until_quiet() == BLOCKER_POLL_SECONDS
    assert cluster.condition()[1] == "NameConflict"
    assert "ownerReferences" not in cluster.get("Service", NAME)["metadata"]


async def test_an_object_of_ours_that_the_watch_has_not_shown_yet_is_met_by_its_name() -> None:
    """Its creation was answered by nobody; it is not made twice."""
    cluster = MemoryCluster()
    cluster.create(manifest("1"))
    cluster.watch()
    fault = cluster.fail("POST", "Deployment", lost, times=1)
    with pytest.raises(Unreachable):
        await cluster.reconcile()
    made = cluster.names("Deployment")
    await cluster.reconcile()  # no event has come
    assert fault.struck == 1
    assert cluster.names("Deployment") == made
    await cluster.run_until_quiet()
    assert cluster.condition()[:2] == ("True", "Available")


async def test_a_name_that_is_free_again_when_it_is_asked_for_is_taken_at_the_next_reconcile() -> None:
    """Somebody's object went between the two requests."""
    cluster = MemoryCluster()
    cluster.create(manifest("1"))
    cluster.watch()
    there = {"kind": "Service", "metadata": {"namespace": NAMESPACE, "name": NAME}, "spec": {}}
    cluster.create(there)
    gone = overtaken(lambda: cluster.delete("Service", NAME))
    cluster.fail("GET", "Service", gone, times=1)
    assert await cluster.reconcile() == 0.0
    await cluster.run_until_quiet()
    assert cluster.condition()[:2] == ("True", "Available")


async def test_a_labelled_object_of_another_namespace_is_no_child() -> None:
    """Anybody may write a uid that they have read."""
    cluster = await serving()
    uid = cluster.get("ModelDeployment", NAME)["metadata"]["uid"]
    cluster.create(
        {
            "kind": "Service",
            "metadata": {
                "namespace": "elsewhere",
                "name": "stray",
                "labels": {MANAGED_BY_LABEL: MANAGER},
                "ownerReferences": [{"uid": uid, "controller": True}],
            },
            "spec": {},
        }
    )
    await cluster.run_until_quiet()
    assert ("Service", "elsewhere", "stray") in cluster.server.objects


# --- replicas -----------------------------------------------------------------------------------------------


def replicas_owner(cluster: MemoryCluster, name: str) -> list[str]:
    """Field managers of a Deployment's `spec.replicas`."""
    return [
        entry["manager"]
        for entry in cluster.get("Deployment", name)["metadata"]["managedFields"]
        if "f:replicas" in entry["fieldsV1"]["f:spec"]
    ]


async def test_replicas_of_the_user_are_followed() -> None:
    """Up, down and to zero; what somebody else sets is set back."""
    cluster = await serving()
    name = cluster.child()
    for replicas in (5, 1, 0, 3):
        cluster.spec(replicas=replicas)
        await cluster.run_until_quiet()
        assert cluster.get("Deployment", name)["spec"]["replicas"] == replicas
    cluster.edit("Deployment", name, lambda raw: set_in(raw, "spec replicas", 9), subresource="scale")
    await cluster.run_until_quiet()
    assert cluster.get("Deployment", name)["spec"]["replicas"] == 3


async def test_a_change_of_replicas_touches_nothing_else() -> None:
    """No write but to the Deployment, which keeps its template; no pod goes that need not."""
    cluster = await serving()
    name = cluster.child()
    before, pods = cluster.get("Deployment", name)["spec"], set(cluster.names("Pod"))
    cluster.spec(replicas=4)
    await cluster.run_until_quiet()
    assert {**cluster.get("Deployment", name)["spec"], "replicas": 2} == before
    assert pods < set(cluster.names("Pod"))
    assert "Service" not in {what for _, what, _ in cluster.writes()}


async def test_an_autoscaler_takes_over_at_the_count_that_it_finds() -> None:
    """10 stay 10, and the operator owns the count no longer."""
    cluster = await serving(replicas=10)
    name = cluster.child()
    cluster.spec(autoscaling=AUTOSCALING)
    await cluster.run_until_quiet()
    assert cluster.get("Deployment", name)["spec"]["replicas"] == 10
    assert MANAGER not in replicas_owner(cluster, name)
    assert cluster.names("HorizontalPodAutoscaler") == [name]
    assert len(cluster.names("Pod")) == 10


async def test_a_count_that_is_out_of_our_hands_by_then_is_not_given_up_again() -> None:
    """Somebody else's write took it; what is read shows."""
    cluster = await serving(replicas=10)
    name = cluster.child()

    def take() -> None:
        cluster.edit("Deployment", name, lambda raw: set_in(raw, "spec replicas", 12), by="hpa")

    cluster.spec(autoscaling=AUTOSCALING)
    cluster.watch()
    cluster.fail("GET", "Deployment", overtaken(take), times=1)
    await cluster.run_until_quiet()
    assert cluster.get("Deployment", name)["spec"]["replicas"] == 12
    assert MANAGER not in replicas_owner(cluster, name)


async def test_what_an_autoscaler_does_is_not_undone() -> None:
    """Nor is it a reason to write anything."""
    cluster = await serving(autoscaling=AUTOSCALING)
    name = cluster.child()
    cluster.edit(
        "Deployment", name, lambda raw: set_in(raw, "spec replicas", 7), by="hpa", subresource="scale"
    )
    await cluster.run_until_quiet()
    assert cluster.get("Deployment", name)["spec"]["replicas"] == 7
    assert {what for _, what, _ in cluster.writes()} <= {"status"}


async def test_an_autoscaler_that_goes_leaves_its_count() -> None:
    """7 pods stay 7 until the user names another number."""
    cluster = await serving(autoscaling=AUTOSCALING)
    name = cluster.child()
    cluster.edit(
        "Deployment", name, lambda raw: set_in(raw, "spec replicas", 7), by="hpa", subresource="scale"
    )
    await cluster.run_until_quiet()
    cluster.spec(autoscaling=None)
    await cluster.run_until_quiet()
    assert cluster.names("HorizontalPodAutoscaler") == []
    assert cluster.get("Deployment", name)["spec"]["replicas"] == 7
    cluster.spec(replicas=3)
    await cluster.run_until_quiet()
    assert cluster.get("Deployment", name)["spec"]["replicas"] == 3


async def test_an_autoscaler_is_given_a_first_push_from_zero() -> None:
    """It leaves alone what has no pods."""
    cluster = MemoryCluster()
    cluster.create(manifest("1", replicas=0))
    await cluster.run_until_quiet()
    name = cluster.child()
    assert cluster.names("Pod") == []
    cluster.spec(autoscaling=AUTOSCALING)
    await cluster.run_until_quiet()
    assert cluster.get("Deployment", name)["spec"]["replicas"] >= AUTOSCALING["minReplicas"]


async def test_a_count_whose_answer_is_lost_is_set_once() -> None:
    """The watch shows that it was."""
    cluster = await serving()
    name = cluster.child()
    cluster.spec(replicas=4)
    cluster.watch()
    fault = cluster.fail("PATCH", "Deployment", lost, times=1)
    with pytest.raises(Unreachable):
        await cluster.reconcile()
    await cluster.run_until_quiet()
    assert fault.struck == 1
    assert cluster.get("Deployment", name)["spec"]["replicas"] == 4
    counts = [
        write.after["spec"]["replicas"]
        for write in cluster.all_writes
        if write.place[0] == "Deployment" and write.manager == MANAGER and write.after
    ]
    assert counts == sorted(counts)


async def test_replicas_that_are_refused_are_said_and_tried_again() -> None:
    """All that is not the count is as it should be."""
    cluster = await serving()
    name = cluster.child()
    cluster.fail("PATCH", "Deployment", refused(403, "Forbidden", "exceeded quota: pods"))
    cluster.spec(replicas=4)
    assert await cluster.run_until_quiet() == BLOCKER_POLL_SECONDS
    assert "exceeded quota: pods" in cluster.condition()[2]
    cluster.reconnect()
    await cluster.after(BLOCKER_POLL_SECONDS)
    assert cluster.get("Deployment", name)["spec"]["replicas"] == 4
    assert cluster.condition()[:2] == ("True", "Available")


# --- order, and deletions -----------------------------------------------------------------------------------


async def test_nothing_is_deleted_before_what_takes_its_place_serves() -> None:
    """Version 2 has its pods ready and the Service on it; then version 1 goes."""
    cluster = await serving(rollout={"strategy": "Direct", "keepPreviousSeconds": 0})
    old = cluster.child()
    cluster.all_writes.clear()
    cluster.spec(model={"version": "2"})
    for _ in range(20):
        await cluster.after(10.0)
    new = cluster.child()
    assert cluster.names("Deployment") == [new]
    written = cluster.writes()
    deleted = written.index(("delete", "Deployment", old))
    assert written.index(("create", "Deployment", new)) < written.index(("patch", "Service", NAME)) < deleted
    assert cluster.has("ControllerRevision", old)


async def test_a_canary_that_cannot_be_made_leaves_stable_as_it_is() -> None:
    """All its pods, all the traffic."""
    cluster = await serving(rollout=CANARY)
    old = cluster.child()
    selector = cluster.get("Service", NAME)["spec"]["selector"]
    fault = cluster.fail("POST", "Deployment", refused(403, "Forbidden", "exceeded quota: pods"))
    cluster.spec(model={"version": "2"})
    for _ in range(5):
        await cluster.after(BLOCKER_POLL_SECONDS)
    assert fault.struck
    assert cluster.names("Deployment") == [old]
    assert cluster.get("Deployment", old)["status"]["readyReplicas"] == 2
    assert cluster.get("Service", NAME)["spec"]["selector"] == selector


async def test_traffic_leaves_an_aborted_canary_before_its_pods_go() -> None:
    """The Service first, the Deployment last."""
    cluster = await with_canary(replicas=4)
    canary = cluster.child("canary")
    cluster.edit(
        "ModelDeployment",
        NAME,
        lambda raw: set_in(
            raw, "metadata annotations", {"modelward.dev/abort": cluster.status()["canaryRevision"]}
        ),
    )
    for _ in range(30):
        await cluster.after(5.0)
    written = cluster.writes()
    assert cluster.names("Deployment") == [cluster.child()]
    assert written.index(("patch", "Service", NAME)) < written.index(("delete", "Deployment", canary))
    assert (
        cluster.get("Service", NAME)["spec"]["selector"][REVISION_LABEL] == cluster.status()["stableRevision"]
    )


async def test_what_is_gone_when_it_is_to_be_deleted_is_no_error() -> None:
    """Somebody was quicker."""
    cluster = await serving()
    cluster.spec(replicas=1)
    cluster.watch()
    cluster.fail(
        "DELETE", "PodDisruptionBudget", overtaken(lambda: cluster.delete("PodDisruptionBudget", NAME))
    )
    await cluster.reconcile()
    assert cluster.names("PodDisruptionBudget") == []
    await cluster.run_until_quiet()
    assert cluster.condition()[:2] == ("True", "Available")


async def test_what_was_changed_since_it_was_seen_is_not_deleted_unseen() -> None:
    """Perhaps it is not ours any more."""
    cluster = await serving()
    cluster.spec(replicas=1)
    cluster.watch()

    def take(raw: Manifest) -> None:
        raw["metadata"].pop("ownerReferences")

    cluster.fail(
        "DELETE", "PodDisruptionBudget", overtaken(lambda: cluster.edit("PodDisruptionBudget", NAME, take))
    )
    with pytest.raises(Conflict):
        await cluster.reconcile()
    await cluster.run_until_quiet()
    assert cluster.names("PodDisruptionBudget") == [NAME]


async def test_a_surplus_object_of_ours_is_deleted() -> None:
    """Whatever made it."""
    cluster = await serving()
    raw = cluster.get("Service", NAME)
    keys = ("namespace", "labels", "ownerReferences")
    cluster.create(
        {
            "kind": "Service",
            "metadata": {**{key: raw["metadata"][key] for key in keys}, "name": "surplus"},
            "spec": raw["spec"],
        }
    )
    await cluster.run_until_quiet()
    assert cluster.writes() == [("delete", "Service", "surplus")]


async def test_snapshots_beyond_the_limit_are_deleted_and_those_in_use_stay() -> None:
    """The latest ones are kept."""
    cluster = await serving(
        rollout={"strategy": "Direct", "keepPreviousSeconds": 0, "revisionHistoryLimit": 1}
    )
    names = [cluster.child()]
    for version in "234":
        cluster.spec(model={"version": version})
        for _ in range(20):
            await cluster.after(10.0)
        names.append(cluster.child())
    assert sorted(cluster.names("ControllerRevision")) == sorted(names[-2:])


# --- notes on snapshots -------------------------------------------------------------------------------------


async def rejected(cluster: MemoryCluster, behave: Callable[..., Any] | None) -> tuple[str, Any]:
    """Have version 2 rejected, with what its note comes to; returns the snapshot's name and the fault."""
    cluster.world.versions["2"] = Version(load_seconds=0.0, crash_after_seconds=0.0)
    fault = cluster.fail("PATCH", "ControllerRevision", behave) if behave else None
    cluster.spec(model={"version": "2"})
    for _ in range(120):
        await cluster.after(5.0)
        if cluster.status().get("rejectedRevisions"):
            break
    (entry,) = cluster.status()["rejectedRevisions"]
    return cluster.child().replace(cluster.status()["stableRevision"], entry["revision"]), fault


async def test_a_rejection_is_noted_on_the_snapshot() -> None:
    """So that a status that is lost forgets none."""
    cluster = await serving(rollout=CANARY)
    name, _ = await rejected(cluster, None)
    (entry,) = cluster.status()["rejectedRevisions"]
    note = cluster.get("ControllerRevision", name)["metadata"]["annotations"][VERDICT_ANNOTATION]
    assert note.startswith(entry["reason"])


async def test_a_note_that_is_forbidden_is_tried_again_and_holds_nothing_up() -> None:
    """The right to write it may come; the model is as well as if it had been taken."""
    cluster = await serving(rollout=CANARY)
    name, fault = await rejected(cluster, refused(403, "Forbidden"))
    assert fault.struck
    assert await cluster.run_until_quiet() == NOTE_AGAIN_SECONDS
    assert cluster.condition()[1] != "Refused"
    cluster.reconnect()
    await cluster.after(NOTE_AGAIN_SECONDS)
    assert cluster.get("ControllerRevision", name)["metadata"]["annotations"][VERDICT_ANNOTATION]


async def test_a_note_that_cannot_be_taken_is_not_tried_again() -> None:
    """What is invalid stays so."""
    cluster = await serving(rollout=CANARY)
    _, fault = await rejected(cluster, refused(422, "Invalid", "data: field is immutable"))
    tried = fault.struck
    assert tried
    for _ in range(5):
        await cluster.after(60.0)
    assert fault.struck == tried
    assert cluster.condition()[1] != "Refused"


# --- kinds that may be missing ------------------------------------------------------------------------------


async def test_an_object_of_a_kind_that_the_cluster_does_not_have_is_left_out() -> None:
    """The condition says what is missing; all else is made."""
    cluster = MemoryCluster()
    cluster.store.absent["HTTPRoute"] = "this cluster does not have the kind"
    cluster.create(manifest("1", traffic={"gateway": {"parentRefs": [{"name": "public"}]}}))
    await cluster.run_until_quiet()
    assert cluster.names("HTTPRoute") == []
    assert len(cluster.names("Deployment")) == 1
    assert "Gateway API" in cluster.condition()[2]
