"""From a page to readings: what is there, what is zero, and what is unknown."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelward.analysis.readings import GaugeReading, HistogramReading, RatioReading
from modelward.analysis.sampled_evidence import Unknown
from modelward.sampling.exposition import readings
from modelward.sampling.selectors import parse_selector, parse_sum
from modelward.sampling.targets import GaugeTarget, HistogramTarget, RatioTarget

ERRORS = RatioTarget(
    name="errors",
    hits=parse_sum('requests_total{code=~"5.."}', "f"),
    total=parse_sum('requests_total{path!="/health"}', "f"),
)
LATENCY = HistogramTarget(name="latency", buckets=parse_selector('latency{path="/p"}', "f").named("_bucket"))
DEPTH = GaugeTarget(name="depth", gauge=parse_selector("depth", "f"))
TYPE = "# TYPE requests_total counter\n"


def _histogram(*buckets: tuple[str, object]) -> str:
    return "".join(f'latency_bucket{{path="/p",le="{le}"}} {count}\n' for le, count in buckets)


def test_a_ratio_sums_the_series_that_match() -> None:
    """Hits and total each by their own matchers."""
    page = (
        TYPE
        + 'requests_total{code="200",path="/p"} 90\nrequests_total{code="503",path="/p"} 7\n'
        + 'requests_total{code="500",path="/q"} 3\nrequests_total{code="200",path="/health"} 1000\n'
    )
    assert readings(page, [ERRORS]).metrics == {"errors": RatioReading(hits=10, total=100)}


def test_hits_that_were_never_born_are_none() -> None:
    """A series appears with its first case."""
    assert readings('requests_total{code="200"} 5\n', [ERRORS]).metrics["errors"] == RatioReading(
        hits=0, total=5
    )


def test_a_counter_that_is_declared_and_has_no_series_is_zero() -> None:
    """The server says that it counts; nothing has come yet."""
    assert readings(TYPE + "other 1\n", [ERRORS]).metrics["errors"] == RatioReading(hits=0, total=0)


@pytest.mark.parametrize(
    ("unit", "scale"), [("Seconds", 1.0), ("Milliseconds", 1e-3), ("Microseconds", 1e-6)], ids=str
)
def test_bounds_become_seconds(unit: str, scale: float) -> None:
    """In whatever unit the server counts."""
    wanted = HistogramTarget(name="latency", buckets=LATENCY.buckets, scale=scale)
    page = _histogram(("100", 1), ("250.0", 2), ("+Inf", 3))
    found = readings(page, [wanted]).metrics["latency"]
    assert isinstance(found, HistogramReading)
    assert [*found.buckets] == pytest.approx([100 * scale, 250 * scale, math.inf])
    assert [*found.buckets.values()] == [1, 2, 3]
    assert unit


def test_a_histogram_sums_its_series_and_sorts_its_buckets() -> None:
    """Methods, models and the like are taken together."""
    page = "".join(
        f'latency_bucket{{method="{method}",path="/p",le="{le}"}} {count}\n'
        for method in ("GET", "POST")
        for le, count in (("+Inf", 3), ("0.1", 1), ("1", 2))
    )
    found = readings("# TYPE latency histogram\n" + page, [LATENCY]).metrics["latency"]
    assert found == HistogramReading(buckets={0.1: 2, 1.0: 4, math.inf: 6})


def test_a_gauge_is_one_value() -> None:
    """As it is, negative, too."""
    assert readings("depth -3.5\n", [DEPTH]).metrics["depth"] == GaugeReading(value=-3.5)


@pytest.mark.parametrize(
    ("page", "name", "reason"),
    [
        pytest.param("other 1\n", "errors", Unknown.METRIC_MISSING, id="no total"),
        pytest.param(
            'requests_total{path="/health"} 1\n', "errors", Unknown.METRIC_MISSING, id="no series fits"
        ),
        pytest.param("requests_total NaN\n", "errors", Unknown.METRIC_INVALID, id="NaN"),
        pytest.param("requests_total +Inf\n", "errors", Unknown.METRIC_INVALID, id="infinite"),
        pytest.param("requests_total -1\n", "errors", Unknown.METRIC_INVALID, id="negative"),
        pytest.param(
            'requests_total{code="500"} 1\nrequests_total{code="500"} 1\n',
            "errors",
            Unknown.METRIC_INVALID,
            id="the same series twice",
        ),
        pytest.param(
            '# TYPE requests_total gauge\nrequests_total{code="500"} 1\n',
            "errors",
            Unknown.METRIC_INVALID,
            id="a gauge for a counter",
        ),
        pytest.param(
            TYPE + "# TYPE requests_total gauge\nrequests_total 1\n",
            "errors",
            Unknown.METRIC_INVALID,
            id="two types",
        ),
        pytest.param(
            "# TYPE depth counter\ndepth 1\n", "depth", Unknown.METRIC_INVALID, id="a counter for a gauge"
        ),
        pytest.param(
            'depth{a="1"} 1\ndepth{a="2"} 1\n', "depth", Unknown.METRIC_INVALID, id="several gauges"
        ),
        pytest.param("depth NaN\n", "depth", Unknown.METRIC_INVALID, id="a gauge that is no number"),
        pytest.param("other 1\n", "depth", Unknown.METRIC_MISSING, id="no gauge"),
        pytest.param("other 1\n", "latency", Unknown.METRIC_MISSING, id="no buckets"),
        pytest.param("# TYPE latency histogram\n", "latency", Unknown.METRIC_MISSING, id="buckets not born"),
        pytest.param(
            '# TYPE latency summary\nlatency{path="/p",quantile="0.9"} 1\nlatency_count{path="/p"} 3\n',
            "latency",
            Unknown.METRIC_INVALID,
            id="a summary",
        ),
        pytest.param(_histogram(("0.1", 1), ("1", 2)), "latency", Unknown.METRIC_INVALID, id="no +Inf"),
        pytest.param(
            _histogram(("0.1", 3), ("1", 2), ("+Inf", 3)), "latency", Unknown.METRIC_INVALID, id="falling"
        ),
        pytest.param(
            _histogram(("0.1", "NaN"), ("+Inf", 3)), "latency", Unknown.METRIC_INVALID, id="NaN bucket"
        ),
        pytest.param(
            _histogram(("x", 1), ("+Inf", 3)), "latency", Unknown.METRIC_INVALID, id="a bound that is none"
        ),
        pytest.param('latency_bucket{path="/p"} 1\n', "latency", Unknown.METRIC_INVALID, id="no le"),
        pytest.param(
            _histogram(("0.1", 1), ("+Inf", 3)) + 'latency_bucket{m="b",path="/p",le="+Inf"} 3\n',
            "latency",
            Unknown.METRIC_INVALID,
            id="other bounds",
        ),
        pytest.param(
            _histogram(("1", 1), ("1.0", 1), ("+Inf", 3)), "latency", Unknown.METRIC_INVALID, id="1 and 1.0"
        ),
    ],
)
def test_what_is_wrong_is_unknown_and_only_that(page: str, name: str, reason: Unknown) -> None:
    """No reading of that metric; the others on the page are read."""
    fine = GaugeTarget(name="fine", gauge=parse_selector("fine", "f"))
    found = readings(page + "fine 1\n", [ERRORS, LATENCY, DEPTH, fine])
    assert name not in found.metrics
    assert found.problems[name].problem.reason is reason
    assert found.metrics["fine"] == GaugeReading(value=1)


NUMBERS = st.one_of(st.floats(), st.integers(-5, 50)).map(str)
ANY_PAGE = st.lists(
    st.builds(
        lambda name, labels, value: f"{name}{labels} {value}",
        st.sampled_from(["requests_total", "latency_bucket", "depth"]),
        st.sampled_from(
            ["", '{code="500"}', '{path="/p",le="1"}', '{path="/p",le="+Inf"}', '{path="/p",le="NaN"}']
        ),
        NUMBERS,
    ),
    max_size=10,
).map(lambda lines: "\n".join(lines) + "\n")


@given(page=ANY_PAGE)
def test_a_reading_is_always_sound(page: str) -> None:
    """Whatever a server writes: finite counters from zero up, buckets that rise, the last one infinite."""
    found = readings(page, [ERRORS, LATENCY, DEPTH])
    assert found.metrics.keys().isdisjoint(found.problems)
    assert found.metrics.keys() | found.problems.keys() == {"errors", "latency", "depth"}
    for reading in found.metrics.values():
        match reading:
            case RatioReading():
                assert 0 <= reading.hits < math.inf
                assert 0 <= reading.total < math.inf
            case HistogramReading():
                assert [*reading.buckets] == sorted(reading.buckets)
                assert [*reading.buckets.values()] == sorted(reading.buckets.values())
                assert math.inf in reading.buckets
            case GaugeReading():
                assert math.isfinite(reading.value)


@pytest.mark.parametrize(
    ("lines", "started"),
    [
        pytest.param("process_start_time_seconds 1.7e+09", 1.7e9, id="exponent"),
        pytest.param("process_start_time_seconds 1.7e+09 1700000000123", 1.7e9, id="timestamp"),
        pytest.param("process_start_time_seconds{} 5 # {} 1", 5, id="exemplar"),
        pytest.param("process_start_time_seconds NaN", None, id="NaN"),
        pytest.param("process_start_time_seconds +Inf", None, id="infinite"),
        pytest.param("process_start_time_seconds -5", None, id="negative"),
        pytest.param("process_start_time_seconds 0", None, id="zero"),
        pytest.param("process_start_time_seconds yesterday", None, id="text"),
        pytest.param("process_start_time_seconds", None, id="nothing"),
        pytest.param('process_start_time_seconds{pid="1" 5', None, id="open brace"),
        pytest.param("process_start_time_seconds 5\nprocess_start_time_seconds 5", None, id="twice"),
        pytest.param(
            "process_start_time_seconds 5\nprocess_start_time_seconds x", None, id="twice, one text"
        ),
        pytest.param(
            'process_start_time_seconds{pid="1"} 5\nprocess_start_time_seconds{pid="2"} 9', None, id="of two"
        ),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_f06_a_broken_start_of_the_process_costs_that_alone(
    lines: str,
    started: float | None,
    first: bool,  # noqa: FBT001
) -> None:
    """The page is read all the same, wherever the line is."""
    counter = 'requests_total{code="500"} 5'
    text = "\n".join((lines, counter) if first else (counter, lines))
    for page in (text, text.replace("\n", "\r\n") + "\r\n"):
        found = readings(page, [ERRORS])
        assert found.metrics == {"errors": RatioReading(hits=5, total=5)}
        assert found.process_started == started
