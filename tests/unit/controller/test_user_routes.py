"""A user's own route: nothing of it but two weights is written, and they are put back whatever happens."""

from typing import Any

import pytest

from builders import NAME
from modelward.api.names import ROUTE_FINALIZER, WEIGHTS_LABEL
from modelward.api.objects import Manifest
from modelward.controller.reconcile import BLOCKER_POLL_SECONDS
from modelward.controller.user_routes import ATTEMPTS
from modelward.errors import Conflict, Unreachable
from modelward.simulator.connection import Answer
from support.memory_cluster import Forward, MemoryCluster, lost, overtaken, refused
from support.user_route import routed, scaling_up, user_route, weights


def rename(cluster: MemoryCluster, host: str) -> None:
    """Its user changes something else in the route."""
    cluster.edit("HTTPRoute", "routes", lambda raw: raw["spec"].update(hostnames=[host]))


def abort(cluster: MemoryCluster) -> None:
    """The user takes the canary back."""
    command = {"modelward.dev/abort": cluster.status()["canaryRevision"]}
    cluster.edit("ModelDeployment", NAME, lambda raw: raw["metadata"].update(annotations=command))


def finalizers(cluster: MemoryCluster) -> list[str]:
    """Of the model."""
    return list(cluster.get("ModelDeployment", NAME)["metadata"].get("finalizers", ()))


def decide_later(cluster: MemoryCluster) -> None:
    """Another operator leads, and has recorded more than this one knows."""

    def later(raw: Manifest) -> None:
        raw["status"]["decision"] += 1

    cluster.edit("ModelDeployment", NAME, later, by="another operator", subresource="status")


@pytest.mark.parametrize(
    ("total", "shared"),
    [
        pytest.param(100, [50, 50], id="percent"),
        pytest.param(10, [5, 5], id="a small sum"),
        pytest.param(3, [2, 1], id="a sum that cannot be halved"),
    ],
)
async def test_the_sum_of_the_weights_stays_the_users(total: int, shared: list[int]) -> None:
    """The canary gets its share of it, never more."""
    assert weights(await routed(total=total)) == shared


async def test_weights_are_put_back_and_the_finalizer_goes_with_them() -> None:
    """Another program's finalizer stays."""
    cluster = await routed()
    cluster.edit(
        "ModelDeployment",
        NAME,
        lambda raw: raw["metadata"].update(finalizers=["example.com/hold", ROUTE_FINALIZER]),
    )
    abort(cluster)
    for _ in range(10):
        await cluster.after(5.0)
    assert weights(cluster) == [100, 0]
    assert finalizers(cluster) == ["example.com/hold"]


async def test_a_change_of_the_user_in_the_same_moment_is_kept() -> None:
    """The weight is written into what is there by then."""
    cluster = await scaling_up()
    fault = cluster.fail("PATCH", "HTTPRoute", overtaken(lambda: rename(cluster, "b.example.com")), times=1)
    await cluster.run_until_quiet()
    await cluster.after(1.0)
    assert fault.struck == 1
    assert weights(cluster) == [50, 50]
    assert cluster.get("HTTPRoute", "routes")["spec"]["hostnames"] == ["b.example.com"]


async def test_a_test_that_fails_in_the_same_moment_is_a_conflict() -> None:
    """The API server answers 422, and the route has moved on: it is read again."""
    cluster = await scaling_up()

    async def mismatch(forward: Forward) -> Answer:
        rename(cluster, "b.example.com")
        return await refused(422, "Invalid", "the server rejected our request")(forward)

    fault = cluster.fail("PATCH", "HTTPRoute", mismatch, times=1)
    await cluster.run_until_quiet()
    await cluster.after(1.0)
    assert fault.struck == 1
    assert weights(cluster) == [50, 50]


async def test_a_route_that_is_changed_again_and_again_is_left_for_later() -> None:
    """After a few attempts; no weight is written over somebody's change."""
    cluster = await scaling_up()
    hosts = iter(f"{number}.example.com" for number in range(100))
    fault = cluster.fail("PATCH", "HTTPRoute", overtaken(lambda: rename(cluster, next(hosts))))
    with pytest.raises(Conflict):
        await cluster.run_until_quiet()
    assert fault.struck == ATTEMPTS
    assert weights(cluster) == [100, 0]
    cluster.reconnect()
    await cluster.after(1.0)
    assert weights(cluster) == [50, 50]


@pytest.mark.parametrize("code", [pytest.param(403, id="forbidden"), pytest.param(422, id="invalid")])
async def test_a_weight_that_admission_refuses_is_said(code: int) -> None:
    """In the API server's words; it recovers by itself."""
    cluster = await scaling_up()
    cluster.fail("PATCH", "HTTPRoute", refused(code, "Forbidden", "denied by policy freeze"))
    await cluster.run_until_quiet()
    await cluster.after(BLOCKER_POLL_SECONDS)
    assert "denied by policy freeze" in cluster.condition()[2]
    assert weights(cluster) == [100, 0]
    cluster.reconnect()
    await cluster.after(BLOCKER_POLL_SECONDS)
    assert weights(cluster) == [50, 50]


async def test_no_weight_is_given_while_the_service_behind_it_is_refused() -> None:
    """Requests would go where nothing is."""
    cluster = await scaling_up()
    canary_service = next(name for name in cluster.names("Service") if name != NAME)
    cluster.delete("Service", canary_service)
    fault = cluster.fail("POST", "Service", refused(403, "Forbidden"))
    cluster.watch()
    await cluster.reconcile()
    assert fault.struck
    assert weights(cluster) == [100, 0]


async def test_a_weight_whose_answer_is_lost_is_found() -> None:
    """It is not written twice."""
    cluster = await scaling_up()
    fault = cluster.fail("PATCH", "HTTPRoute", lost, times=1)
    with pytest.raises(Unreachable):
        await cluster.run_until_quiet()
    await cluster.after(1.0)
    assert fault.struck == 1
    assert weights(cluster) == [50, 50]
    assert [what for _, what, _ in cluster.writes()].count("HTTPRoute") == 1


async def test_a_route_that_opts_out_is_not_written_any_more() -> None:
    """Its user has the say; nothing else is held up by it."""
    cluster = await routed()
    cluster.edit("HTTPRoute", "routes", lambda raw: raw["metadata"]["labels"].pop(WEIGHTS_LABEL))
    abort(cluster)
    cluster.writes()
    for _ in range(10):
        await cluster.after(30.0)
    assert "HTTPRoute" not in {what for _, what, _ in cluster.writes()}
    assert weights(cluster) == [50, 50]


async def test_a_route_that_is_deleted_is_nothing_to_put_back() -> None:
    """The model goes as if it had never had one."""
    cluster = await routed()
    cluster.delete("HTTPRoute", "routes")
    cluster.delete("ModelDeployment", NAME)
    cluster.watch()
    assert await cluster.reconcile() is None
    assert not cluster.has("ModelDeployment", NAME)


async def test_a_route_that_is_deleted_unseen_is_nothing_to_put_back() -> None:
    """Its event has not come yet."""
    cluster = await routed()
    cluster.delete("HTTPRoute", "routes")
    cluster.delete("ModelDeployment", NAME)
    cluster.store.put(cluster.get("ModelDeployment", NAME))
    assert await cluster.reconcile() is None
    assert not cluster.has("ModelDeployment", NAME)


async def test_a_route_that_opts_out_unseen_is_left_alone() -> None:
    """Its label is reconciled in what is read, not in what is held."""
    cluster = await routed()
    cluster.edit("HTTPRoute", "routes", lambda raw: raw["metadata"]["labels"].pop(WEIGHTS_LABEL))
    cluster.delete("ModelDeployment", NAME)
    cluster.store.put(cluster.get("ModelDeployment", NAME))
    assert await cluster.reconcile() is None
    assert weights(cluster) == [50, 50]


async def test_another_route_takes_over_and_the_first_is_put_back() -> None:
    """`spec.traffic` names another one in the middle of a rollout."""
    cluster = await routed()
    cluster.create(user_route("others"))
    cluster.spec(traffic={"httpRouteRef": {"name": "others"}})
    for _ in range(10):
        await cluster.after(5.0)
    assert weights(cluster) == [100, 0]
    assert weights(cluster, "others") == [50, 50]


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda cluster: cluster.delete("ModelDeployment", NAME), id="it is being deleted"),
        pytest.param(decide_later, id="a later decision is recorded"),
    ],
)
async def test_no_weight_is_given_by_a_decision_that_is_not_the_latest(act: Any) -> None:
    """The model is asked for after the finalizer is on it."""
    cluster = await scaling_up()
    asked = cluster.fail("GET", "ModelDeployment", overtaken(lambda: act(cluster)), times=1)
    with pytest.raises(Conflict):
        await cluster.run_until_quiet()
    assert asked.struck == 1
    assert weights(cluster) == [100, 0]
