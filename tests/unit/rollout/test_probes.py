"""What is asked of a pod without users, and when a canary is watched for it."""

from dataclasses import replace
from typing import Any

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
from modelward.rollout.probes import own_requests
from modelward.sampling.subject import is_idle
from unit.rollout.events import ERRORS


def template(*containers: dict[str, Any]) -> dict[str, Any]:
    """A pod template."""
    return {"spec": {"containers": list(containers)}}


@pytest.mark.parametrize(
    ("made", "per_second", "longest"),
    [
        pytest.param({}, 0.2, 5.5, id="nothing but the reading of the page"),
        pytest.param(
            template(
                {
                    "startupProbe": {"httpGet": {}, "periodSeconds": 1},
                    "readinessProbe": {"httpGet": {}, "periodSeconds": 5},
                    "livenessProbe": {"httpGet": {}},
                }
            ),
            0.5,
            11.5,
            id="both probes, the startup probe not, Kubernetes' default period",
        ),
        pytest.param(
            template(
                {"readinessProbe": {"grpc": {}, "periodSeconds": 4}}, {"livenessProbe": {"tcpSocket": {}}}
            ),
            0.45,
            5.5,
            id="gRPC is a request, a connection is none",
        ),
        pytest.param(
            template({"readinessProbe": {"exec": {}, "initialDelaySeconds": 20, "timeoutSeconds": 3}}),
            0.3,
            33.5,
            id="a command may send one; it begins late, and its answer may take a while",
        ),
    ],
)
def test_f10_what_a_template_asks(made: dict[str, Any], per_second: float, longest: float) -> None:
    """By the periods of its probes, with a reading every five seconds."""
    own = own_requests(made, 5)
    assert own.per_second == pytest.approx(per_second)
    assert own.longest_seconds == longest


def test_f10_a_metric_source_shows_what_was_counted_a_while_ago() -> None:
    """It may read pages more often than it is asked, and what it knows may be old."""
    own = own_requests({}, 15, "prom")
    assert own.per_second == pytest.approx(0.2)
    assert own.longest_seconds == 80.5


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
