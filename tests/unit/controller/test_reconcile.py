"""One reconcile after the other: what is written in which order, and what follows when a request comes to nothing."""

import asyncio
import contextlib
from typing import Any, Final

import pytest

from builders import NAME, NAMESPACE, manifest, revision_name
from modelward.api.names import (
    MANAGED_BY_LABEL,
    MANAGER,
    ROUTE_FINALIZER,
)
from modelward.api.objects import Manifest
from modelward.api.revision import Revision
from modelward.controller import reconcile
from modelward.controller.reconcile import BLOCKER_POLL_SECONDS, COUNTS_AFTER_SECONDS, ROUTE_POLL_SECONDS
from modelward.controller.user_routes import PUT_BACK_SECONDS, RETRY_SECONDS
from modelward.errors import ApiError, Conflict, NamespaceTerminating, Refused, Unreachable
from modelward.rollout.fleet import Limits
from modelward.rollout.snapshot_validation import flaw
from modelward.simulator.world import Version
from support import virtual_time
from support.memory_cluster import KEY, MemoryCluster, answered, lost, overtaken, refused, unsent
from support.user_route import ROUTE, routed, user_route, weights

CANARY: Final = {"strategy": "Canary", "steps": [{"weightPercent": 50}], "stepMinSeconds": 30}


async def serving(cluster: MemoryCluster | None = None, **spec: Any) -> MemoryCluster:
    """A cluster in which version 1 serves and nothing is left to do."""
    cluster = cluster or MemoryCluster()
    cluster.create(manifest("1", **spec))
    await cluster.run_until_quiet()
    assert cluster.condition()[:2] == ("True", "Available")
    cluster.writes()
    return cluster


def foreign(kind: str, name: str, *, labelled: bool, **metadata: Any) -> Manifest:
    """Somebody else's object; with our label the watches show it."""
    labels = {MANAGED_BY_LABEL: MANAGER} if labelled else {}
    return {
        "kind": kind,
        "metadata": {"namespace": NAMESPACE, "name": name, "labels": labels, **metadata},
        "spec": {"selector": {"app": "theirs"}},
    }


# --- the order of writes ------------------------------------------------------------------------------------


async def test_the_decision_is_recorded_before_any_object_follows_it() -> None:
    """The revision that status names is stored before, all that runs it after."""
    cluster = MemoryCluster()
    cluster.create(manifest("1"))
    cluster.watch()
    assert await cluster.reconcile() == 0.0
    written = [what for _, what, _ in cluster.writes()]
    assert written[:2] == ["ControllerRevision", "status"]
    assert {"Service", "Deployment", "PodDisruptionBudget"} <= set(written[2:])


async def test_a_model_that_is_as_it_should_be_costs_no_request() -> None:
    """Not even a read."""
    cluster = await serving()
    cluster.connection.asked.clear()
    assert await cluster.reconcile() is None
    assert cluster.connection.asked == []


async def test_a_model_that_nobody_knows_is_no_work() -> None:
    """It went before its turn came."""
    cluster = MemoryCluster()
    assert await cluster.reconcile() is None
    assert cluster.connection.asked == []


# --- recording ----------------------------------------------------------------------------------------------


async def test_a_decision_from_an_old_view_is_neither_recorded_nor_acted_upon() -> None:
    """Spec has changed since; the next reconcile decides by that."""
    cluster = MemoryCluster()
    cluster.create(manifest("1"))
    cluster.watch()
    cluster.spec(replicas=3)
    with pytest.raises(Conflict):
        await cluster.reconcile()
    assert cluster.status() == {}
    assert cluster.names("Deployment") == []
    await cluster.run_until_quiet()
    assert cluster.get("Deployment", cluster.child())["spec"]["replicas"] == 3


@pytest.mark.parametrize(
    ("behave", "stored"),
    [pytest.param(lost, True, id="the answer is lost"), pytest.param(unsent, False, id="it never arrived")],
)
async def test_no_object_follows_a_decision_that_may_not_be_recorded(behave: Any, *, stored: bool) -> None:
    """Whether it was stored shows the watch; then it goes on from there, and nothing is announced twice."""
    cluster = MemoryCluster()
    cluster.create(manifest("1"))
    cluster.watch()
    cluster.fail("PATCH", "ModelDeployment", behave, times=1)
    with pytest.raises(Unreachable):
        await cluster.reconcile()
    assert bool(cluster.status()) is stored
    assert cluster.names("Deployment") == []
    await cluster.run_until_quiet()
    assert cluster.condition()[:2] == ("True", "Available")
    reasons = [raw["reason"] for raw in cluster.server.find("Event")]
    assert len(reasons) == len(set(reasons))


async def test_what_was_decided_is_announced_although_an_object_cannot_be_written() -> None:
    """The next reconcile will not say it again."""
    cluster = await serving()
    cluster.server.objects = {at: raw for at, raw in cluster.server.objects.items() if at[0] != "Event"}
    cluster.fail("POST", "Deployment", unsent)
    cluster.spec(model={"version": "2"})
    cluster.watch()
    with pytest.raises(Unreachable):
        await cluster.reconcile()
    assert [raw["regarding"]["name"] for raw in cluster.server.find("Event")] == [NAME]


async def test_an_announcement_that_is_refused_holds_nothing_up() -> None:
    """The right to write Events may be missing; status.history keeps what they show."""
    cluster = MemoryCluster()
    fault = cluster.fail("POST", "Event", refused(403, "Forbidden"))
    await serving(cluster)
    assert fault.struck
    assert cluster.names("Event") == []


async def test_counts_of_pods_are_recorded_in_one_go() -> None:
    """Pods of a new revision come up one by one: a count is no news for some seconds, and is not forgotten."""
    cluster = MemoryCluster()
    cluster.world.others = Version(load_seconds=None)
    cluster.create(manifest("1", replicas=5))
    await cluster.run_until_quiet()
    name = cluster.child()
    cluster.writes()

    async def ready(pods: int) -> float | None:
        cluster.edit(
            "Deployment", name, lambda raw: raw["status"].update(readyReplicas=pods), subresource="status"
        )
        cluster.watch()
        return await cluster.reconcile()

    await ready(1)
    cluster.writes()
    assert await ready(2) == COUNTS_AFTER_SECONDS
    cluster.second += COUNTS_AFTER_SECONDS - 1
    assert await ready(3) == 1.0
    assert cluster.writes() == []
    cluster.second += 1
    await ready(4)
    assert cluster.writes() == [("patch", "status", NAME)]
    assert cluster.status()["readyReplicas"] == 4


async def test_what_is_more_than_a_count_is_recorded_at_once() -> None:
    """With the counts that were kept back."""
    cluster = MemoryCluster()
    cluster.world.others = Version(load_seconds=None)
    cluster.create(manifest("1", replicas=2))
    await cluster.run_until_quiet()
    for pods in (1, 2):

        def ready(raw: Manifest, pods: int = pods) -> None:
            raw["status"].update(readyReplicas=pods)

        cluster.edit("Deployment", cluster.child(), ready, subresource="status")
        cluster.watch()
        await cluster.reconcile()
    assert cluster.condition()[:2] == ("True", "Available")
    assert cluster.status()["readyReplicas"] == 2


# --- snapshots ----------------------------------------------------------------------------------------------


async def test_without_its_snapshot_a_revision_is_not_begun() -> None:
    """A quota, say: status says so in the API server's words, it is tried at a steady pace, and it recovers by itself."""
    cluster = MemoryCluster()
    cluster.create(manifest("1"))
    cluster.watch()
    fault = cluster.fail("POST", "ControllerRevision", refused(403, "Forbidden", "exceeded quota: small"))
    assert await cluster.reconcile() == 0.0
    assert await cluster.run_until_quiet() == BLOCKER_POLL_SECONDS
    status, reason, message = cluster.condition()
    assert (status, reason) == ("False", "Refused")
    assert "exceeded quota: small" in message
    assert cluster.names("Deployment") == []
    tried = fault.struck
    cluster.writes()
    assert await cluster.after(BLOCKER_POLL_SECONDS) == BLOCKER_POLL_SECONDS
    assert fault.struck == tried + 1
    assert cluster.writes() == []
    cluster.reconnect()
    await cluster.after(BLOCKER_POLL_SECONDS)
    assert cluster.condition()[:2] == ("True", "Available")


async def test_what_serves_goes_on_when_the_next_snapshot_is_refused() -> None:
    """No object of the running revision is touched."""
    cluster = await serving()
    cluster.fail("POST", "ControllerRevision", refused(403, "Forbidden", "exceeded quota: small"))
    cluster.spec(model={"version": "2"})
    await cluster.run_until_quiet()
    assert cluster.condition()[1] == "Refused"
    assert {what for _, what, _ in cluster.writes()} <= {"status", "Event"}
    assert cluster.get("Deployment", cluster.child())["status"]["readyReplicas"] == 2


async def test_a_snapshot_whose_answer_was_lost_is_found() -> None:
    """Its content is in its name: it is not made twice, and nobody else's."""
    cluster = MemoryCluster()
    cluster.create(manifest("1"))
    cluster.watch()
    cluster.fail("POST", "ControllerRevision", lost, times=1)
    with pytest.raises(Unreachable):
        await cluster.reconcile()
    # The event of its creation is late: the reconcile meets it by its name.
    assert await cluster.reconcile() == 0.0
    assert len(cluster.names("ControllerRevision")) == 1
    await cluster.run_until_quiet()
    assert cluster.condition()[:2] == ("True", "Available")


async def test_a_snapshot_of_a_foreign_hand_with_the_name_that_is_needed() -> None:
    """It is not touched; the condition names it, and it goes on when it is gone."""
    before = await serving()
    before.spec(model={"version": "2"})
    await before.run_until_quiet()
    name = before.child()
    cluster = await serving()
    cluster.create(foreign("ControllerRevision", name, labelled=True))
    theirs = cluster.get("ControllerRevision", name)
    cluster.spec(model={"version": "2"})
    assert await cluster.run_until_quiet() == BLOCKER_POLL_SECONDS
    status, reason, message = cluster.condition()
    assert (status, reason) == ("False", "NameConflict")
    assert name in message
    assert cluster.get("ControllerRevision", name) == theirs
    cluster.delete("ControllerRevision", name)
    await cluster.after(BLOCKER_POLL_SECONDS)
    assert cluster.condition()[:2] == ("True", "Available")
    assert cluster.child() == name


async def test_a_snapshot_is_validated_before_it_is_stored_and_not_at_every_reconcile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that comes from the cluster was validated when it was converted."""
    cluster, validated = await serving(), list[str]()

    def noted(revision: Revision) -> str:
        validated.append(revision.name)
        return flaw(revision)

    monkeypatch.setattr(reconcile, "flaw", noted)
    await cluster.reconcile()
    assert validated == []
    cluster.spec(model={"version": "2"})
    await cluster.run_until_quiet()
    assert validated == [revision_name("2")]


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda raw: raw["data"].update(template={"spec": {"hostPID": True}}), id="pods"),
        pytest.param(lambda raw: raw.update(data={"content": 3}), id="is not written as one"),
        pytest.param(lambda raw: raw["data"]["spec"].update(replicas=7, model={"uri": "x"}), id="spec"),
    ],
)
async def test_a_forged_snapshot_is_deleted_before_anything_is_decided(forge: Any) -> None:
    """It is made anew from what runs, with nothing else touched."""
    cluster = await serving()
    name = cluster.child()
    raw = cluster.get("ControllerRevision", name)
    cluster.delete("ControllerRevision", name)
    forged = {"kind": raw["kind"], "revision": raw["revision"], "data": {**raw["data"]}}
    forged["data"]["spec"] = {**raw["data"]["spec"]}
    metadata = {key: raw["metadata"][key] for key in ("namespace", "name", "labels", "ownerReferences")}
    forge(forged)
    cluster.create({**forged, "metadata": metadata}, by="mallory")
    cluster.watch()
    assert await cluster.reconcile() == 0.0
    assert cluster.writes() == [("delete", "ControllerRevision", name)]
    await cluster.run_until_quiet()
    after = cluster.get("ControllerRevision", name)["data"]
    assert (after["template"], after["spec"]) == (raw["data"]["template"], raw["data"]["spec"])
    assert {what for _, what, _ in cluster.writes()} <= {"ControllerRevision", "status"}


async def test_f01_a_forged_snapshot_that_may_not_be_deleted_holds_no_rollback_up() -> None:
    """It is not read, and what is decided goes on without it."""
    cluster = await serving(rollout=CANARY)
    cluster.spec(model={"version": "2"})
    await cluster.run_until_quiet()
    await cluster.after(5)
    canary = cluster.child("canary")
    raw = cluster.get("ControllerRevision", canary)
    metadata = {key: raw["metadata"][key] for key in ("namespace", "labels", "ownerReferences")}
    kept = {key: raw[key] for key in ("kind", "revision")} | {"data": {"content": "forged"}}
    cluster.create({**kept, "metadata": {**metadata, "name": f"{canary}-forged"}}, by="mallory")
    cluster.delete("ControllerRevision", canary)
    cluster.create({**kept, "metadata": {**metadata, "name": canary}}, by="mallory")
    forbidden = cluster.fail("DELETE", "ControllerRevision", refused(403, "Forbidden"))
    abort = {"modelward.dev/abort": cluster.status()["canaryRevision"]}
    cluster.edit("ModelDeployment", NAME, lambda model: model["metadata"].update(annotations=abort))
    for _ in range(10):
        await cluster.after(1)
    assert forbidden.struck
    assert cluster.status()["history"][0]["result"] == "Aborted"
    assert cluster.names("Deployment") == [cluster.child()]


async def test_f01_a_route_that_may_not_be_read_is_said_and_holds_no_decision_up() -> None:
    """It counts as one that is not there; what is said of it is why."""
    cluster = MemoryCluster()
    forbidden = cluster.fail("GET", "HTTPRoute", refused(403, "Forbidden", "by a policy"))
    cluster.create(manifest("1", traffic={"httpRouteRef": {"name": "elsewhere"}}))
    await cluster.run_until_quiet()
    assert forbidden.struck
    status, reason, message = cluster.condition()
    assert (status, reason) == ("False", "RouteNotReady")
    assert "HTTPRoute elsewhere (spec.traffic.httpRouteRef) cannot be read: by a policy" in message


async def test_a_snapshot_that_somebody_deleted_is_made_anew_from_what_runs() -> None:
    """The Deployment has the template, exactly; no pod restarts."""
    cluster = await serving()
    name = cluster.child()
    data, pods = cluster.get("ControllerRevision", name)["data"], cluster.names("Pod")
    cluster.delete("ControllerRevision", name)
    await cluster.run_until_quiet()
    restored = cluster.get("ControllerRevision", name)["data"]
    assert (restored["template"], restored["spec"]) == (data["template"], data["spec"])
    assert cluster.names("Pod") == pods


# --- what stands in the way ---------------------------------------------------------------------------------


@pytest.mark.parametrize("labelled", [pytest.param(True, id="seen"), pytest.param(False, id="unseen")])
async def test_an_object_of_somebody_else_is_left_alone_and_named(*, labelled: bool) -> None:
    """Whether the watches show it or not; the model recovers by itself once it is gone."""
    cluster = MemoryCluster()
    owner = {"kind": "Release", "name": "shop", "uid": "u-1", "controller": True}
    cluster.create(foreign("Service", NAME, labelled=labelled, ownerReferences=[owner]), by="helm")
    cluster.server.create({"kind": "Release", "metadata": {"namespace": NAMESPACE, "name": "r"}}, "helm")
    cluster.server.objects["Release", NAMESPACE, "r"]["metadata"]["uid"] = "u-1"
    theirs = cluster.get("Service", NAME)
    cluster.create(manifest("1"))
    assert await cluster.run_until_quiet() == BLOCKER_POLL_SECONDS
    status, reason, message = cluster.condition()
    assert (status, reason) == ("False", "NameConflict")
    assert "Release shop (uid u-1)" in message
    assert cluster.get("Service", NAME) == theirs
    cluster.writes()
    cluster.connection.asked.clear()
    assert await cluster.after(BLOCKER_POLL_SECONDS) == BLOCKER_POLL_SECONDS
    assert cluster.writes() == []
    cluster.delete("Service", NAME)
    await cluster.after(BLOCKER_POLL_SECONDS)
    assert cluster.condition()[:2] == ("True", "Available")


async def test_whose_an_object_is_shows_its_maker_where_it_has_no_owner() -> None:
    """The field manager that made it."""
    cluster = MemoryCluster()
    cluster.create(foreign("Service", NAME, labelled=False), by="terraform")
    cluster.create(manifest("1"))
    await cluster.run_until_quiet()
    assert "made by terraform" in cluster.condition()[2]


async def test_an_object_that_is_refused_keeps_no_other_from_being_written() -> None:
    """It is said in the API server's words, tried at a steady pace, and cleared when it is taken."""
    cluster = MemoryCluster()
    cluster.create(manifest("1"))
    fault = cluster.fail("POST", "Service", refused(403, "Forbidden", "denied by policy freeze"))
    assert await cluster.run_until_quiet() == BLOCKER_POLL_SECONDS
    assert fault.struck
    assert cluster.names("Deployment") == [cluster.child()]
    status, reason, message = cluster.condition()
    assert (status, reason) == ("False", "Refused")
    assert "denied by policy freeze" in message
    cluster.reconnect()
    await cluster.after(BLOCKER_POLL_SECONDS)
    assert cluster.condition()[:2] == ("True", "Available")


async def test_words_of_a_refusal_that_change_each_time_are_no_reason_to_hurry() -> None:
    """A webhook that shows the time, say."""
    cluster = MemoryCluster()
    cluster.create(manifest("1"))
    cluster.fail("POST", "Service", refused(403, "Forbidden", "at 12:00:00"))
    await cluster.run_until_quiet()
    cluster.reconnect()
    cluster.fail("POST", "Service", refused(403, "Forbidden", "at 12:00:05"))
    cluster.second += BLOCKER_POLL_SECONDS
    assert await cluster.reconcile() == BLOCKER_POLL_SECONDS
    await cluster.after(BLOCKER_POLL_SECONDS)
    await cluster.after(BLOCKER_POLL_SECONDS)
    assert "at 12:00:05" in cluster.condition()[2]


async def test_one_refusal_after_another_object_is_in_the_way_is_reported_at_once() -> None:
    """New blockers are recorded by a reconcile of their own, without a pause."""
    cluster = MemoryCluster()
    cluster.create(manifest("1"))
    cluster.fail("POST", "Service", refused(403, "Forbidden"))
    await cluster.run_until_quiet()
    cluster.delete("PodDisruptionBudget", NAME)
    cluster.create(foreign("PodDisruptionBudget", NAME, labelled=False))
    cluster.second += BLOCKER_POLL_SECONDS
    cluster.watch()
    assert await cluster.reconcile() == 0.0
    await cluster.reconcile()
    assert "PodDisruptionBudget" in cluster.condition()[2]


# --- specs that say nothing ---------------------------------------------------------------------------------


async def test_what_serves_stays_as_it_is_under_a_spec_that_cannot_be_read() -> None:
    """The condition says what is wrong; a good spec recovers it."""
    cluster = await serving()
    cluster.spec(replicas="many")
    await cluster.run_until_quiet()
    status, reason, message = cluster.condition()
    assert (status, reason) == ("False", "InvalidSpec")
    assert "spec.replicas" in message
    assert {what for _, what, _ in cluster.writes()} <= {"status", "Event"}
    cluster.spec(replicas=3)
    await cluster.run_until_quiet()
    assert cluster.condition()[:2] == ("True", "Available")
    assert cluster.status()["readyReplicas"] == 3


# --- the end of a model -------------------------------------------------------------------------------------


async def test_a_deleted_model_is_forgotten_and_its_children_are_left_to_the_cluster() -> None:
    """No write, and the metrics of its canary are read no more."""
    cluster = await serving(rollout=CANARY)
    cluster.spec(model={"version": "2"})
    for _ in range(5):
        await cluster.after(1.0)
    assert cluster.sampling.models.keys() == {KEY}
    cluster.delete("ModelDeployment", NAME)
    cluster.writes()
    cluster.watch()
    assert await cluster.reconcile() is None
    assert cluster.sampling.models == {}
    assert cluster.writes() == []


async def test_a_model_that_went_unseen_is_not_served_again() -> None:
    """Its children go; before they are made anew, the API server is asked whether it is still there."""
    cluster = await serving()
    cluster.delete("ModelDeployment", NAME)
    cluster.delete("Deployment", cluster.names("Deployment")[0])
    cluster.store.remove("Deployment", NAMESPACE, *_deployment(cluster))
    cluster.store.mark_possibly_deleted(KEY)
    assert await cluster.reconcile() == 0.0
    assert await cluster.reconcile() is None
    assert cluster.names("Deployment") == []


def _deployment(cluster: MemoryCluster) -> tuple[str, str]:
    ((key, (uid, _)),) = cluster.store.versions("Deployment").items()
    return key[1], uid


async def test_a_model_of_the_same_name_is_another_one() -> None:
    """It gets children of its own once those of the first are gone; those of the first are no part of it."""
    cluster = await serving()
    first = cluster.get("ModelDeployment", NAME)["metadata"]["uid"]
    cluster.delete("ModelDeployment", NAME)
    second = cluster.create(manifest("1"))["metadata"]["uid"]
    cluster.store.mark_possibly_deleted(KEY)
    assert await cluster.reconcile() == 0.0
    await cluster.run_until_quiet()
    owners = {
        owner["uid"]
        for kind in ("Deployment", "Service", "ControllerRevision")
        for raw in cluster.server.find(kind)
        for owner in raw["metadata"]["ownerReferences"]
    }
    assert first != second
    assert owners == {second}


async def test_a_model_that_turns_out_to_be_newer_is_decided_anew() -> None:
    """The question whether it is there brought its new spec, whose event will shows nothing any more."""
    cluster = await serving()
    cluster.spec(replicas=4)
    cluster.store.mark_possibly_deleted(KEY)
    assert await cluster.reconcile() == 0.0
    assert cluster.writes() == []
    await cluster.reconcile()
    assert cluster.get("Deployment", cluster.child())["spec"]["replicas"] == 4


async def test_a_model_that_is_there_is_worked_on() -> None:
    """One question, and no more."""
    cluster = await serving()
    cluster.store.mark_possibly_deleted(KEY)
    cluster.connection.asked.clear()
    assert await cluster.reconcile() is None
    assert [method for method, _ in cluster.connection.asked] == ["GET"]
    assert not cluster.store.is_possibly_deleted(KEY)


# --- a user's own route -------------------------------------------------------------------------------------


async def test_before_the_canary_gets_weight_a_finalizer_is_on_the_model() -> None:
    """So that the weights are put back when the model is deleted, and the model goes then."""
    cluster = await routed()
    assert cluster.get("ModelDeployment", NAME)["metadata"]["finalizers"] == [ROUTE_FINALIZER]
    cluster.delete("ModelDeployment", NAME)
    cluster.watch()
    assert await cluster.reconcile() is None
    assert weights(cluster) == [100, 0]
    assert not cluster.has("ModelDeployment", NAME)


async def test_a_route_that_cannot_be_put_back_holds_a_deletion_for_a_while_only() -> None:
    """It is tried again; after a time the model goes all the same."""
    cluster = await routed()
    fault = cluster.fail("PATCH", "HTTPRoute", refused(403, "Forbidden"))
    cluster.delete("ModelDeployment", NAME)
    cluster.watch()
    assert await cluster.reconcile() == RETRY_SECONDS
    assert fault.struck
    assert cluster.has("ModelDeployment", NAME)
    cluster.second += PUT_BACK_SECONDS
    assert await cluster.reconcile() is None
    assert not cluster.has("ModelDeployment", NAME)


async def test_a_route_without_the_label_is_asked_for_at_a_steady_pace() -> None:
    """The watch does not show it."""
    cluster = MemoryCluster()
    cluster.create(user_route(labels={}))
    cluster.create(manifest("1", traffic=ROUTE))
    assert await cluster.run_until_quiet() == ROUTE_POLL_SECONDS
    assert weights(cluster) == [100, 0]


async def test_a_route_that_is_not_there_is_asked_for_at_a_steady_pace() -> None:
    """And the condition says what is missing."""
    cluster = MemoryCluster()
    cluster.create(manifest("1", traffic=ROUTE))
    assert await cluster.run_until_quiet() == ROUTE_POLL_SECONDS
    assert "HTTPRoute routes" in cluster.condition()[2]


# --- work ---------------------------------------------------------------------------------------------------


@pytest.fixture
def asked_again(caplog: pytest.LogCaptureFixture) -> Any:
    """The worker's way with one failed attempt: the reason that is counted, the pause after it, and what is logged."""

    async def work(behave: Any) -> tuple[str, float, str]:
        loop = asyncio.get_running_loop()
        cluster = MemoryCluster(clock=loop.time)
        cluster.create(manifest("1"))
        cluster.watch()
        seen: list[float] = []

        async def noted(forward: Any) -> Any:
            seen.append(loop.time())
            if len(seen) == 1:
                return await behave(cluster, forward)
            return await forward()

        cluster.fail("PATCH", "ModelDeployment", noted)
        cluster.queue.add(KEY)
        working = asyncio.ensure_future(cluster.reconciler.work())
        while len(seen) < 2:
            cluster.watch()
            await asyncio.sleep(0.01)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        counted = [
            sample.labels["reason"]
            for family in cluster.metrics.reconcile_errors.collect()
            for sample in family.samples
            if sample.name.endswith("_total") and sample.value
        ]
        return counted[0], seen[1] - seen[0], caplog.text

    return lambda behave: virtual_time.run(work(behave))


def _overtaken(cluster: MemoryCluster, forward: Any) -> Any:
    return overtaken(lambda: cluster.spec(replicas=3))(forward)


_TERMINATING: Final = {
    "kind": "Status",
    "reason": "Forbidden",
    "details": {"causes": [{"reason": "NamespaceTerminating"}]},
}


@pytest.mark.parametrize(
    ("behave", "reason", "least", "most", "said"),
    [
        pytest.param(_overtaken, "Conflict", 0.1, 0.3, "", id="somebody was quicker: soon and quietly"),
        pytest.param(
            lambda _, forward: refused(404, "NotFound")(forward), "NotFound", 0.1, 0.3, "", id="it is gone"
        ),
        pytest.param(
            lambda _, forward: refused(429, "TooManyRequests", Retry_After="7")(forward),
            "Api429",
            7.0,
            7.1,
            "the API server refused",
            id="not before the API server asked for",
        ),
        pytest.param(
            lambda _, forward: refused(500, "InternalError")(forward),
            "Api500",
            0.1,
            0.3,
            "the API server refused",
            id="an error of the API server",
        ),
        pytest.param(
            lambda _, forward: answered(_TERMINATING, code=403)(forward),
            "NamespaceTerminating",
            5.0,
            5.1,
            "",
            id="its namespace is being deleted: nothing is created there any more",
        ),
        pytest.param(lambda _, forward: unsent(forward), "Unreachable", 0.1, 0.3, "patch", id="no answer"),
        pytest.param(
            lambda _, forward: answered({"kind": "ModelDeployment"})(forward),
            "Unexpected",
            0.1,
            0.3,
            "please report it",
            id="what nobody expected",
        ),
    ],
)
def test_a_failed_attempt_is_counted_and_made_again(
    asked_again: Any, behave: Any, reason: str, least: float, most: float, said: str
) -> None:
    """One place turns every error into a later attempt; seconds are those of a virtual clock."""
    counted, pause, log = asked_again(behave)
    assert counted == reason
    assert least <= pause <= most
    assert said in log


async def test_one_create_is_tried_in_a_namespace_that_is_being_deleted() -> None:
    """The answer speaks for all objects: the others are not tried as well."""
    cluster, tried = MemoryCluster(), list[str]()
    cluster.create(manifest("1"))
    for kind in ("Service", "Deployment", "PodDisruptionBudget"):

        async def behave(forward: Any, kind: str = kind) -> Any:
            tried.append(kind)
            return await answered(_TERMINATING, code=403)(forward)

        cluster.fail("POST", kind, behave)
    with pytest.raises(NamespaceTerminating):
        await cluster.run_until_quiet()
    assert len(tried) == 1


def test_a_model_that_fails_keeps_no_other_waiting() -> None:
    """Each has its turn, however often the first one fails."""

    async def play() -> MemoryCluster:
        loop = asyncio.get_running_loop()
        cluster = MemoryCluster(clock=loop.time)
        for name in (NAME, "other"):
            cluster.create(manifest("1", name=name))
            cluster.queue.add((NAMESPACE, name))
        cluster.fail("PATCH", "ModelDeployment", unsent, name=NAME)
        working = asyncio.ensure_future(cluster.reconciler.work())
        for _ in range(100):
            cluster.move()
            cluster.watch()
            cluster.queue.add((NAMESPACE, "other"))
            await asyncio.sleep(0.1)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        return cluster

    cluster = virtual_time.run(play())
    assert cluster.condition(name="other")[:2] == ("True", "Available")
    assert cluster.status(NAME) == {}


def test_a_model_that_waits_for_its_turn_gets_it_when_another_rollout_ends() -> None:
    """No event of its own shows it."""

    async def play() -> MemoryCluster:
        cluster = MemoryCluster(limits=Limits(fleet=1), clock=asyncio.get_running_loop().time)
        names = (NAME, "other")
        for name in names:
            cluster.create(manifest("1", name=name, rollout={**CANARY, "stepMinSeconds": 5}))
            await cluster.run_until_quiet((NAMESPACE, name))
        for name in names:
            cluster.spec(name, model={"version": "2"})
            cluster.queue.add((NAMESPACE, name))
        working = asyncio.ensure_future(cluster.reconciler.work())
        waited = set()
        while any(len(cluster.status(name)["history"]) < 2 for name in names):
            cluster.move()
            cluster.watch()
            waited |= {name for name in names if cluster.condition(name=name)[1] == "Queued"}
            live = [name for name in names if cluster.status(name).get("canaryRevision")]
            assert len(live) <= 1
            for name in live:  # the other one is left to its turn
                cluster.queue.add((NAMESPACE, name))
            cluster.second += 0.5
            await asyncio.sleep(0.5)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        assert len(waited) == 1
        return cluster

    cluster = virtual_time.run(play())
    assert {cluster.condition(name=name)[1] for name in (NAME, "other")} == {"Available"}


async def test_an_error_of_the_api_server_ends_a_reconcile() -> None:
    """Nothing is decided on half of what there is to know."""
    cluster = MemoryCluster()
    cluster.create(manifest("1", traffic=ROUTE))
    cluster.watch()
    cluster.fail("GET", "HTTPRoute", refused(500, "InternalError"))
    with pytest.raises(ApiError):
        await cluster.reconcile()
    assert cluster.writes() == []


async def test_a_status_that_is_refused_is_an_error() -> None:
    """There is no decision that is not recorded."""
    cluster = MemoryCluster()
    cluster.create(manifest("1"))
    cluster.watch()
    cluster.fail("PATCH", "ModelDeployment", refused(422, "Invalid"))
    with pytest.raises(Refused):
        await cluster.reconcile()
    assert cluster.names("Deployment") == []


async def test_no_revision_takes_a_pod_before_the_other_one_has_given_it_up() -> None:
    """Shared capacity: where stable's scale is written too late, the canary waits; together they never have more."""
    cluster = await serving(
        replicas=2,
        rollout={"steps": [{"weightPercent": 50}], "stepMinSeconds": 3, "capacity": "Shared"},
    )
    late = cluster.fail("PATCH", "Deployment", refused(409, "Conflict"), name=cluster.child(), times=3)
    cluster.spec(model={"version": "2"})
    for _ in range(30):
        with contextlib.suppress(Conflict):  # the queue tries it again
            await cluster.after(2)
        deployments = [cluster.get("Deployment", name)["spec"] for name in cluster.names("Deployment")]
        assert sum(each["replicas"] for each in deployments) <= 2
    assert late.struck == 3
    assert cluster.status()["history"][0]["result"] == "Promoted"
