"""F05: what both versions suffer from holds the canary where it is, and lets it go on when it is over."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from builders import before, make_pod
from builders.rollouts import GATEWAY, A, B, follow, phase_of, recorded, reported, rolling, weight_of
from modelward.api.status import Condition
from modelward.rollout.decide import decide
from modelward.rollout.decision import Decision
from modelward.rollout.observed import Exit, Observed, Pod
from modelward.rollout.phases import Phase
from unit.rollout.events import EVENTS, GUARD, happening, say

UNTIL: Final = "the canary is not to blame, and is not promoted until it is over."
BEGAN: Final = 300.0
"""The rollout of `rolling` began so many seconds ago."""


def out_of_memory(ago: float) -> dict[str, Any]:
    """Killed once, and ready again; the kubelet shows it for as long as the pod lives."""
    ended = Exit(container="model-server", code=137, reason="OOMKilled", time=before(ago))
    return {"ready": True, "ready_since": before(ago - 5), "restarts": 1, "ended": ended}


def crash_loop(ago: float) -> dict[str, Any]:
    """Ended, and held back."""
    ended = Exit(container="model-server", code=1, reason="Error", time=before(ago))
    return {"ready": False, "crash_looping": "model-server", "restarts": 4, "ended": ended}


def restarted(ago: float) -> dict[str, Any]:
    """Its liveness probe has failed again and again, and it is ready again."""
    ended = Exit(container="model-server", code=137, reason="Error", time=before(ago))
    return {"ready": True, "ready_since": before(ago - 5), "restarts": 4, "ended": ended}


def evicted(ago: float) -> dict[str, Any]:
    """It used more disk than it may; its Deployment has another pod in its place, the object stays."""
    return {"ready_since": before(ago), "failed": "Evicted", "over_storage_limit": True}


def unready(ago: float) -> dict[str, Any]:
    """Its probe fails since a while."""
    return {"lost_readiness": True, "ready_since": before(ago + 120)}


ALIKE: Final = [out_of_memory, crash_loop, restarted, evicted, unready]
"""What a healthy pod does not do."""
KEPT: Final = [out_of_memory, restarted, evicted]
"""Of that what is still to be seen when it is over."""
WAYS: Final[dict[str, tuple[Phase, dict[str, Any]]]] = {
    "at a step": (Phase.ANALYZING, {}),
    "at the last step": (Phase.ANALYZING, {"step": 2, "weight": 50}),
    "before its first step": (Phase.SCALING_UP, {"ready": {B: 1}}),
    "before the next step": (Phase.SCALING_UP, {"step": 1, "weight": 5, "ready": {B: 2}}),
    "before the switch": (Phase.PROMOTING, {"ready": {B: 4}}),
    "before the switch, with a route": (Phase.PROMOTING, {"ready": {B: 4}, "traffic": GATEWAY}),
    "with all the traffic": (Phase.PROMOTING, {"ready": {B: 4}, "weight": 100, "traffic": GATEWAY}),
    "approved": (
        Phase.SCALING_UP,
        {"step": 2, "weight": 25, "ready": {B: 4}, "rollout_status": {"approvals": (2,)}},
    ),
    "Direct": (Phase.SCALING_UP, {"step": 0, "ready": {B: 4}, "rollout": {"strategy": "Direct"}}),
    "BlueGreen": (Phase.SCALING_UP, {"step": 0, "ready": {B: 4}, "rollout": {"strategy": "BlueGreen"}}),
}
"""From where a canary without signals goes on in the next reconcile, if nothing holds it."""


def pods(**facts: Any) -> list[Pod]:
    """One pod of each, alike."""
    return [make_pod(revision, name=f"{revision}-1", **facts) for revision in (B, A)]


def goes_on(observed: Observed, decision: Decision) -> bool:
    """Whether the canary has more than it had: weight, a later phase, or stable's place."""
    status = observed.model.status
    assert status.rollout is not None
    return (
        decision.status.stable_revision != status.stable_revision
        or weight_of(decision) > status.rollout.weight_percent
        or phase_of(decision) is not Phase(status.rollout.state)
    )


def message(decision: Decision) -> str:
    """What is said of the rollout."""
    return decision.status.rollout.message if decision.status.rollout else ""


def has_traffic(way: str) -> bool:
    """Whether the canary has any: readiness counts only then."""
    phase, words = WAYS[way]
    return bool(words.get("weight", 25 if phase is Phase.ANALYZING else 0))


@pytest.mark.parametrize(
    ("trouble", "way"),
    [(trouble, way) for trouble in ALIKE for way in WAYS if trouble is not unready or has_traffic(way)],
)
def test_f05_what_both_suffer_from_holds_the_canary(trouble: Any, way: str) -> None:
    """Without signals, at each moment at which it would go on; and that is said and nothing else."""
    phase, words = WAYS[way]
    healthy = rolling(phase, **words)
    assert goes_on(healthy, decide(healthy))
    observed = rolling(phase, pods=pods(**trouble(20)), **words)
    decision = decide(observed)
    assert not goes_on(observed, decision)
    assert reported(decision) == []
    assert UNTIL in message(decision)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("trouble", KEPT)
def test_f05_it_goes_on_by_itself_when_it_is_over(trouble: Any, way: str) -> None:
    """A minute after the last mishap, though the kubelet still shows it; the next reconcile comes by itself."""
    phase, words = WAYS[way]
    held = decide(rolling(phase, pods=pods(**trouble(20)), **words))
    assert held.wake_after is not None
    assert held.wake_after <= 5
    observed = rolling(phase, pods=pods(**trouble(66)), **words)
    decision = decide(observed)
    assert goes_on(observed, decision)
    assert "not to blame" not in message(decision)


@pytest.mark.parametrize(
    "verdict", ["advance", "inconclusive", "incon., Promote", "incon., RollBack", "hold"]
)
@pytest.mark.parametrize("phase", [Phase.ANALYZING, Phase.INCONCLUSIVE])
def test_f05_no_verdict_of_the_judge_lets_it_go_on_or_takes_it_back(
    monkeypatch: pytest.MonkeyPatch, phase: Phase, verdict: str
) -> None:
    """With declared signals: they are as good in both, or as bad; what may be done about it waits, too."""
    say(monkeypatch, EVENTS[verdict], phase)
    observed = happening(EVENTS[verdict], phase, pods=pods(**out_of_memory(20)))
    decision = decide(observed)
    assert (phase_of(decision), weight_of(decision)) == (phase, 25)
    assert decision.status.canary_revision == B
    assert UNTIL in message(decision)


def test_f05_evidence_against_the_canary_still_takes_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pods that suffer alike are no excuse for errors that do not."""
    say(monkeypatch, EVENTS["worse"], Phase.ANALYZING)
    decision = decide(happening(EVENTS["worse"], Phase.ANALYZING, pods=pods(**out_of_memory(20))))
    assert decision.status.rejected_revisions[0].revision == B


def test_f05_a_larger_share_of_the_canary_still_takes_it_back() -> None:
    """Half of stable's pods, and all of the canary's."""
    both = [*pods(**out_of_memory(20)), make_pod(A, name="well", ready=True)]
    assert decide(rolling(Phase.ANALYZING, pods=both)).status.rejected_revisions[0].reason == "OutOfMemory"


def test_f05_stable_that_is_not_well_again_holds_it_too() -> None:
    """The canary's pod is over it; the incident goes on in stable's."""
    mine, _ = pods(**out_of_memory(100))
    _, other = pods(**out_of_memory(20))
    observed = rolling(Phase.ANALYZING, pods=[mine, other])
    assert not goes_on(observed, decide(observed))


def test_f05_what_stable_alone_suffers_from_holds_nothing() -> None:
    """The canary may be the remedy."""
    _, other = pods(**out_of_memory(20))
    observed = rolling(Phase.ANALYZING, pods=[make_pod(B, name="well", ready=True), other])
    assert goes_on(observed, decide(observed))


@pytest.mark.parametrize("world", ["no replicas", "stable is down"])
def test_f05_nothing_is_held_where_there_is_nothing_to_protect(world: str) -> None:
    """Stable is to have no pod, or none of it has served for two minutes: the change may be the way out."""
    down = Condition(type="Available", status="False", last_transition_time="2026-11-22T11:58:00Z")
    words: dict[str, Any] = {"replicas": 0}
    if world == "stable is down":
        words = {"ready": {A: 0, B: 1}, "status": {"conditions": (down,)}}
    observed = rolling(Phase.SCALING_UP, pods=pods(**out_of_memory(20)), **words)
    decision = decide(observed)
    assert goes_on(observed, decision)
    assert "is not promoted" not in message(decision)


def test_f05_a_person_who_promotes_it_is_followed_to_the_end() -> None:
    """From the command to the switch; what both suffer from is said, and no promise that is not kept."""
    observed = rolling(Phase.ANALYZING, pods=pods(**out_of_memory(20)), commands={"promote": B})
    decision = decide(observed)
    assert phase_of(decision) is Phase.PROMOTING
    assert "the canary is not to blame." in message(decision)
    grown = follow(recorded(observed, decision), decision.status)
    assert decide(grown).status.stable_revision == B


def test_f05_a_promotion_of_an_earlier_rollout_lets_nothing_go_on_now() -> None:
    """The annotation is there still, and was handled then."""
    observed = rolling(
        Phase.ANALYZING,
        pods=pods(**out_of_memory(20)),
        commands={"promote": B},
        status={"commands": rolling(Phase.ANALYZING, commands={"promote": B}).model.status.commands},
    )
    handled = decide(observed).status.commands
    again = rolling(
        Phase.ANALYZING, pods=pods(**out_of_memory(20)), commands={"promote": B}, status={"commands": handled}
    )
    assert not goes_on(again, decide(again))


def test_f05_a_pause_is_said_though_it_is_held() -> None:
    """Both are true."""
    decision = decide(
        rolling(Phase.ANALYZING, pods=pods(**out_of_memory(20)), rollout={"paused": True}, analysis=GUARD)
    )
    assert phase_of(decision) is Phase.PAUSED
    assert UNTIL in message(decision)


def test_f05_a_mishap_of_unknown_time_is_not_over() -> None:
    """Unknown is no success."""
    facts = out_of_memory(500)
    ended = replace(facts["ended"], time=None)
    observed = rolling(Phase.ANALYZING, pods=pods(**{**facts, "ended": ended, "ready_since": None}))
    assert not goes_on(observed, decide(observed))
    later = replace(observed, now=observed.now + timedelta(hours=1))
    assert weight_of(decide(later)) == 25
