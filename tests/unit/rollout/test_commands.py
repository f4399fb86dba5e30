"""Commands, one by one: what each comes to, and what comes of several at once. In every phase: see test_events."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NOW, make_revision, revision_name
from builders.rollouts import (
    GATEWAY,
    STEPS,
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
)
from modelward.api.decode import decode_status, encode
from modelward.api.status import CommandsStatus, HistoryEntry, RolloutResult
from modelward.controller.events import event
from modelward.rollout.commands import HANDLED
from modelward.rollout.conditions import complete
from modelward.rollout.decide import decide
from modelward.rollout.phases import Phase

AGAIN = revision_name("2", nonce=1)
"""B, restarted or retried."""


@pytest.mark.parametrize(
    ("value", "approvals"),
    [
        pytest.param(f"{B}/2", (2,), id="the next step"),
        pytest.param(f"{B}/02", (2,), id="written otherwise"),
        pytest.param(f"{B}/1", (), id="a step that has begun"),
        pytest.param(f"{B}/3", (), id="a step that is none"),
        pytest.param(f"{B}/-1", (), id="no number"),
        pytest.param(f"{B}/\N{SUPERSCRIPT TWO}", (), id="a digit that is no number"),
        pytest.param(f"{B}/{'9' * 200}", (), id="a number without end"),
        pytest.param(B, (), id="no step at all"),
        pytest.param(f"{A}/2", (), id="of another revision"),
    ],
)
def test_approvals(value: str, approvals: tuple[int, ...]) -> None:
    """Ahead of time, too; of the canary only."""
    decision = decide(
        rolling(Phase.ANALYZING, began=60, commands={"approve": value}, rollout={"steps": STEPS})
    )
    assert decision.status.rollout is not None
    assert decision.status.rollout.approvals == approvals
    assert reported(decision) == ([] if approvals else ["CommandIgnored"])


def test_an_approval_given_twice_is_one() -> None:
    """The API server refuses a list that is a set with the same entry twice, and the whole status with it."""
    observed = rolling(
        Phase.ANALYZING,
        rollout={"steps": STEPS},
        status={"commands": CommandsStatus(approve=f"{B}/2")},
        rollout_status={"approvals": (2,)},
        commands={"approve": f"{B}/02"},
    )
    made = decide(observed).status.rollout
    assert made is not None
    assert made.approvals == (2,)


@pytest.mark.parametrize("command", ["restart", "refresh"])
@pytest.mark.parametrize("router", [None, GATEWAY], ids=["no router", "router"])
def test_a_restart_during_a_canary_replaces_it_once(command: str, router: dict[str, object] | None) -> None:
    """Under its new name, at once or when the traffic has left; the nonce that was raised is kept."""
    observed = rolling(Phase.ANALYZING, commands={command: "1"}, traffic=router)
    observed = replace(observed, lag_seconds=0)
    reasons = []
    for _ in range(4):
        decision = decide(observed)
        reasons += reported(decision)
        observed = follow(recorded(observed, decision), decision.status)
    assert reasons == ["Superseded", "RevisionCreated", "CanaryStarted"]
    assert (decision.status.canary_revision, decision.status.revision_nonce) == (AGAIN, 1)


def test_a_retry_while_its_traffic_still_leaves_waits_and_has_a_new_name() -> None:
    """The old pods go first."""
    observed = rolling(Phase.ROLLING_BACK, traffic=GATEWAY, commands={"retry": f"{B}/1"})
    decision = decide(observed)
    assert (decision.status.canary_revision, decision.status.revision_nonce) == (AGAIN, 1)


def test_a_failed_restart_leaves_no_trace_in_the_nonce() -> None:
    """Or a mere return to stable would be a rollout."""
    again = make_revision("1", nonce=1, number=4)
    status = {"canary_revision": again.name, "revision_nonce": 1}
    going, aborted = (
        replace(observed, revisions={**observed.revisions, again.name: again})
        for observed in (
            rolling(Phase.ANALYZING, "1", status=status),
            rolling(Phase.ANALYZING, "1", status=status, commands={"abort": again.name}),
        )
    )
    assert decide(going).status.canary_revision == again.name
    made = left(aborted, decide(aborted)).status
    assert (made.canary_revision, made.revision_nonce, made.rejected_revisions) == ("", 0, ())


def test_a_return_is_possible_while_what_spec_asks_for_is_rejected() -> None:
    """Stable is not touched by it, and is not rejected."""
    observed = rolling(
        Phase.SERVING, "2", status={"rejected_revisions": (rejection_of("2"),)}, commands={"rollback": C}
    )
    decision = decide(observed)
    assert (decision.status.stable_revision, decision.status.canary_revision) == (A, C)
    assert [(each.revision, each.reason) for each in decision.status.rejected_revisions] == [
        (B, "RolledBackByUser")
    ]


def test_a_return_goes_without_steps_and_holds_until_spec_changes() -> None:
    """What has served before needs no trial; spec stays as it is, and is rejected meanwhile."""
    observed = rolling(Phase.SERVING, commands={"rollback": C})
    for _ in range(6):
        decision = decide(observed)
        observed = follow(recorded(observed, decision), decision.status)
    assert (decision.status.stable_revision, phase_of(decision)) == (C, Phase.WATCHING)
    assert decision.blocked is not None
    assert decision.blocked.reason == "RolledBack"
    changed = decide(rolling(Phase.SERVING, "2", status=_fields(decision.status)))
    assert (changed.status.canary_revision, changed.blocked) == (B, None)


def test_a_return_to_the_same_revision_is_possible_once_more() -> None:
    """A value is handled once; what comes after the slash makes it another one."""
    acknowledged = {"commands": CommandsStatus(rollback=C)}
    again = decide(rolling(Phase.SERVING, status=acknowledged, commands={"rollback": C}))
    assert again.status.canary_revision == ""
    anew = decide(rolling(Phase.SERVING, status=acknowledged, commands={"rollback": f"{C}/2"}))
    assert anew.status.canary_revision == C


def _fields(status: object) -> dict[str, object]:
    names = ("stable_revision", "rejected_revisions", "history", "commands")
    return {name: getattr(status, name) for name in names}


@pytest.mark.parametrize(
    ("commands", "phase", "reported_"),
    [
        pytest.param({"abort": B, "promote": B}, Phase.ROLLING_BACK, ["Aborted"], id="abort wins"),
        pytest.param({"rollback": A, "promote": B}, Phase.ROLLING_BACK, ["RolledBack"], id="rollback wins"),
        pytest.param(
            {"promote": B, "approve": f"{B}/2"}, Phase.PROMOTING, ["StepAdvanced"], id="promote wins"
        ),
    ],
)
def test_of_several_at_once_the_safest_is_done(
    commands: dict[str, str], phase: Phase, reported_: list[str]
) -> None:
    """All are acknowledged."""
    decision = decide(rolling(Phase.ANALYZING, began=60, commands=commands, rollout={"steps": STEPS}))
    assert (phase_of(decision), reported(decision)) == (phase, reported_)
    assert {name: getattr(decision.status.commands, name) for name in commands} == commands


@pytest.mark.parametrize(
    ("command", "value", "words"),
    [
        pytest.param(
            "rollback", "unheard", "is not a kept revision (kept: ", id="a revision that is not kept"
        ),
        pytest.param("rollback", A, "serves already", id="what serves"),
        pytest.param("rollback", B, "was rejected; modelward.dev/retry", id="what was rejected"),
        pytest.param("retry", f"{C}/1", f"rejected: {B}", id="what was not rejected"),
        pytest.param("restart", "1", f"modelward.dev/retry={B}/1", id="a restart of what was rejected"),
        pytest.param("promote", B, "nothing is", id="nothing to promote"),
    ],
)
def test_what_does_not_apply_is_reported_with_what_would(command: str, value: str, words: str) -> None:
    """In the Event."""
    observed = rolling(
        Phase.SERVING, "2", status={"rejected_revisions": (rejection_of("2"),)}, commands={command: value}
    )
    decision = decide(observed)
    assert reported(decision) == ["CommandIgnored"]
    assert words in decision.announcements[0].message


def test_a_retry_takes_a_name_that_was_never_out() -> None:
    """The snapshot of an earlier try would bring back what it pinned then."""
    tried = HistoryEntry(revision=AGAIN, result=RolloutResult.ROLLED_BACK)
    observed = rolling(
        Phase.SERVING,
        "2",
        status={"rejected_revisions": (rejection_of("2"),), "history": (tried,)},
        commands={"retry": f"{B}/2"},
    )
    assert decide(observed).status.canary_revision == revision_name("2", nonce=2)


def test_f19_two_commands_that_do_nothing_are_both_reported() -> None:
    """Their Events differ by name, though they have one decision and one reason."""
    observed = rolling(Phase.SERVING, commands={"promote": B, "abort": C})
    decision = decide(observed)
    reported = [each for each in decision.announcements if each.reason == "CommandIgnored"]
    sent = {event(observed.model, 8, each, NOW)["metadata"]["name"] for each in reported}
    assert len(reported) == len(sent) == 2


@pytest.mark.parametrize(
    "step", ["0000000009999", "9999999990", "1" * 200, "-1", "\u0661", "1 ", "1_0", "0x1", ""]
)
def test_f19_an_approval_names_a_step_that_is_there(step: str) -> None:
    """The whole number is read: what is approved goes to status, and the CRD bounds it."""
    decision = decide(rolling(Phase.AWAITING_APPROVAL, commands={"approve": f"{B}/{step}"}))
    assert decision.status.rollout is not None
    assert decision.status.rollout.approvals == ()
    assert "names no step" in decision.announcements[0].message


@given(
    phase=st.sampled_from(Phase),
    commands=st.dictionaries(
        st.sampled_from(HANDLED),
        st.builds(
            lambda revision, rest: f"{revision}{rest}"[:256],
            st.sampled_from([A, B, C, ""]),
            st.sampled_from(["", "/", "/0", "/1", "/2", "/00002", "/0000000009999"]) | st.text(max_size=20),
        ),
    ),
)
def test_f19_no_command_makes_a_status_that_the_crd_refuses(phase: Phase, commands: dict[str, str]) -> None:
    """It would be tried again for ever."""
    observed = rolling(phase, commands=commands)
    made = complete(observed, decide(observed))
    assert decode_status(encode(made)).dropped == ()
