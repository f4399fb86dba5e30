"""The judge's memory fits its field of status, whatever the policy, the pages and the traffic are."""

from math import inf, pi

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelward.analysis.allotment import LEAST_BOUNDS, LEAST_BUCKETS, allotted
from modelward.analysis.core import log_mean
from modelward.analysis.counters import BucketCounts, Increment, RatioCounts, Sample, Values
from modelward.analysis.judge import begin, decode, encode, next_step, observe
from modelward.analysis.noise import MetricReference, Reference
from modelward.analysis.policy import MetricPolicy, Policy
from modelward.analysis.strata import log_odds
from modelward.api.analysis_policy import MetricKind
from modelward.api.fields import EXACT_INT_MAX
from modelward.api.status import ANALYSIS_STATE_LENGTH, MAX_METRICS
from support.repeatable import examples

POD, NODE = "p" * 63, "n" * 253
KINDS = st.lists(st.sampled_from(MetricKind), min_size=1, max_size=MAX_METRICS)
HISTOGRAMS = (MetricKind.LATENCY, MetricKind.DISTRIBUTION)


def policy_of(kinds: list[MetricKind]) -> Policy:
    """A policy with the longest names that the CRD admits."""
    metrics = (
        MetricPolicy(
            name=f"{number:02d}{'m' * 61}",
            kind=kind,
            limit=0.0123 if kind is MetricKind.GUARD else None,
        )
        for number, kind in enumerate(kinds)
    )
    return Policy(metrics=tuple(metrics))


def histogram(number: int, cases: float) -> BucketCounts:
    """Bounds and counts with as many digits as there are."""
    bounds = (*(pi / 1e5 * 1.07**n for n in range(number - 1)), inf)
    return BucketCounts(bounds=bounds, cumulative=tuple(cases * (n + 1) / number for n in range(number)))


def past(policy: Policy, bounds: int, cases: float) -> Reference:
    """What is known of stable: of each bound its own noise."""
    known = histogram(bounds, cases)
    reference = MetricReference(
        phi=pi, phis={bound: pi + bound for bound in known.bounds[:-1]}, total=cases, histogram=known
    )
    return Reference(metrics={m.name: reference for m in policy.metrics if m.kind in HISTOGRAMS})


def increment(kind: MetricKind, bounds: int, cases: float) -> Increment:
    """What both arms did, as one pod with the longest name."""
    pods = ((POD, cases / 3),)
    if kind in HISTOGRAMS:
        return Increment(canary=histogram(bounds, cases), stable=histogram(bounds, 9 * cases), pods=pods)
    if kind is MetricKind.GAUGE:
        return Increment(canary=Values(sum=-pi / 7e100, number=1), stable=Values(sum=pi * 1e15, number=3))
    canary, stable = RatioCounts(hits=cases / 3, total=cases), RatioCounts(hits=2 * cases, total=9 * cases)
    return Increment(canary=canary, stable=stable, pods=pods)


def sample(policy: Policy, time: float, bounds: int, cases: float) -> Sample:
    """One poll."""
    return Sample(
        time=time,
        weight_percent=100 / 3,
        metrics={metric.name: increment(metric.kind, bounds, cases) for metric in policy.metrics},
        nodes={POD: NODE},
    )


@settings(max_examples=examples(50), deadline=None)
@given(
    kinds=KINDS,
    bounds=st.integers(2, 120),
    known=st.integers(2, 120),
    cases=st.sampled_from([0.0, 7.0, 1000 / 3, 1e5 / 7]),
    total=st.sampled_from([0.0, 50.0, 1e7 / 3, EXACT_INT_MAX / 2]),
    same=st.booleans(),
)
def test_f13_the_memory_fits_its_field_for_every_policy_that_the_crd_admits(
    kinds: list[MetricKind], bounds: int, known: int, cases: float, total: float, *, same: bool
) -> None:
    """Sixteen metrics of any kind, pages of any length, past or none, from the first sample to the last."""
    policy = policy_of(kinds)
    state = begin(policy, past(policy, bounds if same else known, total))
    assert len(encode(state)) <= ANALYSIS_STATE_LENGTH
    for number in range(1, 5):
        state = observe(policy, state, sample(policy, 1764474034.1234567 + 5 * number, bounds, cases))
        state = next_step(state) if number == 3 else state
        text = encode(state)
        assert len(text) <= ANALYSIS_STATE_LENGTH
        assert encode(decode(text)) == text


@settings(max_examples=examples(100), deadline=None)
@given(kinds=KINDS)
def test_f13_every_metric_gets_the_least_that_it_can_be_judged_by(kinds: list[MetricKind]) -> None:
    """Three buckets of a distribution, five bounds of a latency's past, and the name of a pod."""
    made = allotted(kinds)
    assert made.buckets >= LEAST_BUCKETS
    assert made.latency_bounds >= LEAST_BOUNDS
    assert made.pod_characters >= len(POD)


def test_f13_sixteen_latencies_of_twenty_buckets_are_judged() -> None:
    """The case of the report: with few slow requests in the past, the bounds stay open for long."""
    policy = policy_of([MetricKind.LATENCY] * 16)
    state = begin(policy, past(policy, 20, 500.0))
    for number in range(1, 20):
        state = observe(policy, state, sample(policy, 1764474034.0 + 5 * number, 20, 30.0))
        assert len(encode(state)) <= ANALYSIS_STATE_LENGTH
    assert all(metric.joined and metric.total.canary for metric in state.metrics)


@pytest.mark.parametrize("share", [0.1, 0.01, 0.001])
def test_f13_the_bounds_that_judge_are_among_those_that_are_kept(share: float) -> None:
    """Where little may be kept, it is what p90, p99 and p99.9 are chosen from."""
    known = histogram(60, 1e6)
    slow = [known.total - known.upto(bound) for bound in known.bounds]
    outermost = max(b for b, beyond in zip(known.bounds, slow, strict=True) if beyond >= share * known.total)
    policy = policy_of([MetricKind.LATENCY] * 16)
    reference = MetricReference(total=known.total, histogram=known)
    state = begin(policy, Reference(metrics={metric.name: reference for metric in policy.metrics}))
    assert {len(metric.history.bounds) for metric in state.metrics} == {
        allotted([MetricKind.LATENCY] * 16).latency_bounds
    }
    assert all(outermost in metric.history.bounds for metric in state.metrics)


def test_f13_a_memory_of_the_version_before_goes_on() -> None:
    """Its vectors are lists of JSON; nothing of the evidence is lost."""
    old = (
        '[1,"p",0.001,0,1,30.0,5.0,10.0,5.0,[0.001,1,[-0.7,-0.7,-0.7,-0.7,-0.7,-0.7]],null,'
        '[["errors","Ratio",1,30.0,[],[1.5],[[-0.1,-0.2,-0.3,-0.4,-0.5,-0.6]],2,1,[4,36,1,2],[9,81,1,3],'
        '[9,81,1,3],"pod-x",1],["slow","Latency",1,30.0,[0.5,null,null],[2,2,2],[[-0.7,-0.7,-0.7,-0.7,-0.7,-0.7],'
        "[-0.7,-0.7,-0.7,-0.7,-0.7,-0.7],[-0.7,-0.7,-0.7,-0.7,-0.7,-0.7]],2,0,[],[9,81,1,0,0,3,0,0],[9,81,1,0,0,3,0,0],"
        '"",0,null,[],[0.1,0.5,"+Inf"],[10,20,30],[2,2,2]]]]'
    )
    state = decode(old)
    assert log_odds(state.metrics[0]) == pytest.approx(
        log_mean((-0.1, -0.2, -0.3, -0.4, -0.5, -0.6)), abs=0.01
    )
    assert state.metrics[1].history.bounds == (0.1, 0.5, inf)
    assert state.metrics[0].open.canary == 4
    assert encode(decode(encode(state))) == encode(state)
