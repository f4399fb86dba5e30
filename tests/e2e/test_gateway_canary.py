"""A whole canary through a real gateway: what each step's share of the requests is, and the way back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from demo.traffic import Traffic
from devcluster import Cluster
from devcluster import gateway as gateways
from devcluster import plan as plans
from devcluster.gateway import Gateway
from devcluster.progress import silence
from modelward.api.names import ROUTE_FINALIZER
from modelward.api.times import parse
from support import gateway as requests
from support import served
from support.kubectl import Kubectl
from support.models import KIND, condition, status, wait_quiet, wait_ready
from support.places import SAMPLES
from support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("operator")]

MODEL = "breast-cancer"
REQUESTS = 1_000
TOLERANCE_POINTS = 2.0
SETTLE_SECONDS = 1.0
"""After the gateway has reported on new weights, until it sends by them: its throttle of 0.1 s, ten times."""
APPROVED = "Required"
LONG_SECONDS = 180.0
"""For what waits for the time that a Gateway may lag, half a minute: what is not counted cannot be known to be quiet."""
THROTTLE = "25s"


@pytest.fixture(scope="module", autouse=True)
def runtime(kubectl: Kubectl, node: Cluster) -> None:
    """A runtime of the namespace, without signals: pods' health is all that is judged."""
    kubectl.apply(served.runtime(signals=False, startup_seconds=60))


def model(name: str, traffic: dict[str, Any], version: str = "1", **rollout: Any) -> dict[str, Any]:
    """A ModelDeployment of the test server, which waits for a person at each step."""
    steps = [
        {"weightPercent": 10},
        {"weightPercent": 50, "approval": APPROVED},
        {"weightPercent": 90, "approval": APPROVED},
    ]
    return {
        "apiVersion": "modelward.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {
            "model": {"name": MODEL, "version": version},
            "runtime": {"name": "onnx-server"},
            "replicas": 1,
            "traffic": traffic,
            "rollout": {"steps": steps, "stepMinSeconds": 10, "keepPreviousSeconds": 5, **rollout},
        },
    }


@pytest.fixture(scope="module")
def host(namespace: str) -> str:
    """Host name of the routes: of this run only, in case that an earlier one was killed."""
    return f"{namespace}.example.com"


def own_traffic(gateway: Gateway, host: str) -> dict[str, Any]:
    """A route of the operator's own."""
    parent = {"name": gateway.name, "namespace": gateway.namespace}
    return {"gateway": {"parentRefs": [parent], "hostnames": [host]}}


def user_route(gateway: Gateway, host: str, name: str) -> dict[str, Any]:
    """A route of the user's own."""
    backends = [
        {"name": name, "port": 80, "weight": 1000},
        {"name": f"{name}-canary", "port": 80, "weight": 0},
    ]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop-routes", "labels": {"modelward.dev/weights": "managed"}},
        "spec": {
            "parentRefs": [{"name": gateway.name, "namespace": gateway.namespace}],
            "hostnames": [host],
            "rules": [{"backendRefs": backends}],
        },
    }


NIGHTLY: Final = pytest.mark.integrations
"""Whose route it is: each of the two is tried with one of the two tests in `make test`, with the other at night."""


@pytest.fixture
def serving(
    kubectl: Kubectl, gateway: Gateway, host: str, request: pytest.FixtureRequest
) -> Iterator[Callable[..., dict[str, Any]]]:
    """A model whose version 1 serves through the gateway: what makes its manifest. Deleted afterwards."""
    name, users = f"m-{request.param}", request.param == "users"
    if users:
        kubectl.apply(user_route(gateway, host, name))
    traffic = {"httpRouteRef": {"name": "shop-routes"}} if users else own_traffic(gateway, host)

    def made(version: str, **rollout: Any) -> dict[str, Any]:
        return model(name, traffic, version, **rollout)

    kubectl.apply(made("1"))
    wait_ready(kubectl, name)
    until(lambda: _routed(gateway, host), "the gateway has taken the route")
    yield made
    kubectl("delete", KIND, name, "--cascade=foreground", "--timeout=60s")
    kubectl("delete", "httproute", "shop-routes", "--ignore-not-found")


def _routed(gateway: Gateway, host: str) -> bool:
    with requests.client(host) as caller:
        return caller.get(f"{gateway.url}/v2/models/{MODEL}/ready").is_success


def wait_step(kubectl: Kubectl, name: str, percent: int) -> dict[str, Any]:
    """Wait until the canary has a weight and the next step waits for a person."""

    def found() -> dict[str, Any]:
        seen = status(kubectl, name)
        rollout = seen.get("rollout") or {}
        at = rollout.get("weightPercent") == percent and rollout.get("state") == "AwaitingApproval"
        return seen if at else {}

    return until(
        found, f"{percent}%; it is {status(kubectl, name).get('rollout')}, {condition(kubectl, name)}"
    )


def approve(kubectl: Kubectl, name: str, step: int) -> None:
    """Let the canary go on."""
    revision = status(kubectl, name)["canaryRevision"]
    kubectl("annotate", "--overwrite", KIND, name, f"modelward.dev/approve={revision}/{step}")


def measured(gateway: Gateway, host: str, percent: int) -> None:
    """Count who answers, and compare with the weight."""
    time.sleep(SETTLE_SECONDS)
    found = requests.answers(gateway.url, host, MODEL, REQUESTS)
    print(f"step of {percent}%: {dict(found)}")
    assert found.total() == REQUESTS
    assert requests.percent(found, "2") == pytest.approx(percent, abs=TOLERANCE_POINTS)


def finalizers(kubectl: Kubectl, name: str) -> list[str]:
    """Those of the model."""
    return list((kubectl.get(KIND, name) or {})["metadata"].get("finalizers", []))


@pytest.mark.parametrize("serving", [pytest.param("own", marks=NIGHTLY), "users"], indirect=True)
def test_each_step_has_its_share_and_an_abort_takes_all_back(
    kubectl: Kubectl, gateway: Gateway, host: str, serving: Callable[..., dict[str, Any]]
) -> None:
    """Over 1,000 requests each step is within 2 points; after an abort the canary answers nothing any more."""
    name = serving("1")["metadata"]["name"]
    kubectl.apply(serving("2"))
    for step, percent in enumerate((10, 50)):
        wait_step(kubectl, name, percent)
        measured(gateway, host, percent)
        if step == 0:
            approve(kubectl, name, 1)
    held = [ROUTE_FINALIZER] if "users" in name else []
    assert finalizers(kubectl, name) == held
    with Traffic(gateway.url, MODEL, host=host) as load:
        until(lambda: load.versions()["2"] > 20, "the canary answers")
        canary = status(kubectl, name)["canaryRevision"]
        kubectl("annotate", KIND, name, f"modelward.dev/abort={canary}")
        wait_quiet(kubectl, name, seconds=LONG_SECONDS)
        ended = time.monotonic()
        until(lambda: len(load.samples(ended)) > 50, "version 1 answers")
    assert load.failures() == []
    assert set(load.versions(ended)) == {"1"}
    last = max(sample.time for sample in load.samples() if sample.version == "2")
    decided = parse(status(kubectl, name)["history"][0]["endTime"]).timestamp()
    seconds = last + time.time() - time.monotonic() - decided
    print(f"{name}: last answer of the canary {seconds:.2f} s after the decision")
    until(lambda: finalizers(kubectl, name) == [], "the finalizer is gone")


@pytest.mark.parametrize("serving", ["own", pytest.param("users", marks=NIGHTLY)], indirect=True)
def test_promotion_loses_no_request(
    kubectl: Kubectl, gateway: Gateway, host: str, serving: Callable[..., dict[str, Any]]
) -> None:
    """Version 2 goes out to all through the gateway while clients ask all the time; not one request fails."""
    name = serving("1")["metadata"]["name"]
    with Traffic(gateway.url, MODEL, host=host) as load:
        kubectl.apply(serving("2", steps=[{"weightPercent": 50}], stepMinSeconds=5))
        wait_quiet(kubectl, name, seconds=LONG_SECONDS)
        until(lambda: _latest(load) == {"2"}, "version 2 answers all")
        ended = time.monotonic()
        until(lambda: len(load.samples(ended)) > 50, "version 2 answers after that")
    assert load.failures() == []
    assert set(load.versions(ended)) == {"2"}
    assert status(kubectl, name)["history"][0]["result"] == "Promoted"


def _latest(load: Traffic) -> set[str]:
    """Who gave the latest answers. Status is written before the route, and the Gateway sends by that yet later."""
    return {sample.version for sample in load.samples()[-50:]}


@pytest.fixture
def throttled(cluster: Cluster, gateway: Gateway) -> Iterator[None]:
    """The gateway with a throttle of 25 s: it reports a route at once, and sends by it up to 25 s later."""
    found = plans.load(cluster.name)
    assert found is not None
    gateways.stop(cluster.directory)
    gateways.start(found, cluster.binaries, silence, throttle=THROTTLE)
    try:
        yield
    finally:
        gateways.stop(cluster.directory)
        gateways.start(found, cluster.binaries, silence)


@pytest.mark.integrations
@pytest.mark.parametrize("signals", [True, False], ids=["with counters", "without counters"])
def test_f03_no_request_is_lost_behind_a_gateway_that_sends_late(
    kubectl: Kubectl, gateway: Gateway, host: str, throttled: None, *, signals: bool
) -> None:
    """A good canary is superseded, the next one is aborted; a step with counters begins when requests come."""
    name = f"late-{'counted' if signals else 'uncounted'}"
    kubectl.apply(served.runtime(signals=signals, startup_seconds=60))
    half = {
        "steps": [{"weightPercent": 50, "approval": APPROVED}, {"weightPercent": 90}],
        "stepMinSeconds": 600,
    }

    def wanted(version: str, *, attempt: int = 1) -> dict[str, Any]:
        made = model(name, own_traffic(gateway, host), version, **{**half, "stepMaxSeconds": 900})
        made["spec"]["runtime"]["env"] = [{"name": "ATTEMPT", "value": str(attempt)}]
        return made

    def rollout() -> dict[str, Any]:
        return dict(status(kubectl, name).get("rollout") or {})

    def approved(attempt: int) -> str:
        """Let a canary with version 2 have half of the requests, and wait until it answers."""
        kubectl.apply(wanted("2", attempt=attempt))
        until(
            lambda: rollout().get("state") == "AwaitingApproval" and not rollout().get("weightPercent"),
            "it waits for its approval",
            seconds=LONG_SECONDS,
        )
        began = time.monotonic()
        approve(kubectl, name, 0)
        until(lambda: load.versions(began)["2"] > 20, "the canary answers", seconds=LONG_SECONDS)
        return str(status(kubectl, name)["canaryRevision"])

    kubectl.apply(wanted("1"))
    wait_ready(kubectl, name)
    until(lambda: _routed(gateway, host), "the gateway has taken the route", seconds=LONG_SECONDS)
    try:
        with Traffic(gateway.url, MODEL, host=host) as load:
            first = approved(1)
            if signals:
                answered = next(each.time for each in load.samples() if each.version == "2")
                began = str(until(lambda: rollout().get("stepStartTime"), "the step begins"))
                late = parse(began).timestamp() - time.time() - (answered - time.monotonic())
                print(f"the step began {late:.1f} s after the first answer")
                assert late > 0
            last = approved(2)
            assert last != first
            kubectl("annotate", KIND, name, f"modelward.dev/abort={last}")
            wait_quiet(kubectl, name, seconds=LONG_SECONDS)
            ended = time.monotonic()
            until(lambda: len(load.samples(ended)) > 50, "version 1 answers")
        assert load.failures() == []
        assert set(load.versions(ended)) == {"1"}
    finally:
        kubectl("delete", KIND, name, "--cascade=foreground", "--timeout=60s")
        kubectl.apply(served.runtime(signals=False, startup_seconds=60))


def test_route_goes_with_the_wish_for_it(kubectl: Kubectl, gateway: Gateway, host: str) -> None:
    """A model that asks for no traffic through a gateway any more loses the route, and serves on by its Service."""
    wanted = model("unrouted", own_traffic(gateway, host))
    kubectl.apply(wanted)
    wait_ready(kubectl, "unrouted")
    until(lambda: kubectl.get("httproute", "unrouted"), "there is a route")
    del wanted["spec"]["traffic"]
    kubectl.apply(wanted)
    until(lambda: kubectl.get("httproute", "unrouted") is None, "the route is gone")
    wait_ready(kubectl, "unrouted")
    kubectl("delete", KIND, "unrouted", "--wait=false")


def test_a_model_that_is_deleted_in_a_canary_puts_the_route_back(
    kubectl: Kubectl, gateway: Gateway, host: str
) -> None:
    """The user's weights are theirs again, and the finalizer does not keep the model."""
    kubectl.apply(user_route(gateway, host, "m-gone"))
    traffic = {"httpRouteRef": {"name": "shop-routes"}}
    kubectl.apply(model("m-gone", traffic))
    wait_ready(kubectl, "m-gone")
    kubectl.apply(model("m-gone", traffic, "2"))
    wait_step(kubectl, "m-gone", 10)
    kubectl("delete", KIND, "m-gone", "--timeout=30s")
    route = kubectl.get("httproute", "shop-routes")
    assert route is not None
    weights = [ref["weight"] for ref in route["spec"]["rules"][0]["backendRefs"]]
    assert weights == [1000, 0]
    kubectl("delete", "httproute", "shop-routes")


@pytest.mark.parametrize(
    ("sample", "name"), [("own-route", "behind-gateway"), ("your-route", "your-route")], ids=lambda each: each
)
def test_sample_answers_through_the_gateway(
    kubectl: Kubectl, admin: Kubectl, gateway: Gateway, sample: str, name: str
) -> None:
    """The sample, applied as it stands, is Ready and answers by the host name of its route."""
    files = [SAMPLES / "runtime.yaml", SAMPLES / "gateway" / f"{sample}.yaml"]
    for file in files:
        kubectl("apply", "-f", str(file))
    try:
        wait_ready(kubectl, name)
        until(lambda: _routed(gateway, f"{name}.example.com"), "the gateway has taken the route")
        assert set(requests.answers(gateway.url, f"{name}.example.com", MODEL, 20)) == {"1"}
    finally:
        for file in reversed(files):
            kubectl("delete", "-f", str(file), "--cascade=foreground", "--timeout=60s")
