"""Every event in every phase: what is decided. One table, so that what was not thought of is seen.

Columns are phases, cells what follows: a phase and the canary's weight, or a dot where nothing changes. A canary
has 25 % here, in Promoting 50 %; see `builders.rollouts` and `events`.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import msgspec
import pytest

from builders.rollouts import GATEWAY, STEPS, A, B, follow, left, phase_of, recorded, reported
from modelward.api.status import CommandsStatus, Condition, RolloutResult, RolloutStatus
from modelward.rollout import phases
from modelward.rollout.decide import decide
from modelward.rollout.decision import Decision
from modelward.rollout.observed import Observed
from modelward.rollout.phases import TRANSITIONS, Phase, Trigger
from unit.rollout.events import EVENTS, Event, happening, say

SHORT: Final = {
    "Serv": Phase.SERVING,
    "Depl": Phase.DEPLOYING,
    "Warm": Phase.SCALING_UP,
    "Anal": Phase.ANALYZING,
    "Appr": Phase.AWAITING_APPROVAL,
    "Paus": Phase.PAUSED,
    "Inco": Phase.INCONCLUSIVE,
    "NoMe": Phase.METRICS_UNAVAILABLE,
    "Prom": Phase.PROMOTING,
    "Watc": Phase.WATCHING,
    "Drai": Phase.DRAINING,
    "Roll": Phase.ROLLING_BACK,
}

WITHOUT_ROUTER: Final = """
event            | Serv   | Depl   | Warm     | Anal    | Appr    | Paus    | Inco    | NoMe    | Prom     | Watc   | Drai     | Roll
nothing          | .      | .      | .        | .       | .       | .       | .       | .       | .        | .      | .        | Serv
pods ready       | .      | Serv   | Anal 5   | .       | .       | .       | .       | .       | Watc 100 | .      | .        | Serv
pods lost        | .      | .      | .        | Warm 0  | Warm 0  | Warm 0  | Warm 0  | Warm 0  | Warm 0   | .      | .        | Serv
stable is down   | .      | .      | .        | .       | .       | .       | .       | .       | .        | .      | .        | Serv
crash loop       | .      | .      | Serv     | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0   | Roll 0 | .        | Serv
preempted        | .      | .      | Serv     | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0   | .      | .        | Serv
late             | .      | .      | Serv     | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0   | .      | .        | Serv
late, Pause      | .      | .      | .        | .       | .       | .       | .       | .       | .        | .      | .        | Serv
worse            | .      | .      | .        | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0   | .      | .        | Serv
worse, guard     | .      | .      | .        | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0   | Roll 0 | .        | Serv
worse, unknown   | .      | .      | .        | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0   | .      | .        | Serv
advance          | .      | .      | .        | Warm 25 | .       | .       | Warm 25 | Anal 25 | .        | .      | .        | Serv
continue         | .      | .      | .        | .       | .       | .       | Anal 25 | Anal 25 | .        | .      | .        | Serv
hold             | .      | .      | .        | Inco 25 | .       | .       | .       | Anal 25 | .        | .      | .        | Serv
inconclusive     | .      | .      | .        | Inco 25 | .       | .       | .       | Anal 25 | .        | .      | .        | Serv
incon., Promote  | .      | .      | .        | Warm 25 | .       | .       | Warm 25 | Anal 25 | .        | .      | .        | Serv
incon., RollBack | .      | .      | .        | Roll 0  | .       | .       | Roll 0  | Anal 25 | .        | .      | .        | Serv
metrics lost     | .      | .      | .        | NoMe 25 | .       | .       | NoMe 25 | .       | .        | .      | .        | Serv
lost, RollBack   | .      | .      | .        | Roll 0  | .       | .       | Roll 0  | Roll 0  | .        | .      | .        | Serv
pause            | .      | .      | .        | Paus 25 | Paus 25 | .       | Paus 25 | Paus 25 | .        | .      | .        | Serv
ready, pause     | .      | Serv   | Paus 0   | Paus 25 | Paus 25 | .       | Paus 25 | Paus 25 | Watc 100 | .      | .        | Serv
resume           | .      | .      | .        | .       | .       | Anal 25 | .       | .       | .        | .      | .        | Serv
approve step 2   | .      | .      | .        | .       | Warm 25 | .       | .       | .       | .        | .      | .        | Serv
promote          | .      | .      | Prom 0   | Prom 25 | Prom 25 | Prom 25 | Prom 25 | Prom 25 | .        | .      | .        | Serv
abort            | .      | .      | Serv     | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0   | Roll 0 | .        | Serv
rollback to A    | .      | .      | Serv     | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0   | Roll 0 | Watc 100 | Serv
rollback to C    | Warm 0 | Warm 0 | Warm 0   | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0   | Warm 0 | .        | Warm 0
retry            | .      | .      | .        | .       | .       | .       | .       | .       | .        | .      | .        | Warm 0
restart          | Warm 0 | Warm 0 | Warm 0   | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0   | Warm 0 | .        | Serv
refresh          | Warm 0 | Warm 0 | Warm 0   | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0   | Warm 0 | .        | Serv
spec A           | .      | .      | Serv     | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0   | Warm 0 | Warm 0   | Serv
spec B           | Warm 0 | Warm 0 | .        | .       | .       | .       | .       | .       | .        | .      | .        | Serv
spec C           | Warm 0 | Warm 0 | Warm 0   | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0   | Warm 0 | .        | Warm 0
spec invalid     | .      | .      | .        | .       | .       | .       | .       | .       | .        | .      | .        | .
no runtime       | .      | .      | Serv     | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0  | Roll 0   | .      | .        | Serv
more replicas    | .      | .      | .        | .       | .       | .       | .       | .       | .        | .      | .        | Serv
no replicas      | .      | Serv   | Drai 100 | .       | .       | .       | .       | .       | Drai 100 | .      | .        | Serv
other analysis   | .      | .      | .        | .       | .       | .       | .       | .       | .        | .      | .        | Serv
other steps      | .      | .      | .        | .       | Anal 30 | .       | .       | .       | .        | .      | .        | Serv
"""

WITH_ROUTER: Final = """
event         | Serv   | Depl   | Warm   | Anal   | Appr   | Paus   | Inco   | NoMe   | Prom     | Watc   | Drai     | Roll
nothing       | .      | .      | .      | .      | .      | .      | .      | .      | .        | .      | .        | Serv
pods ready    | .      | Serv   | Anal 5 | .      | .      | .      | .      | .      | Prom 100 | .      | .        | Serv
crash loop    | .      | .      | Serv   | Roll 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0   | Roll 0 | .        | Serv
preempted     | .      | .      | Serv   | Roll 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0   | .      | .        | Serv
worse         | .      | .      | .      | Roll 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0   | .      | .        | Serv
worse, guard  | .      | .      | .      | Roll 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0   | Roll 0 | .        | Serv
abort         | .      | .      | Serv   | Roll 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0   | Roll 0 | .        | Serv
rollback to A | .      | .      | Serv   | Roll 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0   | Roll 0 | Prom 100 | Serv
rollback to C | Warm 0 | Warm 0 | Warm 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0   | Warm 0 | .        | Warm 0
restart       | Warm 0 | Warm 0 | Warm 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0   | Warm 0 | .        | Serv
spec A        | .      | .      | Serv   | Roll 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0   | Warm 0 | Warm 0   | Serv
spec C        | Warm 0 | Warm 0 | Warm 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0   | Warm 0 | .        | Warm 0
no runtime    | .      | .      | Serv   | Roll 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0 | Roll 0   | .      | .        | Serv
"""


def rows(table: str) -> list[Any]:
    """Each event with its row, by phase."""
    head, *others = ([cell.strip() for cell in line.split("|")] for line in table.strip().splitlines())
    columns = [SHORT[short] for short in head[1:]]
    return [
        pytest.param(row[0], dict(zip(columns, row[1:], strict=True)), id=row[0].replace(" ", "_"))
        for row in others
    ]


def cell(observed: Observed, decision: Decision) -> str:
    """What was decided, as in the table."""
    before, status = observed.model.status, decision.status
    if all(getattr(before, name) == getattr(status, name) for name in ("stable_revision", "canary_revision")):
        was, now = (each.rollout or RolloutStatus() for each in (before, status))
        if (was.state, was.weight_percent) == (now.state, now.weight_percent):
            return "."
    phase = next(short for short, phase in SHORT.items() if phase is phase_of(decision))
    return f"{phase} {status.rollout.weight_percent}" if status.rollout else phase


@pytest.mark.parametrize(("event", "expected"), rows(WITHOUT_ROUTER))
def test_without_a_router(event: str, expected: dict[Phase, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients reach the Service, which is switched by one write: a canary that is taken back goes once it is."""
    assert followed(event, expected, monkeypatch) == expected


@pytest.mark.parametrize(("event", "expected"), rows(WITH_ROUTER))
def test_with_a_router(event: str, expected: dict[Phase, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The weight is 0 at once; the canary's pods stay until the Gateway has taken it."""
    assert followed(event, expected, monkeypatch, traffic=GATEWAY) == expected


def followed(
    event: str, phases_: Iterable[Phase], monkeypatch: pytest.MonkeyPatch, **spec: Any
) -> dict[Phase, str]:
    """What is decided when the event happens, phase by phase."""
    found = {}
    for phase in phases_:
        say(monkeypatch, EVENTS[event], phase)
        observed = happening(EVENTS[event], phase, **spec)
        found[phase] = cell(observed, decide(observed))
    return found


def test_every_event_is_in_the_table() -> None:
    """Or it is tested nowhere."""
    assert {case.values[0] for case in rows(WITHOUT_ROUTER)} == set(EVENTS)
    assert all(set(case.values[1]) == set(Phase) for case in rows(WITHOUT_ROUTER))


# --- how it ends, and what is reported --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "result", "reason", "reported_"),
    [
        pytest.param("crash loop", RolloutResult.ROLLED_BACK, "CrashLooping", "RolledBack", id="ill"),
        pytest.param("worse", RolloutResult.ROLLED_BACK, "RolledBack", "RolledBack", id="worse"),
        pytest.param("late", RolloutResult.ROLLED_BACK, "DeadlineExceeded", "RolledBack", id="late"),
        pytest.param(
            "incon., RollBack", RolloutResult.ROLLED_BACK, "RolledBack", "RolledBack", id="inconclusive"
        ),
        pytest.param(
            "lost, RollBack", RolloutResult.ROLLED_BACK, "MetricsUnavailable", "RolledBack", id="unknown"
        ),
        pytest.param("abort", RolloutResult.ABORTED, "Aborted", "Aborted", id="aborted"),
        pytest.param(
            "rollback to A",
            RolloutResult.ROLLED_BACK,
            "RolledBackByUser",
            "RolledBack",
            id="rolled back by the user",
        ),
        pytest.param("spec A", RolloutResult.SUPERSEDED, None, "Superseded", id="reverted"),
        pytest.param("no runtime", RolloutResult.SUPERSEDED, None, "Superseded", id="superseded"),
    ],
)
@pytest.mark.parametrize("router", [None, GATEWAY], ids=["no router", "router"])
def test_a_canary_that_ends_is_reported_and_remembered(
    event: str,
    result: RolloutResult,
    reason: str | None,
    reported_: str,
    router: dict[str, Any] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One Event, one entry in history that says why; rejected unless it was merely superseded."""
    say(monkeypatch, EVENTS[event], Phase.ANALYZING)
    observed = replace(happening(EVENTS[event], Phase.ANALYZING, traffic=router), lag_seconds=0)
    decision = decide(observed)
    assert reported(decision) == [reported_]
    assert [(entry.revision, entry.result) for entry in decision.status.history] == [(B, result)]
    assert decision.announcements[0].message.startswith(decision.status.history[0].message)
    assert [(each.revision, each.reason) for each in decision.status.rejected_revisions] == (
        [(B, reason)] if reason else []
    )
    again = decide(follow(recorded(observed, decision), decision.status))
    assert reported(again) == [], "the end of a rollout is reported once"
    assert again.status.history == decision.status.history
    assert (again.status.stable_revision, again.status.canary_revision) == (A, "")


@pytest.mark.parametrize("event", ["crash loop", "worse, guard", "abort", "rollback to A"])
def test_after_its_promotion_a_revision_is_switched_back(event: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The previous one, still warm, is stable again; what was promoted is rejected."""
    say(monkeypatch, EVENTS[event], Phase.WATCHING)
    observed = happening(EVENTS[event], Phase.WATCHING)
    status = left(observed, decide(observed)).status
    assert (status.stable_revision, status.canary_revision, status.previous_revision) == (A, "", "")
    assert [each.revision for each in status.rejected_revisions] == [B]


COMMANDS: Final = ["approve step 2", "promote", "abort", "rollback to A", "rollback to C", "retry", "restart"]


@pytest.mark.parametrize("event", COMMANDS)
@pytest.mark.parametrize("phase", Phase)
def test_a_command_is_right_or_a_no_op_with_a_reason(
    event: str, phase: Phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R3: whatever the phase, it changes what it says, or nothing; then an Event shows why. It is done once."""
    say(monkeypatch, EVENTS[event], phase)
    observed = happening(EVENTS[event], phase)
    quiet = decide(happening(EVENTS["nothing"], phase, **_policy_of(event)))
    decision = decide(observed)
    if "CommandIgnored" in reported(decision):
        (why,) = [each.message for each in decision.announcements if each.reason == "CommandIgnored"]
        assert why.startswith(f"{event.split(maxsplit=1)[0]}: ")
        unheard = msgspec.structs.replace(
            decision.status, commands=CommandsStatus(), decision=quiet.status.decision
        )
        assert unheard == quiet.status
    else:
        assert decision.waiting or _essence(decision) != _essence(quiet) or _is_in_effect(event, phase)
    again = decide(follow(recorded(observed, decision), decision.status))
    assert "CommandIgnored" not in reported(again)
    assert again.status.commands == decision.status.commands


def _policy_of(event: str) -> dict[str, Any]:
    return {"rollout": {"steps": STEPS}} if event == "approve step 2" else {}


def _essence(decision: Decision) -> Any:
    rollout = decision.status.rollout
    names = (decision.status.stable_revision, decision.status.canary_revision)
    return (
        *names,
        rollout and (rollout.state, rollout.step, rollout.approvals),
        decision.status.rejected_revisions,
    )


def _is_in_effect(event: str, phase: Phase) -> bool:
    """What is asked for is under way already; only the reason is another one then."""
    return phase is Phase.ROLLING_BACK and event == "rollback to A"


# --- the table of phases ------------------------------------------------------------------------------------

DOWN: Final = {
    "conditions": (Condition(type="Available", status="False", last_transition_time="2026-11-22T11:58:00Z"),)
}
RARE: Final[dict[str, tuple[Phase, Event, dict[str, Any]]]] = {
    "the first step wants approval": (
        Phase.SCALING_UP,
        EVENTS["pods ready"],
        {"rollout": {"steps": [{"weightPercent": 10, "approval": "Required"}]}},
    ),
    "the next step wants approval": (Phase.ANALYZING, EVENTS["advance"], {"rollout": {"steps": STEPS}}),
    "the last step is passed": (Phase.ANALYZING, EVENTS["advance"], {"step": 2, "weight": 50}),
    "resumed before the first step": (Phase.PAUSED, EVENTS["resume"], {"step": 0, "weight": 0}),
    "kept for long enough": (Phase.WATCHING, EVENTS["nothing"], {"began": 601}),
    "drained": (Phase.DRAINING, EVENTS["nothing"], {"began": 6}),
    "worse between two steps": (Phase.SCALING_UP, EVENTS["worse"], {"step": 1, "weight": 5}),
    "not kept": (Phase.PROMOTING, EVENTS["pods ready"], {"rollout": {"keepPreviousSeconds": 0}}),
    "nothing to protect": (Phase.SCALING_UP, EVENTS["no replicas"], {}),
    **{
        f"stable has been down for a minute: {phase}": (phase, EVENTS["stable is down"], {"status": DOWN})
        for phase in (Phase.AWAITING_APPROVAL, Phase.INCONCLUSIVE, Phase.METRICS_UNAVAILABLE)
    },
}


class _Walked(dict[tuple[Phase, Trigger], Phase]):
    """The table, which remembers where it was read."""

    seen: set[tuple[Phase, Trigger]]

    def __getitem__(self, key: tuple[Phase, Trigger]) -> Phase:
        self.seen.add(key)
        return super().__getitem__(key)


def test_every_transition_of_the_table_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing raises KeyError: no other transition is asked for. Together they are what `decide` may do."""
    walked = _Walked(TRANSITIONS)
    walked.seen = set()
    monkeypatch.setattr(phases, "TRANSITIONS", walked)
    cases: list[tuple[Phase, Event, dict[str, Any]]]
    cases = [(phase, event, {}) for phase in Phase for event in EVENTS.values()]
    for phase, event, words in (*cases, *RARE.values()):
        say(monkeypatch, event, phase)
        decide(happening(event, phase, **words))
    fresh = happening(EVENTS["nothing"], Phase.SERVING, status={"stable_revision": ""})
    decide(replace(fresh, deployments={}, children=()))
    assert walked.seen == set(TRANSITIONS)
