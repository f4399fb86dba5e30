"""The memory: a restart at any poll changes nothing, and it stays small."""

import json
from collections.abc import Sequence
from math import exp, inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelward.analysis.core import cap_of, fresh_weight
from modelward.analysis.counters import Increment, Sample
from modelward.analysis.judge import begin, decode, encode, observe
from modelward.analysis.noise import INDEPENDENT
from modelward.analysis.policy import MetricPolicy, Policy
from modelward.analysis.state import State, _vector
from modelward.analysis.table import MetricState
from modelward.api.analysis_policy import MetricKind
from modelward.errors import InvalidState
from support.repeatable import examples
from unit.analysis.samples import (
    BOUNDS,
    ERRORS,
    assessed,
    buckets,
    gauge,
    make_policy,
    make_sample,
    ratio,
    rollout,
)

KINDS = {
    MetricKind.RATIO: ERRORS,
    MetricKind.LATENCY: MetricPolicy(name="m", kind=MetricKind.LATENCY),
    MetricKind.DISTRIBUTION: MetricPolicy(name="m", kind=MetricKind.DISTRIBUTION, margin=1.5),
    MetricKind.GUARD: MetricPolicy(name="m", kind=MetricKind.GUARD, limit=0.02),
    MetricKind.GAUGE: MetricPolicy(name="m", kind=MetricKind.GAUGE, margin=1.0),
}

CASES = st.integers(0, 3000)
COUNTS = st.tuples(CASES, st.floats(0, 1)).map(lambda drawn: (int(drawn[0] * drawn[1]), drawn[0]))
IN_BUCKETS = st.lists(st.integers(0, 500), min_size=len(BOUNDS), max_size=len(BOUNDS))
VALUES = st.floats(-1e6, 1e6)
INCREMENTS: dict[MetricKind, st.SearchStrategy[Increment]] = {
    MetricKind.RATIO: st.builds(ratio, COUNTS, COUNTS),
    MetricKind.LATENCY: st.builds(buckets, IN_BUCKETS, IN_BUCKETS),
    MetricKind.DISTRIBUTION: st.builds(buckets, IN_BUCKETS, IN_BUCKETS),
    MetricKind.GUARD: st.builds(ratio, COUNTS, COUNTS),
    MetricKind.GAUGE: st.builds(gauge, VALUES, VALUES),
}


@st.composite
def histories(draw: st.DrawFn, kind: MetricKind) -> list[Sample]:
    """Samples at times that rise, with weights that change and metrics that go missing."""
    time, made = 0.0, []
    for _ in range(draw(st.integers(1, 12))):
        time += draw(st.floats(1, 90))
        there = draw(st.integers(0, 9)) > 0
        metrics = {KINDS[kind].name: draw(INCREMENTS[kind])} if there else {}
        made.append(make_sample(time, draw(st.sampled_from([5.0, 10.0, 100.0])), **metrics))
    return made


def evidence(state: State) -> list[tuple[float, ...]]:
    """All e-values of all tests."""
    return [logs for metric in state.metrics for logs in metric.tests]


@pytest.mark.parametrize("kind", MetricKind)
@settings(max_examples=examples(40), deadline=None)
@given(data=st.data())
def test_a_restart_at_any_poll_changes_nothing(kind: MetricKind, data: st.DataObject) -> None:
    """Written and read back after each sample: the same state, and the same assessment."""
    policy = make_policy(KINDS[kind])
    samples = data.draw(histories(kind))
    kept = restarted = begin(policy, INDEPENDENT)
    for sample in samples:
        kept = observe(policy, kept, sample)
        restarted = decode(encode(observe(policy, restarted, sample)))
    assert encode(restarted) == encode(kept)  # NaN, for a bound that is not chosen, equals nothing
    assert assessed(policy, restarted) == assessed(policy, kept)


@pytest.mark.parametrize("kind", MetricKind)
@settings(max_examples=examples(40), deadline=None)
@given(data=st.data())
def test_no_sample_multiplies_evidence_beyond_the_cap(kind: MetricKind, data: st.DataObject) -> None:
    """What it adds besides are the prior weight of those who begin late."""
    policy = make_policy(KINDS[kind])
    state = begin(policy, INDEPENDENT)
    for sample in data.draw(histories(kind)):
        before, state = state, observe(policy, state, sample)
        if len(evidence(before)) != len(evidence(state)):
            continue  # the buckets of a distribution were laid out
        strata = sum(metric.strata for metric in state.metrics) - sum(
            metric.strata for metric in before.metrics
        )
        growth = exp(strata * cap_of(policy.alpha))
        pairs = zip(evidence(before), evidence(state), strict=True)
        changes = [(exp(old), exp(new)) for olds, news in pairs for old, new in zip(olds, news, strict=True)]
        assert all(new <= (old + ALL_LATE_WEIGHTS) * growth * (1 + 1e-9) for old, new in changes)


ALL_LATE_WEIGHTS = 0.5


def grown_alone(metric: MetricState) -> bool:
    """Whether nothing but the prior weight of late beginners was added."""
    weights = 0.5 + sum(exp(fresh_weight(t, 120)) for t in range(1, metric.strata + 1))
    return all(abs(exp(value) - weights) < 1e-9 for logs in metric.tests for value in logs)


@pytest.mark.parametrize("kind", [MetricKind.RATIO, MetricKind.LATENCY, MetricKind.DISTRIBUTION])
@pytest.mark.parametrize("alone", ["canary", "stable", "neither"])
@settings(max_examples=examples(15), deadline=None)
@given(data=st.data())
def test_no_requests_no_evidence(kind: MetricKind, alone: str, data: st.DataObject) -> None:
    """Whatever one arm does by itself."""
    policy = make_policy(KINDS[kind])
    name = KINDS[kind].name
    first = make_sample(1, 10, **{name: data.draw(INCREMENTS[kind])})
    state = observe(
        policy, begin(policy, INDEPENDENT), make_sample(1, 10, **{name: _emptied(first, name, "stable")})
    )
    for number in range(2, 30):
        drawn = make_sample(number * 15, 10, **{name: data.draw(INCREMENTS[kind])})
        state = observe(policy, state, make_sample(number * 15, 10, **{name: _emptied(drawn, name, alone)}))
    assert all(grown_alone(metric) for metric in state.metrics)


def _emptied(sample: Sample, name: str, alone: str) -> Increment:
    """The increment with requests in one arm, or in none."""
    increment = sample.metrics[name]
    none = buckets([0] * len(BOUNDS), [0] * len(BOUNDS)) if name == "m" else ratio((0, 0), (0, 0))
    return Increment(
        canary=increment.canary if alone == "canary" else none.canary,
        stable=increment.stable if alone == "stable" else none.stable,
    )


def test_a_whole_rollout_with_restarts_is_the_same_rollout() -> None:
    """Verdict, time and sentence, poll by poll."""
    policy = make_policy()
    kept = restarted = begin(policy, INDEPENDENT)
    for sample in rollout(3, (0.01, 0.05), 10):
        kept = observe(policy, kept, sample)
        restarted = decode(encode(observe(policy, restarted, sample)))
        assert assessed(policy, restarted) == assessed(policy, kept)
    assert kept.decided


def _packed_size(metric: MetricPolicy, increment: Increment, number: int = 400) -> int:
    policy = make_policy(metric)
    state = begin(policy, INDEPENDENT)
    for n in range(number):
        state = observe(policy, state, make_sample(15 * (n + 1), 10, **{metric.name: increment}))
    assert not state.decided
    return len(encode(state).encode()) - len(encode(begin(Policy(), INDEPENDENT)).encode())


def test_a_ratio_takes_at_most_400_bytes() -> None:
    """After hours of traffic, the name of a pod included."""
    increment = ratio((141, 14_900), (1334, 134_100), pod="breast-cancer-hj5lgwj8gq-7d9f8b6c5d-x2x9z")
    assert _packed_size(ERRORS, increment) <= 400


def test_a_latency_takes_at_most_400_bytes_per_test() -> None:
    """Three tests."""
    increment = buckets([40, 37, 21, 2, 1, 0], [400, 370, 210, 20, 10, 0])
    assert _packed_size(KINDS[MetricKind.LATENCY], increment) <= 1200


@pytest.mark.parametrize("number", [1, 4, 16])
def test_all_metrics_together_fit_into_status(number: int) -> None:
    """Sixteen distributions of forty buckets have to make do with fewer."""
    bounds = (*(float(n) for n in range(39)), inf)
    metrics = [MetricPolicy(name=f"m-{n}", kind=MetricKind.DISTRIBUTION, margin=1.5) for n in range(number)]
    policy = make_policy(*metrics)
    state = begin(policy, INDEPENDENT)
    increment = buckets([37] * 40, [371] * 40, bounds)
    for n in range(30):
        sample = make_sample(15 * (n + 1), 10, **{f"m_{m}": increment for m in range(number)})
        state = observe(policy, state, sample)
    assert len(encode(state)) < 16_384


def _variants(packed: object) -> Sequence[object]:
    """`packed` with each of its parts replaced by something else, vectors of wrong numbers and lengths among it."""
    vectors = [_vector([nan]), _vector([-1.5]), _vector([1e300] * 3), "AAAA", "AAAAAAAAAPC/x"]
    wrong: list[object] = ["x", [[1]], {"a": 1}, -1, True, *vectors]
    if not isinstance(packed, list):
        return [value for value in wrong if value != packed]
    return [
        [*packed[:index], variant, *packed[index + 1 :]]
        for index, part in enumerate(packed)
        for variant in _variants(part)
    ]


def test_nonsense_is_refused_and_never_raises_anything_else() -> None:
    """Each part of a real state replaced by wrong ones: it is refused, or is a state that can be judged."""
    policy = make_policy(ERRORS, KINDS[MetricKind.LATENCY])
    state = begin(policy, INDEPENDENT)
    increment = buckets([40, 37, 21, 2, 1, 0], [400, 370, 210, 20, 10, 0])
    for n in range(5):
        state = observe(
            policy, state, make_sample(15 * (n + 1), errors=ratio((1, 150), (9, 1350)), m=increment)
        )
    refused = 0
    for variant in _variants(json.loads(encode(state))):
        try:
            read = decode(json.dumps(variant))
        except InvalidState:
            refused += 1
            continue
        assert isinstance(encode(read), str)
    assert refused > 300


@pytest.mark.parametrize(
    "text", ["", "null", "{}", "[]", "[0]", "[1]", "[1,2,3]", "NaN", "[" * 5000, "\x00", '"v1"']
)
def test_what_is_no_state_is_refused(text: str) -> None:
    """The caller begins anew."""
    with pytest.raises(InvalidState):
        decode(text)


def test_an_assessment_of_a_state_that_was_just_begun() -> None:
    """Nothing is known, and nothing is said but that."""
    policy = make_policy()
    made = assessed(policy, decode(encode(begin(policy, INDEPENDENT))))
    assert made == assessed(policy, begin(policy, INDEPENDENT))
