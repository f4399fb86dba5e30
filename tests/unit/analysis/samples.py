"""Builders of what the judge is given: policies, samples, and random rollouts from a fixed seed."""

from collections.abc import Iterator, Sequence
from math import inf
from typing import Any

from numpy.random import default_rng

from modelward.analysis.counters import BucketCounts, Increment, RatioCounts, Sample, Values
from modelward.analysis.judge import Assessment, State, Step, assess, begin, observe
from modelward.analysis.noise import INDEPENDENT, Reference
from modelward.analysis.policy import MetricPolicy, Policy
from modelward.api.analysis_policy import MetricKind

ERRORS = MetricPolicy(name="errors", kind=MetricKind.RATIO, errors=True)
LATENCY = MetricPolicy(name="latency", kind=MetricKind.LATENCY)
BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, inf)


def make_policy(*metrics: MetricPolicy, **fields: Any) -> Policy:
    """A policy with a poll every 15 s; of errors alone when no metric is given."""
    return Policy(metrics=metrics or (ERRORS,), **fields)


def ratio(canary: tuple[int, int], stable: tuple[int, int], pod: str = "canary-0") -> Increment:
    """Hits and cases of both arms."""
    return Increment(
        canary=RatioCounts(hits=canary[0], total=canary[1]),
        stable=RatioCounts(hits=stable[0], total=stable[1]),
        pods=((pod, canary[0]),),
    )


def buckets(
    canary: Sequence[int], stable: Sequence[int], bounds: Sequence[float] = BOUNDS, pod: str = "canary-0"
) -> Increment:
    """Cases by bucket of both arms."""
    return Increment(
        canary=_buckets(canary, bounds), stable=_buckets(stable, bounds), pods=((pod, sum(canary)),)
    )


def _buckets(cases: Sequence[int], bounds: Sequence[float]) -> BucketCounts:
    cumulative = tuple(sum(cases[: index + 1]) for index in range(len(cases)))
    return BucketCounts(bounds=tuple(bounds), cumulative=cumulative)


def gauge(canary: float, stable: float) -> Increment:
    """The values of both arms."""
    return Increment(canary=Values(sum=canary, number=1), stable=Values(sum=stable, number=1))


def make_sample(time: float, weight: float = 10, **metrics: Increment) -> Sample:
    """A sample with the metrics by name; an underscore in a name stands for a hyphen."""
    named = {name.replace("_", "-"): increment for name, increment in metrics.items()}
    return Sample(time=time, weight_percent=weight, metrics=named)


def judged(
    policy: Policy, samples: Iterator[Sample] | Sequence[Sample], reference: Reference = INDEPENDENT
) -> State:
    """The memory after all samples, or after the one that decided."""
    state = begin(policy, reference)
    for sample in samples:
        state = observe(policy, state, sample)
        if state.decided:
            break
    return state


def assessed(
    policy: Policy, state: State, started: float = 0, weight: float = 10, next_weight: float | None = 25
) -> Assessment:
    """The assessment at the time of the last sample."""
    step = Step(time=state.time or 0, started=started, weight_percent=weight, next_weight_percent=next_weight)
    return assess(policy, state, step)


def rollout(
    seed: int,
    rates: tuple[float, float],
    requests_per_second: float,
    *,
    weight: float = 10,
    interval: float = 15,
    seconds: float = 1800,
) -> Iterator[Sample]:
    """Samples of errors, with the rates of stable and canary."""
    random = default_rng(seed)
    mean = requests_per_second * interval
    for number in range(1, int(seconds / interval) + 1):
        cases = [int(random.poisson(mean * share)) for share in (weight / 100, 1 - weight / 100)]
        hits = [int(random.binomial(n, rate)) for n, rate in zip(cases, reversed(rates), strict=True)]
        yield make_sample(number * interval, weight, errors=ratio((hits[0], cases[0]), (hits[1], cases[1])))
