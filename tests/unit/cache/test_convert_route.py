"""HTTPRoutes at conversion: weights, and what the Gateways say."""

from typing import Any

import pytest

from builders import NAME, NAMESPACE
from modelward.cache import convert
from modelward.rollout.observed import Route

Raw = dict[str, Any]
PUBLIC = {"name": "public", "namespace": "infra"}


def condition(
    kind: str, status: str = "True", generation: int = 3, reason: str = "R", message: str = ""
) -> Raw:
    """A condition of a Gateway's report."""
    return {
        "type": kind,
        "status": status,
        "observedGeneration": generation,
        "reason": reason,
        "message": message,
    }


def report(parent: Raw, *conditions: Raw, controller: str = "c") -> Raw:
    """What a controller says for a Gateway; the defaults of the reference are filled in, as it does."""
    full = {"group": "gateway.networking.k8s.io", "kind": "Gateway", **parent}
    return {
        "parentRef": full,
        "controllerName": controller,
        "conditions": list(conditions or (condition("Accepted"), condition("ResolvedRefs"))),
    }


def seen(*reports: Raw, parents: tuple[Raw, ...] = (PUBLIC,), **metadata: Any) -> Route:
    """The route as it is held."""
    child = convert.child(
        {
            "kind": "HTTPRoute",
            "metadata": {
                "namespace": NAMESPACE,
                "name": "r",
                "uid": "u",
                "resourceVersion": "9",
                "generation": 3,
                **metadata,
            },
            "spec": {
                "parentRefs": list(parents),
                "rules": [{"backendRefs": [{"name": NAME, "weight": 9}, {"name": "other"}]}, {"filters": []}],
            },
            "status": {"parents": list(reports)},
        }
    )
    assert isinstance(child, Route)
    return child


def test_a_route_that_its_gateway_takes() -> None:
    """Its weights by Service; 1 where none is said."""
    route = seen(report(PUBLIC), labels={"modelward.dev/weights": "managed"})
    assert route.rules == (((NAME, 9), ("other", 1)), ())
    assert route.weights == {NAME: 9, "other": 1}
    assert (route.answered, route.accepted, route.resolved, route.opted_in) == (True, True, True, True)
    assert (route.generation, route.observed_generation, route.message) == (3, 3, "")


@pytest.mark.parametrize(
    ("reports", "message"),
    [
        pytest.param([], "Gateway infra/public has not reported on it", id="no report"),
        pytest.param(
            [report({"name": "other", "namespace": "infra"})], "has not reported", id="a report for another"
        ),
        pytest.param(
            [
                report(
                    PUBLIC, condition("Accepted", "False", reason="NoMatchingParent", message="no listener")
                )
            ],
            "Gateway infra/public (controller c): Accepted is False (NoMatchingParent): no listener",
            id="refused",
        ),
        pytest.param(
            [
                report(
                    PUBLIC,
                    condition("Accepted"),
                    condition("ResolvedRefs", "False", reason="BackendNotFound"),
                )
            ],
            "Gateway infra/public (controller c): ResolvedRefs is False (BackendNotFound)",
            id="a backend is missing",
        ),
        pytest.param(
            [report(PUBLIC, condition("Accepted"))], "ResolvedRefs is not reported", id="half a report"
        ),
    ],
)
def test_what_is_wrong_is_said_in_the_gateways_words(reports: list[Raw], message: str) -> None:
    """And the route does not count as taken."""
    route = seen(*reports)
    assert message in route.message
    assert not (route.answered and route.accepted and route.resolved)


@pytest.mark.parametrize("status", ["True", "False"])
@pytest.mark.parametrize("first", [True, False], ids=["left behind first", "left behind last"])
def test_f17_a_report_that_a_former_controller_left_behind_does_not_count(
    status: str, *, first: bool
) -> None:
    """Once another one reports on the present generation: it would be waited for, for ever or for ten seconds."""
    stale = report(
        PUBLIC, condition("Accepted", status, 1), condition("ResolvedRefs", status, 1), controller="former"
    )
    reports = (stale, report(PUBLIC)) if first else (report(PUBLIC), stale)
    route = seen(*reports)
    assert (route.accepted, route.resolved, route.observed_generation, route.message) == (True, True, 3, "")


@pytest.mark.parametrize("first", [True, False])
def test_f17_a_refusal_by_another_controller_does_not_count_once_one_takes_the_generation(
    *, first: bool
) -> None:
    """The Gateway is none of that controller's, and nobody takes its report away; what the other one says counts."""
    foreign = report(
        PUBLIC, condition("Accepted", "False", reason="NotMine"), condition("ResolvedRefs"), controller="x"
    )
    unresolved = condition("ResolvedRefs", "False", reason="BackendNotFound")
    for conditions, resolved in (((), True), ((condition("Accepted"), unresolved), False)):
        ours = report(PUBLIC, *conditions)
        route = seen(*((foreign, ours) if first else (ours, foreign)))
        assert (route.accepted, route.resolved, route.observed_generation) == (True, resolved, 3)
        assert "controller x" not in route.message


def test_f17_two_that_refuse_are_both_refusals() -> None:
    """Nobody takes it: the first is named."""
    no = condition("Accepted", "False", reason="NotMine"), condition("ResolvedRefs")
    route = seen(report(PUBLIC, *no, controller="x"), report(PUBLIC, *no, controller="y"))
    assert (route.answered, route.accepted) == (True, False)
    assert "(controller x)" in route.message


def test_f17_who_refuses_the_present_generation_is_named() -> None:
    """Gateway, controller and reason; an older report that was good does not make up for it."""
    former = report(
        PUBLIC,
        condition("Accepted", generation=1),
        condition("ResolvedRefs", generation=1),
        controller="former",
    )
    refusal = condition("Accepted", "False", reason="NotAllowedByListeners")
    route = seen(former, report(PUBLIC, refusal, condition("ResolvedRefs"), controller="present"))
    assert not route.accepted
    assert route.message == (
        "Gateway infra/public (controller present): Accepted is False (NotAllowedByListeners)"
    )


def test_f17_as_long_as_nobody_reports_on_the_present_generation_all_count() -> None:
    """Who keeps the route from being taken is named: an implementation may never report a later generation."""
    stale = report(PUBLIC, condition("Accepted", "False", 1, reason="Gone"), controller="former")
    lagging = report(
        PUBLIC,
        condition("Accepted", generation=2),
        condition("ResolvedRefs", generation=2),
        controller="present",
    )
    route = seen(stale, lagging)
    assert not route.accepted
    assert "Gateway infra/public (controller former): Accepted is False (Gone)" in route.message


def test_every_gateway_that_is_named_must_agree() -> None:
    """The slowest decides; a Gateway without a namespace is one of the route's own."""
    own = {"name": "own"}
    late = report(
        {"name": "own", "namespace": NAMESPACE},
        condition("Accepted", generation=2),
        condition("ResolvedRefs"),
    )
    assert seen(report(PUBLIC), parents=(PUBLIC, own)).answered is False
    both = seen(report(PUBLIC), late, parents=(PUBLIC, own))
    assert (both.answered, both.observed_generation) == (True, 2)
    assert seen(parents=()).message == "it names no Gateway (spec.parentRefs)"


def test_our_last_write_is_known_by_the_second() -> None:
    """From managedFields; others' writes do not count."""
    fields = [
        {"manager": "modelward", "operation": "Update", "time": "2026-11-22T12:00:00Z"},
        {"manager": "tool", "operation": "Apply", "time": "2026-11-22T13:00:00Z"},
    ]
    written = seen(managedFields=fields).written
    assert written is not None
    assert written.isoformat() == "2026-11-22T12:00:00+00:00"
    assert seen(managedFields=fields[1:]).written is None


def test_watches_show_routes_that_opt_in() -> None:
    """Other kinds by the label of the manager."""
    labels = {"modelward.dev/weights": "managed"}
    assert convert.is_labelled({"kind": "HTTPRoute", "metadata": {"labels": labels}})
    assert not convert.is_labelled(
        {"kind": "HTTPRoute", "metadata": {"labels": {"modelward.dev/weights": "no"}}}
    )
    assert not convert.is_labelled({"kind": "Service", "metadata": {"labels": labels}})
