"""What a write that is not taken keeps from being done, and what it does not. Whole ways back are golden stories (F01)."""

import pytest

from modelward.controller.apply import _held_kinds, _in_the_way

STABLE, CANARY = ("Deployment", "fraud-a"), ("Deployment", "fraud-b")
SERVICE, ROUTE = ("Service", "fraud"), ("HTTPRoute", "fraud")
BUDGET, SNAPSHOT = ("PodDisruptionBudget", "fraud"), ("ControllerRevision", "fraud-b")


@pytest.mark.parametrize(
    ("unwritten", "live", "held"),
    [
        pytest.param(set(), {STABLE, CANARY}, set(), id="all is written"),
        pytest.param({SERVICE}, {STABLE, CANARY}, {"HTTPRoute"}, id="a Service"),
        pytest.param({ROUTE}, {STABLE, CANARY}, {"Service"}, id="a route, which may still name a Service"),
        pytest.param({BUDGET, SNAPSHOT}, {STABLE, CANARY}, set(), id="nothing that sends requests"),
        pytest.param({STABLE}, {STABLE, CANARY}, set(), id="stable, which is there"),
        pytest.param({STABLE}, {CANARY}, {"Deployment"}, id="stable, which is not there"),
        pytest.param(set(), {CANARY}, {"Deployment"}, id="stable, which was just made"),
    ],
)
def test_f01_what_may_not_be_deleted_yet(
    unwritten: set[tuple[str, str]], live: set[tuple[str, str]], held: set[str]
) -> None:
    """Only what a thing that is not as it should be may still send to."""
    assert {*_held_kinds(unwritten, {STABLE, SERVICE, ROUTE, BUDGET, SNAPSHOT}, live)} == held


RANGES, PORTS = "/spec/loadBalancerSourceRanges", "/spec/healthCheckNodePort"


@pytest.mark.parametrize(
    ("fields", "removed", "more"),
    [
        pytest.param(
            ["spec.LoadBalancerSourceRanges"], (), (RANGES,), id="somebody's, as Kubernetes spells it"
        ),
        pytest.param(["spec.loadBalancerSourceRanges[0]"], (), (RANGES,), id="an item of it"),
        pytest.param(
            ["spec.loadBalancerSourceRanges"], (RANGES,), (RANGES, PORTS), id="it was not that alone"
        ),
        pytest.param(["spec.ports[0].nodePort"], (), (RANGES, PORTS), id="ours: because of something else"),
        pytest.param(["spec", ""], (), (RANGES, PORTS), id="no field of spec, but the whole of it"),
        pytest.param([""], (), (), id="nothing of the object: a policy, say"),
        pytest.param([], (), (), id="no cause"),
        pytest.param(["spec.ports"], (RANGES, PORTS), (), id="nothing is left to remove"),
    ],
)
def test_f01_what_is_in_the_way_of_a_write(
    fields: list[str], removed: tuple[str, ...], more: tuple[str, ...]
) -> None:
    """First what the API server complains of, then all that others have set beside ours."""
    assert _in_the_way(fields, (RANGES, PORTS), removed) == more
