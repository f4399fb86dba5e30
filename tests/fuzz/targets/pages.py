"""What pods and metric sources answer: metrics pages, and Prometheus' JSON."""

from collections.abc import Callable
from math import inf, isfinite
from typing import Any, Final, TypeVar

from fuzz.source import Source
from modelward.analysis.readings import GaugeReading, HistogramReading, RatioReading, Reading
from modelward.analysis.sampled_evidence import MetricsUnknown, Unknown
from modelward.clients.prometheus import Prometheus, Series
from modelward.sampling.columns import Answer, Cell, Column, Grouping, Table, mains
from modelward.sampling.exposition import readings
from modelward.sampling.queries import Part
from modelward.sampling.selectors import parse_selector, parse_sum
from modelward.sampling.targets import GaugeTarget, HistogramTarget, RatioTarget, SampleTarget

Read = TypeVar("Read")
WANTED: Final = (
    RatioTarget(
        name="errors",
        hits=parse_sum('requests_total{code=~"5.."}', "hits"),
        total=parse_sum("requests_total", "total"),
    ),
    HistogramTarget(name="latency", buckets=parse_selector("latency_ms_bucket", "histogram"), scale=1e-3),
    GaugeTarget(name="queue", gauge=parse_selector('queue{model="fraud"}', "gauge")),
)
PAGE: Final = """\
# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{code="200",path="/a\\"}"} 1027 1395066363000
requests_total{code="500"} 3
# TYPE latency_ms histogram
latency_ms_bucket{le="10"} 5
latency_ms_bucket{le="100.0"} 7
latency_ms_bucket{le="+Inf"} 9
latency_ms_sum 430.5
latency_ms_count 9
# TYPE queue gauge
queue{model="fraud"} 2
queue{model="other"} NaN
go_goroutines 8
"""
OPEN_METRICS: Final = """\
# TYPE requests counter
# UNIT requests requests
requests_total{code="200"} 1027.0 1395066363.5
requests_created{code="200"} 1395066363.0
requests_total{code="503"} 1.0 # {trace_id="a"} 0.5 1395066363.0
# TYPE latency_ms histogram
latency_ms_bucket{le="1.0"} 0
latency_ms_bucket{le="+Inf"} 17 # {a="b"} 9
# TYPE queue gauge
queue{model="fraud"} 1e300
# EOF
"""
PAGES: Final = (PAGE, OPEN_METRICS, "<html>\n", "\n", 'requests_total 1e308\nrequests_total{a="b"} 1e308\n')
ANSWERS: Final = (
    '{"status":"success","data":{"resultType":"vector","result":[{"metric":{"pod":"a","le":"+Inf"},"value":[1.5,"7"]}]}}',
    '{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"7"],[2,"NaN"],[3,"+Inf"]]}]}}',
    '{"status":"error","errorType":"bad_data","error":"parse error"}',
    '{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"\\u00e9"},"histogram":[1,{}]}]}}',
    '{"status":"success","warnings":["partial"],"data":{"resultType":"scalar","result":[1,"2"]}}',
    '{"status":"success","data":{"resultType":"vector","result":[]},"infos":[null]}',
    "<html>502 Bad Gateway</html>",
    "[" * 2000,
    '{"status":"success","data":{"resultType":"vector","result":' + "[" * 2000 + "]" * 2000 + "}}",
)
_SERVER: Final = Prometheus(name="main", url="http://prometheus:9090")


def page(data: bytes) -> None:
    """No page of metrics, or readings that a judge can count with; what other series say changes none of them."""
    source = Source(data)
    raw = source.mutated(PAGES).encode()
    if source.chance(8):
        raw = raw[: source.whole(len(raw))] + bytes([source.whole(255)]) + raw[source.whole(len(raw)) :]
    text = raw.decode("utf-8", errors="replace")
    found = _unless_unknown(lambda: readings(text, WANTED))
    if isinstance(found, MetricsUnknown):
        assert found.problem.reason is Unknown.NOT_METRICS
        return
    assert found.metrics.keys() | found.problems.keys() == {each.name for each in WANTED}
    for name, reading in found.metrics.items():
        assert name not in found.problems
        check_reading(reading)
    again = readings(f'{text}\nsomething_else{{le="1"}} 5\n', WANTED)
    assert again.metrics == found.metrics


def answer(data: bytes) -> None:
    """Refused in our words, without a word of the server's; or series, of which only whole readings are made."""
    source = Source(data)
    raw = source.mutated(ANSWERS).encode()
    if source.chance(8):
        raw = raw[: source.whole(len(raw))] + bytes([source.whole(255)]) + raw[source.whole(len(raw)) :]
    status = source.pick((200, 400, 401, 422, 503, 301))
    kind = source.pick(("vector", "matrix"))
    series = _unless_unknown(lambda: _SERVER._read(status, raw, kind))
    if isinstance(series, MetricsUnknown):
        assert series.problem.message.startswith("metric source main: "), series
        assert "parse error" not in series.problem.message
        return
    assert status == 200
    for wanted in WANTED:
        check_column(wanted, cells(series), cells(series) if source.chance() else [])


def _unless_unknown(read: Callable[[], Read]) -> Read | MetricsUnknown:
    try:
        return read()
    except MetricsUnknown as unknown:
        return unknown


def cells(series: list[Series]) -> list[Cell]:
    """All values, as those of one pod at one time."""
    return [(each.labels.get("le", ""), (), value) for each in series for _, value in each.points]


def check_column(wanted: SampleTarget, first: list[Cell], second: list[Cell]) -> None:
    """A reading that a judge can count with, or none."""
    grouping, place = Grouping(()), (0.0, "a")
    tables: dict[Part, Table] = {part: {place: first} for part in grouping.parts(wanted)}
    if isinstance(wanted, RatioTarget):
        tables |= {grouping.values(wanted, hits): {place: second} for hits in wanted.hits.parts}
    if isinstance(wanted, GaugeTarget):
        tables[grouping.counts(wanted.gauge)] = {place: second}
    tables |= {grouping.times(main): {place: [("", (), 1.0)]} for main in mains(wanted)}
    outcome = Column(wanted=wanted, answer=Answer(grouping, tables)).scrape(*place).outcome
    if not isinstance(outcome, MetricsUnknown):
        check_reading(outcome)


def check_reading(reading: Reading) -> None:
    """Counters are finite and not negative, buckets rise to the one for all cases, a gauge is a number."""
    match reading:
        case RatioReading():
            check_counters(reading.hits, reading.total)
        case HistogramReading():
            check_counters(*reading.buckets.values())
            assert max(reading.buckets) == inf
            assert list(reading.buckets) == sorted(reading.buckets)
            assert list(reading.buckets.values()) == sorted(reading.buckets.values())
        case GaugeReading():
            assert isfinite(reading.value)


def check_counters(*values: Any) -> None:
    """What a counter can say."""
    assert all(isfinite(value) and value >= 0 for value in values), values
