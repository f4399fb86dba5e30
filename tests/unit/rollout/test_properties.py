"""What holds for every decision, whatever the world: settled, numbered, never raised, never a hot loop.

The worlds are those of `events`, every event in every phase, and statuses that no operator wrote.
"""

from dataclasses import replace
from itertools import product
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import NOW, make_deployment, make_model, make_observed, make_service
from builders.rollouts import GATEWAY, REVISIONS, ROUTE_REF, A, B, C, follow, left, recorded, reported
from modelward.api.conditions import Reason
from modelward.api.decode import decode_status, encode
from modelward.api.status import ModelDeploymentStatus, RolloutStatus
from modelward.cache import convert
from modelward.projection.project import project
from modelward.rollout import conditions, traffic
from modelward.rollout.capacity import sizes
from modelward.rollout.decide import decide, without_evidence
from modelward.rollout.observed import NameConflict, Observed
from modelward.rollout.phases import WITH_CANARY, Phase
from modelward.rollout.status_repair import repaired
from support.repeatable import examples
from unit.api.strategies import objects
from unit.rollout.events import EVENTS, happening, say

ROUTERS: Final = {"no router": None, "own route": GATEWAY, "user's route": ROUTE_REF}
CONFLICT: Final = NameConflict(kind="Service", name="fraud", owner="somebody else")


@pytest.mark.parametrize("router", [None, ROUTE_REF], ids=["no router", "user's route"])
@pytest.mark.parametrize("phase", Phase)
def test_what_is_decided_settles(
    phase: Phase, router: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R2, S11: once a decision is recorded, the same world is decided upon no more, and nothing is reported twice.

    Also while the view lags: nothing that follows from the decision has been seen yet.
    """
    for event in EVENTS.values():
        say(monkeypatch, event, phase)
        observed = happening(event, phase, traffic=router)
        first = decide(observed)
        second = decide(recorded(observed, first))
        assert second.status == first.status
        assert second.announcements == ()
        assert second.blocked == first.blocked


@pytest.mark.parametrize("router", [None, GATEWAY], ids=["no router", "own route"])
@pytest.mark.parametrize("phase", Phase)
def test_a_cluster_that_follows_comes_to_rest(
    phase: Phase, router: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decide, let the cluster follow, decide again: after a few rounds nothing changes, and no reconcile is due at once."""
    for event in EVENTS.values():
        say(monkeypatch, event, phase)
        observed = happening(event, phase, traffic=router)
        for _ in range(12):
            decision = decide(observed)
            assert decision.wake_after is None or decision.wake_after > 0
            if decision.status == observed.model.status:
                break
            observed = follow(recorded(observed, decision), decision.status)
        assert decision.status == observed.model.status
        assert reported(decision) == []


@pytest.mark.parametrize("phase", Phase)
def test_the_decision_number_rises_with_decisions_only(phase: Phase, monkeypatch: pytest.MonkeyPatch) -> None:
    """By one; newer evidence and other words are no decision."""
    for event in EVENTS.values():
        say(monkeypatch, event, phase)
        observed = happening(event, phase)
        before, after = observed.model.status, decide(observed).status
        unnumbered = msgspec.structs.replace(after, decision=before.decision)
        changed = without_evidence(unnumbered) != without_evidence(before)
        assert after.decision == before.decision + changed


@pytest.mark.parametrize("phase", Phase)
def test_traffic_goes_where_pods_are(phase: Phase, monkeypatch: pytest.MonkeyPatch) -> None:
    """S1, S2, R8: the canary's weight rises only when a pod of it is ready (or no pod at all), up to its step."""
    for event, router in product(EVENTS.values(), (None, GATEWAY)):
        say(monkeypatch, event, phase)
        observed = happening(event, phase, traffic=router)
        made = decide(observed).status
        was = traffic.split(observed.model.status).weight_percent
        split = traffic.split(made)
        if split.weight_percent > was:
            ready = {name: each.ready for name, each in observed.deployments.items()}
            assert ready[split.other] > 0 or not any(ready.values())
        if made.rollout and made.rollout.state in WITH_CANARY:
            steps = observed.model.spec.rollout.planned_steps
            limit = steps[made.rollout.step].weight_percent if made.rollout.step < len(steps) else 100
            assert split.weight_percent <= max(limit, was)


@pytest.mark.parametrize("phase", Phase)
def test_what_serves_is_always_projected(phase: Phase, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3: stable's Deployment is among the objects, or is kept as it is; its Service is."""
    for event in EVENTS.values():
        say(monkeypatch, event, phase)
        observed = happening(event, phase)
        decision = decide(observed)
        projection = project(
            observed.model,
            decision.status,
            decision.revisions,
            sizes=sizes(observed, decision.status),
            split=traffic.split(decision.status),
        )
        written = {(intent.kind, intent.name) for intent in projection.intents}
        assert ("Deployment", f"fraud-{decision.status.stable_revision}") in written | projection.kept
        assert ("Service", "fraud") in written | projection.kept


@pytest.mark.parametrize("phase", WITH_CANARY)
def test_a_name_conflict_keeps_no_sick_canary(phase: Phase, monkeypatch: pytest.MonkeyPatch) -> None:
    """R9: nothing goes on until the name is free, but what is ill goes."""
    for event, goes in (("crash loop", True), ("pods ready", False), ("advance", False)):
        say(monkeypatch, EVENTS[event], phase)
        observed = replace(happening(EVENTS[event], phase), conflicts=(CONFLICT,))
        made = left(observed, decide(observed)).status
        assert (made.canary_revision == "") is goes
        if not goes:
            assert made.rollout is not None
            assert made.rollout.state == phase


@pytest.mark.parametrize("phase", WITH_CANARY)
@pytest.mark.parametrize("event", ["crash loop", "worse", "pods ready", "advance", "abort"])
def test_a_spec_that_cannot_be_read_keeps_no_sick_canary(
    event: str, phase: Phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R9: a later version's word for where pods run, say. Nothing new starts, but what is ill, or unwanted, goes."""
    say(monkeypatch, EVENTS[event], phase)
    observed = happening(EVENTS[event], phase, scheduling={"nodeSelector": "a later version's"})
    decision = decide(observed)
    assert decision.blocked is not None
    assert decision.blocked.reason is Reason.INVALID_SPEC
    weighed = phase is not Phase.SCALING_UP or event != "worse"
    gone = left(observed, decision).status.canary_revision == ""
    assert gone is (event in {"crash loop", "worse", "abort"} and weighed)


@pytest.mark.parametrize("field", ["traffic", "rollout", "replicas", "autoscaling"])
def test_a_spec_of_which_the_objects_are_unknown_changes_nothing(field: str) -> None:
    """Who cannot read where the traffic goes must not move it."""
    observed = happening(EVENTS["crash loop"], Phase.ANALYZING)
    raw = {"metadata": {"namespace": "shop", "name": "fraud", "uid": "u", "resourceVersion": "1"}}
    broken = convert.model({**raw, "spec": {**observed.model.fields, field: "a later version's"}})
    unread = replace(observed.model, problem=broken.problem, unreadable=broken.unreadable)
    decision = decide(replace(observed, model=unread))
    assert decision.blocked == broken.problem
    assert decision.status.canary_revision == B
    assert decision.status.rollout is not None
    assert (decision.status.rollout.state, decision.status.rollout.weight_percent) == (Phase.ANALYZING, 25)


@pytest.mark.parametrize("phase", [Phase.WATCHING, Phase.DRAINING])
@pytest.mark.parametrize("blocker", ["conflict", "bad spec"])
def test_a_blocker_of_what_is_due_is_no_hot_loop(phase: Phase, blocker: str) -> None:
    """The previous revision's time is over, and it cannot go yet."""
    words = {"replicas": -1} if blocker == "bad spec" else {}
    observed = happening(EVENTS["nothing"], phase, began=10_000, **words)
    decision = decide(replace(observed, conflicts=(CONFLICT,) if blocker == "conflict" else ()))
    assert decision.wake_after is None or decision.wake_after >= 1


# --- statuses that no operator wrote ------------------------------------------------------------------------

NAMES: Final = st.sampled_from(["", A, B, C, "gone"])
STATES: Final = st.sampled_from([*map(str, Phase), "", "FromTheFuture"])
TIMES: Final = st.sampled_from(
    ["2026-11-22T11:59:00.000000Z", "2026-11-22T11:59:00", "9999-12-31T23:59:59Z", "soon"]
)


@st.composite
def statuses(draw: st.DrawFn) -> ModelDeploymentStatus:
    """Anything that decodes, mostly with revisions and phases that mean something, in any combination."""
    status = decode_status(draw(objects(ModelDeploymentStatus))).status
    names = {name: draw(NAMES) for name in ("stable_revision", "canary_revision", "previous_revision")}
    if status.rollout and draw(st.booleans()):
        rollout = msgspec.structs.replace(
            status.rollout,
            state=draw(STATES),
            start_time=draw(TIMES),
            step_start_time=draw(TIMES | st.none()),
        )
        status = msgspec.structs.replace(status, rollout=rollout)
    # A number that nothing follows is the one thing that a hand can spoil for good.
    numbers = {name: min(getattr(status, name), 10**9) for name in ("decision", "revision_nonce")}
    return msgspec.structs.replace(status, **names, **numbers)


@st.composite
def worlds(draw: st.DrawFn) -> Observed:
    """Some Deployments and a spec around such a status."""
    words: dict[str, Any] = {
        "traffic": draw(st.sampled_from(list(ROUTERS.values()))),
        "rollout": {
            "strategy": draw(st.sampled_from(["Canary", "BlueGreen", "Direct"])),
            "capacity": draw(st.sampled_from(["Surge", "Shared"])),
            "paused": draw(st.booleans()),
        },
        "autoscaling": draw(st.sampled_from([None, {"minReplicas": 1, "maxReplicas": 5}])),
    }
    commands = draw(
        st.dictionaries(
            st.sampled_from(["abort", "promote", "approve", "retry", "restart", "rollback"]),
            st.sampled_from([A, B, C, f"{B}/1", f"{B}/99", "x"]),
            max_size=2,
        )
    )
    model = make_model(draw(st.sampled_from("123")), status=draw(statuses()), commands=commands, **words)
    deployments = [
        make_deployment(name, replicas=2, ready=draw(st.integers(0, 2)))
        for name in draw(st.lists(st.sampled_from([A, B, C]), unique=True))
    ]
    observed = make_observed(model, *deployments, revisions=REVISIONS)
    service = replace(make_service(A), selects=draw(st.sampled_from([None, A, B])))
    route = follow(observed, model.status).route
    return replace(observed, service=draw(st.sampled_from([None, service])), route=route)


@settings(max_examples=examples(30), deadline=None)
@given(worlds())
def test_no_status_that_decodes_makes_it_raise(observed: Observed) -> None:
    """Another version, or a hand, may have written anything. And what is decided is a status that holds together."""
    decision = decide(observed)
    made = conditions.complete(observed, decision)
    assert convert.model(raw(observed, made)).status == made
    again = decide(recorded(observed, decision))
    assert again.status == decision.status
    assert again.announcements == ()


def raw(observed: Observed, made: ModelDeploymentStatus) -> dict[str, Any]:
    """The object with this status, as the API server has it."""
    metadata = {"namespace": "shop", "name": "fraud", "uid": "u", "resourceVersion": "1"}
    return {"metadata": metadata, "spec": {}, "status": encode(made)}


@settings(max_examples=examples(10), deadline=None)
@given(statuses())
def test_repair_is_done_once(made: ModelDeploymentStatus) -> None:
    """What is repaired needs no repairing."""
    assert repaired(repaired(made)) == repaired(made)


def test_a_previous_revision_without_a_stable_one_is_none() -> None:
    """There is nothing to go back from; what is deployed next would be beside itself."""
    made = repaired(
        ModelDeploymentStatus(previous_revision=A, rollout=RolloutStatus(state=Phase.WATCHING)),
    )
    assert (made.previous_revision, made.rollout) == ("", None)


@pytest.mark.parametrize("phase", Phase)
def test_a_sound_status_is_left_alone(phase: Phase) -> None:
    """Every status that the operator writes is one."""
    made = happening(EVENTS["nothing"], phase).model.status
    assert repaired(made) == made


def test_a_canary_in_an_unknown_phase_warms_up_again() -> None:
    """A later version wrote it: nothing is lost and nothing is taken for granted."""
    made = happening(
        EVENTS["nothing"], Phase.ANALYZING, rollout_status={"state": "FromTheFuture"}
    ).model.status
    assert made.rollout is not None
    assert (made.rollout.state, made.rollout.step, made.rollout.weight_percent) == (Phase.SCALING_UP, 1, 25)


def test_times_are_those_of_the_world() -> None:
    """decide has no clock of its own."""
    observed = happening(EVENTS["nothing"], Phase.SERVING, version="2")
    later = replace(observed, now=NOW.replace(year=2031))
    made = decide(later).status.rollout
    assert made is not None
    assert made.start_time == "2031-11-22T12:00:00.000000Z"
