"""The way of a canary as time goes by: steps, strategies, the switch of roles, and the ways back.

The cluster follows each decision at once (`follow`), pods included; whole stories with slow pods, crashes and
lost events are in tests/golden.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

import msgspec
import pytest

from builders import make_pod
from builders.rollouts import (
    GATEWAY,
    STEPS,
    A,
    B,
    follow,
    left,
    phase_of,
    recorded,
    reported,
    rolling,
    weight_of,
)
from modelward.analysis.counters import Increment, RatioCounts, Sample
from modelward.analysis.noise import MetricReference, Reference
from modelward.analysis.sampled_evidence import Evidence
from modelward.rollout.capacity import sizes
from modelward.rollout.decide import decide
from modelward.rollout.observed import Observed, Turn
from modelward.rollout.phases import Phase
from unit.rollout.events import ERRORS, NO_METRICS

Change = Callable[[Observed], Observed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What one reconcile decided."""

    second: float
    phase: Phase
    weight: int
    stable: str
    pods: Mapping[str, int | None]
    reported: tuple[str, ...]


def walked(
    observed: Observed, seconds: int, *, every: int = 5, change: Change = lambda world: world
) -> Iterator[Reconciled]:
    """Reconcile every few seconds, and again until nothing changes; the cluster does what is decided in between."""
    start = observed.now
    for second in range(0, seconds + 1, every):
        observed = change(replace(observed, now=start + timedelta(seconds=second)))
        while True:
            decision = decide(observed)
            changed = decision.status != observed.model.status
            observed = follow(recorded(observed, decision), decision.status)
            made = sizes(observed, decision.status)
            yield Reconciled(
                second=second,
                phase=phase_of(decision),
                weight=weight_of(decision),
                stable=decision.status.stable_revision,
                pods={("A" if name == A else "B"): size.scale for name, size in made.items()},
                reported=tuple(reported(decision)),
            )
            if not changed:
                break


def reported_when(reconciles: Iterator[Reconciled]) -> list[tuple[float, str]]:
    """Every Event with its second."""
    return [(reconciled.second, reason) for reconciled in reconciles for reason in reconciled.reported]


def changed(version: str = "2", **words: Any) -> Observed:
    """A serves; spec asks for `version`."""
    return rolling(Phase.SERVING, version, **words)


@pytest.mark.parametrize("router", [None, GATEWAY], ids=["no router", "router"])
def test_the_default_goes_in_four_steps_of_two_minutes(router: dict[str, Any] | None) -> None:
    """5, 25 and 50 % for 120 s each, then all; the previous version stays for ten minutes."""
    assert reported_when(walked(changed(traffic=router), 1000)) == [
        (0, "RevisionCreated"),
        (0, "CanaryStarted"),
        (120, "StepAdvanced"),
        (240, "StepAdvanced"),
        (360, "Promoted"),
    ]
    phases = [(reconciled.second, reconciled.phase) for reconciled in walked(changed(traffic=router), 1000)]
    assert (955, Phase.WATCHING) in phases
    assert phases[-1] == (1000, Phase.SERVING)


def test_the_canary_grows_with_its_share_and_stable_keeps_its_pods() -> None:
    """Surge: full size before all traffic."""
    reconciles = list(walked(changed(traffic=GATEWAY), 1000))
    seen = {
        (reconciled.weight, reconciled.pods["B"])
        for reconciled in reconciles
        if reconciled.phase is Phase.ANALYZING
    }
    assert seen == {(5, 1), (25, 2), (50, 4)}
    assert {reconciled.pods["A"] for reconciled in reconciles if "A" in reconciled.pods} == {4}


def test_shared_capacity_moves_pod_by_pod_and_keeps_no_previous_revision() -> None:
    """Never a pod more than four; stable is never below its share by more than the pod that changes hands."""
    reconciles = list(walked(changed(rollout={"capacity": "Shared"}, traffic=GATEWAY), 600))
    for reconciled in reconciles:
        assert sum(count or 0 for count in reconciled.pods.values()) == 4
        if "A" in reconciled.pods and "B" in reconciled.pods:
            assert (reconciled.pods["A"] or 0) >= 4 * (100 - reconciled.weight) / 100 - 1
    assert [reconciled.phase for reconciled in reconciles][-1] is Phase.SERVING
    assert Phase.WATCHING not in {reconciled.phase for reconciled in reconciles}


@pytest.mark.parametrize("strategy", ["BlueGreen", "Direct"])
@pytest.mark.parametrize("router", [None, GATEWAY], ids=["no router", "router"])
def test_blue_green_and_direct_switch_once(strategy: str, router: dict[str, Any] | None) -> None:
    """At full size, from nothing to everything; BlueGreen keeps the previous version warm, Direct does not."""
    reconciles = list(walked(changed(rollout={"strategy": strategy}, traffic=router), 650))
    assert {reconciled.weight for reconciled in reconciles} == {0, 100}
    assert [reason for _, reason in reported_when(iter(reconciles))] == ["RevisionCreated", "Promoted"]
    assert (Phase.WATCHING in {reconciled.phase for reconciled in reconciles}) is (strategy == "BlueGreen")
    assert reconciles[-1].phase is Phase.SERVING


def test_a_paused_blue_green_is_a_preview() -> None:
    """In full beside stable, without traffic, for as long as somebody checks it."""
    reconciles = list(walked(changed(rollout={"strategy": "BlueGreen", "paused": True}), 3600, every=600))
    assert (reconciles[-1].phase, reconciles[-1].weight, reconciles[-1].pods) == (
        Phase.PAUSED,
        0,
        {"A": 4, "B": 4},
    )


def test_a_pause_over_hours_goes_on_where_it_was() -> None:
    """Nothing rises meanwhile, and the step is not begun anew."""

    def paused(world: Observed) -> Observed:
        second = (world.now - changed().now).total_seconds()
        policy = {"paused": 150 <= second < 20_000}
        spec = changed(rollout=policy).model.spec
        return replace(world, model=replace(world.model, spec=spec))

    reconciles = list(walked(changed(), 20_400, every=50, change=paused))
    held = {
        (reconciled.phase, reconciled.weight)
        for reconciled in reconciles
        if 150 <= reconciled.second < 20_000
    }
    assert held == {(Phase.PAUSED, 5)}
    assert reconciles[-1].phase is Phase.WATCHING


def test_a_step_that_wants_approval_waits_for_it() -> None:
    """For ever if need be; pods stay as they are."""
    reconciles = list(walked(changed(rollout={"steps": STEPS}), 90_000, every=3000))
    assert (reconciles[-1].phase, reconciles[-1].weight) == (Phase.AWAITING_APPROVAL, 25)


def test_a_change_waits_for_its_turn() -> None:
    """The operator's limit of rollouts is reached; nothing is started, and the place in the queue is reported."""
    turn = Turn(granted=False, place=2, waiting=3, running=10, limit=10)
    decision = decide(replace(changed(), turn=turn))
    assert decision.status.canary_revision == ""
    assert "number 2 of 3" in decision.waiting
    assert decision.wake_after is not None


def test_the_first_revision_waits_for_no_turn() -> None:
    """A model that serves nothing yet puts nobody at risk."""
    fresh = rolling(Phase.SERVING, status={"stable_revision": ""})
    decision = decide(replace(fresh, deployments={}, children=(), turn=Turn(granted=False, place=9)))
    assert decision.status.stable_revision == A


def test_the_clock_of_a_step_starts_with_the_gateways_word() -> None:
    """Until then nobody knows who gets the requests."""
    observed = rolling(Phase.ANALYZING, began=None, traffic=GATEWAY)
    assert observed.route is not None
    deaf = replace(observed, route=replace(observed.route, observed_generation=2))
    for world, starts in ((deaf, False), (observed, True)):
        made = decide(world).status.rollout
        assert made is not None
        assert bool(made.step_start_time) is starts
        assert made.actual_weight_percent == (25 if starts else None)


@pytest.mark.parametrize("said", ["deaf", "listening"])
def test_a_canary_that_is_taken_back_stays_until_no_request_comes(said: str) -> None:
    """Its weight is 0 at once; its pods end when the Gateway has taken it, or after ten seconds."""
    had = {"withdrawn_weight_percent": 25}
    observed = rolling(Phase.ROLLING_BACK, began=2, traffic=GATEWAY, rollout_status=had)
    assert observed.route is not None
    generation = 2 if said == "deaf" else 3
    early = replace(observed, lag_seconds=0, route=replace(observed.route, observed_generation=generation))
    assert decide(early).status.canary_revision == (B if said == "deaf" else "")
    late = replace(early, now=early.now + timedelta(seconds=8))
    assert decide(late).status.canary_revision == ""


def test_a_bad_answer_is_better_than_none() -> None:
    """R7: traffic leaves a canary at once if stable has a ready pod, and as soon as it has one."""
    pods = [make_pod(B, crash_looping="server", restarts=2)]
    down = rolling(Phase.ANALYZING, ready={A: 0}, pods=pods)
    made = decide(down)
    assert (phase_of(made), weight_of(made), made.status.canary_revision) == (Phase.ROLLING_BACK, 25, B)
    back = follow(recorded(down, made), made.status)
    made = decide(back)
    assert (phase_of(made), weight_of(made)) == (Phase.ROLLING_BACK, 0)
    assert phase_of(left(back, made)) is Phase.SERVING


# --- evidence -----------------------------------------------------------------------------------------------


def sampled(
    observed: Observed, *, canary: tuple[int, int], stable: tuple[int, int], number: int = 1
) -> Observed:
    """Samples of the last seconds: errors and requests of both."""
    rollout = observed.model.status.rollout
    assert rollout is not None
    counts = [RatioCounts(hits=hits, total=total) for hits, total in (canary, stable)]
    samples = tuple(
        Sample(
            time=observed.now.timestamp() - 5 * (number - 1 - i),
            weight_percent=rollout.weight_percent,
            metrics={"errors": Increment(canary=counts[0], stable=counts[1])},
        )
        for i in range(number)
    )
    reference = Reference(metrics={"errors": MetricReference(phis={60.0: 1.0}, hits=20, total=20_000)})
    return replace(observed, evidence=Evidence(samples=samples, reference=reference))


WELL: Final[dict[str, Any]] = {"canary": (0, 250), "stable": (1, 750)}
"""Five seconds of 200 requests/s at 25 %."""
_STEP, _TOTAL = 10, 11
"""Places in the judge's memory of a metric: requests and hits of this step, and of all."""


def test_evidence_against_the_canary_rolls_it_back_in_the_judges_words() -> None:
    """The real judge: 10 % errors beside 0.1 %."""
    observed = sampled(rolling(Phase.ANALYZING, analysis=ERRORS), canary=(25, 250), stable=(1, 750), number=6)
    made = decide(observed)
    assert weight_of(made) == 0
    assert left(observed, made).status.canary_revision == ""
    assert made.status.rejected_revisions[0].reason == "RolledBack"
    assert "canary errors 10%" in made.status.history[0].message
    assert made.announcements[0].message.endswith(f"{A} goes on serving.")


def test_evidence_for_the_canary_lets_it_go_on_after_the_shortest_time_of_a_step() -> None:
    """Not before."""
    for began, phase in ((60, Phase.ANALYZING), (125, Phase.SCALING_UP)):
        observed = sampled(rolling(Phase.ANALYZING, began=began, analysis=ERRORS), **WELL, number=20)
        assert phase_of(decide(observed)) is phase


def test_a_memory_that_nobody_can_count_on_with_is_forgotten() -> None:
    """A hand wrote it into status: more hits than requests. What comes afterwards is judged without it."""
    observed = rolling(Phase.ANALYZING, analysis=ERRORS)
    before = replace(observed, now=observed.now - timedelta(seconds=40))
    first = decide(sampled(before, **WELL, number=4))
    assert first.status.analysis is not None
    packed = json.loads(first.status.analysis.state)
    packed[-1][0][_STEP : _TOTAL + 1] = [[10, 100, 1000, 1000]] * 2
    spoiled = msgspec.structs.replace(first.status.analysis, state=json.dumps(packed))
    forged = replace(first, status=msgspec.structs.replace(first.status, analysis=spoiled))
    later = sampled(replace(recorded(before, forged), now=observed.now), **WELL, number=3)
    afresh = replace(later, model=observed.model)
    assert decide(later).status.analysis == decide(afresh).status.analysis


def test_no_sample_counts_twice() -> None:
    """R2: the same samples, seen again because the view lags, leave the state as it is."""
    observed = sampled(rolling(Phase.ANALYZING, analysis=ERRORS), canary=(2, 250), stable=(1, 750), number=3)
    first = decide(observed)
    again = decide(recorded(observed, first))
    assert first.status.analysis is not None
    assert first.status.analysis.last_sample_time
    assert again.status.analysis == first.status.analysis


def test_after_a_gap_without_samples_a_step_wants_a_full_window() -> None:
    """S9: nobody watched meanwhile, so the time does not count."""
    observed = rolling(Phase.ANALYZING, began=500, analysis=ERRORS)
    for gap, phase in ((60, Phase.ANALYZING), (20, Phase.SCALING_UP)):
        before = replace(observed, now=observed.now - timedelta(seconds=gap + 370))
        first = decide(sampled(before, **WELL, number=20))
        assert phase_of(first) is Phase.ANALYZING
        late = replace(recorded(before, first), now=before.now + timedelta(seconds=gap))
        assert phase_of(decide(sampled(late, **WELL))) is phase


def test_metrics_that_come_back_begin_the_step_anew() -> None:
    """S9: what was found before they went away lets nothing pass."""
    observed = rolling(Phase.METRICS_UNAVAILABLE, began=5000, analysis=ERRORS, evidence=NO_METRICS)
    assert phase_of(decide(observed)) is Phase.METRICS_UNAVAILABLE
    back = decide(sampled(observed, **WELL, number=3))
    assert phase_of(back) is Phase.ANALYZING
    assert back.status.rollout is not None
    assert back.status.rollout.step_start_time == "2026-11-22T12:00:00.000000Z"
