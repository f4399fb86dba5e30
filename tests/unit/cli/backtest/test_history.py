"""The past out of a Prometheus: who served, what was counted, and the same verdict as the operator had then."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from modelward.analysis import judge
from modelward.analysis.counters import Counters
from modelward.analysis.noise import Noise
from modelward.analysis.policy import policy_of
from modelward.analysis.readings import Arm, HistogramReading, PodReading, Poll, RatioReading
from modelward.analysis.sampled_evidence import MetricsUnknown
from modelward.api.analysis_policy import AnalysisPolicy
from modelward.api.rollout_policy import RolloutPolicy
from modelward.api.signals import RatioSignal, Signals
from modelward.clients.prometheus import Prometheus
from modelward.sampling.prometheus import PrometheusSource
from modelward.sampling.queries import LabelNames, Queries
from modelward.sampling.sampler_task import SamplerTask
from modelward.sampling.subject import Side, Subject
from modelward_cli.backtest.history import History, Period, Readiness
from modelward_cli.backtest.play import Replays
from modelward_cli.backtest.rivals import Thresholds
from modelward_cli.backtest.subject import Asked, from_selectors
from modelward_cli.judge.protocol import parsed
from support.little_prometheus import LittlePrometheus, Timeseries, little_prometheus

CANARY, STABLE = "bcdfghjkl2", "mnpqrstvw4"
START = 1_763_800_005.0
BEGAN, ENDED = START + 600, START + 900
KEY = ("shop", "fraud")
ASKED = from_selectors(*KEY, {"hits": 'hits{code="5"}', "total": "hits"})
OWN = {"job": "modelward", "exported_namespace": "shop", "namespace": "modelward-system", "name": "fraud"}


def _counter(pod: str, rate: float, code: str, since: float) -> Timeseries:
    labels = {
        "__name__": "hits",
        "pod": pod,
        "namespace": "shop",
        "job": "pods",
        "instance": pod,
        "code": code,
    }
    return Timeseries(labels=labels, value=lambda at: math.floor(max(0.0, at - since) * rate), first=since)


def _pods(canary_errors: float) -> list[Timeseries]:
    stable = [
        _counter(f"fraud-{STABLE}-6c7b-fghi{n}", rate, code, START - 7200)
        for n in range(3)
        for code, rate in (("2", 30.0), ("5", 0.03))
    ]
    name = f"fraud-{CANARY}-5d4f-abcde"
    canary = [_counter(name, rate, code, BEGAN) for code, rate in (("2", 10.0), ("5", 10 * canary_errors))]
    return [*stable, *canary]


def _own(name: str, value: Callable[[float], float], first: float, last: float, **labels: str) -> Timeseries:
    return Timeseries(labels={**OWN, **labels, "__name__": name}, value=value, first=first, last=last)


def _reported() -> list[Timeseries]:
    """What the operator said of the rollout, scraped every 15 s."""
    always = -math.inf, math.inf
    return [
        _own("modelward_model_info", lambda _: 1.0, -math.inf, BEGAN - 15, stable=STABLE, canary=""),
        _own("modelward_model_info", lambda _: 1.0, BEGAN, ENDED, stable=STABLE, canary=CANARY),
        _own("modelward_model_info", lambda _: 1.0, ENDED + 15, math.inf, stable=STABLE, canary=""),
        _own("modelward_canary_weight_percent", lambda at: 10.0 * (BEGAN <= at <= ENDED), *always),
    ]


async def _recorded(
    *series: Timeseries, asked: Asked = ASKED, **period: Any
) -> tuple[bytes, LittlePrometheus]:
    lines: list[bytes] = []
    when = {"start": START, "end": START + 1200, "interval": 15.0, **period}
    async with little_prometheus(*series) as found:
        server = Prometheus(name="prom", url=found.url, timeout=10)
        history = History(server=server, labels=LabelNames(), asked=asked, period=Period(**when))
        try:
            await history.record(lines.append)
        finally:
            await server.close()
    return b"".join(lines), found


async def test_rollouts_are_found_in_the_operators_own_metrics() -> None:
    """Before it, the rollout with an hour of reference, and after it."""
    text, _ = await _recorded(*_pods(0.05), *_reported())
    lines = [parsed(line) for line in text.splitlines()]
    names = list(dict.fromkeys(line.rollout for line in lines))
    assert names == [f"{STABLE}-at-rest", CANARY, f"{STABLE}-at-rest-2"]
    (header,) = (line.header for line in lines if line.rollout == CANARY and line.header)
    assert header.reference is not None
    assert (len(header.reference), header.policy.interval_seconds) == (241, 15)
    polls = [line.poll for line in lines if line.rollout == CANARY and line.poll]
    assert polls[0].time == BEGAN
    assert {poll.weight_percent for poll in polls} == {10}
    assert len([pod for pod in polls[-1].pods if pod.arm is Arm.STABLE]) == 3


async def test_the_same_verdict_as_the_operator_had() -> None:
    """From the same server, poll by poll as it made them, and out of a recording (goal G15)."""
    series = [*_pods(0.05), *_reported()]
    text, _ = await _recorded(*series)
    replays = Replays(thresholds=Thresholds())
    replays.take(map(parsed, text.splitlines()))
    (found,) = replays.result().rollouts
    verdict, time, metric = await _live(series)
    assert (
        (found.verdict, found.time, found.metric) == (verdict, time, metric) == ("RollBack", time, "errors")
    )
    assert found.rollout == CANARY


async def _live(series: list[Timeseries]) -> tuple[str, float, str]:
    signals = Signals(errors=RatioSignal(hits="hits", total="hits"))
    policy = policy_of(AnalysisPolicy(source="prom", interval_seconds=15), RolloutPolicy(), signals)
    revisions = {Arm.STABLE: STABLE, Arm.CANARY: CANARY}
    sides = {arm: Side(revision=each, wanted=ASKED.wanted, endpoint=None) for arm, each in revisions.items()}
    subject = Subject(
        namespace=KEY[0],
        name=KEY[1],
        canary=sides[Arm.CANARY],
        stable=sides[Arm.STABLE],
        weight_percent=10,
        interval_seconds=15,
    )
    task = SamplerTask(subject=subject, noise=Noise(metrics=policy.metrics), counters=Counters())
    async with little_prometheus(*series) as found:
        server = Prometheus(name="prom", url=found.url, timeout=10)
        source = PrometheusSource(queries=Queries(server=server, labels=LabelNames()))
        task.learn(await source.history(KEY, sides[Arm.STABLE], BEGAN, 15))
        state = None
        for number in range(20):
            times = (BEGAN + 15 * number,)
            (polled,) = await source.polls(KEY, sides, times, interval=15, weight_percent=10)
            task.take(polled)
            evidence = task.evidence(state.time if state else None)
            state = state or judge.begin(policy, evidence.reference or Noise(metrics=()).reference())
            for sample in evidence.samples:
                state = judge.observe(policy, state, sample)
            if state.decided:
                break
        await server.close()
    assert state is not None
    assert state.decided is not None
    return "RollBack", state.decided.time, state.decided.metric


async def test_revisions_may_be_given() -> None:
    """For a server that has no metrics of the operator."""
    text, server = await _recorded(
        *_pods(0.05), start=BEGAN, end=ENDED, stable=STABLE, canary=CANARY, weight_percent=10.0
    )
    lines = [parsed(line) for line in text.splitlines()]
    assert {line.rollout for line in lines} == {CANARY}
    assert not [asked for asked in server.queries if "modelward" in asked["query"]]
    at_rest, _ = await _recorded(*_pods(0.05), stable=STABLE)
    assert {json.loads(line)["rollout"] for line in at_rest.splitlines()} == {f"{STABLE}-at-rest"}


@pytest.mark.parametrize(
    ("period", "problem_text"),
    [
        pytest.param({}, "name the revisions by --stable", id="nobody knows who served"),
        pytest.param({"stable": STABLE, "canary": CANARY}, "give --weight-percent", id="nor how much"),
    ],
)
async def test_what_nobody_knows_is_asked_for(period: dict[str, Any], problem_text: str) -> None:
    """By the option that would show it."""
    with pytest.raises(MetricsUnknown, match=problem_text):
        await _recorded(*_pods(0.05), **period)


async def test_a_namesake_elsewhere_is_another_model() -> None:
    """The operator's label is called exported_namespace where the server has one of its own."""
    others = [
        Timeseries(labels={**each.labels, "exported_namespace": "other"}, value=each.value)
        for each in _reported()
    ]
    with pytest.raises(MetricsUnknown):
        await _recorded(*_pods(0.05), *others)


def _poll(time: float, **requests: float) -> Poll:
    pods = tuple(
        PodReading(pod=pod, arm=Arm.CANARY, metrics={"errors": RatioReading(hits=0, total=total)})
        for pod, total in requests.items()
    )
    return Poll(time=time, weight_percent=10, pods=pods)


def test_new_pods_are_ready_since_the_poll_before_their_first_request() -> None:
    """Of those that were there from the beginning nobody knows, and they are taken to be old."""
    readiness = Readiness()
    polls = [_poll(0, old=5), _poll(15, old=6, new=0), _poll(30, old=7, new=0), _poll(45, old=8, new=3)]
    reported = [{pod.pod: pod.ready_since for pod in readiness.reported(poll).pods} for poll in polls]
    assert reported[-1] == {"old": None, "new": 30}
    assert reported[1] == {"old": None, "new": None}
    latency = HistogramReading(buckets={math.inf: 2})
    pods = (PodReading(pod="timed", arm=Arm.STABLE, metrics={"latency": latency}),)
    assert readiness.reported(Poll(time=60, weight_percent=10, pods=pods)).pods[0].ready_since == 45
