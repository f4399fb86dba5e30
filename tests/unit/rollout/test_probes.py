"""What is asked of a pod without users, and when a canary is watched for it."""

from typing import Any

import pytest

from builders.rollouts import rolling
from modelward.rollout.judging import counted_arms
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
    starting = rolling(Phase.WARMING, step=0, weight=0, analysis=ERRORS).model
    arms = starting.status.canary_revision, starting.status.stable_revision
    assert counted_arms(starting) == arms
    assert is_idle(starting)
    taken = {"withdrawn_weight_percent": 10}
    stopped = rolling(Phase.WARMING, step=0, weight=0, analysis=ERRORS, rollout_status=taken).model
    assert counted_arms(stopped) is None
    judged = rolling(Phase.ANALYZING, analysis=ERRORS).model
    assert counted_arms(judged) == arms
    assert not is_idle(judged)
