"""decide: one behaviour, one case. What follows over time is known by the golden stories."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from builders import (
    NAME,
    NAMESPACE,
    NOW,
    make_deployment,
    make_model,
    make_observed,
    make_pod,
    make_revision,
    make_runtime,
    make_status,
    revision_name,
)
from modelward.api.conditions import Reason
from modelward.api.revision import Revision
from modelward.api.status import (
    CommandsStatus,
    HistoryEntry,
    ModelDeploymentStatus,
    RejectedRevision,
    RolloutResult,
    RolloutStatus,
    ScalingStatus,
)
from modelward.api.times import format_micro
from modelward.rollout.decide import decide, without_evidence
from modelward.rollout.decision import Decision
from modelward.rollout.observed import Deployment, NameConflict, Observed, Pod
from modelward.rollout.phases import Phase

A, B, C = revision_name("1"), revision_name("2"), revision_name("3")
ROLL_BACK = {"strategy": "Direct", "progressDeadlineSeconds": 60}


def rollout(state: Phase, seconds_ago: float = 0.0) -> RolloutStatus:
    """A rollout whose present step began so many seconds ago."""
    began = format_micro(NOW.fromtimestamp(NOW.timestamp() - seconds_ago, tz=NOW.tzinfo))
    return RolloutStatus(state=state, start_time=began, step_start_time=began)


def serving(version: str = "1", /, **words: Any) -> Observed:
    """A is stable and runs; spec asks for `version`."""
    status = words.pop("status", make_status(A, decision=5))
    commands = words.pop("commands", None)
    model = make_model(version, status=status, commands=commands, generation=3, **words)
    return make_observed(model, make_deployment(A), selects=A, revisions=[make_revision("1")])


def scaling_up(
    version: str = "2",
    /,
    *,
    canary: str = "2",
    ready: int = 0,
    pods: Sequence[Pod] = (),
    commands: dict[str, str] | None = None,
    **words: Any,
) -> Observed:
    """A is stable, `canary` is on its way; spec asks for `version`."""
    status = make_status(
        A, canary_revision=revision_name(canary), decision=6, rollout=rollout(Phase.SCALING_UP, 300)
    )
    model = make_model(version, status=status, commands=commands, generation=3, **words)
    return make_observed(
        model,
        make_deployment(A),
        make_deployment(revision_name(canary), ready=ready, age=300),
        selects=A,
        revisions=[make_revision("1"), make_revision(canary, number=2)],
        pods=pods,
    )


def phase(decision: Decision) -> Phase:
    """The phase that is decided."""
    return Phase(decision.status.rollout.state) if decision.status.rollout else Phase.SERVING


def reported(decision: Decision) -> list[str]:
    """Reasons of the Events."""
    return [each.reason for each in decision.announcements]


def rejected(version: str) -> RejectedRevision:
    """The record that a version was rejected."""
    name = revision_name(version)
    return RejectedRevision(
        revision=name, content=name, reason="DeadlineExceeded", message="It was too slow."
    )


# --- changes of spec ----------------------------------------------------------------------------------------


def test_what_is_on_its_way_ends_when_spec_asks_for_something_that_cannot_be_started() -> None:
    """A spec that no runtime serves is refused, and the revision that it no longer asks for is not promoted."""
    decision = decide(scaling_up("3", runtime={"name": "missing"}))
    assert decision.blocked is not None
    assert decision.blocked.reason is Reason.NO_RUNTIME
    assert decision.status.canary_revision == ""
    assert reported(decision) == ["Superseded"]
    assert decision.status.stable_revision == A


def test_the_first_revision_is_stable_from_the_start() -> None:
    """There is nothing to protect, so nothing is awaited beside it."""
    decision = decide(make_observed(make_model("1")))
    assert (decision.status.stable_revision, decision.status.canary_revision) == (A, "")
    assert phase(decision) is Phase.DEPLOYING
    assert reported(decision) == ["RevisionCreated"]
    assert A in decision.revisions


def test_the_first_revision_has_arrived_when_all_its_pods_are_ready() -> None:
    """Its rollout ends with an entry in history."""
    status = make_status(A, rollout=rollout(Phase.DEPLOYING), decision=1)
    observed = make_observed(
        make_model("1", status=status), make_deployment(A), revisions=[make_revision("1")]
    )
    decision = decide(observed)
    assert phase(decision) is Phase.SERVING
    assert [(entry.revision, entry.result) for entry in decision.status.history] == [
        (A, RolloutResult.PROMOTED)
    ]


def test_a_change_starts_a_revision_beside_stable() -> None:
    """Stable goes on serving."""
    decision = decide(serving("2"))
    assert (decision.status.stable_revision, decision.status.canary_revision) == (A, B)
    assert phase(decision) is Phase.SCALING_UP


def test_a_ready_revision_switches_roles_with_stable() -> None:
    """Promotion makes the running pods the stable ones; the old ones drain."""
    decision = decide(scaling_up(ready=2))
    status = decision.status
    assert (status.stable_revision, status.canary_revision, status.previous_revision) == (B, "", A)
    assert phase(decision) is Phase.DRAINING
    assert reported(decision) == ["Promoted"]


def test_a_revision_with_one_pod_missing_is_awaited() -> None:
    """Nearly ready is not ready."""
    assert decide(scaling_up(ready=1)).status.stable_revision == A


def test_another_change_supersedes_the_awaited_revision() -> None:
    """And yet another supersedes that one: only the latest goes on."""
    decision = decide(scaling_up("3"))
    assert decision.status.canary_revision == C
    assert reported(decision) == ["Superseded", "RevisionCreated"]
    again = decide(scaling_up("1", canary="3"))
    assert again.status.canary_revision == ""


def test_going_back_to_stable_ends_the_rollout_at_once() -> None:
    """Nothing is started: stable never stopped."""
    decision = decide(scaling_up("1"))
    assert (decision.status.stable_revision, decision.status.canary_revision) == (A, "")
    assert phase(decision) is Phase.SERVING
    assert decision.status.history[0].result is RolloutResult.SUPERSEDED


def test_going_back_to_stable_while_a_retry_warms_is_no_rollout() -> None:
    """The nonce was raised for what is awaited; stable keeps its own."""
    observed = scaling_up("1")
    retried = make_revision("2", nonce=1, number=3)
    status = msgspec.structs.replace(observed.model.status, canary_revision=retried.name, revision_nonce=1)
    revisions = {**observed.revisions, retried.name: retried}
    observed = replace(observed, model=replace(observed.model, status=status), revisions=revisions)
    decision = decide(observed)
    assert (decision.status.canary_revision, decision.status.revision_nonce) == ("", 0)


@pytest.mark.parametrize(
    ("seconds_ago", "ends"),
    [
        pytest.param(4.9, False, id="the previous revision finishes what it has"),
        pytest.param(5.0, True, id="then it goes"),
        pytest.param(-3600.0, False, id="a clock that was set back starts its time anew"),
    ],
)
def test_draining(seconds_ago: float, ends: bool) -> None:  # noqa: FBT001 - a parametrized case
    """Five seconds, whatever else."""
    status = make_status(A, previous_revision=B, rollout=rollout(Phase.DRAINING, seconds_ago), decision=7)
    decision = decide(serving(status=status))
    assert (decision.status.previous_revision == "") is ends
    assert ends or (decision.wake_after is not None and 0 < decision.wake_after <= 5)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param({"runtime": None}, id="spec names no runtime"),
        pytest.param({"model": {"format": "none-reads-it"}, "runtime": None}, id="no runtime fits"),
    ],
)
def test_draining_ends_although_spec_is_refused(words: dict[str, Any]) -> None:
    """And no reconcile follows the other at once."""
    status = make_status(A, previous_revision=B, rollout=rollout(Phase.DRAINING, 6), decision=7)
    decision = decide(serving(status=status, **words))
    assert decision.blocked is not None
    assert decision.status.previous_revision == ""
    assert decision.wake_after != 0


# --- deadline, rejection ------------------------------------------------------------------------------------


def late_pods(seconds: float = 61) -> list[Pod]:
    """Both pods of B, scheduled so long ago and not ready."""
    return [make_pod(B, name=f"p{number}", scheduled=seconds, problem="no such file") for number in (1, 2)]


def test_a_revision_that_misses_its_deadline_is_rolled_back() -> None:
    """With the reason of its pods, remembered by content."""
    decision = decide(scaling_up(pods=late_pods(), rollout=ROLL_BACK))
    assert decision.status.canary_revision == ""
    assert [entry.content for entry in decision.status.rejected_revisions] == [B]
    assert decision.status.history[0].result is RolloutResult.ROLLED_BACK
    assert "no such file" in decision.status.history[0].message
    assert decision.announcements[0].warning
    assert decision.blocked is not None


def test_with_pause_a_late_revision_is_awaited_further() -> None:
    """A person decides."""
    decision = decide(scaling_up(pods=late_pods(), rollout={**ROLL_BACK, "onDeadline": "Pause"}))
    assert decision.status.canary_revision == B
    assert decision.status.rejected_revisions == ()


@pytest.mark.parametrize(
    "pods",
    [
        pytest.param([], id="pods that nobody has seen"),
        pytest.param(late_pods(59), id="pods that still have a second"),
        pytest.param([make_pod(B, scheduled=None)], id="a pod that waits for a node"),
    ],
)
def test_no_deadline_is_missed_by(pods: list[Pod]) -> None:
    """The clock runs from the moment the last pod was scheduled."""
    assert decide(scaling_up(pods=pods, rollout=ROLL_BACK)).status.canary_revision == B


def test_what_was_rejected_is_not_tried_again() -> None:
    """Even when spec asks for it anew; the condition shows the remedy."""
    decision = decide(serving("2", status=make_status(A, rejected_revisions=(rejected("2"),))))
    assert decision.status.canary_revision == ""
    assert decision.blocked is not None
    assert decision.blocked.reason is Reason.DEADLINE_EXCEEDED
    assert f"modelward.dev/retry={B}/" in decision.blocked.message


@pytest.mark.parametrize(
    ("commands", "words"),
    [
        pytest.param(
            {"abort": "zzzz"}, f"abort: zzzz is not on its way ({B} is)", id="abort of another revision"
        ),
        pytest.param({"retry": "foo"}, "retry: foo names no rejected revision", id="retry of nothing"),
    ],
)
def test_a_command_that_does_not_apply_is_reported(commands: dict[str, str], words: str) -> None:
    """It does nothing, is not tried again, and an Event says why."""
    decision = decide(scaling_up(commands=commands))
    assert decision.status.canary_revision == B
    assert reported(decision) == ["CommandIgnored"]
    assert words in decision.announcements[0].message


def test_a_rejected_content_is_rejected_under_any_nonce() -> None:
    """A restart must not smuggle it in."""
    status = make_status(A, rejected_revisions=(rejected("2"),))
    decision = decide(serving("2", status=status, commands={"restart": "x"}))
    assert (decision.status.canary_revision, decision.status.revision_nonce) == ("", 0)
    assert f"modelward.dev/retry={B}/1" in decision.announcements[0].message


def test_another_change_goes_out_after_a_rejection() -> None:
    """A failed revision blocks no good one."""
    decision = decide(serving("3", status=make_status(A, rejected_revisions=(rejected("2"),))))
    assert decision.status.canary_revision == C
    assert decision.blocked is None


def test_going_to_a_rejected_revision_while_another_scales_up_says_so() -> None:
    """The awaited one ends, the rejected one is not revived."""
    observed = scaling_up("3")
    status = msgspec.structs.replace(observed.model.status, rejected_revisions=(rejected("3"),))
    decision = decide(replace(observed, model=replace(observed.model, status=status)))
    assert decision.status.canary_revision == ""
    assert decision.status.history[0].message.endswith(f"spec asks for {C}, which was rejected.")


def test_a_long_reason_is_cut_where_the_api_server_would_refuse_it() -> None:
    """One long message of a pod must not block the status for ever."""
    pods = [make_pod(B, name=f"p{number}", problem="x" * 5000) for number in (1, 2)]
    decision = decide(scaling_up(pods=pods, rollout={**ROLL_BACK, "progressDeadlineSeconds": 30}))
    assert len(decision.status.history[0].message) <= 1024
    assert len(decision.status.rejected_revisions[0].message) <= 1024


# --- commands -----------------------------------------------------------------------------------------------


def test_restart_starts_the_same_content_under_another_name() -> None:
    """It goes out like any other revision."""
    decision = decide(serving(commands={"restart": "monday"}))
    name = revision_name("1", nonce=1)
    assert decision.status.canary_revision == name
    assert decision.revisions[name].content == decision.revisions[A].content
    assert decision.status.commands.restart == "monday"


def test_a_second_restart_after_a_failed_one_has_a_name_of_its_own() -> None:
    """The first one's snapshot would bring back the runtime of then."""
    failed = HistoryEntry(revision=revision_name("1", nonce=1), result=RolloutResult.ROLLED_BACK)
    decision = decide(serving(status=make_status(A, history=(failed,)), commands={"refresh": "2"}))
    assert decision.status.canary_revision == revision_name("1", nonce=2)


def test_a_restart_keeps_the_runtime_and_a_refresh_takes_the_present_one() -> None:
    """That is the difference between the two."""
    words: dict[str, Any] = {"model": {"format": "onnx"}, "runtime": None}
    stable = make_revision("1", **words)
    images = {}
    for command in ("restart", "refresh"):
        model = make_model("1", status=make_status(stable.name), commands={command: "1"}, **words)
        observed = make_observed(
            model,
            make_deployment(stable.name),
            selects=stable.name,
            revisions=[stable],
            runtimes=[make_runtime(image="registry.example.com/onnx:2")],
        )
        made = decide(observed).revisions[revision_name("1", nonce=1, **words)]
        images[command] = made.template["spec"]["containers"][0]["image"]
    assert images == {"restart": "registry.example.com/onnx:1", "refresh": "registry.example.com/onnx:2"}


def test_retry_tries_the_rejected_content_once_more() -> None:
    """Under a new name, and no longer rejected."""
    status = make_status(A, rejected_revisions=(rejected("2"), rejected("3")))
    decision = decide(serving("2", status=status, commands={"retry": f"{B}/1"}))
    assert decision.status.canary_revision == revision_name("2", nonce=1)
    assert [entry.content for entry in decision.status.rejected_revisions] == [C]


def test_a_retry_of_what_spec_does_not_ask_for_restarts_nothing() -> None:
    """It is only no longer rejected."""
    status = make_status(A, rejected_revisions=(rejected("2"),))
    decision = decide(serving("1", status=status, commands={"retry": f"{B}/1"}))
    assert (decision.status.canary_revision, decision.status.revision_nonce) == ("", 0)
    assert decision.status.rejected_revisions == ()


def test_abort_takes_the_awaited_revision_back() -> None:
    """And remembers it as rejected, with the reason Aborted."""
    decision = decide(scaling_up(commands={"abort": B}))
    assert decision.status.canary_revision == ""
    assert decision.status.rejected_revisions[0].reason == "Aborted"
    assert decision.status.history[0].result is RolloutResult.ABORTED


def test_an_aborted_restart_is_forgotten() -> None:
    """It has the content of stable, which cannot be rejected."""
    again = make_revision("1", nonce=1, number=2)
    status = make_status(A, canary_revision=again.name, revision_nonce=1, rollout=rollout(Phase.SCALING_UP))
    model = make_model("1", status=status, commands={"abort": again.name})
    observed = make_observed(
        model, make_deployment(A), make_deployment(again.name, ready=0), revisions=[make_revision("1"), again]
    )
    decision = decide(observed)
    assert (decision.status.canary_revision, decision.status.revision_nonce) == ("", 0)
    assert decision.status.rejected_revisions == ()
    assert decision.blocked is None


def test_an_abort_of_a_revision_without_snapshot_goes_through() -> None:
    """Somebody deleted what was kept of it."""
    observed = scaling_up(commands={"abort": B})
    decision = decide(replace(observed, revisions={A: observed.revisions[A]}))
    assert [entry.content for entry in decision.status.rejected_revisions] == [B]


@pytest.mark.parametrize(
    "commands",
    [
        pytest.param({"abort": A}, id="abort of what is stable"),
        pytest.param({"abort": C}, id="abort of what is not there"),
        pytest.param({"retry": f"{B}/1"}, id="retry of what was never rejected"),
        pytest.param({"retry": "?"}, id="retry of nonsense"),
        pytest.param({"unheard-of": "1"}, id="a command that does not exist"),
    ],
)
def test_a_command_that_does_not_apply_does_nothing(commands: dict[str, str]) -> None:
    """It is acknowledged, and that is all."""
    before = serving()
    after = decide(serving(commands=commands)).status
    kept = msgspec.structs.replace(after, commands=CommandsStatus(), decision=5, observed_generation=0)
    assert kept == before.model.status


def test_a_command_of_the_same_value_is_carried_out_once() -> None:
    """An annotation stays where it is."""
    status = make_status(A, commands=CommandsStatus(restart="monday"))
    assert decide(serving(status=status, commands={"restart": "monday"})).status.canary_revision == ""


def test_commands_to_a_model_that_serves_nothing_yet_do_nothing() -> None:
    """A manifest with a restart annotation is applied: the first revision is as new as can be."""
    decision = decide(make_observed(make_model("1", commands={"restart": "x", "abort": A})))
    assert (decision.status.stable_revision, decision.status.revision_nonce) == (A, 0)


# --- lost status, conflicts, bad specs ----------------------------------------------------------------------


def test_a_lost_status_is_found_again_by_what_the_service_selects() -> None:
    """What serves is stable, whatever spec asks for."""
    model = make_model("2", status=ModelDeploymentStatus())
    observed = make_observed(
        model,
        make_deployment(A, decision=8),
        make_deployment(B, ready=0, decision=9),
        selects=A,
        revisions=[make_revision("1"), make_revision("2")],
    )
    status = decide(observed).status
    assert (status.stable_revision, status.canary_revision, status.decision) == (A, B, 10)


def test_without_a_service_the_oldest_deployment_is_stable() -> None:
    """It has most probably served."""
    observed = make_observed(
        make_model("2", status=ModelDeploymentStatus()),
        make_deployment(B, ready=0, age=60),
        make_deployment(A, age=600),
        revisions=[make_revision("1"), make_revision("2")],
    )
    assert decide(observed).status.stable_revision == A


def test_the_decision_number_does_not_fall_with_a_lost_revision() -> None:
    """A hand took the stable revision out of status, and left the number, which no child has yet."""
    model = make_model("1", status=ModelDeploymentStatus(decision=12))
    observed = make_observed(model, make_deployment(A, decision=8), selects=A, revisions=[make_revision("1")])
    assert decide(observed).status.decision == 13


def test_a_lost_status_does_not_carry_out_old_commands_again() -> None:
    """What was acknowledged is not known any more; pods that serve are left alone."""
    model = make_model("1", status=ModelDeploymentStatus(), commands={"restart": "last year"})
    observed = make_observed(model, make_deployment(A), selects=A, revisions=[make_revision("1")])
    assert decide(observed).status.canary_revision == ""


def test_a_name_conflict_stops_the_rollout_and_is_named() -> None:
    """Nothing is decided about revisions until it is gone."""
    conflict = NameConflict(kind="Service", name=NAME, owner="somebody else")
    decision = decide(replace(serving("2"), conflicts=(conflict,)))
    assert decision.status.canary_revision == ""
    assert decision.blocked is not None
    assert decision.blocked.reason is Reason.NAME_CONFLICT
    assert f"Service {NAMESPACE}/{NAME}" in decision.blocked.message


def test_a_bad_spec_changes_nothing_but_what_is_reported() -> None:
    """What runs goes on running."""
    decision = decide(serving("2", replicas=-1))
    assert decision.status.stable_revision == A
    assert decision.status.canary_revision == ""
    assert decision.blocked is not None
    assert decision.blocked.reason is Reason.INVALID_SPEC
    assert "spec.replicas" in decision.blocked.message


def test_a_known_revision_whose_snapshot_was_deleted_is_made_anew() -> None:
    """Its Deployment is gone, too, or the snapshot would have been restored from it."""
    model = make_model("1", status=make_status(A))
    decision = decide(make_observed(model))
    assert A in decision.revisions
    assert decision.announcements == ()


# --- replicas -----------------------------------------------------------------------------------------------


def test_a_model_scaled_to_zero_switches_without_waiting_for_pods() -> None:
    """There are none to wait for."""
    observed = scaling_up(replicas=0)
    none = {name: replace(each, replicas=0, ready=0) for name, each in observed.deployments.items()}
    assert decide(replace(observed, deployments=none)).status.stable_revision == B


def test_while_an_autoscaler_is_on_the_replicas_of_spec_are_remembered() -> None:
    """So that switching it off is no jump."""
    decision = decide(serving(replicas=2, autoscaling={"maxReplicas": 10}))
    assert decision.status.scaling == ScalingStatus(ignored_replicas=2)


def test_the_count_of_an_autoscaler_that_was_switched_off_is_held() -> None:
    """10 pods stay 10 pods until the user names another number."""
    status = make_status(A, scaling=ScalingStatus(ignored_replicas=2))
    observed = serving(replicas=2, status=status)
    observed = replace(observed, deployments={A: make_deployment(A, replicas=10)})
    assert decide(observed).status.scaling == ScalingStatus(ignored_replicas=2, held_replicas=10)


def test_another_number_in_spec_ends_the_holding() -> None:
    """The user has spoken."""
    status = make_status(A, scaling=ScalingStatus(ignored_replicas=2, held_replicas=10))
    assert decide(serving(replicas=3, status=status)).status.scaling is None


# --- the runtime --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "outdated"),
    [
        pytest.param("registry.example.com/onnx:1", False, id="the runtime is as it was"),
        pytest.param("registry.example.com/onnx:2", True, id="the runtime has changed"),
    ],
)
def test_a_changed_runtime_is_reported_and_rolls_nobody(image: str, outdated: bool) -> None:  # noqa: FBT001
    """The template of what runs is pinned."""
    words: dict[str, Any] = {"model": {"format": "onnx"}, "runtime": None}
    stable = make_revision("1", **words)
    model = make_model("1", status=make_status(stable.name), **words)
    observed = make_observed(
        model, make_deployment(stable.name), revisions=[stable], runtimes=[make_runtime(image=image)]
    )
    decision = decide(observed)
    assert decision.runtime_outdated is outdated
    assert decision.status.canary_revision == ""


# --- what holds for every decision --------------------------------------------------------------------------


def worlds() -> list[Any]:
    """Observed values of every kind above."""
    return [
        pytest.param(make_observed(make_model("1")), id="first"),
        pytest.param(serving(), id="serving"),
        pytest.param(serving("2"), id="changed"),
        pytest.param(serving(commands={"restart": "1"}), id="restarted"),
        pytest.param(serving("2", replicas=-1), id="bad spec"),
        pytest.param(serving("2", runtime=None), id="no runtime"),
        pytest.param(serving(autoscaling={"maxReplicas": 3}), id="autoscaled"),
        pytest.param(serving("2", status=make_status(A, rejected_revisions=(rejected("2"),))), id="rejected"),
        pytest.param(scaling_up(), id="scaling_up"),
        pytest.param(scaling_up(ready=2), id="ready"),
        pytest.param(scaling_up("1"), id="reverted"),
        pytest.param(scaling_up("3"), id="superseded"),
        pytest.param(scaling_up(pods=late_pods(), rollout=ROLL_BACK), id="late"),
        pytest.param(scaling_up(commands={"abort": B}), id="aborted"),
    ]


@pytest.mark.parametrize("observed", worlds())
def test_the_same_world_is_decided_in_the_same_way(observed: Observed) -> None:
    """decide is a function: no clock, no chance, no memory."""
    assert decide(observed) == decide(observed)


def settled(observed: Observed, decision: Decision) -> Observed:
    """The same world, in which the decision is recorded and its Deployments exist."""
    status = decision.status
    live = [
        name for name in (status.stable_revision, status.canary_revision, status.previous_revision) if name
    ]
    deployments: dict[str, Deployment] = {
        name: observed.deployments.get(name) or make_deployment(name, ready=0, age=0) for name in live
    }
    revisions: dict[str, Revision] = dict(decision.revisions)
    return replace(
        observed,
        model=replace(observed.model, status=status),
        revisions=revisions,
        deployments=deployments,
        children=tuple(deployments.values()),
    )


@pytest.mark.parametrize("observed", worlds())
def test_a_decision_that_is_recorded_is_not_decided_again(observed: Observed) -> None:
    """A second reconcile changes nothing and shows nothing, once the Deployments are there; words show of the pods."""
    first = decide(observed)
    second = decide(settled(observed, first))
    assert without_evidence(second.status) == without_evidence(first.status)
    assert second.announcements == ()
    assert second.blocked == first.blocked


@pytest.mark.parametrize("observed", worlds())
def test_the_decision_number_rises_with_decisions_only(observed: Observed) -> None:
    """By one, and when nothing is decided not at all."""
    before, after = observed.model.status, decide(observed).status
    changed = msgspec.structs.replace(after, decision=before.decision) != before
    assert after.decision == max(before.decision, _stamped(observed)) + 1 if changed else before.decision


def test_the_decision_number_is_never_below_one_that_a_child_carries() -> None:
    """Or the child could not be written any more."""
    model = make_model("2", status=make_status(A, decision=5))
    observed = make_observed(model, make_deployment(A, decision=40), revisions=[make_revision("1")])
    assert decide(observed).status.decision == 41


def _stamped(observed: Observed) -> int:
    return max((child.decision for child in observed.children), default=0)
