"""What stands in the way of a rollback, and of what comes after it, in rehearsals: nobody gets what nobody decided."""

from typing import Any

import pytest

from builders import NAME, NAMESPACE
from golden.acts import annotate, becomes, canary, change, create, lose_node, other, stable
from golden.script import GATEWAY, judged, routed
from golden.scripts.refusals import HALF, _freeze
from golden.scripts.routes import USERS, _route
from modelward.api.objects import Manifest
from modelward.simulator.simulation import Act, Simulation

ROUTE = "shop-routes"
PAUSED: dict[str, Any] = {"rollout": {"steps": [{"weightPercent": 50}], "paused": True}}


def played(*acts: Act, until: float) -> Simulation:
    """The world after so many seconds."""
    sim = Simulation(acts)
    sim.run(until)
    return sim


def status(sim: Simulation) -> Manifest:
    """Status of the model."""
    return dict(sim.model()["status"])


def rollout(sim: Simulation) -> Manifest:
    """What status says of the rollout; empty when there is none."""
    return dict(status(sim).get("rollout") or {})


def selected(sim: Simulation, service: str) -> str:
    """The revision that a Service leads to."""
    return str(sim.server.get("Service", NAMESPACE, service)["spec"]["selector"]["modelward.dev/revision"])


def share(sim: Simulation, route: str, service: str) -> int:
    """The weight of a Service in the last rule of a route."""
    backends = sim.server.get("HTTPRoute", NAMESPACE, route)["spec"]["rules"][-1]["backendRefs"]
    return sum(each.get("weight", 1) for each in backends if each["name"] == service)


def unlabelled(sim: Simulation) -> None:
    """The user takes the label off their route."""
    place = "HTTPRoute", NAMESPACE, ROUTE
    sim.server.change(place, "kubectl", lambda raw: raw["metadata"].update(labels={}))


def budget_edited(sim: Simulation) -> None:
    """Somebody changes the disruption budget, so that it is written again."""
    place = "PodDisruptionBudget", NAMESPACE, NAME
    sim.server.change(place, "kubectl", lambda raw: raw["spec"].update(maxUnavailable=2))


@pytest.mark.parametrize(
    "blocker",
    [
        pytest.param(_freeze(75, "patch HTTPRoute"), id="refused"),
        pytest.param(other(75, "takes the label off", unlabelled), id="not ours to write any more"),
    ],
)
def test_f01_no_canary_inherits_the_weight_of_the_one_before_in_a_users_route(blocker: Act) -> None:
    """A route that still gives half to the Service of the canary leads to stable, until it may be written."""
    half = create(0, **judged(traffic=USERS, **HALF))
    sim = played(
        _route(0), half, change(60, "2"), blocker, annotate(80, "abort", canary), change(120, "3"), until=150
    )
    service = f"{NAME}-canary"
    assert share(sim, ROUTE, service) == 50
    assert selected(sim, service) == status(sim)["stableRevision"]
    assert not rollout(sim).get("weightPercent")


def test_f01_no_canary_inherits_the_weight_of_the_one_before_in_a_route_of_ours() -> None:
    """The same version comes again, so that its Service has the same name."""
    sim = played(
        create(0, **routed(**HALF)),
        change(60, "2"),
        _freeze(75, "patch HTTPRoute"),
        change(80, "1"),
        change(120, "2"),
        until=150,
    )
    backends = sim.server.get("HTTPRoute", NAMESPACE, NAME)["spec"]["rules"][-1]["backendRefs"]
    led = {selected(sim, each["name"]) for each in backends if each.get("weight")}
    assert len(backends) == 2
    assert led == {status(sim)["stableRevision"]}


@pytest.mark.parametrize("traffic", [GATEWAY, USERS], ids=["own", "users"])
def test_f01_the_share_of_a_canary_that_lost_its_pods_comes_to_stable(traffic: Any) -> None:
    """Its weight is taken from it, the route may not be written, and nobody is sent to a Service without pods."""
    sim = played(
        *((_route(0),) if traffic == USERS else ()),
        create(0, **judged(traffic=traffic, **HALF)),
        change(60, "2"),
        _freeze(75, "patch HTTPRoute"),
        other(79, "has no room any more", lambda sim: setattr(sim.world, "room", 2)),
        lose_node(80, canary, 2),
        until=110,
    )
    service = f"{NAME}-canary" if traffic == USERS else f"{NAME}-{status(sim)['canaryRevision']}"
    assert not rollout(sim).get("weightPercent")
    assert selected(sim, service) == status(sim)["stableRevision"]


@pytest.mark.parametrize("reason", ["Invalid", "InternalError", "Conflict"])
def test_f01_a_deployment_that_cannot_be_deleted_has_no_pods(reason: str) -> None:
    """Whatever the API server answers."""
    sim = played(
        create(0, **judged(**HALF)),
        change(60, "2"),
        _freeze(75, "patch Service", "delete Deployment", reason=reason),
        annotate(80, "abort", canary),
        until=130,
    )
    stable = status(sim)["stableRevision"]
    others = [each for each in sim.server.find("Deployment") if stable not in each["metadata"]["name"]]
    assert [each["spec"]["replicas"] for each in others] == [0]


@pytest.mark.parametrize("reason", ["Invalid", "InternalError"])
def test_f01_a_route_gives_no_weight_to_a_service_that_could_not_be_created(reason: str) -> None:
    """Half of the requests would come to nothing."""
    sim = played(
        create(0, **routed(**HALF)), _freeze(50, "create Service", reason=reason), change(60, "2"), until=100
    )
    there = {each["metadata"]["name"] for each in sim.server.find("Service")}
    backends = sim.server.get("HTTPRoute", NAMESPACE, NAME)["spec"]["rules"][-1]["backendRefs"]
    assert {each["name"] for each in backends if each.get("weight")} <= there


def test_f01_an_event_names_the_service_though_something_else_was_refused_before() -> None:
    """Each object once."""
    sim = played(
        create(0, **judged(replicas=3, **HALF)),
        change(60, "2"),
        _freeze(70, "patch PodDisruptionBudget"),
        other(71, "edits the budget", budget_edited),
        _freeze(75, "patch Service"),
        annotate(80, "abort", canary),
        until=150,
    )
    events = [each for each in sim.server.find("Event") if each["reason"] == "Refused"]
    assert any(f"Service {NAME}" in each["note"] for each in events)
    assert any(f"PodDisruptionBudget {NAME}" in each["note"] for each in events)


# --- a Service that stays with a promoted revision ----------------------------------------------------------

PROMOTED: dict[str, Any] = {"rollout": {"steps": [{"weightPercent": 50}], "keepPreviousSeconds": 600}}


def condition(sim: Simulation, kind: str) -> Manifest:
    """A condition of the model."""
    return next(each for each in status(sim)["conditions"] if each["type"] == kind)


@pytest.mark.parametrize("reason", ["Invalid", "InternalError", "Conflict"])
def test_f01_status_says_who_gets_the_requests_when_the_service_stays_with_the_promoted_revision(
    reason: str,
) -> None:
    """It was rejected after its promotion, and the Service may not be switched back."""
    sim = played(
        create(0, **judged(**PROMOTED)),
        change(60, "2"),
        _freeze(120, "patch Service", reason=reason),
        annotate(125, "abort", stable),
        until=150,
    )
    bad, good = (status(sim)[f"{role}Revision"] for role in ("canary", "stable"))
    assert selected(sim, NAME) == bad
    assert rollout(sim)["actualWeightPercent"] == 100
    assert f"{good} has ready pods and gets no requests" in condition(sim, "Ready")["message"]
    assert condition(sim, "Available")["status"] == "True"
    assert f"still leads to {bad}, which gets all requests" in condition(sim, "Available")["message"]
    assert f"{good} goes on serving" not in str([each["message"] for each in status(sim)["conditions"]])


def test_f01_nothing_is_available_when_the_service_stays_with_a_revision_without_a_ready_pod() -> None:
    """Stable has ready pods, and no request comes to them."""
    sim = played(
        create(0, **judged(**PROMOTED)),
        change(60, "2"),
        _freeze(120, "patch Service"),
        becomes(125, "2", crash_after_seconds=0),
        until=150,
    )
    assert selected(sim, NAME) == status(sim)["canaryRevision"]
    assert condition(sim, "Available")["status"] == "False"


def test_f01_a_promotion_that_the_service_does_not_follow_claims_no_traffic() -> None:
    """The Service may not be switched to the promoted revision, and the way there had no step."""
    direct = {"rollout": {"strategy": "BlueGreen", "keepPreviousSeconds": 600}}
    sim = played(
        create(0, **judged(**direct)),
        _freeze(50, "patch Service", reason="InternalError"),
        change(60, "2"),
        until=150,
    )
    assert selected(sim, NAME) == status(sim)["previousRevision"]
    assert rollout(sim)["actualWeightPercent"] == 0
    assert condition(sim, "Ready")["status"] != "True"
