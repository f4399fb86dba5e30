"""The judge's memory: any text for a state, and any samples after it."""

import json
from contextlib import suppress
from math import inf, isfinite
from typing import Any, Final

from fuzz import words
from fuzz.source import Source
from fuzz.worlds import _increment
from modelward.analysis.counters import Increment, Sample
from modelward.analysis.judge import assess, begin, decode, encode, fits, next_step, observe
from modelward.analysis.noise import INDEPENDENT
from modelward.analysis.policy import MetricPolicy, Policy
from modelward.analysis.readings import LARGEST_GAUGE
from modelward.analysis.verdict import Step
from modelward.api.analysis_policy import MetricKind
from modelward.errors import InvalidState
from unit.analysis.samples import buckets, gauge, make_sample, ratio

POLICY: Final = Policy(
    metrics=(
        MetricPolicy(name="errors", kind=MetricKind.RATIO, errors=True),
        MetricPolicy(name="latency", kind=MetricKind.LATENCY),
        MetricPolicy(name="scores", kind=MetricKind.DISTRIBUTION, margin=1.5),
        MetricPolicy(name="slo", kind=MetricKind.GUARD, limit=0.02),
        MetricPolicy(name="queue", kind=MetricKind.GAUGE, margin=1.0),
    )
)


def _states() -> tuple[str, ...]:
    """Real states: at the start, in the middle, at the end."""
    state = begin(POLICY, INDEPENDENT)
    found = [encode(state)]
    cases = buckets([40, 37, 21, 2, 1, 0], [400, 370, 210, 20, 10, 0])
    for number in range(40):
        sample = make_sample(
            15.0 * (number + 1),
            5 if number < 20 else 25,
            errors=ratio((1 + number // 8, 150), (9, 1350)),
            latency=cases,
            scores=cases,
            slo=ratio((1, 150), (9, 1350)),
            queue=gauge(3.0, 2.0),
        )
        state = observe(POLICY, state, sample)
        found.append(encode(state))
    return tuple(found[number] for number in (0, 1, 7, 21, 40))


STATES: Final = _states()


def remembered(data: bytes) -> None:
    """No state, or one that is written the same and judged on: evidence stays a number, and time does not go back.

    A state whose parts contradict each other may end the judge by one of the errors upon which it is forgotten
    (`modelward.rollout.judging`), and by no other.
    """
    with suppress(ArithmeticError, LookupError, ValueError):
        _remembered(data)


def _remembered(data: bytes) -> None:
    source = Source(data)
    text = (
        source.mutated(STATES)
        if source.chance()
        else json.dumps(_changed(source, json.loads(source.pick(STATES))))
    )
    try:
        state = decode(text)
    except InvalidState:
        return
    assert encode(decode(encode(state))) == encode(state)
    if not fits(POLICY, state):
        return
    before = state
    for number in range(1 + source.whole(2)):
        sample = _sample(source, (state.time or 0) + (number + 1) * source.pick((15.0, 1.0, 0.0, -5.0, 1e6)))
        state = observe(POLICY, state, sample)
    assert encode(decode(encode(state))) == encode(state)
    assert before.time is None or (state.time is not None and state.time >= before.time)
    step = Step(
        time=state.time or 0, started=float(source.whole(10**6)), weight_percent=5, next_weight_percent=25
    )
    made = assess(POLICY, state, step)
    assert made.odds >= 0, made.odds
    assert isfinite(made.odds) or made.odds == inf
    assert isinstance(made.message, str)
    encode(next_step(state))


def _changed(source: Source, packed: Any) -> Any:
    """The same with a part or two replaced by something else of the same sort, or of any."""
    for _ in range(1 + source.whole(2)):
        parent, place = None, 0
        node = packed
        while isinstance(node, list) and node and (parent is None or source.whole(5)):
            parent, place = node, source.whole(len(node) - 1)
            node = node[place]
        if parent is None:
            return packed
        numbers = (*words.FLOATS[:-3], *words.INTEGERS)
        parent[place] = (
            source.pick(numbers) if isinstance(node, int | float) and source.whole(3) else source.json()
        )
    return packed


def _sample(source: Source, time: float) -> Sample:
    metrics: dict[str, Increment] = {}
    for metric in POLICY.metrics:
        if source.whole(7):
            metrics[metric.name] = _fitting(source, metric.kind)
        elif source.chance():
            metrics[metric.name] = _increment(source)
    return Sample(time=time, weight_percent=float(source.pick((5, 25, 0, 100))), metrics=metrics)


def _fitting(source: Source, kind: MetricKind) -> Increment:
    if kind is MetricKind.GAUGE:
        return gauge(*(source.pick((1.0, 0.0, 7.5, -3.0, LARGEST_GAUGE, -LARGEST_GAUGE)) for _ in range(2)))
    if kind in (MetricKind.LATENCY, MetricKind.DISTRIBUTION):
        return buckets([source.whole(5000) for _ in range(6)], [source.whole(5000) for _ in range(6)])
    return ratio(_hits_of_total(source), _hits_of_total(source))


def _hits_of_total(source: Source) -> tuple[int, int]:
    total = source.between(0, 10**6)
    return source.between(0, total), total
