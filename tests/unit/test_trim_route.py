"""HTTPRoutes at the door: weights, and what the Gateways say."""

from typing import Any

import pytest

from builders import NAME, NAMESPACE
from modelward import trim
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


def report(parent: Raw, *conditions: Raw) -> Raw:
    """What a controller says for a Gateway; the defaults of the reference are filled in, as it does."""
    full = {"group": "gateway.networking.k8s.io", "kind": "Gateway", **parent}
    return {
        "parentRef": full,
        "controllerName": "c",
        "conditions": list(conditions or (condition("Accepted"), condition("ResolvedRefs"))),
    }


def seen(*reports: Raw, parents: tuple[Raw, ...] = (PUBLIC,), **metadata: Any) -> Route:
    """The route as it is held."""
    child = trim.child(
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
            "Gateway infra/public: Accepted is False (NoMatchingParent): no listener",
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
            "Gateway infra/public: ResolvedRefs is False (BackendNotFound)",
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
    assert trim.is_labelled({"kind": "HTTPRoute", "metadata": {"labels": labels}})
    assert not trim.is_labelled(
        {"kind": "HTTPRoute", "metadata": {"labels": {"modelward.dev/weights": "no"}}}
    )
    assert not trim.is_labelled({"kind": "Service", "metadata": {"labels": labels}})
