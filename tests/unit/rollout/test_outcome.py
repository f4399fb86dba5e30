"""RolloutSucceeded: True only while what spec asks for is what serves, whatever the rollout before it came to (F15)."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import before, make_deployment, make_model, make_observed, make_revision, make_status
from builders.rollouts import REVISIONS, A, B, rejection_of, rolling
from modelward.api.conditions import Blocked, Reason
from modelward.api.status import Condition, HistoryEntry, RolloutResult
from modelward.api.times import format_micro
from modelward.rollout import conditions
from modelward.rollout.decide import decide, held
from modelward.rollout.observed import NameConflict, Observed, Turn
from modelward.rollout.phases import Phase

PROMOTED = HistoryEntry(
    revision=A, result=RolloutResult.PROMOTED, end_time=format_micro(before(600)), message="A is ready."
)
SUPERSEDED = HistoryEntry(revision=B, result=RolloutResult.SUPERSEDED, message="B was superseded.")
ROLLED_BACK = HistoryEntry(revision=B, result=RolloutResult.ROLLED_BACK, message="B was rolled back.")


def at_rest(
    version: str = "1", /, *, history: tuple[HistoryEntry, ...] = (PROMOTED,), **spec: Any
) -> Observed:
    """A serves, and was promoted; spec asks for `version`."""
    fields = {"history": history, "decision": 3, **spec.pop("status", {})}
    model = make_model(version, status=make_status(A, **fields), generation=4, **{"replicas": 4, **spec})
    return make_observed(model, make_deployment(A, replicas=4), selects=A, revisions=REVISIONS[:1])


def outcome(observed: Observed) -> Condition:
    """The condition, once decided."""
    made = conditions.complete(observed, decide(observed))
    return next(each for each in made.conditions if each.type == "RolloutSucceeded")


UNSERVED = {
    "no runtime of that name": at_rest(runtime={"name": "missing"}),
    "no runtime, and another number of pods": at_rest(runtime={"name": "missing"}, replicas=6),
    "no runtime, and no pods": at_rest(runtime={"name": "missing"}, replicas=0),
    "no runtime for its format": at_rest(runtime=None, model={"format": "onnx"}),
    "what cannot be served": at_rest(model={"version": "1", "uri": "s3://models/fraud/7"}),
    "what cannot be read": at_rest(replicas=-1),
    "what cannot be read of analysis": at_rest(analysis={"intervalSeconds": -1}),
    "rejected before": at_rest("2", status={"rejected_revisions": (rejection_of("2"),)}),
    "rejected before, and another number of pods": at_rest(
        "2", replicas=6, status={"rejected_revisions": (rejection_of("2"),)}
    ),
    "queued": replace(at_rest("2"), turn=Turn(granted=False, place=2, waiting=2, running=1, limit=1)),
    "queued, with other pods": replace(
        at_rest("2", replicas=1), turn=Turn(granted=False, place=2, waiting=2, running=1, limit=1)
    ),
    "a name is taken": replace(
        at_rest("2"), conflicts=(NameConflict(kind="Deployment", name="fraud", owner="somebody else"),)
    ),
    "on its way": at_rest("2"),
    "on its way without pods": at_rest("2", replicas=0),
}


@pytest.mark.parametrize("observed", [pytest.param(each, id=name) for name, each in UNSERVED.items()])
def test_f15_nothing_has_succeeded_that_does_not_serve(observed: Observed) -> None:
    """`kubectl wait` must not return, and the message names what serves meanwhile."""
    made = outcome(observed)
    assert made.status in ("Unknown", "False")
    assert A in made.message
    assert "goes on serving" in made.message


def test_f15_what_waits_is_unknown_and_what_is_refused_is_false() -> None:
    """A pipeline can give up at once where nothing goes on until somebody acts."""
    assert outcome(UNSERVED["queued"]).status == "Unknown"
    assert outcome(UNSERVED["on its way"]).status == "Unknown"
    assert outcome(UNSERVED["no runtime of that name"]).status == "False"
    assert outcome(UNSERVED["no runtime of that name"]).reason == "NoRuntime"
    assert outcome(UNSERVED["rejected before"]).reason == "RolledBack"


def test_f15_a_change_whose_snapshot_is_refused_has_not_succeeded() -> None:
    """A quota of ControllerRevisions, say: no status may name the revision, and nothing is decided."""
    observed = at_rest("2", replicas=6)
    refused = Blocked(reason=Reason.REFUSED, message="exceeded quota: revisions.")
    made = conditions.complete(observed, held(observed, refused))
    found = next(each for each in made.conditions if each.type == "RolloutSucceeded")
    assert (found.status, found.reason) == ("False", "Refused")
    assert f"{A} goes on serving. exceeded quota" in found.message


@pytest.mark.parametrize("last", [SUPERSEDED, ROLLED_BACK], ids=["superseded", "rolled back"])
def test_f15_a_change_that_is_taken_back_leaves_what_served_as_it_was(last: HistoryEntry) -> None:
    """The pipeline that goes back to stable has what it asked for."""
    made = outcome(at_rest("1", history=(last, PROMOTED)))
    assert (made.status, made.reason) == ("True", "Promoted")
    assert made.message == f"Revision {A} has gone out. {A} goes on serving."


def test_f15_a_restart_that_failed_has_not_succeeded() -> None:
    """It is of the content that spec asks for, though stable serves the same."""
    restart = make_revision("1", number=2, nonce=1)
    entry = msgspec.structs.replace(ROLLED_BACK, revision=restart.name)
    observed = at_rest("1", history=(entry, PROMOTED))
    made = outcome(replace(observed, revisions={**observed.revisions, restart.name: restart}))
    assert (made.status, made.reason) == ("False", "RolledBack")


def test_f15_without_a_ready_pod_nothing_serves() -> None:
    """And the message does not say that it does; where no pod is asked for, none is missed."""
    observed = at_rest("1")
    dead = make_observed(
        observed.model, make_deployment(A, replicas=4, ready=0), selects=A, revisions=REVISIONS
    )
    assert outcome(dead).status == "Unknown"
    assert "has no ready pod" in outcome(dead).message
    assert outcome(at_rest("1", replicas=0)).status == "True"


@pytest.mark.parametrize("phase", Phase)
@given(version=st.sampled_from("123"), ready=st.integers(0, 4))
def test_f15_true_is_what_spec_asks_for_in_every_phase(phase: Phase, version: str, ready: int) -> None:
    """Whatever is under way, and whatever spec asks for meanwhile."""
    observed = rolling(phase, version, ready={A: ready})
    decision = decide(observed)
    made = conditions.complete(observed, decision)
    found = next(each for each in made.conditions if each.type == "RolloutSucceeded")
    stable = decision.revisions[made.stable_revision]
    if found.status == "True":
        assert stable.content == make_revision(version).content
        assert observed.deployments[stable.name].ready
    goes_on = f"{stable.name} goes on serving"
    assert (goes_on in found.message) == bool(observed.deployments[stable.name].ready)


def test_f18_nothing_goes_on_serving_behind_a_service_of_somebody_else() -> None:
    """Its pods are ready, and no request comes to them by that name."""
    taken = NameConflict(kind="Service", name="fraud", owner="somebody else")
    made = outcome(replace(at_rest("2"), conflicts=(taken,)))
    assert "goes on serving" not in made.message
    assert (
        f"{A} has ready pods, and the Service that should lead to them belongs to somebody else"
        in made.message
    )
