"""A replay says what `modelward judge` says, and what the operator itself said."""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from click.testing import CliRunner

from modelward.analysis import judge
from modelward.analysis.counters import Counters
from modelward.analysis.noise import Noise
from modelward.analysis.policy import policy_of
from modelward.analysis.readings import Poll
from modelward.analysis.verdict import Step, Verdict
from modelward.api.analysis_policy import AnalysisPolicy
from modelward.api.rollout_policy import RolloutPolicy
from modelward.api.signals import LatencySignal, RatioSignal, Signals
from modelward_cli import main
from modelward_cli.backtest.play import MOST_POINTS, Player, Point, Replays, Trace
from modelward_cli.backtest.results import RolloutResult
from modelward_cli.backtest.rivals import Thresholds, rules
from modelward_cli.backtest.series import NOTHING
from modelward_cli.judge.protocol import Line, parsed
from unit.cli.backtest.traffic import as_lines, rollout

SIGNALS = Signals(errors=RatioSignal(hits="h", total="t"), latency=LatencySignal(histogram="l"))


def _replayed(*entries: Iterator[dict[str, Any]], traced: bool = False) -> tuple[RolloutResult, ...]:
    replays = Replays(thresholds=Thresholds(), traced=traced)
    replays.take(parsed(line) for line in as_lines(*entries).splitlines())
    return replays.result().rollouts


ROLLOUTS: dict[str, dict[str, Any]] = {
    "bad": {"canary": 0.05},
    "a little worse": {"canary": 0.01, "minutes": 20},
    "good": {"canary": 0.001},
    "every 5 s": {"canary": 0.03, "interval": 5},
    "tolerant": {"canary": 0.02, "policy": {"tolerancePercent": 900}},
    "errors alone": {"canary": 0.03, "policy": {"metrics": [{"name": "errors"}], "confidencePercent": 95}},
    "without a past": {"canary": 0.05, "reference": []},
}


@pytest.mark.parametrize("traced", [False, True], ids=["", "with a plot"])
def test_the_same_as_judge(*, traced: bool) -> None:
    """Verdict, time, odds, metric and sentence, for each rollout of one file."""
    rollouts = [{"name": name, **given} for name, given in ROLLOUTS.items()]
    file = as_lines(*(rollout(**given) for given in rollouts))
    text = CliRunner().invoke(main, ["judge"], input=file).stdout
    said = {entry["rollout"]: entry for entry in map(json.loads, text.splitlines())}
    found = _replayed(*(rollout(**given) for given in rollouts), traced=traced)
    assert [each.rollout for each in found] == list(ROLLOUTS)
    for each in found:
        expected = said[each.rollout]
        assert {name: getattr(each, name) for name in expected} == expected
    assert {each.verdict for each in found} >= {"RollBack", "Advance"}


def _live(lines: list[Line], interval: float) -> tuple[str, float, str]:
    """Verdict, time and sentence of the parts that the operator is made of, with the state written and read each time."""
    policy = policy_of(
        AnalysisPolicy(source="prom", interval_seconds=int(interval)), RolloutPolicy(), SIGNALS
    )
    header = lines[0].header
    assert header is not None
    noise, counters = Noise(metrics=policy.metrics), Counters(latency=frozenset({"latency"}))
    for poll in header.reference or ():
        noise = noise.plus(poll)
    state = judge.begin(policy, noise.reference())
    polls: list[Poll] = [line.poll for line in lines if line.poll]
    for poll in polls:
        noise = noise.plus(poll)
        state = judge.informed(state, noise.reference(judge.lasted(state, poll.time)))
        counters, sample = counters.advance(poll)
        if sample is None:
            continue
        state = judge.decode(judge.encode(judge.observe(policy, state, sample)))
        step = Step(time=poll.time, started=polls[0].time, weight_percent=10, next_weight_percent=25)
        found = judge.assess(policy, state, step)
        if found.verdict is Verdict.ROLL_BACK:
            assert found.time is not None
            return found.verdict.value, found.time, found.message
    return found.verdict.value, poll.time, found.message


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("canary", "interval"), [(0.05, 15), (0.012, 15), (0.001, 15), (0.03, 5)])
def test_the_same_as_the_operator(canary: float, interval: float, seed: int) -> None:
    """On the samples that it saw: the same verdict at the same time, in the same words (goal G15)."""
    entries = list(rollout(canary, interval=interval, seed=seed, policy={"intervalSeconds": interval}))
    (found,) = _replayed(iter(entries))
    lines = [parsed(json.dumps(entry)) for entry in entries]
    assert (found.verdict, found.time, found.message) == _live(lines, interval)


def test_bad_requests_are_counted_until_the_verdict() -> None:
    """Of the canary alone; the rules of others have theirs until their own time."""
    entries = list(rollout(0.5, minutes=12))
    (found,) = _replayed(iter(entries))
    by_time = {
        entry["time"]: pod["metrics"]["errors"]["hits"]
        for entry in entries[1:]
        for pod in entry["pods"]
        if pod["pod"] == "c0"
    }
    assert found.seconds == found.time - entries[1]["time"]
    assert found.bad_requests == by_time[found.time]
    flagger = found.others[0]
    assert flagger.seconds is not None
    assert flagger.bad_requests == by_time[flagger.seconds + entries[1]["time"]]
    assert found.recorded_seconds is not None
    assert found.recorded_seconds >= 705


def test_when_the_canary_is_gone_nobody_polls_any_more() -> None:
    """No data fails in Flagger, but not after the end of the rollout."""
    entries = list(rollout(0.001, minutes=10))
    for entry in entries[20:]:
        entry["pods"] = entry["pods"][:-1]
        entry["weightPercent"] = 0
    (found,) = _replayed(iter(entries))
    assert not any(other.rolled_back for other in found.others)
    assert found.recorded_seconds is not None
    assert found.recorded_seconds < 300


def test_rollouts_without_a_canary_are_left_out() -> None:
    """A recording of a time at rest has nothing to judge."""
    entries = list(rollout(0.001, name="rest"))
    for entry in entries[1:]:
        entry["pods"] = entry["pods"][:-1]
    assert [each.rollout for each in _replayed(iter(entries), rollout(0.001, name="r"))] == ["r"]


def test_a_trace_is_thinned_out() -> None:
    """The course of a week fits into little memory, evenly spread."""
    trace = Trace()
    for n in range(20 * MOST_POINTS):
        trace.add(Point(time=n, odds=1, canary=NOTHING, stable=NOTHING))
    times = [point.time for point in trace.points]
    assert MOST_POINTS / 2 <= len(times) <= MOST_POINTS
    assert len({later - sooner for sooner, later in pairwise(times)}) == 1


def test_a_player_keeps_no_polls() -> None:
    """Whatever the length of the rollout, what it holds for the rules is a few minutes."""
    first, *entries = map(parsed, as_lines(rollout(0.001, minutes=60)).splitlines())
    assert first.header is not None
    player = Player(first.header, rules(Thresholds()))
    for entry in entries:
        assert entry.poll is not None
        player.take(entry.poll)
    assert len(player._series._past) <= 2 * 300 / 15 + 2
