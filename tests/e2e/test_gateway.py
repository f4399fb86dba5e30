"""Weights of a route against what a real gateway does with them, and the user's own route in a GitOps tool's hands.

The operator does not run here: its builders and its hands are used, so that each weight is the test's own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import yaml

from demo.traffic import ask
from devcluster import Cluster
from devcluster.gateway import Gateway
from modelward.api.names import ROUTE_FINALIZER
from modelward.projection.route import UserRoute
from support import gateway as requests
from support.kubectl import Kubectl
from support.places import SAMPLES
from support.split import Hands, hands
from support.waiting import PATIENCE_SECONDS, until

pytestmark = pytest.mark.slow

MODEL = "breast-cancer"
REQUESTS = 1_000
TOLERANCE_POINTS = 2.0
THROTTLE_SECONDS = 1.0
"""Ten times that of the cluster's gateway: machines are slow at times."""
ROUTE = "shop-routes"
"""The user's own."""


@pytest.fixture(scope="module")
def runtime() -> dict[str, Any]:
    """The sample runtime, which need not be in the cluster."""
    found: dict[str, Any] = yaml.safe_load((SAMPLES / "runtime.yaml").read_text(encoding="utf-8"))
    return found


def model(name: str, traffic: dict[str, Any]) -> dict[str, Any]:
    """A ModelDeployment of the test server."""
    return {
        "apiVersion": "modelward.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {
            "model": {"format": "onnx", "name": MODEL, "version": "1"},
            "replicas": 1,
            "traffic": traffic,
        },
    }


def host(name: str) -> str:
    """Host name of a model's route."""
    return f"{name}.example.com"


@pytest.fixture
async def own(
    cluster: Cluster, kubectl: Kubectl, gateway: Gateway, runtime: dict[str, Any]
) -> AsyncIterator[Hands]:
    """A model with a route of ours."""
    parent = {"name": gateway.name, "namespace": gateway.namespace}
    traffic = {"gateway": {"parentRefs": [parent], "hostnames": [host("own")]}}
    async with hands(cluster, kubectl, model("own", traffic), runtime) as found:
        await found.offer()
        yield found


@pytest.fixture
async def users(
    cluster: Cluster, kubectl: Kubectl, gateway: Gateway, runtime: dict[str, Any]
) -> AsyncIterator[Hands]:
    """A model whose traffic the user's own route splits."""
    manifest = model("users", {"httpRouteRef": {"name": ROUTE}})
    async with hands(cluster, kubectl, manifest, runtime) as found:
        await found.offer()
        kubectl.apply(user_route(gateway))
        yield found
        kubectl("delete", "httproute", ROUTE, "--ignore-not-found")


def user_route(gateway: Gateway, *, labels: dict[str, str] | None = None) -> dict[str, Any]:
    """The user's route: a rule with a filter and a third backend, one with other sums, one that is not for us."""
    both = [{"name": "users", "port": 80, "weight": 100}, {"name": "users-canary", "port": 80, "weight": 0}]
    coarse = [{"name": "users-canary", "port": 80, "weight": 0}, {"name": "users", "port": 80, "weight": 10}]
    added = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"add": [{"name": "x", "value": "y"}]}}
    elsewhere = [{"name": "not-ours", "port": 80, "weight": 7}]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": ROUTE,
            "labels": {"modelward.dev/weights": "managed"} if labels is None else labels,
        },
        "spec": {
            "parentRefs": [{"name": gateway.name, "namespace": gateway.namespace}],
            "hostnames": [host("users")],
            "rules": [
                {"matches": [{"path": {"value": "/coarse"}}], "backendRefs": coarse},
                {"filters": [added], "backendRefs": [*both, *elsewhere]},
                {"matches": [{"path": {"value": "/elsewhere"}}], "backendRefs": elsewhere},
            ],
        },
    }


def weights(kubectl: Kubectl) -> list[dict[str, int]]:
    """Weights by backend, of each rule of the user's route."""
    route = kubectl.get("httproute", ROUTE)
    assert route is not None
    return [
        {ref["name"]: ref.get("weight", 1) for ref in rule["backendRefs"]} for rule in route["spec"]["rules"]
    ]


def without_weights(route: dict[str, Any]) -> dict[str, Any]:
    """Everything of a route that is not ours to say."""
    spec: dict[str, Any] = json.loads(json.dumps(route["spec"]))
    for rule in spec["rules"]:
        for ref in rule["backendRefs"]:
            ref.pop("weight")
    kept = {
        key: route["metadata"].get(key) for key in ("labels", "annotations", "ownerReferences", "finalizers")
    }
    return {"spec": spec, **kept}


async def eventually(found: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for what the cluster shows."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await found():  # noqa: ASYNC110 - nobody sets an event when a cluster changes
            await asyncio.sleep(0.05)


async def in_effect(found: Hands, percent: int) -> None:
    """Wait until the gateway has taken a weight.

    Traefik reports on a route while it reads it, and sends by it within its throttle of 0.1 s.
    """

    async def there() -> bool:
        return (await found.reached(percent)).done

    await eventually(there, f"{percent}% is in effect")
    await asyncio.sleep(THROTTLE_SECONDS)


async def test_split_is_what_the_weights_say(own: Hands, gateway: Gateway) -> None:
    """Over 1,000 requests the canary's share is within 2 points of its weight, for two weights in a row."""
    await own.serve()
    for percent in (10, 50):
        await own.weigh(percent)
        await in_effect(own, percent)
        await asyncio.to_thread(requests.wait_served, gateway.url, host("own"), MODEL)
        found = await asyncio.to_thread(requests.answers, gateway.url, host("own"), MODEL, REQUESTS)
        print(f"weight {percent}: {dict(found)}")
        assert found.total() == REQUESTS
        assert requests.percent(found, "2") == pytest.approx(percent, abs=TOLERANCE_POINTS)


async def test_weight_zero_is_followed_at_once(own: Hands, gateway: Gateway) -> None:
    """Once weight 0 is in effect no request reaches the canary, on connections that are kept alive, too."""
    await own.serve()
    with requests.client(host("own")) as caller:
        await own.weigh(50)
        await in_effect(own, 50)
        await asyncio.to_thread(requests.wait_served, gateway.url, host("own"), MODEL)
        until(lambda: ask(caller, gateway.url, MODEL).version == "2", "the canary answers")
        await own.weigh(0)
        await in_effect(own, 0)
        assert {ask(caller, gateway.url, MODEL).version for _ in range(200)} == {"1"}


async def test_own_route_is_written_once_and_corrected(own: Hands, kubectl: Kubectl) -> None:
    """An unchanged route is not written again; somebody's weights are replaced by ours."""
    await own.weigh(10)
    await in_effect(own, 10)
    assert (await own.weigh(10)).writes == 0
    kubectl.patch(
        "httproute", "own", [{"op": "replace", "path": "/spec/rules/0/backendRefs/1/weight", "value": 90}]
    )
    assert not (await own.reached(10)).done
    assert (await own.weigh(10)).writes == 1
    await in_effect(own, 10)


async def test_a_gateway_that_is_not_there_is_reported(own: Hands, kubectl: Kubectl) -> None:
    """A route that no Gateway takes is not in effect, and the message names the Gateway."""
    kubectl.patch(
        "modeldeployment",
        "own",
        {"spec": {"traffic": {"gateway": {"parentRefs": [{"name": "nowhere"}]}}}},
    )
    await own.weigh(10)
    found = await own.reached(10)
    assert not found.done
    assert f"{kubectl.namespace}/nowhere" in found.message


async def test_a_backend_that_is_missing_is_reported(own: Hands, kubectl: Kubectl) -> None:
    """The gateway's own words about a Service that is not there are a problem that is shown."""
    await own.weigh(10)
    await in_effect(own, 10)
    canary = own.model().status.canary_revision
    kubectl("delete", "service", f"own-{canary}")

    async def reported() -> bool:
        return (await own.reached(10)).problem is not None

    await eventually(reported, "the problem is seen")
    problem = (await own.reached(10)).problem
    assert problem is not None
    assert "ResolvedRefs is False (BackendNotFound)" in problem.message


async def test_users_route_gets_weights_and_nothing_else(
    users: Hands, kubectl: Kubectl, gateway: Gateway
) -> None:
    """Only the weights of our two Services move, their sums stay, and the split is what they say."""
    before = kubectl.get("httproute", ROUTE)
    assert before is not None
    await users.apply(user_route=UserRoute(name=ROUTE, weight_percent=20))
    assert weights(kubectl) == [
        {"users-canary": 2, "users": 8},
        {"users": 80, "users-canary": 20, "not-ours": 7},
        {"not-ours": 7},
    ]
    after = kubectl.get("httproute", ROUTE)
    assert after is not None
    assert without_weights(after) == without_weights(before)
    assert (await users.apply(user_route=UserRoute(name=ROUTE, weight_percent=20))).writes == 0


async def test_users_route_is_split_and_put_back(users: Hands, kubectl: Kubectl, gateway: Gateway) -> None:
    """The gateway splits by the weights; with the canary's weight the finalizer goes, too."""
    await users.serve()
    plain = user_route(gateway)
    plain["spec"]["rules"] = [{"backendRefs": plain["spec"]["rules"][1]["backendRefs"][:2]}]
    kubectl.apply(plain)
    await users.apply(user_route=UserRoute(name=ROUTE, weight_percent=25))
    await in_effect(users, 25)
    assert finalizers(kubectl) == [ROUTE_FINALIZER]
    await asyncio.to_thread(requests.wait_served, gateway.url, host("users"), MODEL)
    found = await asyncio.to_thread(requests.answers, gateway.url, host("users"), MODEL, REQUESTS)
    print(f"user's route, weight 25: {dict(found)}")
    assert requests.percent(found, "2") == pytest.approx(25, abs=TOLERANCE_POINTS)
    for _ in range(2):
        await users.apply(user_route=UserRoute(name=ROUTE, weight_percent=0))
    assert weights(kubectl) == [{"users": 100, "users-canary": 0}]
    assert finalizers(kubectl) == []


def finalizers(kubectl: Kubectl) -> list[str]:
    """Those of the model."""
    found = kubectl.get("modeldeployment", "users")
    assert found is not None
    return list(found["metadata"].get("finalizers", []))


async def test_a_route_that_is_not_named_any_more_is_put_back(users: Hands, kubectl: Kubectl) -> None:
    """When spec names no route any more, the one that was given weights gets its own again."""
    await users.apply(user_route=UserRoute(name=ROUTE, weight_percent=20))
    await users.apply(user_route=None)
    assert weights(kubectl)[1] == {"users": 100, "users-canary": 0, "not-ours": 7}
    await users.apply(user_route=None)
    assert finalizers(kubectl) == []


def but_for_the_gateway(kubectl: Kubectl) -> dict[str, Any]:
    """The user's route and who has written it, without the status, which the Gateway writes when it likes."""
    found = kubectl.get("httproute", ROUTE) or {}
    found.pop("status", None)
    if found:
        metadata = found["metadata"]
        del metadata["resourceVersion"]
        fields = metadata["managedFields"]
        metadata["managedFields"] = [each for each in fields if each.get("subresource") != "status"]
    return found


@pytest.mark.parametrize(
    ("blocker", "problem_text"),
    [
        pytest.param("missing", "is not in namespace", id="it is missing"),
        pytest.param("unlabelled", "label it modelward.dev/weights=managed", id="it does not opt in"),
        pytest.param("strange", "has no rule that sends to both Services", id="it has no canary"),
    ],
)
async def test_a_users_route_that_cannot_be_used_is_left_alone_and_reported(
    users: Hands, kubectl: Kubectl, gateway: Gateway, blocker: str, problem_text: str
) -> None:
    """Each with the field and the remedy, and without a write."""
    if blocker == "missing":
        kubectl("delete", "httproute", ROUTE)
    elif blocker == "unlabelled":
        kubectl("label", "httproute", ROUTE, "modelward.dev/weights-")
        await users.reconcile_once()
        users.store.drop("HTTPRoute")  # what the watch does when the label goes
    else:
        strange = user_route(gateway)
        del strange["spec"]["rules"][0], strange["spec"]["rules"][0]["backendRefs"][1]
        kubectl.apply(strange)
    before = but_for_the_gateway(kubectl)
    await users.apply(user_route=UserRoute(name=ROUTE, weight_percent=20))
    assert but_for_the_gateway(kubectl) == before
    found = await users.reached(20)
    assert not found.done
    assert found.problem is not None
    assert problem_text in found.problem.message
    assert "spec.traffic.httpRouteRef" in found.problem.message


def applied_by_a_tool(kubectl: Kubectl, manifest: dict[str, Any]) -> None:
    """Server-side apply with force, as Argo CD and Flux do it."""
    kubectl(
        *("apply", "--server-side", "--force-conflicts", "--field-manager=tool", "-f", "-"),
        stdin=json.dumps(manifest),
    )


async def test_a_tool_that_applies_the_route_again(users: Hands, kubectl: Kubectl, gateway: Gateway) -> None:
    """It takes the weights back each time, unless it is asked to leave the live ones as they are."""
    in_git = user_route(gateway)
    applied_by_a_tool(kubectl, in_git)
    await users.apply(user_route=UserRoute(name=ROUTE, weight_percent=20))
    live = weights(kubectl)
    version = (kubectl.get("httproute", ROUTE) or {})["metadata"]["resourceVersion"]

    ignoring_weights = json.loads(json.dumps(in_git))
    for rule, found in zip(ignoring_weights["spec"]["rules"], live, strict=True):
        for ref in rule["backendRefs"]:
            ref["weight"] = found[ref["name"]]
    applied_by_a_tool(kubectl, ignoring_weights)
    assert weights(kubectl) == live

    applied_by_a_tool(kubectl, in_git)
    assert weights(kubectl)[1]["users-canary"] == 0, "the tool was shown nothing"
    assert not (await users.reached(20)).done
    await users.apply(user_route=UserRoute(name=ROUTE, weight_percent=20))
    assert weights(kubectl) == live

    nothing_said = json.loads(json.dumps(in_git))
    for rule in nothing_said["spec"]["rules"]:
        for ref in rule["backendRefs"]:
            del ref["weight"]
    applied_by_a_tool(kubectl, nothing_said)
    assert weights(kubectl)[1] == {"users": 1, "users-canary": 1, "not-ours": 1}, "absent is 1, not unchanged"
    assert version != (kubectl.get("httproute", ROUTE) or {})["metadata"]["resourceVersion"]
    problem = (await users.reached(20)).problem
    assert problem is not None
    assert "sum to 2" in problem.message


async def test_a_tool_that_leaves_the_rules_out(users: Hands, kubectl: Kubectl, gateway: Gateway) -> None:
    """It loses them, unless we have written them before: why docs/traffic.md warns of it."""
    in_git = user_route(gateway)
    without_rules = json.loads(json.dumps(in_git))
    del without_rules["spec"]["rules"]
    applied_by_a_tool(kubectl, in_git)
    await users.apply(user_route=UserRoute(name=ROUTE, weight_percent=20))
    live = weights(kubectl)
    applied_by_a_tool(kubectl, without_rules)
    assert weights(kubectl) == live
    kubectl("delete", "httproute", ROUTE)
    applied_by_a_tool(kubectl, in_git)
    applied_by_a_tool(kubectl, without_rules)
    assert "backendRefs" not in (kubectl.get("httproute", ROUTE) or {})["spec"]["rules"][0]
