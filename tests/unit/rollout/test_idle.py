"""When a canary is watched for what is asked of it without users."""

from dataclasses import replace

import pytest

from builders.rollouts import recorded, rolling
from modelward.analysis.idle import Idle
from modelward.analysis.judge import decode
from modelward.analysis.readings import Arm, PodReading, Poll, RatioReading
from modelward.analysis.sampled_evidence import Evidence
from modelward.rollout.decide import decide
from modelward.rollout.judging import counted_arms
from modelward.rollout.observed import Observed
from modelward.rollout.phases import Phase
from modelward.sampling.subject import is_idle
from unit.rollout.events import ERRORS


def test_f10_a_canary_is_read_before_it_has_weight() -> None:
    """While its first pods start; and not when its weight was taken from it."""
    starting = rolling(Phase.SCALING_UP, step=0, weight=0, analysis=ERRORS).model
    arms = starting.status.canary_revision, starting.status.stable_revision
    assert counted_arms(starting) == arms
    assert is_idle(starting)
    taken = {"withdrawn_weight_percent": 10}
    stopped = rolling(Phase.SCALING_UP, step=0, weight=0, analysis=ERRORS, rollout_status=taken).model
    assert counted_arms(stopped) is None
    judged = rolling(Phase.ANALYZING, analysis=ERRORS).model
    assert counted_arms(judged) == arms
    assert not is_idle(judged)


def idle(number: int, *, cases: float = 0.0, weight: float = 0.0) -> Idle:
    """What so many polls of a pod that is Ready have reported, five seconds apart."""
    seen = Idle()
    for each in range(number):
        reading = PodReading(
            pod="c",
            arm=Arm.CANARY,
            metrics={"errors": RatioReading(hits=0, total=cases * each)},
            ready_since=-60.0,
        )
        seen = seen.plus(Poll(time=5.0 * each, weight_percent=weight, pods=(reading,)))
    return seen


def own_rate(observed: Observed) -> float:
    """What the memory has of it."""
    assert observed.model.status.analysis is not None
    return decode(observed.model.status.analysis.state).metrics[0].own_rate


@pytest.mark.parametrize(("cases", "rate"), [(0.0, 0.0), (1.0, 0.2), (40.0, 8.0)])
def test_f10_what_was_learned_before_the_first_request_outlives_a_failover(cases: float, rate: float) -> None:
    """It is recorded while the canary starts; whoever leads next has seen nothing, and knows it all the same."""
    starting = rolling(
        Phase.SCALING_UP, step=0, weight=0, analysis=ERRORS, evidence=Evidence(idle=idle(13, cases=cases))
    )
    known = recorded(starting, decide(starting))
    assert own_rate(known) == pytest.approx(rate)
    for evidence in (Evidence(), Evidence(idle=idle(2, cases=cases))):
        afresh = replace(known, evidence=evidence)
        assert own_rate(recorded(afresh, decide(afresh))) == pytest.approx(rate)
    assert recorded(known, decide(known)).model.status.analysis == known.model.status.analysis


def test_f10_what_was_learned_goes_on_with_weight_and_before_the_first_sample() -> None:
    """Also if it is learned only then, and the process ends before anything was sampled."""
    weighted = rolling(Phase.ANALYZING, analysis=ERRORS)
    first = recorded(weighted, decide(weighted))
    later = replace(first, evidence=Evidence(idle=idle(13, weight=10.0)))
    learned = recorded(later, decide(later))
    assert own_rate(first) == pytest.approx(0.4)
    assert own_rate(learned) == 0
    afresh = replace(learned, evidence=Evidence())
    assert own_rate(recorded(afresh, decide(afresh))) == 0
