"""Our reading of a page and prometheus-client's are the same, for every page that it takes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from modelward.analysis.sampled_evidence import MetricsUnknown, Unknown
from modelward.sampling.lines import read_page

Found = list[tuple[str, tuple[tuple[str, str], ...], str]]

BLANKS = st.sampled_from(["", " ", "\t", "  "])
SPACES = st.sampled_from([" ", "\t", "  "])
NUMBERS = st.floats(allow_nan=True, allow_infinity=True).map(repr) | st.sampled_from(
    ["+Inf", "-Inf", "NaN", "1e3", "1.E+2", ".5", "7.", "-0", "1_0"]
).filter(lambda text: "_" not in text)
VALUES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
)
NAMES = st.sampled_from(["a", "a_total", "ab", "b:c", "a_bucket"])
LABELS = st.dictionaries(st.sampled_from(["x", "le", "_y", "code"]), VALUES, max_size=3)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@st.composite
def _lines(draw: st.DrawFn) -> str:
    labels = draw(LABELS)
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    comma = draw(st.sampled_from(["", ","])) if labels else ""
    braces = f"{{{inside}{comma}}}" if labels else draw(st.sampled_from(["", "{}"]))
    stamp = draw(st.sampled_from(["", " 1700000000000", "\t-5"]))
    return f"{draw(NAMES)}{braces}{draw(SPACES)}{draw(NUMBERS)}{stamp}{draw(BLANKS)}"


OTHERS = st.sampled_from(
    ["", "# a comment", "# HELP a helps", "# TYPE a gauge", "#", "# EOF is a comment here"]
)
PAGES = st.lists(_lines() | OTHERS, max_size=12).map(lambda lines: "\n".join(lines) + "\n")


def _ours(text: str, names: frozenset[str]) -> Found:
    lines = [line for series in read_page(text, names).series.values() for line in series]
    return sorted((each.name, tuple(sorted(each.labels.items())), repr(each.value + 0)) for each in lines)


def _theirs(text: str, names: frozenset[str], *, openmetrics: bool = False) -> Found:
    families = (parse_openmetrics if openmetrics else parse_text)(text)
    samples = [sample for family in families for sample in family.samples if sample.name in names]
    return sorted(
        (each.name, tuple(sorted(each.labels.items())), repr(float(each.value) + 0)) for each in samples
    )


@given(page=PAGES, names=st.frozensets(NAMES, min_size=1))
def test_the_same_series_are_read(page: str, names: frozenset[str]) -> None:
    """Names, labels and values, with every escape and blank; lines of other names are passed over."""
    assert _ours(page, names) == _theirs(page, names)


@pytest.mark.parametrize("openmetrics", [False, True])
def test_what_a_client_library_writes_is_read(*, openmetrics: bool) -> None:
    """Counters, gauges, histograms with exemplars, summaries; in the text format and in OpenMetrics."""
    registry = CollectorRegistry()
    counter = Counter("requests", "Requests.", ["code", "path"], registry=registry)
    counter.labels("200", '/a"b\\c\nd}').inc(3, {"trace": 'x} # {y="1"} 2'})
    histogram = Histogram("latency_seconds", "Times.", ["code"], registry=registry)
    histogram.labels("200").observe(0.2, {"trace": "abc"})
    Gauge("depth", "Depth.", registry=registry).set(math.inf)
    Summary("size", "Size.", registry=registry).observe(2)
    names = frozenset(
        {
            "requests_total",
            "latency_seconds_bucket",
            "latency_seconds_count",
            "depth",
            "size_sum",
            "size_count",
        }
    )
    text = (generate_openmetrics if openmetrics else generate_latest)(registry).decode()
    assert _ours(text, names) == _theirs(text, names, openmetrics=openmetrics)
    assert len(_ours(text, names)) > 15


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("<html>\n", id="HTML"),
        pytest.param('{"a": 1}\n', id="JSON"),
        pytest.param("a\n", id="no value"),
        pytest.param("a one\n", id="a word for a value"),
        pytest.param("a 1_0\n", id="Python's way with digits"),
        pytest.param("a 0x10\n", id="Go's way with digits"),
        pytest.param('a{x="1" 2\n', id="an open brace"),
        pytest.param('a{x="1} 2\n', id="an open quote"),
        pytest.param('a{x="1" y="2"} 2\n', id="no comma"),
        pytest.param("a{x=1} 2\n", id="no quotes"),
        pytest.param('a{x="1",x="2"} 2\n', id="a label twice"),
        pytest.param('a{x="1"}\n', id="nothing after the labels"),
        pytest.param('a{x="1"} 12', id="none"),
    ],
)
def test_broken_pages(text: str) -> None:
    """What is no page of metrics, or has a broken line of a name that counts, is NotMetrics."""
    if text.endswith("12"):  # the last line may lack its end; it cannot be distinguished from one that is cut
        assert _ours(text, frozenset({"a"})) == [("a", (("x", "1"),), "12.0")]
        return
    with pytest.raises(MetricsUnknown) as raised:
        read_page(text, frozenset({"a"}))
    assert raised.value.problem.reason is Unknown.NOT_METRICS


@given(text=st.text(max_size=200))
def test_no_page_breaks_the_reader(text: str) -> None:
    """Any text is read or refused."""
    try:
        page = read_page(text, frozenset({"a"}))
    except MetricsUnknown:
        return
    assert page.series.keys() <= {"a"}


def test_labels_that_are_long_are_read_once_and_whole() -> None:
    """A label of 100 KiB takes one line, not a stack."""
    value = '\\"' * 50_000
    assert _ours(f'a{{x="{value}"}} 1\n', frozenset({"a"})) == [("a", (("x", '"' * 50_000),), "1.0")]
