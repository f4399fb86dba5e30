"""Files and lines: the operator's settings, and recorded streams for `modelward judge`."""

import tempfile
from math import isfinite
from pathlib import Path
from typing import Any, Final

from fuzz.source import Source
from modelward.analysis.readings import GaugeReading, HistogramReading, RatioReading
from modelward.api.fields import EXACT_INT_MAX
from modelward.errors import InvalidLine, InvalidSettings
from modelward.settings import Settings, load
from modelward_cli.judge.protocol import parsed

_SETTINGS: Final = (
    "workers: 16\nnamespaces: [shop, a]\nleaderElection: {enabled: true, leaseSeconds: 15}\n",
    "metrics:\n  sources:\n  - {name: main, url: 'http://prometheus:9090/a'}\n  scrapesPerSecond: 0.5\n",
    "log: {level: DEBUG, format: text}\nport: 0\nhost: '::'\nrollouts: {maxConcurrent: 3}\n",
    "resyncSeconds: .inf\nworkers: 0x10\nport: 1_0\n",
    "a: &a [*a]\n",
    "a: &a {<<: *a}\n",
    "resyncSeconds: 2026-99-99\n",
    "workers: !!python/object:os.system x\n",
    "workers: !!int x\nport: !!binary x\n",
    "? [a]\n: b\n",
    "--- 1\n--- 2\n",
    "leaderElection:\n",
    "leaderElection: 5\nlog: []\nmetrics: x\n",
    "1: 2\nnull: 3\n",
)
_FLAGS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"workers": 4, "host": None},
    {"leaderElection": {"enabled": False, "name": None}, "log": {"level": "INFO"}},
    {"metrics": {"scrapesPerSecond": 1.0}},
)
_LINES: Final = (
    '{"rollout":"r","time":15,"weightPercent":10,"pods":[{"pod":"a","arm":"canary","metrics":{"errors":{"hits":1,"total":2}}}]}',
    '{"rollout":"r","policy":{"confidencePercent":99,"steps":[5,{"weightPercent":25}],"metrics":[{"name":"slo","kind":"Guard","limitPercent":2,"signal":"errors"}]}}',
    '{"rollout":7,"reference":[{"time":0,"pods":[{"pod":"a","metrics":{"latency":{"buckets":{"0.1":1,"+Inf":2}}},"readySince":-1e3}]}]}',
    '{"rollout":"r","time":1e308,"pods":[],"unread":[{"pod":"b","arm":"stable"}]}',
    '{"rollout":"r","time":NaN,"pods":[{"pod":"a","arm":"stable","started":null,"metrics":{"g":{"value":-Infinity}}}]}',
    '{"rollout":"r","policy":{"spec":{"analysis":{"spec":{"rollout":{"stepMinSeconds":"120"}}}}}}',
    '{"rollout":"r","policy":' + '{"spec":' * 1200 + "{}" + "}" * 1200 + "}",
    "[" * 3000,
)


def settings(data: bytes) -> None:
    """Settings within their bounds, or an InvalidSettings in one line or two: the process ends with this message."""
    source = Source(data)
    text = source.mutated(_SETTINGS).encode()
    if source.chance(8):
        text = text[: source.whole(len(text))] + bytes([source.whole(255)]) + text
    file = Path(tempfile.gettempdir(), "modelward-fuzz-settings.yaml")
    file.write_bytes(text)
    read = _loaded(file, source.pick(_FLAGS))
    if isinstance(read, InvalidSettings):
        assert str(read).startswith(str(file)), read
        return
    assert 1 <= read.workers <= 256
    assert isfinite(read.resync_seconds)
    assert len({each.name for each in read.metrics.sources}) == len(read.metrics.sources)


def _loaded(file: Path, flags: dict[str, Any]) -> Settings | InvalidSettings:
    try:
        return load(file, flags)
    except InvalidSettings as error:
        return error


def line(data: bytes) -> None:
    """A line, or an InvalidLine; counts and times are numbers that arithmetic keeps exactly, unknown ones NaN."""
    source = Source(data)
    try:
        read = parsed(source.mutated(_LINES))
    except InvalidLine:
        return
    assert read.header or read.poll
    reference = (read.header.reference or ()) if read.header else ()
    for poll in (*reference, *((read.poll,) if read.poll else ())):
        assert abs(poll.time) <= EXACT_INT_MAX
        assert len({pod.pod for pod in poll.pods}) == len(poll.pods)
        for reading in (each for pod in poll.pods for each in pod.metrics.values()):
            match reading:
                case RatioReading():
                    values = [reading.hits, reading.total]
                case HistogramReading():
                    values = list(reading.buckets.values())
                case GaugeReading():
                    values = [reading.value]
            assert all(not abs(value) > EXACT_INT_MAX for value in values), values
    if read.header:
        shown = {name: each for poll in reference for pod in poll.pods for name, each in pod.metrics.items()}
        policy = read.header.policy.policy(shown, 15)
        assert 0 < policy.alpha <= 0.5
        assert policy.interval_seconds > 0
