"""A user's own route: what is asked before the canary is given requests."""

from typing import Any, cast

import pytest

from builders import NAMESPACE, make_model, manifest
from modelward.api.model import Model
from modelward.api.objects import Key
from modelward.cache.store import Store
from modelward.clients.kube import Kube
from modelward.controller.handlers import Intake
from modelward.controller.user_routes import UserRoutes
from modelward.controller.workqueue import WorkQueue
from modelward.errors import Conflict


class OneModel:
    """An API server that has one ModelDeployment."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw

    async def get(self, *_: Any) -> dict[str, Any]:
        """It."""
        return self.raw


def stored(model: Model, decision: int, **metadata: Any) -> dict[str, Any]:
    """The model as the API server has it."""
    raw = manifest("1", name=model.name)
    given = {"namespace": model.namespace, "uid": model.uid, "resourceVersion": "7", "generation": 1}
    return raw | {"metadata": raw["metadata"] | given | metadata, "status": {"decision": decision}}


@pytest.mark.parametrize(
    ("metadata", "decision"),
    [
        pytest.param({"deletionTimestamp": "2026-01-01T00:00:00Z"}, 4, id="it is being deleted"),
        pytest.param({}, 5, id="a later decision"),
        pytest.param({"uid": "another"}, 4, id="another model of that name"),
    ],
)
async def test_no_weight_is_given_for_a_decision_that_is_not_the_latest(
    metadata: dict[str, Any], decision: int
) -> None:
    """A deletion may have overtaken the finalizer: nobody would put the weights back."""
    model = make_model()
    raw = stored(model, decision, **metadata)
    routes = UserRoutes(cast("Kube", OneModel(raw)), Store())
    with pytest.raises(Conflict):
        await routes._confirm(model, 4)


async def test_the_latest_decision_is_acted_upon() -> None:
    """No error."""
    model = make_model()
    await UserRoutes(cast("Kube", OneModel(stored(model, 4))), Store())._confirm(model, 4)


def route(version: int, weight: int = 0) -> dict[str, Any]:
    """A user's own route that allows weights, in its state of that version."""
    services = ("fraud", 100 - weight), ("fraud-canary", weight)
    backends = [{"name": name, "port": 80, "weight": number} for name, number in services]
    return {
        "kind": "HTTPRoute",
        "metadata": {
            "namespace": NAMESPACE,
            "name": "shop",
            "uid": "r",
            "resourceVersion": str(version),
            "generation": version,
            "labels": {"modelward.dev/weights": "managed"},
        },
        "spec": {"parentRefs": [{"name": "public"}], "rules": [{"backendRefs": backends}]},
    }


class OneRoute(OneModel):
    """An API server that has one route, and takes all weights."""

    async def patch(self, *_: Any, **__: Any) -> dict[str, Any]:
        """The next state of it."""
        return route(int(self.raw["metadata"]["resourceVersion"]) + 1, 20)


@pytest.mark.parametrize(
    ("read", "percent"),
    [pytest.param(route(7, 20), 20, id="as it should be"), pytest.param(route(7), 20, id="to be written")],
)
async def test_f25_a_route_that_is_read_newer_than_its_event_brings_a_reconcile(
    read: dict[str, Any], percent: int
) -> None:
    """Of every model that names it: the event, when it comes, shows nothing new, and so brings none."""
    store, queue = Store(), WorkQueue[Key](clock=lambda: 0.0)
    intake = Intake(store, queue)
    for name in ("fraud", "other"):
        raw = manifest("1", name=name, traffic={"httpRouteRef": {"name": "shop"}})
        raw["metadata"] |= {"uid": f"uid-{name}", "resourceVersion": "1", "generation": 1}
        store.put({**raw, "kind": "ModelDeployment"})
    store.put(route(6, 10))
    await UserRoutes(cast("Kube", OneRoute(read)), store)._weigh(make_model(), "shop", percent)
    assert queue.depth() == 2
    intake.event({"type": "MODIFIED", "object": read})
    assert queue.depth() == 2
