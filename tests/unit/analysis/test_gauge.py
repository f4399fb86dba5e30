"""How far apart the values of a gauge must be."""

from math import sqrt

import pytest
from numpy.random import default_rng

from modelward.analysis.gauge import Spacing
from modelward.analysis.noise import Noise
from modelward.analysis.policy import MetricPolicy
from modelward.analysis.readings import Arm, GaugeReading, PodReading, Poll
from modelward.api.analysis_policy import MetricKind


def seconds(memory: float, *, pods: int = 4, polls: int = 240, common: float = 0.0) -> float:
    """The spacing for values that keep `memory` of themselves from minute to minute."""
    random = default_rng(5)
    values = random.normal(size=pods)
    spacing = Spacing()
    for poll in range(polls):
        values = memory * values + sqrt(1 - memory**2) * random.normal(size=pods)
        shared = common * random.normal()
        shown = {f"stable-{pod}": float(value) + shared for pod, value in enumerate(values)}
        spacing = spacing.plus(shown, 60.0 * poll)
    return spacing.seconds


@pytest.mark.parametrize(
    ("memory", "least", "most"),
    [
        pytest.param(0.0, 60, 60, id="independent"),
        pytest.param(0.5, 180, 300, id="half is kept"),
        pytest.param(0.99, 960, 960, id="hardly moves"),
    ],
)
def test_the_spacing_grows_with_the_memory_of_the_values(memory: float, least: float, most: float) -> None:
    """Until the correlation is below a tenth."""
    assert least <= seconds(memory) <= most


def test_what_all_pods_share_does_not_count() -> None:
    """It cancels between the arms."""
    assert seconds(0.0, common=10.0) == 60


def test_a_single_pod_is_compared_with_its_past() -> None:
    """There is no other."""
    assert seconds(0.9, pods=1) > 60


def test_little_history_says_nothing() -> None:
    """A minute is the least."""
    assert Spacing().seconds == seconds(0.9, polls=3) == 60


def test_values_that_never_move_are_forgotten_at_once() -> None:
    """There is nothing to remember."""
    spacing = Spacing()
    for poll in range(60):
        spacing = spacing.plus({"stable-1": 1.0, "stable-2": 1.0}, 60.0 * poll)
    assert spacing.seconds == 60


def test_polls_within_a_minute_are_left_aside() -> None:
    """The distances are counted in minutes."""
    spacing = Spacing()
    for poll in range(100):
        spacing = spacing.plus({"stable-1": float(poll)}, 5.0 * poll)
    assert spacing.polls == 9


def test_the_reference_of_a_gauge_has_its_spacing() -> None:
    """From the pods of stable."""
    noise = Noise(metrics=(MetricPolicy(name="m", kind=MetricKind.GAUGE),))
    random = default_rng(3)
    value = 0.0
    for poll in range(200):
        value = 0.9 * value + float(random.normal())
        pods = tuple(
            PodReading(pod=f"stable-{sign}", arm=Arm.STABLE, metrics={"m": GaugeReading(value=sign * value)})
            for sign in (-1, 1)
        )
        noise = noise.plus(Poll(time=60.0 * poll, weight_percent=0, pods=pods))
    assert noise.reference().metrics["m"].spacing_seconds >= 480
