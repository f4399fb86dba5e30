"""Bugs that other rollout controllers had, R1 to R14: what decide must do for them not to be ours.

| id | the bug | shown by |
|---|---|---|
| R1 | a lost watch event leaves a rollout stuck | tests/golden (late and lost events), tests/cluster |
| R2 | a stale view makes an action happen twice | `test_properties.test_what_is_decided_settles`, `test_canary.test_no_sample_counts_twice` |
| R3 | a command that does not apply does harm | `test_events.test_a_command_is_right_or_a_no_op_with_a_reason`, here |
| R4 | abort is ignored after the promotion | here |
| R5 | an autoscaler revives a rejected canary | here |
| R6 | nothing can be deployed while stable is bad | here |
| R7 | after an abort stable must be scaled up by hand | here, `test_canary.test_a_bad_answer_is_better_than_none` |
| R8 | traffic goes to pods that are not ready; promotion copies | here, `test_properties.test_traffic_goes_where_pods_are` |
| R9 | stuck in promotion, no rollback while waiting | here |
| R10 | a change in mid-analysis promotes what was not judged | here |
| R11 | a failed rollout is not left by a new revision | here |
| R12 | a change of the autoscaler waits for the next canary | here |
| R13 | retries back off for minutes | tests/unit/controller/test_workqueue.py; here: how soon a canary is reconciled again |
| R14 | a failed analysis counts as successful | here |
"""

from dataclasses import replace
from typing import Any

import pytest

from builders import make_deployment, make_pod
from builders.rollouts import (
    GATEWAY,
    A,
    B,
    C,
    follow,
    left,
    phase_of,
    recorded,
    rejection_of,
    reported,
    rolling,
    weight_of,
)
from modelward.analysis.verdict import Verdict
from modelward.api.status import Condition
from modelward.api.times import format_seconds
from modelward.rollout.capacity import sizes
from modelward.rollout.decide import decide
from modelward.rollout.observed import Observed
from modelward.rollout.phases import WITH_CANARY, Phase
from unit.rollout.conftest import Says
from unit.rollout.events import ERRORS, EVENTS, happening, say

AUTOSCALING = {"minReplicas": 2, "maxReplicas": 20}


@pytest.mark.parametrize("phase", [Phase.SERVING, Phase.DEPLOYING, Phase.DRAINING])
def test_r3_an_abort_with_nothing_in_progress_touches_nothing(phase: Phase) -> None:
    """Stable keeps its pods."""
    observed = rolling(phase, commands={"abort": A})
    decision = decide(observed)
    assert sizes(observed, decision.status) == sizes(observed, observed.model.status)
    assert reported(decision) == ["CommandIgnored"]


@pytest.mark.parametrize("phase", [*WITH_CANARY, Phase.WATCHING])
def test_r4_an_abort_wins_until_the_promotion_is_final(phase: Phase) -> None:
    """Also over an order to promote that comes with it."""
    observed = rolling(phase, commands={"abort": B, "promote": B})
    decision = decide(observed)
    gone = left(observed, decision).status
    assert (gone.stable_revision, gone.canary_revision) == (A, "")
    assert [reason for reason in reported(decision) if reason != "CommandIgnored"] == ["Aborted"]


@pytest.mark.parametrize("replicas", [1, 4, 20])
def test_r5_no_autoscaler_revives_what_is_rejected(replicas: int) -> None:
    """While it leaves its count is held; then it has none. Spec still asks for it, and may be applied again."""
    leaving = rolling(Phase.ROLLING_BACK, began=1, traffic=GATEWAY, autoscaling=AUTOSCALING)
    leaving = replace(leaving, deployments={A: make_deployment(A), B: make_deployment(B, replicas=replicas)})
    assert sizes(leaving, leaving.model.status)[B].scale == replicas
    gone = decide(leaving)
    assert set(sizes(leaving, gone.status)) == {A}
    for _ in range(3):
        again = decide(follow(recorded(leaving, gone), gone.status))
        assert again.status.canary_revision == ""
        assert again.status == gone.status


def stable_down(phase: Phase, version: str, **words: Any) -> Observed:
    """No pod of stable has been ready for two minutes."""
    down = Condition(type="Available", status="False", last_transition_time="2026-11-22T11:58:00Z")
    status = {"conditions": (down,), **words.pop("status", {})}
    return rolling(phase, version, status=status, ready={A: 0, **words.pop("ready", {})}, **words)


def test_r6_a_good_revision_goes_out_while_stable_is_bad() -> None:
    """There is nothing to protect: once a pod of it is ready the new revision gets everything, without steps."""
    assert decide(stable_down(Phase.SERVING, "2")).status.canary_revision == B
    decision = decide(stable_down(Phase.SCALING_UP, "2", ready={B: 1}))
    assert decision.status.stable_revision == B


def test_r6_a_rejected_revision_that_still_answers_makes_way_for_the_next() -> None:
    """It kept its traffic because stable has no pod; what comes next is the way out."""
    observed = stable_down(Phase.ROLLING_BACK, "3", weight=25)
    assert left(observed, decide(observed)).status.canary_revision == C


def test_r6_promote_is_the_way_past_the_judge() -> None:
    """Both fail, so nothing can be compared; a person knows better."""
    decision = decide(stable_down(Phase.METRICS_UNAVAILABLE, "2", commands={"promote": B}, analysis=ERRORS))
    assert decision.status.stable_revision == B


@pytest.mark.parametrize("capacity", ["Surge", "Shared"])
def test_r7_stable_is_at_full_size_by_itself_after_an_abort(capacity: str) -> None:
    """And the Service or the route is its own again."""
    observed = rolling(Phase.ANALYZING, rollout={"capacity": capacity}, commands={"abort": B})
    decision = decide(observed)
    assert weight_of(decision) == 0
    assert {name: size.scale for name, size in sizes(observed, left(observed, decision).status).items()} == {
        A: 4
    }


def test_r8_roles_switch_and_nothing_is_copied() -> None:
    """The Deployment that was the canary's is stable's: same name, same size, not created anew."""
    observed = rolling(Phase.PROMOTING, ready={B: 4})
    before = sizes(observed, observed.model.status)
    decision = decide(observed)
    assert (decision.status.stable_revision, decision.status.previous_revision) == (B, A)
    assert sizes(observed, decision.status) == {B: before[B], A: before[A]}


@pytest.mark.parametrize("phase", [*WITH_CANARY, Phase.WATCHING])
@pytest.mark.parametrize("event", ["crash loop", "worse, guard"])
def test_r9_every_phase_with_weight_rolls_back(
    event: str, phase: Phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting for approval, paused, without metrics, in promotion, and after it."""
    say(monkeypatch, EVENTS[event], phase)
    words = {"step": 1, "weight": 5} if phase is Phase.SCALING_UP else {}
    observed = happening(EVENTS[event], phase, **words)
    decision = decide(observed)
    assert weight_of(decision) == 0
    gone = left(observed, decision).status
    assert (gone.stable_revision, gone.canary_revision) == (A, "")
    assert [each.revision for each in decision.status.rejected_revisions] == [B]


@pytest.mark.parametrize("phase", WITH_CANARY)
def test_r10_a_verdict_is_of_one_revision(phase: Phase, judge_says: Says) -> None:
    """A -> B -> C in any phase: C begins at its first step, without weight and without B's evidence."""
    judge_says(Verdict.ADVANCE)
    observed = rolling(phase, "3", analysis=ERRORS)
    decision = decide(observed)
    if phase_of(decision) is Phase.ROLLING_BACK:
        decision = left(observed, decision)
    rollout, analysis = decision.status.rollout, decision.status.analysis
    assert rollout is not None
    assert (decision.status.canary_revision, rollout.step, rollout.weight_percent, analysis) == (
        C,
        0,
        0,
        None,
    )
    assert rollout.approvals == ()


def test_r11_a_failed_rollout_is_left_by_any_new_revision() -> None:
    """At once, and with a full analysis of its own."""
    decision = decide(rolling(Phase.SERVING, "3", status={"rejected_revisions": (rejection_of("2"),)}))
    assert (decision.status.canary_revision, decision.blocked) == (C, None)


@pytest.mark.parametrize("phase", Phase)
def test_r12_an_edit_of_the_autoscaler_acts_at_once_and_starts_nothing(phase: Phase) -> None:
    """In every phase, for every revision that an autoscaler sizes."""
    words: dict[str, Any] = {"traffic": GATEWAY}
    before = rolling(phase, autoscaling={"minReplicas": 2, "maxReplicas": 20}, **words)
    after = rolling(phase, autoscaling={"minReplicas": 2, "maxReplicas": 30}, **words)
    status = decide(after).status
    assert (status.stable_revision, status.canary_revision) == (
        decide(before).status.stable_revision,
        decide(before).status.canary_revision,
    )
    scaled = [size for size in sizes(after, status).values() if size.scale is None]
    assert scaled
    assert {size.most for size in scaled} == {30}


@pytest.mark.parametrize("phase", WITH_CANARY)
def test_r13_a_live_canary_is_reconciled_within_seconds(phase: Phase) -> None:
    """Whatever it waits for."""
    wait = decide(rolling(phase)).wake_after
    assert wait is not None
    assert wait <= 5


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("weight", [5, 25, 50])
def test_r14_only_a_verdict_to_advance_advances(verdict: Verdict, weight: int, judge_says: Says) -> None:
    """No default to success: of all verdicts one lets a canary go on, at each step."""
    judge_says(verdict)
    step = [5, 25, 50].index(weight)
    made = decide(rolling(Phase.ANALYZING, step=step, weight=weight, analysis=ERRORS)).status
    gone_on = made.stable_revision == B or bool(made.rollout and made.rollout.step > step)
    assert gone_on is (verdict is Verdict.ADVANCE)


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict is not Verdict.ROLL_BACK])
def test_r14_without_metrics_no_verdict_advances(verdict: Verdict, judge_says: Says) -> None:
    """The judge may have said so before they went away."""
    judge_says(verdict)
    made = decide(happening(EVENTS["metrics lost"], Phase.ANALYZING)).status
    assert made.rollout is not None
    assert (made.rollout.state, made.rollout.weight_percent) == (Phase.METRICS_UNAVAILABLE, 25)


def test_r14_history_says_how_it_ended() -> None:
    """A rollback is never reported as a success."""
    pods = [make_pod(B, crash_looping="server", restarts=2)]
    entry = decide(rolling(Phase.ANALYZING, pods=pods)).status.history[0]
    assert (entry.revision, entry.result.value) == (B, "RolledBack")
    assert entry.end_time == format_seconds(rolling(Phase.SERVING).now).replace("Z", ".000000Z")
