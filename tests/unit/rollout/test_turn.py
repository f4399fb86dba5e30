"""A change that may not set out yet, and what never waits."""

from dataclasses import replace

from builders import (
    before,
    make_deployment,
    make_model,
    make_observed,
    make_revision,
    make_runtime,
    make_status,
    revision_name,
)
from modelward.api.conditions import Reason
from modelward.api.status import Condition, ModelDeploymentStatus
from modelward.api.times import format_seconds
from modelward.rollout.conditions import complete
from modelward.rollout.decide import decide
from modelward.rollout.observed import Observed, Turn

A, B, C = revision_name("1"), revision_name("2"), revision_name("3")
WAITS = Turn(granted=False, place=3, waiting=7, running=10, limit=10)


def observed(version: str, status: ModelDeploymentStatus, **commands: str) -> Observed:
    """A model that spec wants at `version`, and whose turn it is not."""
    model = make_model(version, status=status, commands=commands, generation=2)
    stable = make_deployment(A, ready=0 if status.conditions else None)
    world = make_observed(
        model,
        stable,
        selects=A,
        revisions=[make_revision("1"), make_revision("3", number=2)],
        runtimes=[make_runtime()],
    )
    return replace(world, turn=WAITS)


def test_a_change_waits_and_says_so() -> None:
    """Nothing is started; stable serves; the place in the queue is reported; it is reconciled again now and then."""
    world = observed("2", make_status(A))
    decision = decide(world)
    ready = complete(world, decision).conditions[0]
    assert decision.status.canary_revision == ""
    assert B not in decision.revisions
    assert ready.reason == Reason.QUEUED
    assert "number 3 of 7 in the queue; 10 of 10 rollouts are under way" in ready.message
    assert decision.wake_after == 15.0


def test_a_first_deployment_does_not_wait() -> None:
    """It has nothing beside it."""
    world = replace(make_observed(make_model("1"), runtimes=[make_runtime()]), turn=WAITS)
    assert decide(world).status.stable_revision == A


def test_what_may_end_an_outage_does_not_wait() -> None:
    """No pod of stable has been ready for a minute: there is nothing to protect."""
    down = Condition(
        type="Available",
        status="False",
        reason="Unavailable",
        last_transition_time=format_seconds(before(61)),
    )
    assert decide(observed("2", make_status(A, conditions=(down,)))).status.canary_revision == B


def test_a_way_back_does_not_wait() -> None:
    """A person goes back to a kept revision."""
    world = observed("1", make_status(A), rollback=C)
    assert decide(world).status.canary_revision == C


def test_at_rest_nobody_waits() -> None:
    """Spec asks for what serves."""
    assert decide(observed("1", make_status(A))).waiting == ""
