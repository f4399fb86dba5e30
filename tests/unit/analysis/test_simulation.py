"""Small simulations with fixed seeds; the benchmark has the large ones. 15 s scrapes, weight 10 %."""

from collections.abc import Callable
from statistics import median

import pytest
from numpy.random import default_rng

from modelward.analysis.counters import Sample
from modelward.analysis.policy import MetricPolicy, Policy
from modelward.api.analysis_policy import MetricKind
from unit.analysis.samples import gauge, judged, make_policy, make_sample, ratio, rollout


@pytest.mark.parametrize(
    ("rates", "rps", "most_median", "most_p95"),
    [
        pytest.param((0.001, 0.05), 10, 120, 240, id="0.1 to 5 %, 10 requests/s"),
        pytest.param((0.001, 0.05), 100, 30, 45, id="0.1 to 5 %, 100 requests/s"),
        pytest.param((0.001, 1.0), 1, 75, 120, id="all broken, 1 request/s"),
    ],
)
def test_time_to_detection(
    rates: tuple[float, float], rps: float, most_median: float, most_p95: float
) -> None:
    """Of 40 rollouts."""
    policy = make_policy()
    times = []
    for seed in range(40):
        decided = judged(policy, rollout(seed, rates, rps)).decided
        times.append(decided.time if decided else float("inf"))
    assert median(times) <= most_median
    assert sorted(times)[37] <= most_p95


def false_rollbacks(policy: Policy, rollouts: int, samples: Callable[[int], list[Sample]]) -> int:
    """How many of the rollouts with these seeds are rolled back."""
    return sum(judged(policy, samples(seed)).decided is not None for seed in range(rollouts))


def test_a_good_canary_stays() -> None:
    """100 rollouts of 30 min, 0.5 % errors in both arms, 10 requests/s."""
    assert false_rollbacks(make_policy(), 100, lambda seed: list(rollout(seed, (0.005, 0.005), 10))) <= 1


def test_a_canary_at_the_margin_stays() -> None:
    """100 rollouts at an odds ratio of 1.25, in favour of nobody: at most the promised 1 %."""
    assert false_rollbacks(make_policy(), 100, lambda seed: list(rollout(seed, (0.04, 0.0495), 10))) <= 1


def test_a_gauge_that_is_as_often_above_as_below_stays() -> None:
    """200 rollouts of an hour with independent values and no margin: at most the promised 1 % (and 3 sigma)."""
    policy = make_policy(MetricPolicy(name="m", kind=MetricKind.GAUGE, margin=1.0))

    def samples(seed: int) -> list[Sample]:
        random = default_rng(seed)
        return [
            make_sample(60.0 * n, m=gauge(random.normal(5, 1), random.normal(5, 1))) for n in range(1, 61)
        ]

    assert false_rollbacks(policy, 200, samples) <= 2 + 4


def test_a_guard_at_its_limit_stays() -> None:
    """150 rollouts with the canary's rate exactly at the limit, and stable far below it."""
    policy = make_policy(MetricPolicy(name="m", kind=MetricKind.GUARD, limit=0.02))

    def samples(seed: int) -> list[Sample]:
        random = default_rng(seed)
        hits = [int(count) for count in random.binomial(30, 0.02, size=120)]
        return [make_sample(15.0 * (n + 1), m=ratio((count, 30), (0, 270))) for n, count in enumerate(hits)]

    assert false_rollbacks(policy, 150, samples) <= 2 + 3
