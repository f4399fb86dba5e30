"""What is observed of one model: from what the watches hold, and what is asked for beside."""

from typing import Any, Final

import pytest

from builders import NAME, NAMESPACE, manifest
from modelward.api.names import (
    MANAGED_BY_LABEL,
    MANAGER,
    MODEL_LABEL,
    REVISION_LABEL,
    WEIGHTS_LABEL,
    WEIGHTS_MANAGED,
)
from modelward.api.objects import Manifest
from modelward.controller.observe import Blockers, gather
from modelward.errors import ApiError, Unreachable
from modelward.rollout.observed import Observed
from modelward.simulator.world import Version
from support.memory_cluster import KEY, MemoryCluster, refused, unsent

CANARY: Final = {"strategy": "Canary", "steps": [{"weightPercent": 50}], "paused": True}
GATEWAY: Final = {"gateway": {"parentRefs": [{"name": "public"}]}}


async def serving(**spec: Any) -> MemoryCluster:
    """A cluster in which version 1 serves."""
    cluster = MemoryCluster()
    cluster.create(manifest("1", **spec))
    await cluster.run_until_quiet()
    assert cluster.condition()[:2] == ("True", "Available")
    return cluster


async def observed(cluster: MemoryCluster, **blockers: Any) -> Observed:
    """What a reconcile would see now, and that it costs no more requests than are known by the result."""
    model = cluster.store.model(KEY)
    assert model
    return await gather(
        cluster.kube,
        cluster.store,
        model,
        now=cluster.now(),
        sampling=cluster.sampling,
        blockers=Blockers(**blockers) if blockers else None,
    )


def service(name: str, **metadata: Any) -> Manifest:
    """Somebody's Service."""
    return {"kind": "Service", "metadata": {"namespace": NAMESPACE, "name": name, **metadata}, "spec": {}}


# --- revisions ----------------------------------------------------------------------------------------------


async def test_what_the_watches_hold_costs_no_request() -> None:
    """The usual case, by far."""
    cluster = await serving()
    cluster.connection.asked.clear()
    seen = await observed(cluster)
    assert cluster.connection.asked == []
    stable = cluster.status()["stableRevision"]
    assert seen.revisions.keys() == seen.deployments.keys() == {stable}
    assert seen.service
    assert seen.service.selects == stable
    assert seen.route is None
    assert not seen.conflicts


async def test_a_running_revision_without_a_snapshot_is_restored_from_its_deployment() -> None:
    """With the words of spec if they still are that revision's."""
    cluster = await serving()
    stable, name = cluster.status()["stableRevision"], cluster.child()
    template = cluster.get("Deployment", name)["spec"]["template"]
    cluster.delete("ControllerRevision", name)
    cluster.watch()
    revision = (await observed(cluster)).revisions[stable]
    assert revision.template == template
    assert revision.spec["model"] == {"version": "1"}


async def test_a_revision_that_spec_has_left_is_restored_without_words() -> None:
    """Its template is all that is known of it."""
    cluster = await serving()
    stable, name = cluster.status()["stableRevision"], cluster.child()
    cluster.delete("ControllerRevision", name)
    cluster.spec(model={"version": "2"})
    cluster.watch()
    revision = (await observed(cluster)).revisions[stable]
    assert revision.spec == {}
    assert revision.content == revision.name == stable


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda pod: pod.update(hostNetwork=True), id="of the host"),
        pytest.param(
            lambda pod: pod["containers"][0].update(securityContext={"privileged": True}), id="privileged"
        ),
        pytest.param(
            lambda pod: pod.update(volumes=[{"name": "x", "hostPath": {"path": "/"}}]), id="a host path"
        ),
    ],
)
async def test_a_template_that_we_would_not_write_is_not_restored(forge: Any) -> None:
    """Who may edit Deployments must not have their pods made by our rights."""
    cluster = await serving()
    name = cluster.child()
    cluster.delete("ControllerRevision", name)
    cluster.edit("Deployment", name, lambda raw: forge(raw["spec"]["template"]["spec"]))
    cluster.watch()
    assert (await observed(cluster)).revisions == {}


async def test_a_deployment_with_the_label_of_another_revision_is_none_of_it() -> None:
    """Its name shows which one it is."""
    cluster = await serving()
    name = cluster.child()
    cluster.edit(
        "Deployment", name, lambda raw: raw["metadata"]["labels"].update({REVISION_LABEL: "another"})
    )
    cluster.watch()
    seen = await observed(cluster)
    assert seen.deployments == {}
    assert name in {child.name for child in seen.children}


@pytest.mark.parametrize(
    ("behave", "error"),
    [
        pytest.param(unsent, Unreachable, id="no answer"),
        pytest.param(refused(500, "InternalError"), ApiError, id="an error"),
        pytest.param(refused(403, "Forbidden"), ApiError, id="a right is missing"),
    ],
)
async def test_what_cannot_be_read_is_no_world_to_decide_on(behave: Any, error: type[Exception]) -> None:
    """Unknown is not empty."""
    cluster = await serving()
    cluster.delete("ControllerRevision", cluster.child())
    cluster.watch()
    cluster.fail("GET", "Deployment", behave)
    with pytest.raises(error):
        await observed(cluster)


# --- pods ---------------------------------------------------------------------------------------------------


async def test_pods_of_a_model_that_only_serves_are_left_out() -> None:
    """There is nothing that they could show."""
    assert (await observed(await serving())).pods == ()


async def test_pods_of_both_arms_are_seen_but_for_those_that_end() -> None:
    """While a canary is compared."""
    cluster = await serving(rollout=CANARY)
    cluster.spec(model={"version": "2"})
    await cluster.run_until_quiet()
    leaving = cluster.names("Pod")[0]
    cluster.edit("Pod", leaving, lambda raw: raw["metadata"].update(finalizers=["example.com/hold"]))
    cluster.delete("Pod", leaving)
    cluster.watch()
    seen = await observed(cluster)
    status = cluster.status()
    assert {pod.revision for pod in seen.pods} == {status["stableRevision"], status["canaryRevision"]}
    assert {pod.name for pod in seen.pods} == set(cluster.names("Pod")) - {leaving}


async def test_pods_that_are_not_ready_for_long_are_listed() -> None:
    """So that status says what keeps them."""
    cluster = MemoryCluster()
    cluster.world.others = Version(load_seconds=None)
    cluster.create(manifest("1"))
    await cluster.run_until_quiet()
    assert (await observed(cluster)).pods == ()
    await cluster.after(60.0)
    assert len((await observed(cluster)).pods) == 2


async def test_a_pod_that_merely_has_the_labels_of_another_model_is_not_its_own() -> None:
    """By namespace and label of the model."""
    cluster = await serving(rollout=CANARY)
    cluster.spec(model={"version": "2"})
    await cluster.run_until_quiet()
    canary = cluster.status()["canaryRevision"]
    metadata = {"namespace": NAMESPACE, "name": "stray", "labels": {MODEL_LABEL: "x", REVISION_LABEL: canary}}
    cluster.create({"kind": "Pod", "metadata": metadata, "spec": {"containers": []}})
    cluster.watch()
    assert "stray" not in {pod.name for pod in (await observed(cluster)).pods}


# --- evidence -----------------------------------------------------------------------------------------------


async def test_a_canary_with_weight_is_followed_and_forgotten_when_it_is_over() -> None:
    """Against stable; what is over has nothing to be measured."""
    cluster = await serving(rollout=CANARY)
    await observed(cluster)
    assert cluster.sampling.models == {}
    cluster.spec(model={"version": "2"}, rollout={**CANARY, "paused": False})
    for _ in range(20):
        await cluster.after(1.0)
        if (cluster.status().get("rollout") or {}).get("weightPercent"):
            break
    await observed(cluster)
    status = cluster.status()
    assert cluster.sampling.models == {KEY: (status["stableRevision"], status["canaryRevision"])}
    cluster.spec(model={"version": "1"})
    for _ in range(20):
        await cluster.after(5.0)
    assert cluster.sampling.models == {}


# --- what stands in the way ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "by", "owner"),
    [
        pytest.param({}, "", "somebody else", id="nobody known"),
        pytest.param(
            {"ownerReferences": [{"kind": "App", "name": "a", "uid": "1"}]},
            "",
            "somebody else",
            id="an owner that does not control it",
        ),
        pytest.param(
            {"ownerReferences": [{"kind": "App", "name": "a", "uid": "1", "controller": True}]},
            "",
            "App a (uid 1)",
            id="its controller",
        ),
        pytest.param({}, "helm", "somebody else (made by helm)", id="its field manager"),
    ],
)
async def test_whose_an_object_in_the_way_is(metadata: dict[str, Any], by: str, owner: str) -> None:
    """As far as it says."""
    cluster = await serving()
    raw = service("theirs", **metadata)
    if by:
        raw["spec"] = {"ports": []}
    cluster.create(raw, by=by or "nobody")
    if not by:
        cluster.edit("Service", "theirs", lambda raw: raw["metadata"].pop("managedFields", None))
    (conflict,) = (await observed(cluster, name_conflicts=frozenset({("Service", "theirs")}))).conflicts
    assert (conflict.kind, conflict.name, conflict.owner) == ("Service", "theirs", owner)


async def test_what_is_gone_or_ours_by_now_is_in_nobodys_way() -> None:
    """It is asked for each time; no watch shows."""
    cluster = await serving()
    name_conflicts = frozenset({("Service", "gone"), ("Service", NAME)})
    seen = await observed(cluster, name_conflicts=name_conflicts, refusals=("Service x: no",))
    assert seen.conflicts == ()
    assert seen.refusals == ("Service x: no",)


# --- the route ----------------------------------------------------------------------------------------------


async def test_a_route_of_our_own_is_seen_once_it_is_there() -> None:
    """Before, it says itself that it is missing."""
    cluster = MemoryCluster()
    cluster.create(manifest("1", traffic=GATEWAY))
    cluster.watch()
    missing = (await observed(cluster)).route
    assert missing
    assert (missing.own, missing.exists) == (True, False)
    await cluster.run_until_quiet()
    route = (await observed(cluster)).route
    assert route
    assert (route.own, route.exists, route.owner_uid) == (True, True, cluster.store.model(KEY).uid)  # type: ignore[union-attr]


async def test_a_route_of_somebody_else_with_our_name_is_not_taken_for_ours() -> None:
    """Whatever its labels say."""
    cluster = MemoryCluster()
    labels = {MANAGED_BY_LABEL: MANAGER, WEIGHTS_LABEL: WEIGHTS_MANAGED}
    route = {"namespace": NAMESPACE, "name": NAME, "labels": labels}
    cluster.create({"kind": "HTTPRoute", "metadata": route, "spec": {"rules": []}})
    cluster.create(manifest("1", traffic=GATEWAY))
    cluster.watch()
    seen = (await observed(cluster)).route
    assert seen
    assert (seen.own, seen.exists) == (True, False)


@pytest.mark.parametrize("labelled", [pytest.param(True, id="opted in"), pytest.param(False, id="not")])
async def test_a_users_route_is_read_if_the_watch_does_not_show_it(*, labelled: bool) -> None:
    """Without the label it may be reconciled, not written."""
    cluster = MemoryCluster()
    labels = {WEIGHTS_LABEL: WEIGHTS_MANAGED} if labelled else {}
    metadata = {"namespace": NAMESPACE, "name": "routes", "labels": labels}
    cluster.create({"kind": "HTTPRoute", "metadata": metadata, "spec": {"rules": []}})
    cluster.create(manifest("1", traffic={"httpRouteRef": {"name": "routes"}}))
    cluster.watch()
    cluster.connection.asked.clear()
    route = (await observed(cluster)).route
    assert route
    assert (route.own, route.exists, route.opted_in) == (False, True, labelled)
    assert len(cluster.connection.asked) == (0 if labelled else 1)


async def test_a_users_route_that_is_not_there_says_what_to_do() -> None:
    """Create it, with the label."""
    cluster = MemoryCluster()
    cluster.create(manifest("1", traffic={"httpRouteRef": {"name": "routes"}}))
    cluster.watch()
    route = (await observed(cluster)).route
    assert route
    assert not route.exists
    assert WEIGHTS_LABEL in route.message


async def test_without_the_gateway_api_a_route_says_so() -> None:
    """No request is made for a kind that is not there."""
    cluster = MemoryCluster()
    cluster.store.absent["HTTPRoute"] = "this cluster does not have the kind"
    cluster.create(manifest("1", traffic=GATEWAY))
    cluster.watch()
    route = (await observed(cluster)).route
    assert route
    assert "this cluster does not have the kind" in route.message
    assert cluster.connection.asked == []
