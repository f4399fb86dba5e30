"""Probes and scrapes are no evidence: a canary without users is never given more traffic for them."""

import json
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelward.analysis.counters import Counters
from modelward.analysis.idle import NOTHING, Idle, Own
from modelward.analysis.judge import assess, begin, decode, encode, next_step, observe, with_idle
from modelward.analysis.noise import INDEPENDENT
from modelward.analysis.policy import MetricPolicy, Policy
from modelward.analysis.readings import Arm, HistogramReading, PodReading, Poll, RatioReading
from modelward.analysis.verdict import Assessment, Step, Verdict
from modelward.api.analysis_policy import MetricKind
from unit.analysis.samples import ERRORS, make_policy

OWN = Own(per_second=0.4, longest_seconds=10)


def reading(total: float) -> RatioReading:
    """A counter without an error."""
    return RatioReading(hits=0, total=total)


def poll(time: float, weight: float, canary: float, stable: float, *, pods: int = 1) -> Poll:
    """Both arms at one time, as counters since the start."""
    shown = [
        PodReading(pod=f"c{number}", arm=Arm.CANARY, metrics={"errors": reading(canary)})
        for number in range(pods)
    ]
    own = PodReading(pod="s", arm=Arm.STABLE, metrics={"errors": reading(stable)})
    return Poll(time=time, weight_percent=weight, pods=(*shown, own))


def played(
    *, before: int, looks: int, probes: float, users: float = 0.0, own: Own = NOTHING, pods: int = 1
) -> list[Assessment]:
    """What is said at each look of a rollout at 25 %, after looks without weight: per pod and five seconds."""
    policy = make_policy(ERRORS, interval_seconds=5, own=own)
    idle, counters, state = Idle(), Counters(), begin(policy, INDEPENDENT)
    canary, stable, said = 0.0, 1000.0, []
    started = 5.0 * before
    for number in range(before + looks):
        weight = 0 if number < before else 25
        canary += probes + (users if weight else 0)
        stable += probes + 300
        look = poll(5.0 * number, weight, canary, stable, pods=pods)
        if not weight:
            idle = idle.plus(look)
            continue
        state = with_idle(policy, state, idle)
        counters, sample = counters.advance(look)
        if sample:
            state = decode(encode(observe(policy, state, sample)))
        step = Step(time=look.time, started=started, weight_percent=25, next_weight_percent=100)
        said.append(assess(policy, state, step))
    return said


@settings(max_examples=25, deadline=None)
@given(
    probes=st.sampled_from([1.0, 2.0, 4.0, 11.0]),
    own=st.sampled_from([Own(), OWN]),
    pods=st.integers(1, 4),
)
def test_f10_a_canary_that_only_probes_reach_never_advances(probes: float, own: Own, pods: int) -> None:
    """Two requests in five seconds led to a promotion after 885 s. However many there are, and of however many pods."""
    said = played(before=3, looks=300, probes=probes, own=own, pods=pods)
    assert {each.verdict for each in said} <= {Verdict.CONTINUE, Verdict.INCONCLUSIVE}
    assert said[-1].verdict is Verdict.INCONCLUSIVE
    assert not said[-1].may_advance
    assert "probes and scrapes" in said[100].message


def test_f10_what_the_operator_causes_itself_is_known_without_a_look_before() -> None:
    """Nothing was seen before it had weight: the template's probes and our own readings count for nothing."""
    said = played(before=0, looks=300, probes=2, own=OWN)
    assert Verdict.ADVANCE not in {each.verdict for each in said}
    assert not said[-1].may_advance


def test_f10_users_beyond_the_probes_are_evidence() -> None:
    """As many as are needed anyway, and no more."""
    said = played(before=3, looks=60, probes=2, users=40, own=OWN)
    assert said[-1].verdict is Verdict.ADVANCE
    assert "beyond" in said[2].message


@pytest.mark.parametrize("own", [Own(), OWN])
def test_f10_a_server_that_does_not_count_probes_loses_nothing(own: Own) -> None:
    """It showed none while all of them were asked: every request is a user's, from the first on."""
    with_probes = played(before=4, looks=60, probes=0, users=2, own=own)
    without = played(before=0, looks=60, probes=0, users=2)
    assert [each.message for each in with_probes] == [each.message for each in without]


def test_f10_two_looks_that_are_shorter_than_a_probe_say_nothing_of_it() -> None:
    """The kubelet asks every ten seconds; that none was seen in five does not mean that none is counted."""
    idle = Idle().plus(poll(0, 0, 0, 0)).plus(poll(5, 0, 0, 0))
    assert idle.rates(OWN) == {"errors": 0.4}
    assert idle.plus(poll(10, 0, 0, 0)).rates(OWN) == {"errors": 0.0}
    assert idle.plus(poll(10, 0, 30, 0)).rates(OWN) == {"errors": 3.0}


def test_f10_what_a_server_asks_itself_at_its_start_is_forgotten() -> None:
    """Only the last two intervals before it has weight count."""
    idle = Idle()
    for number, total in enumerate([0, 500, 900, 902, 904]):
        idle = idle.plus(poll(5.0 * number, 0, total, 0))
    assert idle.rates(Own()) == {"errors": 0.4}


def test_f10_a_restart_of_the_server_is_no_request() -> None:
    """Its counters begin anew: of that interval nothing is known."""
    idle = Idle().plus(poll(0, 0, 100, 0)).plus(poll(5, 0, 2, 0)).plus(poll(10, 0, 4, 0))
    assert idle.rates(Own()) == {"errors": 0.4}


def test_f10_new_pods_bring_no_evidence_from_before_they_were_read() -> None:
    """A canary that grows for its next step has answered probes while it started."""
    policy = make_policy(ERRORS, interval_seconds=5)
    idle = Idle().plus(poll(0, 0, 0, 0)).plus(poll(5, 0, 2, 0)).plus(poll(10, 0, 4, 0))
    counters, state, number = Counters(), with_idle(policy, begin(policy, INDEPENDENT), idle), count(1)
    for pods, totals in ((1, (6,)), (1, (8,)), (3, (10, 60, 60)), (3, (12, 62, 62))):
        read = tuple(
            PodReading(pod=f"c{index}", arm=Arm.CANARY, metrics={"errors": reading(totals[index])})
            for index in range(pods)
        )
        at = 5.0 * next(number) + 10
        stable = PodReading(pod="s", arm=Arm.STABLE, metrics={"errors": reading(100 * at)})
        counters, sample = counters.advance(Poll(time=at, weight_percent=25, pods=(*read, stable)))
        state = observe(policy, state, sample) if sample else state
    assert state.metrics[0].step.canary > 100
    assert state.metrics[0].users_cases == 0
    assert next_step(state).metrics[0].unasked == 0


def test_f10_latency_alone_is_no_evidence_either() -> None:
    """Probes that are fast say nothing of a model that is slow."""
    policy = Policy(metrics=(MetricPolicy(name="took", kind=MetricKind.LATENCY),), interval_seconds=5)
    idle, counters, state = Idle(), Counters(), begin(policy, INDEPENDENT)
    said = []
    for number in range(200):
        weight = 0 if number < 3 else 25
        pods = tuple(
            PodReading(
                pod=arm.value,
                arm=arm,
                metrics={"took": HistogramReading(buckets={0.1: n, 1.0: n, float("inf"): n})},
            )
            for arm, n in ((Arm.CANARY, 2.0 * number), (Arm.STABLE, 300.0 * number))
        )
        look = Poll(time=5.0 * number, weight_percent=weight, pods=pods)
        idle = idle if weight else idle.plus(look)
        if weight:
            state = with_idle(policy, state, idle)
            counters, sample = counters.advance(look)
            state = observe(policy, state, sample) if sample else state
            step = Step(time=look.time, started=15, weight_percent=25, next_weight_percent=50)
            said.append(assess(policy, state, step))
    assert Verdict.ADVANCE not in {each.verdict for each in said}
    assert not said[-1].may_advance


def test_f10_old_memories_without_it_are_read() -> None:
    """Nothing was taken for probes then."""
    policy = make_policy(ERRORS)
    packed = json.loads(encode(begin(policy, INDEPENDENT)))
    assert len(packed[-1][0]) < 21
    assert decode(json.dumps(packed)).metrics[0].own_rate == 0
