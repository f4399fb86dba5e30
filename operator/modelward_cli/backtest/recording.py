"""Recorded polls as a file: the JSON Lines of `modelward judge`, read as a stream, and written; the file may be compressed."""

import gzip
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import inf, isnan
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from modelward.analysis.readings import Arm, GaugeReading, HistogramReading, PodReading, Poll, Reading
from modelward.errors import InvalidLine
from modelward_cli.judge.protocol import Header, Line, parsed

_GZIP = b"\x1f\x8b"

RolloutId = str | int
Note = Callable[[int, str], None]
"""Called with the number of a line, and what is wrong with it."""


def lines_of(raw_lines: Iterable[bytes], note: Note) -> Iterator[Line]:
    """The lines that can be used, in order; `note` is called for the others."""
    times: dict[RolloutId, float] = {}
    for number, raw in enumerate(raw_lines, 1):
        if not raw.strip():
            continue
        try:
            line = parsed(raw)
            _check(line, times)
        except InvalidLine as error:
            note(number, str(error))
            continue
        yield line


def _check(line: Line, times: dict[RolloutId, float]) -> None:
    before = times.setdefault(line.rollout, -inf)
    if line.header and before > -inf:
        raise InvalidLine(
            f"rollout {line.rollout} has begun already: its policy and reference come first, and once"
        )
    if line.poll is None:
        return
    if line.poll.time <= before:
        raise InvalidLine(f"time {line.poll.time:g} of rollout {line.rollout} is not after {before:g}")
    times[line.rollout] = line.poll.time


def header_line(
    rollout: RolloutId, policy: Mapping[str, Any], reference: Iterable[Poll] | None = None
) -> bytes:
    """The line that begins a rollout; `policy` holds the fields of spec.analysis and spec.rollout."""
    entry: dict[str, Any] = {"rollout": rollout, "policy": policy}
    if reference is not None:
        entry["reference"] = [_poll(poll) for poll in reference]
    return msgspec.json.encode(entry) + b"\n"


def poll_line(rollout: RolloutId, poll: Poll) -> bytes:
    """The line of one poll."""
    return msgspec.json.encode({"rollout": rollout, **_poll(poll)}) + b"\n"


def header_of(line: Line) -> Header:
    """The header of a rollout that may have none."""
    return line.header or Header()


def _poll(poll: Poll) -> dict[str, Any]:
    entry: dict[str, Any] = {"time": _number(poll.time)}
    if not isnan(poll.weight_percent):
        entry["weightPercent"] = _number(poll.weight_percent)
    entry["pods"] = [_pod(pod) for pod in poll.pods]
    if poll.unread:
        entry["unread"] = [{"pod": pod, "arm": arm.value} for pod, arm in poll.unread]
    return entry


def _pod(pod: PodReading) -> dict[str, Any]:
    metrics = {name: _reading(reading) for name, reading in pod.metrics.items()}
    entry: dict[str, Any] = {"pod": pod.pod, "arm": Arm(pod.arm).value, "metrics": metrics}
    known = {
        "node": pod.node or None,
        "started": pod.started,
        "processStarted": pod.process_started,
        "readySince": pod.ready_since,
    }
    return entry | {name: value for name, value in known.items() if value is not None}


def _reading(reading: Reading) -> dict[str, Any]:
    match reading:
        case HistogramReading(buckets=buckets):
            bounds = sorted(buckets)
            return {"buckets": {_bound(bound): _number(buckets[bound]) for bound in bounds}}
        case GaugeReading(value=value):
            return {"value": _number(value)}
        case _:
            return {"hits": _number(reading.hits), "total": _number(reading.total)}


def _bound(bound: float) -> str:
    return "+Inf" if bound == inf else repr(bound)


def _number(value: float) -> float | int | None:
    """A counter without a needless `.0`; what is no number is null, as JSON has no other word for it."""
    if isnan(value) or abs(value) == inf:
        return None
    return int(value) if value == int(value) else value


@contextmanager
def unpacked(file: str) -> Iterator[IO[bytes]]:
    """The bytes of a file, or of standard input for `-`. Raises OSError."""
    if file == "-":
        yield sys.stdin.buffer
        return
    with Path(file).open("rb") as raw:
        start = raw.read(len(_GZIP))
        raw.seek(0)
        if start != _GZIP:
            yield raw
            return
        with gzip.open(raw) as stream:
            yield cast("IO[bytes]", stream)


@contextmanager
def compressed() -> Iterator[tuple[IO[bytes], Callable[[], IO[bytes]]]]:
    """Where to write a long recording, and how to read it when all is written. Nothing is left of it."""
    with tempfile.TemporaryFile() as raw, gzip.open(raw, "wb", compresslevel=1) as sink:

        def source() -> IO[bytes]:
            sink.close()
            raw.seek(0)
            return cast("IO[bytes]", gzip.open(raw))

        yield cast("IO[bytes]", sink), source
