"""Evidence is read by the noise that is known today (F14): what shows later counts for all that came before."""

from dataclasses import replace
from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelward.analysis import core, messages
from modelward.analysis.counters import Increment
from modelward.analysis.evidence import total_limit, total_log_odds
from modelward.analysis.judge import State, assess, begin, decode, encode, informed, observe
from modelward.analysis.noise import INDEPENDENT, NO_HISTORY, MetricReference, Noise, Reference, phi
from modelward.analysis.noise import decode as noted
from modelward.analysis.readings import Arm, PodReading, Poll, RatioReading
from modelward.analysis.strata import log_odds
from modelward.analysis.verdict import Step, Verdict
from modelward.errors import InvalidState
from unit.analysis.samples import ERRORS, LATENCY, make_policy, make_sample, ratio

STEP = Step(time=600.0, started=0.0, weight_percent=10.0, next_weight_percent=25.0)
WORSE, WELL = ratio((4, 100), (9, 900)), ratio((1, 100), (9, 900))


def known(phi: float, freedom: float = 100.0) -> Reference:
    """What is known of the errors' noise."""
    return Reference(metrics={"errors": MetricReference(phi=phi, freedom=freedom)})


def after(state: State, *increments: Increment, phi: float | None = None) -> State:
    """The memory after these intervals, the noise being known or not."""
    policy, time = make_policy(), state.time or 0.0
    for number, increment in enumerate(increments, 1):
        state = informed(state, known(phi)) if phi else state
        state = observe(policy, state, make_sample(time + 15.0 * number, errors=increment))
    return state


@given(st.lists(st.floats(-200, 200), min_size=1, max_size=12), st.floats(1, 1000), st.integers(0, 1_000_000))
def test_f14_no_discount_makes_more_of_evidence_than_it_is(
    logs: list[float], phi: float, strata: int
) -> None:
    """It is ahead by the prior weight at most, for any phi >= 1, also one that was chosen after the fact."""
    read, fair = core.discounted(logs, phi, strata), core.log_mean(logs)
    assert exp(read) <= (exp(fair) + 0.5) * (1 + 1e-9)
    assert core.discounted(logs, 1.0, strata) == pytest.approx(fair)


@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(-50, 12), st.floats(1, 50)), min_size=2, max_size=8))
def test_f14_a_weighted_sum_is_ahead_of_what_is_fair_by_one_at_most(
    parts: list[tuple[float, float, float]],
) -> None:
    """So a limit of 1/alpha + 1 is enough: whatever the weights, the evidence, and the noise that is found in each."""
    weights = [weight / sum(weight for weight, _, _ in parts) for weight, _, _ in parts]
    fair = sum(weight * exp(m) for weight, (_, m, _) in zip(weights, parts, strict=True))
    read = sum(weight * exp(m / phi) for weight, (_, m, phi) in zip(weights, parts, strict=True))
    assert read <= fair + 1 + 1e-9


def test_f14_noise_that_shows_later_discounts_what_came_before() -> None:
    """The same requests, the same noise: when it was learnt makes no difference to what is decided."""
    begun = begin(make_policy(), NO_HISTORY)
    early = after(begun, WORSE, WORSE, WELL, phi=4.0)
    late = informed(after(begun, WORSE, WORSE, WELL), known(4.0))
    assert log_odds(early.metrics[0]) == pytest.approx(log_odds(late.metrics[0]), abs=1e-9)
    assert total_log_odds(make_policy(), late) < total_log_odds(
        make_policy(), after(begun, WORSE, WORSE, WELL)
    )


def test_f14_bursts_that_show_meanwhile_keep_a_healthy_canary() -> None:
    """Rolled back with a guess of 2, and not once stable's pods show that errors come in clumps."""
    clumps = [ratio((12, 100), (9, 900)), WELL, ratio((13, 100), (20, 900)), ratio((12, 100), (10, 900))]
    begun = begin(make_policy(), NO_HISTORY)
    assert after(begun, *clumps).decided
    assert not after(begun, *clumps, phi=9.0).decided


def test_f14_less_noise_than_thought_decides_nothing_by_itself() -> None:
    """After a single terrible scrape it takes another sample that speaks against the canary."""
    begun = informed(begin(make_policy(), NO_HISTORY), known(6.0))
    struck = after(begun, ratio((100, 100), (0, 900)))
    assert not struck.decided
    calm = informed(struck, known(1.0))
    assert log_odds(calm.metrics[0]) > log(100)
    quiet = after(calm, ratio((0, 0), (0, 900)))
    assert not quiet.decided
    assert after(calm, ratio((5, 100), (0, 900))).decided


def test_f14_a_verdict_stays_as_it_was() -> None:
    """What is learnt after it changes neither the verdict nor its words."""
    policy = make_policy()
    decided = after(begin(policy, known(1.0)), *[ratio((50, 100), (0, 900))] * 3)
    assert decided.decided
    assert informed(decided, known(50.0)) == decided
    assert assess(policy, decided, STEP).verdict is Verdict.ROLL_BACK


def test_f14_the_limit_of_what_is_discounted_has_one_more() -> None:
    """And the sentence says it."""
    policy = make_policy(ERRORS, LATENCY)
    state = begin(policy, NO_HISTORY)
    joined = replace(state, metrics=tuple(replace(each, joined=True) for each in state.metrics))
    assert total_limit(policy, joined) == 101
    independent = begin(policy, INDEPENDENT)
    assert (
        total_limit(
            policy, replace(independent, metrics=tuple(replace(m, joined=True) for m in independent.metrics))
        )
        == 100
    )
    first = begin(make_policy(), NO_HISTORY)
    assert "(limit 101:1)" in messages.worse(ERRORS, after(first, WORSE).metrics[0], 150.0, 101.0)


def test_f14_a_restart_forgets_no_noise() -> None:
    """Who has just begun to poll knows less than status does: less noise is believed when it is known half as well."""
    state = informed(begin(make_policy(), NO_HISTORY), known(5.0, freedom=400))
    restarted = decode(encode(state))
    assert restarted == state
    assert informed(restarted, Reference()).metrics[0].phis == (5.0,)
    assert informed(restarted, known(1.5, freedom=10)).metrics[0].phis == (5.0,)
    assert informed(restarted, known(8.0, freedom=10)).metrics[0].phis == (8.0,)
    assert informed(restarted, known(1.5, freedom=250)).metrics[0].phis == (1.5,)


def test_f14_little_knowledge_is_no_more_noise() -> None:
    """A new observer's guess of 2 is none of what was learnt."""
    state = informed(begin(make_policy(), NO_HISTORY), known(1.1, freedom=400))
    assert informed(state, known(1.9, freedom=4)).metrics[0].phis == (1.1,)


def polls(hits: list[int], count: int = 12) -> list[Poll]:
    """Five pods of stable, each with 1,000 requests a poll, and hits by pod and poll."""
    made, sums = [], [0] * 5
    for poll in range(count):
        sums = [before + hits[(poll + pod) % len(hits)] for pod, before in enumerate(sums)]
        pods = tuple(
            PodReading(
                pod=f"s{pod}",
                arm=Arm.STABLE,
                metrics={"errors": RatioReading(hits=total, total=1000 * (poll + 1))},
            )
            for pod, total in enumerate(sums)
        )
        made.append(Poll(time=15.0 * (poll + 1), weight_percent=10, pods=pods))
    return made


@pytest.mark.parametrize(
    ("hits", "least", "most"),
    [pytest.param([10, 10, 9, 11], 1, 2, id="calm"), pytest.param([0, 0, 50, 0], 5, 400, id="in bursts")],
)
def test_f14_noise_is_learnt_during_the_rollout(hits: list[int], least: float, most: float) -> None:
    """From stable's pods, poll by poll, beginning with the guess for no history."""
    noise, state = Noise(metrics=(ERRORS,)), begin(make_policy(), NO_HISTORY)
    assert state.metrics[0].phis == (2.0,)
    for poll in polls(hits):
        noise = noise.plus(poll)
        state = informed(state, noise.reference())
    assert least <= state.metrics[0].phis[0] <= most


HALF, WHOLE = 0.5, 1.0
"""Standard deviations that are chance."""
PODS = 3


def test_f14_less_scatter_than_chance_has_is_luck() -> None:
    """A few pods that happen to be alike do not bring phi down; many comparisons do."""
    assert phi([(0, 0, HALF)], PODS) == 2
    assert phi([(0, 8, HALF)], PODS) == phi([(8, 8, HALF)], PODS) > 1.7
    assert phi([(500, 500, HALF), (100, 100, HALF)], PODS) < 1.2


def test_f14_noise_that_few_comparisons_show_is_taken_for_more() -> None:
    """The pods that are there are few draws, and the canary's is one more; it counts less the more there are."""
    inflated = [phi([(10 * freedom, freedom, HALF)], PODS) / 10 for freedom in (16, 32, 96, 1000)]
    assert inflated == sorted(inflated, reverse=True)
    assert inflated[0] > 5
    assert inflated[-1] < 1.05


def test_f14_what_chance_often_shows_is_not_inflated() -> None:
    """A mean of 8 with a standard deviation of 4."""
    short = (500.0, 500.0, HALF)
    assert phi([short, (8 + 2, 8, HALF)], PODS) < 2
    assert phi([short, (8 + 4, 8, HALF)], PODS) > 3
    assert phi([short, (8 + 4, 8, WHOLE)], PODS) < 2
    assert phi([short, (8 + 12, 8, WHOLE)], PODS) > 5


def test_f14_more_is_chance_in_the_longest_blocks_once_one_is_over() -> None:
    """Not while it is open: it is then as long as the rollout, and what it shows is all that is known."""
    noise = Noise(metrics=(ERRORS,))
    for poll in polls([10, 10, 9, 11], count=25):
        noise = noise.plus(poll)
        chances = [block.shown[0][2] for block in noise.sums["errors"].blocks] if noise.sums else []
        over = poll.time >= 15.0 + 300.0
        assert chances in ([], [HALF, HALF, HALF, WHOLE if over else HALF])
    assert chances[-1] == WHOLE


def test_f14_a_rollout_is_read_by_blocks_that_are_as_long_as_it_is() -> None:
    """Pods that take turns for minutes scatter over minutes, not over seconds."""
    noise = Noise(metrics=(ERRORS,))
    for poll in polls([5] * 10 + [15] * 10, count=80):
        noise = noise.plus(poll)
    by_time = [noise.reference(seconds).phi("errors") for seconds in (0, 5, 15, 20, 60, 61, 3600)]
    assert by_time == sorted(by_time)
    assert by_time[0] == by_time[1]
    assert by_time[3] == by_time[4]
    assert by_time[-1] == by_time[-2] == noise.reference().phi("errors")
    assert by_time[-1] > 1.5 * by_time[0]


def test_f14_bursts_that_short_blocks_show_are_not_inflated_in_long_ones() -> None:
    """Only what goes beyond comes of pods that differ for a while."""
    short = (8.0 * 500, 500.0, HALF)
    assert phi([short, (8.0 * 8, 8.0, HALF)], PODS) == phi([short], PODS)
    assert phi([short, (24.0 * 8, 8.0, HALF)], PODS) > 24


def test_f14_a_block_that_is_still_open_counts() -> None:
    """Pods that differ show it before the longest block is over."""
    differing = [[0, 20, 0, 20, 0], [0, 40, 0, 40, 0], [0, 60, 0, 60, 0]]
    noise = Noise(metrics=(ERRORS,))
    for poll, sums in enumerate(differing):
        pods = tuple(
            PodReading(
                pod=f"s{pod}",
                arm=Arm.STABLE,
                metrics={"errors": RatioReading(hits=total, total=1000 * (poll + 1))},
            )
            for pod, total in enumerate(sums)
        )
        noise = noise.plus(Poll(time=5.0 * (poll + 1), weight_percent=10, pods=pods))
    assert noise.sums["errors"].blocks[-1].freedom == (0.0,)
    x2, freedom, _ = noise.sums["errors"].blocks[-1].shown[0]
    assert freedom == 4
    assert x2 > 40


@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param(
            "[[1,1],[1,1]],[[1,1],[1,1]],[[1,1],[1,1]],[[1,1],[1,1]]", id="more tests than a ratio has"
        ),
        pytest.param("[[1],[1]],[[1],[1]],[[1],[1]]", id="a length is missing"),
        pytest.param("[[1],[1]],[[1],[1]],[[-1],[1]],[[1],[1]]", id="less than nothing"),
        pytest.param("[[1],[1]],[[1],[1]],[[1e300],[1]],[[1],[1]]", id="without measure"),
        pytest.param("[[1],[1]],[[1],[1]],[[NaN],[1]],[[1],[1]]", id="no number"),
    ],
)
def test_f14_what_was_noted_and_edited_is_as_nothing(blocks: str) -> None:
    """It is refused as a whole, when it is read and not when it is used."""
    with pytest.raises(InvalidState):
        noted(f'[1,{{"errors":[[],[5,1000],5,[{blocks}]]}}]', (ERRORS,))


def test_f14_what_was_noted_weighs_no_more_than_it_may() -> None:
    """Whoever edits it cannot fix the noise for ever: it fades with what is seen."""
    block = "[[9e15],[9e15]]"
    read = noted(f'[1,{{"errors":[[],[5,1000],5,[{",".join([block] * 4)}]]}}]', (ERRORS,))
    assert all(each.freedom[0] < 1e6 for each in read.sums["errors"].blocks)
    assert read.reference().phi("errors") == pytest.approx(1, abs=0.01)


def test_f14_a_memory_of_the_version_before_reads_as_it_did() -> None:
    """It discounted before it kept."""
    old = (
        '[1,"p",0.001,0,1,30.0,5.0,10.0,5.0,[0.001,1,[-0.7,-0.7,-0.7,-0.7,-0.7,-0.7]],null,'
        '[["errors","Ratio",1,30.0,[],[3.0],[[1.5,1.5,1.5,1.5,1.5,1.5]],2,0,[],[9,81,1,3],[9,81,1,3],"pod-x",1]]]'
    )
    assert log_odds(decode(old).metrics[0]) == pytest.approx(1.5)
