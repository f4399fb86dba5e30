"""Buckets that change: between the past and the rollout, between the arms, and while a canary is judged."""

from math import inf, isnan

import pytest

from modelward.analysis.counters import BucketCounts
from modelward.analysis.judge import State
from modelward.analysis.noise import MetricReference, Reference
from modelward.analysis.verdict import Verdict
from unit.analysis.samples import LATENCY, buckets, judged, make_policy
from unit.analysis.test_judge import answer, series

PAST = BucketCounts(bounds=(0.1, 0.5, 1.0, inf), cumulative=(8_000, 9_850, 9_980, 10_000))
"""Of ten thousand requests."""


def _judged(bounds: tuple[float, ...], polls: int = 1) -> State:
    """After intervals with these buckets, in which both arms are alike."""
    cases = [1] * len(bounds)
    reference = Reference(
        metrics={"latency": MetricReference(histogram=PAST, phis={0.1: 3.0, 0.5: 4.0, 1.0: 5.0})}
    )
    increment = buckets(cases, [9] * len(bounds), bounds)
    return judged(make_policy(LATENCY), series(polls, latency=increment), reference)


@pytest.mark.parametrize(
    ("bounds", "chosen", "phis"),
    [
        pytest.param((0.1, 0.5, 1.0, inf), (0.1, 0.5, 1.0), (3, 4, 5), id="as they were"),
        pytest.param((0.05, 0.1, 0.25, 0.5, 1.0, 5.0, inf), (0.1, 0.5, 1.0), (3, 4, 5), id="more"),
        pytest.param((0.1, 1.0, inf), (0.1, 0.1, 1.0), (3, 3, 5), id="fewer"),
        pytest.param((0.1, inf), (0.1, 0.1, 0.1), (3, 3, 3), id="one"),
    ],
)
def test_f06_latency_keeps_the_bounds_that_its_past_and_the_page_have(
    bounds: tuple[float, ...], chosen: tuple[float, ...], phis: tuple[float, ...]
) -> None:
    """What stable did before still shows how many requests are slow, and by how much that scatters."""
    metric = _judged(bounds).metrics[0]
    assert metric.joined
    assert (metric.bounds, metric.phis) == (chosen, phis)


def test_f06_latency_begins_anew_on_other_buckets() -> None:
    """What is shared by neither can be compared by neither: the bounds are chosen from what is seen from now on."""
    metric = _judged((0.2, 0.4, 0.8, inf)).metrics[0]
    assert metric.joined
    assert all(isnan(bound) for bound in metric.bounds)
    assert metric.history.bounds == (0.2, 0.4, 0.8, inf)


def test_f06_a_bound_that_goes_while_nothing_is_chosen_costs_that_bound() -> None:
    """The rest of the past is kept, and the canary is judged on."""
    few = buckets([1, 1, 1, 1], [9, 9, 9, 9], (0.2, 0.4, 0.8, inf))
    fewer = buckets([1, 1, 1], [9, 9, 9], (0.2, 0.8, inf))
    samples = [*series(1, latency=few), *series(3, latency=fewer)[1:]]
    metric = judged(make_policy(LATENCY), samples).metrics[0]
    assert metric.known == samples[-1].time
    assert metric.history.bounds in {(), (0.2, 0.8, inf)}
    assert set(metric.bounds) - {0.2, 0.8} <= {bound for bound in metric.bounds if isnan(bound)}


def test_f06_a_slow_canary_is_rolled_back_on_the_bounds_that_are_left() -> None:
    """Half of its requests are slower than nearly all of stable's used to be."""
    reference = Reference(metrics={"latency": MetricReference(histogram=PAST)}, phi_without_history=1.0)
    slow = buckets([10, 5, 15], [240, 20, 10], (0.1, 1.0, inf))
    assert answer(make_policy(LATENCY), series(8, latency=slow), reference).verdict is Verdict.ROLL_BACK


def test_f06_a_bound_that_is_judged_by_and_goes_is_unknown() -> None:
    """Never taken for no slow request."""
    shown = buckets([5, 3, 1, 1], [50, 30, 10, 10], PAST.bounds)
    gone = buckets([9, 1], [90, 10], (0.1, inf))
    samples = [*series(2, latency=shown), *series(8, latency=gone)[2:]]
    reference = Reference(metrics={"latency": MetricReference(histogram=PAST)})
    metric = judged(make_policy(LATENCY), samples, reference).metrics[0]
    assert metric.known == samples[1].time
