"""What a write that is not taken keeps from being done, and what it does not. Whole ways back are golden stories (F01)."""

from typing import Any

import pytest

from modelward.apply import _held_kinds, _in_the_way

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


@pytest.mark.parametrize(
    ("fields", "keys"),
    [
        pytest.param(["spec.loadBalancerSourceRanges"], ("loadBalancerSourceRanges",), id="somebody's"),
        pytest.param(["spec.LoadBalancerSourceRanges"], ("loadBalancerSourceRanges",), id="as it is told"),
        pytest.param(["spec.loadBalancerSourceRanges[0]"], ("loadBalancerSourceRanges",), id="an item of it"),
        pytest.param(["spec.strategy.rollingUpdate"], (), id="one that is not there"),
        pytest.param(["spec.selector", "spec.ports[0].nodePort"], (), id="ours"),
        pytest.param(["metadata.labels", "spec", ""], (), id="no key of spec"),
    ],
)
def test_f01_what_is_in_the_way_of_a_write(fields: list[str], keys: tuple[str, ...]) -> None:
    """Keys of spec that the API server complains about, that are there, and that are not ours."""
    ours: dict[str, Any] = {"spec": {"type": "ClusterIP", "selector": {}, "ports": []}}
    live = {"spec": {**ours["spec"], "loadBalancerSourceRanges": ["10.0.0.0/8"], "clusterIP": "10.0.0.1"}}
    assert _in_the_way(fields, ours, live) == keys
