"""A canary that gets its share by the user's own route, on a cluster in memory."""

from typing import Any, Final

from builders import NAME, NAMESPACE, manifest
from modelward.api.names import WEIGHTS_LABEL, WEIGHTS_MANAGED, canary_service_name
from modelward.api.objects import Manifest
from support.memory_cluster import MemoryCluster

ROUTE: Final = {"httpRouteRef": {"name": "routes"}}
MANAGED: Final = {WEIGHTS_LABEL: WEIGHTS_MANAGED}
CANARY: Final = {"strategy": "Canary", "steps": [{"weightPercent": 50}], "stepMinSeconds": 600}


def user_route(name: str = "routes", *, total: int = 100, labels: dict[str, str] | None = None) -> Manifest:
    """A route to the two Services of the model, all of it to stable; it opts in by its label."""
    backends = [
        {"name": NAME, "weight": total, "port": 80},
        {"name": canary_service_name(NAME), "weight": 0, "port": 80},
    ]
    metadata = {"namespace": NAMESPACE, "name": name, "labels": MANAGED if labels is None else labels}
    spec = {"parentRefs": [{"name": "public"}], "rules": [{"backendRefs": backends}]}
    return {"kind": "HTTPRoute", "metadata": metadata, "spec": spec}


def weights(cluster: MemoryCluster, name: str = "routes") -> list[int]:
    """Of stable and of the canary in a route."""
    return [each["weight"] for each in cluster.get("HTTPRoute", name)["spec"]["rules"][0]["backendRefs"]]


async def scaling_up(*, total: int = 100, **spec: Any) -> MemoryCluster:
    """A canary whose pods are ready, and that has no weight yet: the next reconcile gives it."""
    cluster = MemoryCluster()
    cluster.create(user_route(total=total))
    cluster.create(manifest("1", rollout=CANARY, traffic=ROUTE, **spec))
    await cluster.run_until_quiet()
    assert cluster.condition()[:2] == ("True", "Available")
    cluster.spec(model={"version": "2"})
    cluster.watch()
    for _ in range(20):
        if cluster.status().get("canaryRevision") and cluster.has("Deployment", cluster.child("canary")):
            cluster.move()
            cluster.watch()
            cluster.writes()
            return cluster
        await cluster.reconcile()
        cluster.watch()
    raise AssertionError(cluster.condition())


async def routed(*, total: int = 100, **spec: Any) -> MemoryCluster:
    """A canary that has weight in the user's own route."""
    cluster = await scaling_up(total=total, **spec)
    for _ in range(20):
        await cluster.after(1.0)
        if weights(cluster)[1]:
            cluster.writes()
            return cluster
    raise AssertionError(cluster.condition())
