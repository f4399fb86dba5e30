"""Weights in a route of ours, and the patch that sets them in a user's own."""

import copy
import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NAME, NAMESPACE, make_model, make_revision
from modelward.api.revision import Revision
from modelward.projection import route, service
from modelward.projection.metadata import intent_hash
from modelward.simulator.json_patch import patched
from modelward.traffic_shares import Pair

GATEWAY = {"parentRefs": [{"name": "public", "namespace": "infra", "sectionName": "web", "port": 443}]}
A, B = "bcdfghjklm", "npqrstvwxz"
STABLE, CANARY = {"name": NAME, "port": 80}, {"name": f"{NAME}-canary", "port": 80}


def own(canary: str | None = B, percent: int = 10, **gateway: Any) -> dict[str, Any]:
    """Our own route."""
    model = make_model("1", traffic={"gateway": {**GATEWAY, **gateway}})
    return route.http_route(model, A, canary, percent)


def users(*rules: list[dict[str, Any]]) -> dict[str, Any]:
    """A user's route with these backends."""
    return {
        "metadata": {"name": "r", "namespace": NAMESPACE, "uid": "u", "resourceVersion": "7"},
        "spec": {"rules": [{"backendRefs": list(each)} for each in rules]},
    }


def weighed(raw: dict[str, Any], percent: int) -> list[list[Any]]:
    """The weights after the patch; whatever else it changes fails the test."""
    operations = [each for each in route.user_route_patch(raw, NAME, percent) if each["op"] != "test"]
    after = patched(raw, operations)
    bare = copy.deepcopy((raw, after))
    for each in bare:
        for rule in each["spec"]["rules"]:
            for ref in rule["backendRefs"]:
                ref.pop("weight", None)
    assert bare[0] == bare[1]
    return [[ref.get("weight") for ref in rule["backendRefs"]] for rule in after["spec"]["rules"]]


def test_own_route_sends_shares_to_the_revisions_services() -> None:
    """By name, to port 80, and in sum 100; with the label by which routes are watched."""
    made = own()
    (rule,) = made["spec"]["rules"]
    assert rule["backendRefs"] == [
        {"name": f"{NAME}-{A}", "port": 80, "weight": 90},
        {"name": f"{NAME}-{B}", "port": 80, "weight": 10},
    ]
    assert made["spec"]["parentRefs"] == GATEWAY["parentRefs"]
    assert made["metadata"]["labels"]["modelward.dev/weights"] == "managed"
    assert {each["name"] for each in rule["backendRefs"]} == {
        service.revision_service(make_model("1"), revision)["metadata"]["name"]
        for revision in (make_revision_named(A), make_revision_named(B))
    }


def make_revision_named(name: str) -> Revision:
    """A snapshot of that name."""
    return dataclasses.replace(make_revision("1"), name=name)


def test_own_route_without_a_canary_has_one_backend() -> None:
    """It gets all, whatever weight was asked for."""
    (rule,) = own(canary=None, percent=30)["spec"]["rules"]
    assert rule["backendRefs"] == [{"name": f"{NAME}-{A}", "port": 80, "weight": 100}]


def test_host_names_that_were_taken_away_are_written_away() -> None:
    """An empty list is said, because a key that is not said stays as it is."""
    assert own(hostnames=["a.example.com"])["spec"]["hostnames"] == ["a.example.com"]
    assert own()["spec"]["hostnames"] == []
    assert intent_hash(own(percent=10)) != intent_hash(own(percent=11))


def test_a_model_without_a_gateway_has_no_route() -> None:
    """To ask for one is a bug."""
    with pytest.raises(ValueError, match=r"spec\.traffic\.gateway"):
        route.http_route(make_model("1"), A, None, 0)


@pytest.mark.parametrize(
    ("weights", "percent", "expected"),
    [
        pytest.param((100, 0), 5, [95, 5], id="the usual sum"),
        pytest.param((0, 100), 5, [95, 5], id="whoever has the weight now"),
        pytest.param((1000, 0), 25, [750, 250], id="another sum"),
        pytest.param((10, 0), 25, [8, 2], id="a small sum gives less, never more"),
        pytest.param((None, None), 50, [1, 1], id="absent weights are 1 each"),
        pytest.param((None, None), 5, [2, 0], id="and cannot be split into 5 percent"),
        pytest.param((100, 0), 100, [0, 100], id="everything"),
        pytest.param((60, 40), 0, [100, 0], id="nothing"),
    ],
)
def test_users_weights_keep_their_sum(
    weights: tuple[int | None, int | None], percent: int, expected: list[int]
) -> None:
    """What the user wrote in sum stays."""
    refs = [
        {**ref, "weight": weight} if weight is not None else dict(ref)
        for ref, weight in zip((STABLE, CANARY), weights, strict=True)
    ]
    assert [each if each is not None else 1 for each in weighed(users(refs), percent)[0]] == expected


@given(st.integers(0, 1_000_000), st.integers(0, 1_000_000), st.integers(0, 100))
def test_any_weights_keep_their_sum_and_never_give_more(stable: int, canary: int, percent: int) -> None:
    """For all sums and shares; and what is written once is not written again."""
    before = Pair(stable=stable, canary=canary)
    after = before.having(percent)
    assert after.total == before.total
    assert min(after.stable, after.canary) >= 0
    assert after.canary * 100 <= percent * after.total < after.canary * 100 + 100
    assert after.having(percent) == after
    refs = [{**STABLE, "weight": stable}, {**CANARY, "weight": canary}]
    assert weighed(users(refs), percent) == [[after.stable, after.canary]]


@pytest.mark.parametrize(
    "refs",
    [
        pytest.param([{**STABLE, "weight": 100}], id="no canary"),
        pytest.param([{**CANARY, "weight": 100}], id="no stable"),
        pytest.param([STABLE, STABLE, CANARY], id="one of them twice"),
        pytest.param([{**STABLE, "namespace": "elsewhere"}, CANARY], id="another namespace"),
        pytest.param([{**STABLE, "kind": "Import", "group": "x.io"}, CANARY], id="another kind"),
        pytest.param([], id="no backends"),
    ],
)
def test_a_rule_that_does_not_name_both_services_once_is_left_alone(refs: list[dict[str, Any]]) -> None:
    """Nothing is written."""
    assert route.user_route_patch(users(refs), NAME, 10) == []


def test_the_patch_says_what_it_expects_to_find() -> None:
    """The object, its state, and the name behind each weight: whoever moved a backend makes it fail."""
    third = {"name": "third", "port": 80, "weight": 3}
    raw = users([third], [third, {**CANARY, "weight": 0}, {**STABLE, "weight": 10, "namespace": NAMESPACE}])
    assert route.user_route_patch(raw, NAME, 10) == [
        {"op": "test", "path": "/metadata/uid", "value": "u"},
        {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "test", "path": "/spec/rules/1/backendRefs/1/name", "value": f"{NAME}-canary"},
        {"op": "add", "path": "/spec/rules/1/backendRefs/1/weight", "value": 1},
        {"op": "test", "path": "/spec/rules/1/backendRefs/2/name", "value": NAME},
        {"op": "add", "path": "/spec/rules/1/backendRefs/2/weight", "value": 9},
    ]
    assert route.user_route_patch(raw, NAME, 0) == []


def test_services_of_a_model() -> None:
    """One address for clients, one backend per revision, and one name for the canary that never changes."""
    model, revision = make_model("1"), make_revision_named(A)
    assert (
        service.service(model, revision)["spec"]["selector"]
        == service.revision_service(model, revision)["spec"]["selector"]
    )
    assert "modelward.dev/revision" not in service.service(model, revision, shared=True)["spec"]["selector"]
    canary = service.canary_service(model, revision)
    assert canary["metadata"]["name"] == f"{NAME}-canary"
    assert canary["spec"]["selector"]["modelward.dev/revision"] == A
