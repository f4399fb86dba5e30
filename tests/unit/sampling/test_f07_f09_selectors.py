"""Sums, variables and names of families: what a selector means, and what is said of one that means nothing."""

import math

import pytest

from modelward.analysis.readings import Arm, GaugeReading, HistogramReading, PodReading, Poll, RatioReading
from modelward.analysis.sampled_evidence import MetricsProblem, MetricsUnknown, Unknown
from modelward.api.analysis_policy import AnalysisPolicy, Metric, MetricKind
from modelward.api.signals import Signals
from modelward.sampling.exposition import Readings, readings
from modelward.sampling.freshness import Freshness
from modelward.sampling.pods import Polled
from modelward.sampling.selectors import parse_selector, parse_sum
from modelward.sampling.targets import sample_targets


def read(page: str, hits: str, total: str) -> Readings:
    """The metric `errors` of a page."""
    metric = Metric(name="errors", kind=MetricKind.RATIO, hits=hits, total=total)
    return readings(page, sample_targets(AnalysisPolicy(metrics=(metric,)), Signals(), {"MODEL_NAME": "a.b"}))


@pytest.mark.parametrize("number", range(1, 9))
def test_f07_up_to_eight_counters_are_added(number: int) -> None:
    """Each with its own matchers; printed, they read the same."""
    text = " + ".join(f'c{each}_total{{x="+ {each}"}}' for each in range(number))
    found = parse_sum(text, "f")
    assert len(found.parts) == number
    assert parse_sum(found.text(), "f") == found


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(" + ".join("abcdefghi"), id="nine"),
        pytest.param("a - b", id="a difference"),
        pytest.param("a + 1", id="a number"),
        pytest.param("a + (b + c)", id="brackets"),
        pytest.param("a{} + " + "(" * 900 + "b{}", id="a thousand brackets"),
        pytest.param("a + on(x) b", id="matching"),
        pytest.param("a + rate(b[5m])", id="a function"),
        pytest.param("a +", id="half"),
    ],
)
def test_f07_nothing_else_is_a_sum(text: str) -> None:
    """It is refused with the name of the field."""
    with pytest.raises(MetricsUnknown, match="hits: ") as raised:
        parse_sum(text, "hits")
    assert raised.value.problem.reason is Unknown.SELECTOR_INVALID


def test_f07_a_histogram_is_no_sum() -> None:
    """Buckets of two histograms are not added by name."""
    with pytest.raises(MetricsUnknown):
        parse_selector("a + b", "histogram")


def test_f07_counters_that_are_not_born_add_nothing() -> None:
    """One of a sum is enough to know the total."""
    page = '# TYPE ok_total counter\n# TYPE bad_total counter\nbad_total{m="x"} 7\n'
    assert read(page, "bad_total", "ok_total + bad_total").metrics["errors"] == RatioReading(hits=7, total=7)


@pytest.mark.parametrize(
    ("matcher", "value", "fits"),
    [
        pytest.param('model="$(MODEL_NAME)"', "a.b", True, id="a value"),
        pytest.param('model=~"$(MODEL_NAME)-[0-9]"', "a.b-1", True, id="in a pattern"),
        pytest.param('model=~"$(MODEL_NAME)"', "axb", False, id="its dot is a dot"),
        pytest.param('model="$$(MODEL_NAME)"', "$(MODEL_NAME)", True, id="two dollars"),
    ],
)
def test_f09_variables_are_expanded(matcher: str, value: str, fits: bool) -> None:  # noqa: FBT001
    """As in arguments; in a pattern they mean themselves."""
    found = read(f'n_total{{model="{value}"}} 5\n', f"n_total{{{matcher}}}", f"n_total{{{matcher}}}")
    assert found.metrics["errors"] == RatioReading(hits=5 * fits, total=5 * fits)
    assert bool(found.unmatched) != fits


def test_f09_a_variable_that_is_not_there_is_refused() -> None:
    """With those that are."""
    with pytest.raises(MetricsUnknown, match=r"must not use \$\(POD\): what can be used is \$\(MODEL_NAME\)"):
        read("n_total 1\n", 'n_total{a="$(POD)"}', "n_total")


@pytest.mark.parametrize("types", ["# TYPE http_requests counter\n", ""])
def test_f09_the_name_of_a_family_is_understood(types: str) -> None:
    """OpenMetrics leaves the suffix out of it: neither hits nor total are zero."""
    page = f'{types}http_requests_total{{code="500"}} 3\nhttp_requests_total{{code="200"}} 7\n'
    found = read(page, 'http_requests{code="500"}', "http_requests")
    assert found.metrics["errors"] == RatioReading(hits=3, total=10)


def test_f09_a_suffix_that_the_server_does_not_have_is_understood() -> None:
    """Where what is called so is a counter."""
    page = "# TYPE failures counter\nfailures 3\nrequests_total 10\n"
    assert read(page, "failures_total", "requests_total").metrics["errors"] == RatioReading(hits=3, total=10)


def test_f09_the_name_of_buckets_is_understood() -> None:
    """They are asked for by the family as a rule."""
    metric = Metric(name="m", kind=MetricKind.LATENCY, histogram="took_bucket")
    wanted = sample_targets(AnalysisPolicy(metrics=(metric,)), Signals())
    found = readings('took_bucket{le="1"} 2\ntook_bucket{le="+Inf"} 3\n', wanted)
    assert found.metrics["m"] == HistogramReading(buckets={1.0: 2, math.inf: 3})


def test_f09_a_total_that_means_nothing_names_the_nearest_series() -> None:
    """By the labels that were asked for, and no others."""
    page = 'n_total{path="/a",token="s3cret",m="x"} 5\nn_total{path="/b",token="s3cret",m="y"} 5\n'
    problem = read(page, 'n_total{m="x"}', 'n_total{path="/c",m="y"}').unmatched["errors"].problem
    assert problem.reason is Unknown.METRIC_MISSING
    assert problem.message.endswith('the nearest is n_total{path="/b",m="y"}')


@pytest.mark.parametrize(
    ("hits", "page", "missing"),
    [
        pytest.param('n_total{code=~"5.."}', 'n_total{m="x"} 5\n', True, id="lacks it"),
        pytest.param('n_total{code!="200"}', 'n_total{m="x"} 5\n', True, id="every request would be a hit"),
        pytest.param('n_total{code!~"2.."}', "n_total 5\n", True, id="without labels"),
        pytest.param('n_total{code=""}', 'n_total{m="x"} 5\n', False, id="asked not to be there"),
        pytest.param('n_total{code=~"5.."}', 'n_total{code="200"} 5\n', False, id="no failure yet"),
        pytest.param('f_total{code=~"5.."}', "n_total 5\n", False, id="no series of that name"),
    ],
)
def test_f08_hits_are_none_only_where_they_could_be(hits: str, page: str, missing: bool) -> None:  # noqa: FBT001
    """Else the label is named."""
    found = read(page, hits, "n_total")
    assert bool(found.problems) == missing
    if missing:
        assert "has the label code; the" in found.problems["errors"].problem.message


def test_f08_the_label_is_named_where_another_metric_can_be_had() -> None:
    """The others go on; what is said is not that "nothing is known"."""
    pods = (
        PodReading(pod="c", arm=Arm.CANARY, metrics={"depth": GaugeReading(value=1)}),
        PodReading(
            pod="s", arm=Arm.STABLE, metrics={name: GaugeReading(value=1) for name in ("depth", "errors")}
        ),
    )
    why = MetricsProblem(reason=Unknown.METRIC_MISSING, message="metric errors: no series has the label code")
    polled = Polled(
        poll=Poll(time=1, weight_percent=10, pods=pods), lacking={Arm.CANARY: {"errors": why}, Arm.STABLE: {}}
    )
    freshness = Freshness()
    problems = [freshness.take(polled) for _ in range(5)]
    assert problems[0] is None
    assert problems[-1] is not None
    assert problems[-1].message == f"a pod of the canary: {why.message}"
