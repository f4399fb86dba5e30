"""Whether a weight is in effect, by what a route shows; and what its user must repair."""

from dataclasses import replace
from typing import Any

import pytest

from builders import NAME, NAMESPACE, UID, before, make_model, make_observed, make_status
from modelward.api.conditions import Reason
from modelward.rollout.observed import Observed, Route
from modelward.rollout.routing import TAKEN_FOR_GRANTED_SECONDS, problem, reached, wake_after
from modelward.traffic_shares import Rule

A, B = "bcdfghjklm", "npqrstvwxz"
STABLE, CANARY = NAME, f"{NAME}-canary"
OF_A, OF_B = f"{NAME}-{A}", f"{NAME}-{B}"
OWN = {"gateway": {"parentRefs": [{"name": "public"}]}}
USERS = {"httpRouteRef": {"name": "shop"}}


def route(*rules: Rule, own: bool = True, **fields: Any) -> Route:
    """A route that its Gateway has taken as it is."""
    return Route(
        kind="HTTPRoute",
        namespace=NAMESPACE,
        name=NAME if own else "shop",
        uid="u",
        resource_version="1",
        owner_uid=UID if own else None,
        own=own,
        **{
            "rules": rules,
            "opted_in": True,
            "generation": 4,
            "observed_generation": 4,
            "answered": True,
            "accepted": True,
            "resolved": True,
            **fields,
        },
    )


def observed(found: Route | None, *, canary: str = B) -> Observed:
    """The world of a model with a canary and this route."""
    traffic: dict[str, Any] = {} if found is None else {"traffic": OWN if found.own else USERS}
    model = make_model("1", status=make_status(A, canary_revision=canary), **traffic)
    return replace(make_observed(model), route=found)


@pytest.mark.parametrize(
    ("found", "percent", "done"),
    [
        pytest.param(None, 10, True, id="no route to ask"),
        pytest.param(route(((OF_A, 90), (OF_B, 10))), 10, True, id="as decided"),
        pytest.param(route(((OF_A, 90), (OF_B, 10))), 25, False, id="the weight before"),
        pytest.param(route(((OF_A, 100), (OF_B, 0))), 0, True, id="nothing for the canary"),
        pytest.param(route(((OF_A, 100),)), 0, True, id="no canary in it"),
        pytest.param(route(((OF_A, 0), (OF_B, 100))), 100, True, id="everything"),
        pytest.param(route(((OF_A, 80), (OF_B, 10), ("x", 10))), 10, False, id="somebody has a share"),
        pytest.param(route(exists=False), 10, False, id="about to be made"),
        pytest.param(route(((OF_A, 90), (OF_B, 10)), answered=False), 10, False, id="no word of the Gateway"),
        pytest.param(route(((STABLE, 90), (CANARY, 10)), own=False), 10, True, id="the user's, as decided"),
        pytest.param(route(((STABLE, 100), (CANARY, 0)), own=False), 10, False, id="the user's, not yet"),
        pytest.param(
            route(((STABLE, 90), (CANARY, 10)), ((STABLE, 10), (CANARY, 0)), own=False),
            10,
            False,
            id="the user's, one rule of two",
        ),
        pytest.param(
            route(((STABLE, 3), (CANARY, 1), ("third", 9)), own=False),
            25,
            True,
            id="others' shares are theirs",
        ),
    ],
)
def test_reached(found: Route | None, percent: int, done: bool) -> None:  # noqa: FBT001 - a parametrized case
    """The weights are those that are wanted, and the Gateways have reported on them."""
    assert reached(observed(found), percent).done is done


def test_a_promoted_revision_has_all_of_an_own_route() -> None:
    """The roles may come with the question: those that are being recorded."""
    world = observed(route(((OF_B, 100), (OF_A, 0))))
    assert not reached(world, 0).done
    assert reached(world, 0, status=make_status(B, previous_revision=A)).done


@pytest.mark.parametrize(
    ("written", "done", "wake"),
    [
        pytest.param(before(3), False, TAKEN_FOR_GRANTED_SECONDS - 3, id="just written"),
        pytest.param(before(11), True, None, id="long ago"),
        pytest.param(None, False, None, id="not by us"),
    ],
)
def test_an_older_generation_counts_after_a_while(written: Any, done: bool, wake: float | None) -> None:  # noqa: FBT001 - a parametrized case
    """Ten seconds after our write, and the message says so."""
    found = reached(observed(route(((OF_A, 90), (OF_B, 10)), observed_generation=3, written=written)), 10)
    assert (found.done, found.wake_after) == (done, wake)
    if done:
        assert "reports on generation 3, not yet on 4" in found.message


def test_what_a_gateway_says_about_an_older_route_is_no_problem_yet() -> None:
    """It may be repaired by what has just been written."""
    rules = ((OF_A, 90), (OF_B, 10))
    late = route(rules, accepted=False, message="Gateway x/y: no", observed_generation=3, written=before(60))
    assert problem(observed(late)) is None
    assert not reached(observed(late), 10).done


@pytest.mark.parametrize(
    ("found", "words"),
    [
        pytest.param(
            route(exists=False, message="spec.traffic needs the Gateway API, but it is not there."),
            "needs the Gateway API",
            id="no Gateway API",
        ),
        pytest.param(
            route(((OF_A, 90), (OF_B, 10)), accepted=False, message="Gateway x/y: Accepted is False (No)"),
            "Gateway x/y: Accepted is False (No)",
            id="not accepted",
        ),
        pytest.param(
            route(((OF_A, 90), (OF_B, 10)), resolved=False, message="Gateway x/y: ResolvedRefs is False"),
            "ResolvedRefs is False",
            id="not resolved",
        ),
        pytest.param(
            route(((STABLE, 100), (CANARY, 0)), own=False, opted_in=False),
            "label it modelward.dev/weights=managed",
            id="not labelled",
        ),
        pytest.param(
            route(((STABLE, 100),), own=False), f"both Services {STABLE} and {CANARY}", id="no canary"
        ),
        pytest.param(
            route(((STABLE, 1), (CANARY, 1)), own=False), "rule 1 sum to 2", id="weights that cannot be split"
        ),
        pytest.param(route(((STABLE, 0), (CANARY, 0)), own=False), "sum to 0", id="no weight at all"),
    ],
)
def test_what_somebody_must_fix(found: Route, words: str) -> None:
    """A sentence, typed, and nothing is in effect."""
    blocked = problem(observed(found), 10)
    assert blocked is not None
    assert blocked.reason is Reason.ROUTE_NOT_READY
    assert words in blocked.message
    assert blocked.message.endswith(".")
    answer = reached(observed(found), 10)
    assert (answer.done, answer.problem) == (False, blocked)


def test_what_a_gateway_says_right_after_a_write_is_waited_out() -> None:
    """It may not know the Service yet that was made just before."""
    rules = ((OF_A, 90), (OF_B, 10))
    fields: dict[str, Any] = {
        "resolved": False,
        "message": "Gateway x/y: ResolvedRefs is False (BackendNotFound)",
    }
    fresh = observed(route(rules, written=before(4), **fields))
    assert problem(fresh) is None
    assert wake_after(fresh) == TAKEN_FOR_GRANTED_SECONDS - 4
    found = reached(fresh, 10)
    assert (found.done, found.wake_after) == (False, TAKEN_FOR_GRANTED_SECONDS - 4)
    assert "BackendNotFound" in found.message
    stays = observed(route(rules, written=before(11), **fields))
    assert problem(stays) is not None
    assert wake_after(stays) is None
    assert wake_after(observed(route(rules, written=before(4)))) is None


def test_what_is_odd_about_a_users_route_is_said() -> None:
    """A rule without a canary, and one whose sum is too small for the exact share."""
    rules: tuple[Rule, ...] = (((STABLE, 8), (CANARY, 2)), ((STABLE, 1),), (("third", 1),))
    found = reached(observed(route(*rules, own=False)), 25)
    assert found.done
    assert "rule 1 gives the canary 20%, because its weights sum to 10" in found.message
    assert f"rule 2 sends to {STABLE} and not to {CANARY}" in found.message
    assert "rule 3" not in found.message
    assert found.percent == 20


def test_f17_who_is_waited_for_is_named() -> None:
    """When a Gateway has had its time, and only reports about an older route are there that refuse it."""
    found = route(
        ((OF_A, 90), (OF_B, 10)),
        observed_generation=1,
        accepted=False,
        message="Gateway infra/public (controller former): Accepted is False (Gone)",
        written=before(60),
    )
    assert reached(observed(found), 10).message == f"HTTPRoute {NAME} waits for its Gateway: {found.message}"
    fresh = replace(found, written=before(2))
    assert reached(observed(fresh), 10).message == f"HTTPRoute {NAME} waits for its Gateway"
