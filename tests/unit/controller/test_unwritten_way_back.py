"""Writes on the way back that conflict, fail or are slow: traffic leaves in the usual time, and status says what is in the way."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from builders import NAME, manifest
from modelward.api.names import revision_service_name
from modelward.api.objects import Manifest
from modelward.controller.apply import REPAIRS_PER_PERIOD
from modelward.controller.user_routes import HASTE_SECONDS
from modelward.simulator.api_server import Write
from support.memory_cluster import Behaviour, MemoryCluster, refused
from support.user_route import CANARY, ROUTE, user_route, weights

GATEWAY: Final = {"gateway": {"parentRefs": [{"name": "public"}], "hostnames": ["m.example.com"]}}
HOLD: Final = "example.com/hold"
USUAL_SECONDS: Final = 15.0


async def halved(**spec: Any) -> MemoryCluster:
    """A canary that has half of the traffic."""
    cluster = MemoryCluster()
    cluster.create(user_route())
    cluster.create(manifest("1", **{"rollout": CANARY, "replicas": 3, **spec}))
    await cluster.run_until_quiet()
    cluster.spec(model={"version": "2"})
    for _ in range(20):
        await cluster.after(1.0)
        if (cluster.status().get("rollout") or {}).get("stepStartTime"):
            return cluster
    raise AssertionError(cluster.condition())


def abort(cluster: MemoryCluster) -> None:
    """The user takes the canary back."""
    command = {"modelward.dev/abort": cluster.status()["canaryRevision"]}
    cluster.edit("ModelDeployment", NAME, lambda raw: raw["metadata"].update(annotations=command))


async def live(cluster: MemoryCluster, until: Callable[[], bool], *, seconds: float = 60.0) -> float:
    """Reconcile whenever the operator asks for it; the seconds until something is so."""
    began = cluster.second
    while not until() and cluster.second < began + seconds:
        cluster.move()
        cluster.watch()
        again = await cluster.reconcile()
        cluster.move()
        cluster.second += 1.0 if again is None else max(again, 0.001)
    return cluster.second - began


def says(cluster: MemoryCluster, words: str) -> Callable[[], bool]:
    """Whether Ready says it."""
    return lambda: words in cluster.condition()[2]


KINDS: Final = ("Service", "HTTPRoute", "Deployment", "PodDisruptionBudget")
ALL_AT_ONCE: Final = (*KINDS, "ControllerRevision", "HorizontalPodAutoscaler")
BEHAVIOURS: Final = {
    "conflicts": lambda _: refused(409, "Conflict", "the object has been modified"),
    "fails": lambda _: refused(500, "InternalError", "etcd is away"),
    "is slow": MemoryCluster.unanswered,
}


@pytest.mark.parametrize("how", BEHAVIOURS)
@pytest.mark.parametrize("kinds", [*((kind,) for kind in KINDS), ALL_AT_ONCE], ids="+".join)
@pytest.mark.parametrize("traffic", [None, GATEWAY, ROUTE], ids=["no router", "own route", "users route"])
async def test_f01_traffic_leaves_in_the_usual_time_whatever_is_not_written(
    traffic: Manifest | None, kinds: tuple[str, ...], how: str
) -> None:
    """Nothing that still leads to the canary's pods has any, or the canary has none."""
    cluster = await halved(**({"traffic": traffic} if traffic else {}))
    canary = cluster.child("canary")
    abort(cluster)
    cluster.edit("PodDisruptionBudget", NAME, lambda raw: raw["spec"].update(maxUnavailable=3))
    behaviour: Behaviour = BEHAVIOURS[how](cluster)
    for kind in kinds:
        cluster.fail("PATCH", kind, behaviour)

    def has_no_traffic() -> bool:
        has_pods = cluster.has("Deployment", canary) and cluster.get("Deployment", canary)["spec"]["replicas"]
        return not has_pods or not leads_to(cluster, canary)

    left = moments(cluster, has_no_traffic)
    began = cluster.second
    await live(cluster, lambda: bool(left))
    assert left[0] - began < USUAL_SECONDS


def moments(cluster: MemoryCluster, what: Callable[[], bool]) -> list[float]:
    """The seconds of all writes from now on after which something is so."""
    found: list[float] = []

    def written(write: Write) -> None:
        cluster.all_writes.append(write)
        if what():
            found.append(cluster.second)

    cluster.server.written = written
    return found


def leads_to(cluster: MemoryCluster, canary: str) -> bool:
    """Whether requests come to the pods of the canary."""
    revision = canary.removeprefix(f"{NAME}-")
    routes = [raw for raw in cluster.server.find("HTTPRoute") if raw["metadata"]["name"] in (NAME, "routes")]
    weighed = {each["name"]: each["weight"] for raw in routes for each in backends(raw)}
    entries = {name for name, weight in weighed.items() if weight} or {NAME}
    if not cluster.get("ModelDeployment", NAME)["spec"].get("traffic"):
        entries = {NAME}
    services = [raw for raw in cluster.server.find("Service") if raw["metadata"]["name"] in entries]
    return any(
        raw["spec"]["selector"].get("modelward.dev/revision", revision) == revision for raw in services
    )


def backends(route: Manifest) -> list[Manifest]:
    """Of all rules."""
    return [each for rule in route["spec"]["rules"] for each in rule["backendRefs"]]


@pytest.mark.parametrize("how", BEHAVIOURS)
@pytest.mark.parametrize(
    ("kind", "name", "traffic"),
    [
        pytest.param("Service", NAME, None, id="Service"),
        pytest.param("HTTPRoute", NAME, GATEWAY, id="own route"),
        pytest.param("HTTPRoute", "routes", ROUTE, id="users route"),
    ],
)
async def test_f01_ready_names_what_cannot_be_written(
    kind: str, name: str, traffic: Manifest | None, how: str
) -> None:
    """Until it can, and an Event does, too; one conflict alone is no news."""
    cluster = await halved(**({"traffic": traffic} if traffic else {}))
    abort(cluster)
    cluster.fail("PATCH", kind, BEHAVIOURS[how](cluster))
    await live(cluster, says(cluster, f"{kind} {name}: "))
    assert f"could not be written again and again. {kind} {name}: " in cluster.condition()[2]
    notes = [raw["note"] for raw in cluster.server.find("Event") if raw["reason"] == "Refused"]
    assert sum(f"{kind} {name}: " in note for note in notes) == 1
    cluster.reconnect()
    await live(cluster, lambda: "could not be written" not in cluster.condition()[2])
    assert "could not be written" not in cluster.condition()[2]
    assert "was aborted" in cluster.condition()[2]


async def test_f01_one_conflict_is_not_reported() -> None:
    """Somebody else was quicker once."""
    cluster = await halved()
    abort(cluster)
    cluster.fail("PATCH", "Service", refused(409, "Conflict"), times=1)
    await live(cluster, lambda: not cluster.status().get("canaryRevision"))
    assert not [raw for raw in cluster.server.find("Event") if raw["reason"] == "Refused"]


async def test_f01_pods_go_before_verdicts_are_noted() -> None:
    """A snapshot whose note is slow keeps no pod."""
    cluster = await halved()
    canary, began = cluster.child("canary"), cluster.second
    abort(cluster)
    cluster.fail("PATCH", "ControllerRevision", cluster.unanswered())
    cluster.connection.asked.clear()
    await live(cluster, lambda: not cluster.has("Deployment", canary))
    asked = [f"{method} {url.partition('?')[0].split('/')[-2]}" for method, url in cluster.connection.asked]
    notes = [place for place, each in enumerate(asked) if each == "PATCH controllerrevisions"]
    assert asked.index("DELETE deployments") < notes[-1]
    assert cluster.second - began < HASTE_SECONDS


async def test_f01_a_share_that_a_frozen_route_still_gives_comes_to_stable_once_services_may_be_written() -> (
    None
):
    """Neither could be for a while, so the canary's pods went; the route stays frozen."""
    cluster = await halved(traffic=GATEWAY)
    service = revision_service_name(NAME, cluster.status()["canaryRevision"])
    abort(cluster)
    cluster.fail("PATCH", "HTTPRoute", refused(422, "Invalid"))
    for method in ("PATCH", "DELETE", "POST"):
        cluster.fail(method, "Service", refused(403, "Forbidden"))
    await live(cluster, lambda: not cluster.status().get("canaryRevision"))
    cluster.reconnect()
    cluster.fail("PATCH", "HTTPRoute", refused(422, "Invalid"))
    await live(cluster, lambda: False, seconds=20)
    led = cluster.get("Service", service)["spec"]["selector"]["modelward.dev/revision"]
    assert led == cluster.status()["stableRevision"]
    cluster.reconnect()
    await live(cluster, lambda: not cluster.has("Service", service))
    assert not cluster.has("Service", service)


# --- F22: an autoscaler that is deleted and still there -------------------------------------------------------


async def test_f22_an_autoscaler_that_is_kept_while_it_is_deleted_is_not_fought() -> None:
    """Its bounds are the count; status names what keeps it."""
    cluster = MemoryCluster()
    cluster.create(manifest("1", autoscaling={"minReplicas": 4, "maxReplicas": 8}))
    await cluster.run_until_quiet()
    stable = cluster.child()
    cluster.edit("HorizontalPodAutoscaler", stable, lambda raw: raw["metadata"].update(finalizers=[HOLD]))
    cluster.spec(autoscaling=None, replicas=3)
    await cluster.run_until_quiet()
    cluster.writes()
    cluster.world.demand = 8
    for _ in range(10):
        await cluster.after(5.0)
    assert cluster.get("Deployment", stable)["spec"]["replicas"] == 3
    assert len(cluster.writes()) <= 1
    reported = f"HorizontalPodAutoscaler {stable} is deleted, kept by the finalizers {HOLD}."
    assert reported in cluster.condition()[2]


async def test_f22_nobody_is_fought_at_full_speed_about_a_count() -> None:
    """Somebody else scales the Deployment, whatever is written of it."""
    cluster = MemoryCluster()
    cluster.create(manifest("1"))
    await cluster.run_until_quiet()
    stable = cluster.child()
    cluster.writes()
    for _ in range(50):
        cluster.edit("Deployment", stable, lambda raw: raw["spec"].update(replicas=5), by="keda")
        cluster.watch()
        await cluster.reconcile()
    scaled = [each for each in cluster.writes() if each == ("patch", "scale", stable)]
    assert len(scaled) == REPAIRS_PER_PERIOD


# --- a model that is deleted and still there ------------------------------------------------------------------


async def test_f01_a_deleted_model_that_somebody_keeps_gives_the_users_route_back() -> None:
    """At once, and as long as it takes."""
    cluster = await halved(traffic=ROUTE)
    assert weights(cluster) == [50, 50]
    cluster.edit("ModelDeployment", NAME, lambda raw: raw["metadata"]["finalizers"].append(HOLD))
    cluster.delete("ModelDeployment", NAME)
    await cluster.run_until_quiet()
    assert weights(cluster) == [100, 0]


async def test_f01_a_deleted_model_that_somebody_keeps_gives_a_frozen_users_route_back_later() -> None:
    """It may not be written for longer than a deletion waits for it."""
    cluster = await halved(traffic=ROUTE)
    cluster.edit("ModelDeployment", NAME, lambda raw: raw["metadata"]["finalizers"].append(HOLD))
    cluster.fail("PATCH", "HTTPRoute", refused(422, "Invalid"))
    cluster.delete("ModelDeployment", NAME)
    await live(cluster, lambda: False, seconds=60)
    cluster.reconnect()
    await live(cluster, lambda: weights(cluster) == [100, 0])
    assert weights(cluster) == [100, 0]


async def test_f01_a_deleted_model_gives_the_users_route_back_though_somebody_took_our_finalizer_off() -> (
    None
):
    """Its status says that the canary has weight."""
    cluster = await halved(traffic=ROUTE)
    cluster.edit("ModelDeployment", NAME, lambda raw: raw["metadata"].update(finalizers=[HOLD]))
    cluster.delete("ModelDeployment", NAME)
    await cluster.run_until_quiet()
    assert weights(cluster) == [100, 0]
