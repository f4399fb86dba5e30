"""Recordings: what is written is read back, and lines that cannot be used are named."""

import math

import pytest

from modelward.analysis.readings import Arm, GaugeReading, HistogramReading, PodReading, Poll, RatioReading
from modelward_cli.backtest.recording import header_line, lines_of, poll_line
from unit.cli.backtest.traffic import as_lines, rollout

POLL = Poll(
    time=15.5,
    weight_percent=12.5,
    pods=(
        PodReading(
            pod="c0",
            arm=Arm.CANARY,
            metrics={
                "errors": RatioReading(hits=3, total=1000),
                "latency": HistogramReading(buckets={0.005: 1, 0.1: 2, math.inf: 3}),
                "depth": GaugeReading(value=0.25),
            },
            node="n1",
            started=3.0,
            ready_since=4.5,
        ),
        PodReading(pod="s0", arm=Arm.STABLE, metrics={}),
    ),
    unread=(("s1", Arm.STABLE),),
)


def _fail(number: int, message: str) -> None:
    pytest.fail(f"line {number}: {message}")


def test_polls_are_read_back_as_they_were_written() -> None:
    """All that a source knows of pods; and a reference."""
    text = header_line("r", {"intervalSeconds": 5}, [POLL]) + poll_line("r", POLL)
    header, line = lines_of(text.splitlines(), _fail)
    assert line.poll == POLL
    assert header.header is not None
    assert header.header.reference == (POLL,)
    assert header.header.policy.interval_seconds == 5


def test_what_is_no_number_is_unknown() -> None:
    """JSON has no word for it; and a weight that nobody knows is left out."""
    pods = (PodReading(pod="c0", arm=Arm.CANARY, metrics={"depth": GaugeReading(value=math.inf)}),)
    text = poll_line("r", Poll(time=1, weight_percent=math.nan, pods=pods))
    (line,) = lines_of([text], _fail)
    assert line.poll is not None
    assert math.isnan(line.poll.weight_percent)
    reading = line.poll.pods[0].metrics["depth"]
    assert isinstance(reading, GaugeReading)
    assert math.isnan(reading.value)


@pytest.mark.parametrize(
    ("broken", "problem_text"),
    [
        pytest.param(b"{", "is not JSON", id="not JSON"),
        pytest.param(b'{"rollout": "r", "time": 3, "pods": []}', "is not after 600", id="time"),
        pytest.param(b'{"rollout": "r", "policy": {}}', "has begun already", id="late header"),
        pytest.param(
            b'{"rollout": "r", "time": 700, "pods": [], "unread": 3}', "unread must be", id="unread"
        ),
        pytest.param(
            b'{"rollout": "r", "time": 700, "pods": [{"pod": "c", "arm": "canary", "readySince": "now"}]}',
            "pods[0].readySince must be a number of seconds",
            id="readiness",
        ),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(broken: bytes, problem_text: str) -> None:
    """And left out; the others count."""
    notes: list[tuple[int, str]] = []
    whole = as_lines(rollout(0.001)).splitlines()
    read = list(lines_of([*whole, b"", broken], lambda number, text: notes.append((number, text))))
    assert len(read) == len(whole)
    assert [number for number, _ in notes] == [len(whole) + 2]
    assert problem_text in notes[0][1]
