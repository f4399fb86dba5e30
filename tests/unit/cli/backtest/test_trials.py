"""A/A trials and injected faults: how history is cut, who plays the canary, and what is concluded."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from scipy.stats import beta, binom

from modelward.analysis.readings import Arm
from modelward_cli.backtest.faults import Fault, Wrong
from modelward_cli.backtest.healthy import aa, concluded
from modelward_cli.backtest.injection import inject, usual_share
from modelward_cli.backtest.results import Conclusion
from modelward_cli.backtest.rivals import Thresholds
from modelward_cli.backtest.trials import at_most, rank, upper_bound
from modelward_cli.backtest.windows import Cutting, Window, Windows, trials
from modelward_cli.judge.protocol import Header, Line, parsed
from unit.cli.backtest.traffic import at_rest, rollout

SHORT = Cutting(window_seconds=600, reference_seconds=1200)


def _lines(entries: Iterator[Mapping[str, Any]]) -> list[Line]:
    return [parsed(json.dumps(entry)) for entry in entries]


def _windows(lines: list[Line], cutting: Cutting = SHORT) -> tuple[Windows, list[Window]]:
    windows = Windows(cutting=cutting)
    made = [window for line in lines if line.poll for window in windows.take(line.poll)]
    return windows, made


def test_history_is_cut_into_windows_with_a_reference_each() -> None:
    """One after the other; the reference reaches up to the window, and a last piece is left out."""
    _, made = _windows(_lines(at_rest(minutes=45)))
    assert [(w.past[0].time, w.start, w.polls[0].time, w.polls[-1].time) for w in made] == [
        (0, 1200, 1215, 1800),
        (600, 1800, 1815, 2400),
    ]


def test_windows_keep_little_of_a_long_history() -> None:
    """A window and a reference, however long it goes on."""
    windows, made = _windows(_lines(at_rest(minutes=200, pods=2, requests=1)))
    assert len(made) == 18
    assert len(windows._past) + len(windows._polls) <= (1200 + 600) / 15 + 2


def test_a_pseudo_canary_is_none_of_stable() -> None:
    """Neither before the window nor in it."""
    _, (window, *_) = _windows(_lines(at_rest(minutes=45)))
    for trial in trials(window, Header()):
        for poll in (*trial.past, *trial.polls):
            canaries = [pod.pod for pod in poll.pods if pod.arm is Arm.CANARY]
            assert canaries == [trial.pod]
            assert poll.weight_percent == 25


def test_pods_take_turns() -> None:
    """Each window goes on with the next ones."""
    cutting = Cutting(window_seconds=300, reference_seconds=300, most_pods=2)
    _, made = _windows(_lines(at_rest(pods=5, minutes=30, requests=1)), cutting)
    assert [window.pods for window in made[:3]] == [("s0", "s1"), ("s2", "s3"), ("s4", "s0")]


def test_holes_and_single_pods_are_left_out() -> None:
    """What was counted in a hole belongs to no window."""
    whole = _lines(at_rest(minutes=45))
    holed = [line for line in whole if line.poll and not 1230 <= line.poll.time <= 1700]
    windows, made = _windows(holed)
    assert windows.skipped == 1
    assert all(poll.time - window.start <= 660 for window in made for poll in window.polls)
    alone, none = _windows(_lines(at_rest(pods=1, minutes=45)))
    assert (alone.made, alone.skipped, none) == (0, 2, [])


def test_a_window_after_a_hole_starts_with_the_first_poll() -> None:
    """Whose counters are where counting begins, and not those before the hole."""
    lines = [line for line in _lines(at_rest(minutes=45)) if line.poll and not 1201 < line.poll.time < 1270]
    _, made = _windows(lines)
    assert made[0].start == made[0].past[-1].time == 1275
    assert made[0].polls[0].time == 1290


def test_healthy_pods_are_not_rolled_back() -> None:
    """None of them."""
    result = aa(_lines(at_rest(minutes=60, errors=0.012)), SHORT, Thresholds())
    assert (result.trials, result.rolled_back, result.windows) == (16, 0, 4)
    assert result.conclusion is Conclusion.NONE
    assert {each.rule: each.rolled_back for each in result.others}["Argo Rollouts 1m"] == 0
    assert set(result.phi) == {"errors", "latency"}
    assert 1 <= result.phi["errors"].median <= result.phi["errors"].largest < 3
    # Of latency the worst of its bounds counts, and twenty minutes of three pods say little of any.
    assert 1 <= result.phi["latency"].median <= result.phi["latency"].largest < 12


def _one_bad(minutes: float) -> Iterator[dict[str, Any]]:
    """History in which the pod s1 fails in every tenth request from the twentieth minute on."""
    for entry in at_rest(minutes=minutes):
        late = max(0, entry["time"] - 1200) / 15
        errors = entry["pods"][1]["metrics"]["errors"]
        errors["hits"] += int(late * 6)
        yield entry


def test_a_pod_that_is_not_like_the_others_is_named() -> None:
    """With when and why; and the promise is then in question."""
    result = aa(_lines(_one_bad(45)), SHORT, Thresholds())
    alarms = {(alarm.pod, alarm.start) for alarm in result.false_alarms}
    assert ("s1", 1200) in alarms
    assert {pod for pod, _ in alarms} == {"s1"}
    assert result.false_alarms[0].message.startswith("Rolled back after ")
    assert result.conclusion is Conclusion.MORE_THAN_PROMISED


def test_a_canary_in_the_history_is_left_aside() -> None:
    """Its errors say nothing about healthy pods; and the reference of a rollout is history, too."""
    lines = _lines(rollout(0.5, minutes=20))
    result = aa(lines, SHORT, Thresholds())
    assert (result.trials, result.rolled_back) == (9, 0)


def test_faults_are_found() -> None:
    """The larger, the sooner; and all before Flagger."""
    faults = [
        Fault(wrong=Wrong.ERRORS_TIMES, amount=2),
        Fault(wrong=Wrong.ERRORS_TIMES, amount=20),
        Fault(wrong=Wrong.LATENCY_TIMES, amount=3),
    ]
    made = inject(_lines(at_rest(minutes=41)), faults, SHORT, Thresholds(), seed=1)
    assert [(fault.fault, fault.trials) for fault in made.faults] == [
        ("errors x2", 8),
        ("errors x20", 8),
        ("latency x3", 8),
    ]
    small, large, slow = (fault.rules[0] for fault in made.faults)
    assert small.rule == large.rule == "Modelward"
    assert (large.found, slow.found) == (8, 8)
    assert small.found < 8
    flagger = made.faults[1].rules[1]
    assert large.median_seconds is not None
    assert flagger.median_seconds == 360
    assert large.median_seconds < 180
    assert large.median_bad_requests is not None
    assert flagger.median_bad_requests is not None
    assert large.median_bad_requests < flagger.median_bad_requests / 2
    assert made.usual_error_percent == pytest.approx(1, abs=0.2)
    assert made.traffic_percent == pytest.approx(25, abs=0.1)


def test_injection_is_repeatable() -> None:
    """The same seed, the same table."""
    lines = _lines(at_rest(minutes=31))
    faults = [Fault(wrong=Wrong.ERRORS_TIMES, amount=5)]
    first, second, other = (inject(lines, faults, SHORT, Thresholds(), seed=seed) for seed in (1, 1, 2))
    assert first == second
    assert first.faults != other.faults


def test_nothing_cannot_be_multiplied() -> None:
    """Stable without a failure: the fault is not tried, and a share that is added is."""
    lines = _lines(at_rest(minutes=31, errors=0))
    faults = [Fault(wrong=Wrong.ERRORS_TIMES, amount=20), Fault(wrong=Wrong.ERRORS_PLUS, amount=10)]
    made = inject(lines, faults, SHORT, Thresholds(), seed=1)
    assert [fault.trials for fault in made.faults] == [0, 4]
    assert made.faults[1].rules[0].found == 4


def test_a_metric_under_another_name() -> None:
    """A policy may call the signal errors as it likes; the fault goes where the pods count it."""
    policy = {"metrics": [{"name": "failures", "signal": "errors"}]}
    header = Line(rollout="rest", header=parsed(json.dumps({"rollout": "rest", "policy": policy})).header)
    made = inject(
        [header, *_lines(at_rest(minutes=31))],
        [Fault(wrong=Wrong.ERRORS_PLUS, amount=20)],
        SHORT,
        Thresholds(),
        seed=1,
    )
    assert (made.faults[0].trials, made.faults[0].rules[0].found) == (4, 4)


def test_usual_share() -> None:
    """Of what was counted in the time, not of what pods had counted before."""
    polls = [line.poll for line in _lines(at_rest(minutes=20, errors=0.05, requests=200)) if line.poll]
    assert usual_share(polls, "errors") == pytest.approx(0.05, rel=0.05)
    assert usual_share(polls, "nothing") is None


@pytest.mark.parametrize(("hits", "number"), [(0, 336), (1, 336), (5, 100), (3, 3)])
def test_bounds_are_those_of_clopper_and_pearson(hits: int, number: int) -> None:
    """Beside scipy's."""
    expected = 1.0 if hits == number else float(beta.ppf(0.95, hits + 1, number - hits))
    assert upper_bound(hits, number) == pytest.approx(expected, abs=1e-6)
    assert at_most(hits, number, 0.01) == pytest.approx(float(binom.cdf(hits, number, 0.01)))


@pytest.mark.parametrize(
    ("alarms", "number", "conclusion"),
    [
        (0, 10, Conclusion.NONE),
        (1, 10, Conclusion.WITHIN_PROMISE),
        (3, 336, Conclusion.WITHIN_PROMISE),
        (8, 336, Conclusion.MORE_THAN_PROMISED),
        (2, 16, Conclusion.MORE_THAN_PROMISED),
    ],
)
def test_what_is_concluded(alarms: int, number: int, conclusion: Conclusion) -> None:
    """One in ten may be chance, two in sixteen may not."""
    assert concluded(alarms, number, 0.01) is conclusion


def test_ranks() -> None:
    """Of times that may be infinite."""
    assert rank([30, 15, float("inf"), 45], 0.5) == 30
    assert rank([30, 15, float("inf"), 45], 0.95) == float("inf")
