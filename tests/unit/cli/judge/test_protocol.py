"""Lines that anybody may have written: what is read, what is unknown, what is refused."""

import json
from math import inf, isnan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelward.analysis.policy import Policy
from modelward.analysis.readings import Arm, GaugeReading, HistogramReading, RatioReading, Reading
from modelward.api.analysis_policy import MetricAction, MetricKind
from modelward.api.rollout_policy import OnInconclusive
from modelward.errors import InvalidLine
from modelward_cli.judge.protocol import Line, parsed

POD = {"pod": "a", "arm": "canary", "metrics": {"errors": {"hits": 1, "total": 2}}}
SCRAPE = {"rollout": "r", "time": 15, "weightPercent": 10, "pods": [POD]}


def line(value: Any) -> Line:
    """The line that is `value` in JSON."""
    return parsed(json.dumps(value))


def reading(value: Any) -> Reading | None:
    """What is read of one metric."""
    made = line(SCRAPE | {"pods": [POD | {"metrics": {"m": value}}]}).poll
    assert made is not None
    return made.pods[0].metrics.get("m")


def policy(value: Any, **shown: Reading) -> Policy:
    """The policy of a header, when pods show metrics."""
    header = line({"rollout": "r", "policy": value}).header
    assert header is not None
    return header.policy.policy(shown, 15)


def test_a_scrape() -> None:
    """Time, weight, pods."""
    made = line(SCRAPE)
    assert (made.rollout, made.header) == ("r", None)
    assert made.poll is not None
    assert (made.poll.time, made.poll.weight_percent) == (15, 10)
    assert made.poll.pods[0].arm is Arm.CANARY
    assert made.poll.pods[0].metrics == {"errors": RatioReading(hits=1, total=2)}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"hits": 1, "total": 2}, RatioReading(hits=1, total=2), id="ratio"),
        pytest.param({"total": 2}, RatioReading(hits=0, total=2), id="hits that are not born yet are none"),
        pytest.param({"hits": 2}, None, id="a total that was never seen is unknown"),
        pytest.param(
            {"buckets": {"0.1": 1, "+Inf": 2}}, HistogramReading(buckets={0.1: 1, inf: 2}), id="histogram"
        ),
        pytest.param({"value": -3}, GaugeReading(value=-3), id="gauge"),
        pytest.param(None, None, id="null"),
        pytest.param({"buckets": None}, None, id="null buckets"),
    ],
)
def test_readings(value: Any, expected: Reading | None) -> None:
    """By their shape."""
    assert reading(value) == expected


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_value_that_is_not_there_is_unknown(value: Any) -> None:
    """Neither null nor NaN, which Python writes though JSON lacks it, is zero."""
    made = reading({"hits": value, "total": 2})
    assert isinstance(made, RatioReading)
    assert isnan(made.hits)


@pytest.mark.parametrize(
    ("value", "problem_text"),
    [
        pytest.param([], "must be a JSON object", id="no object"),
        pytest.param({}, "rollout must be a name", id="no rollout"),
        pytest.param({"rollout": None}, "rollout must be a name", id="null rollout"),
        pytest.param(SCRAPE | {"time": "15"}, "time must be a number of seconds", id="time as text"),
        pytest.param(SCRAPE | {"time": None}, "time must be a number of seconds", id="no time"),
        pytest.param(SCRAPE | {"pods": None}, "pods must be a list", id="no pods"),
        pytest.param(SCRAPE | {"pods": [1]}, "pods[0] must be an object", id="a pod that is none"),
        pytest.param(SCRAPE | {"pods": [POD, POD]}, "pods has a pod twice", id="a pod twice"),
        pytest.param(
            SCRAPE | {"weightPercent": 101}, "weightPercent must be a number from 0 to 100", id="weight"
        ),
        pytest.param(
            SCRAPE | {"pods": [POD | {"arm": "blue"}]}, 'pods[0].arm must be "canary" or "stable"', id="arm"
        ),
        pytest.param(SCRAPE | {"pods": [POD | {"arm": []}]}, "pods[0].arm must be", id="arm of a wrong type"),
        pytest.param(
            SCRAPE | {"pods": [POD | {"pod": ""}]}, "pods[0].pod must be a name", id="pod without a name"
        ),
        pytest.param(
            SCRAPE | {"pods": [POD | {"metrics": {"m": {"hits": "1", "total": 2}}}]},
            "pods[0].metrics.m.hits must be a number",
            id="count as text",
        ),
        pytest.param(
            SCRAPE | {"pods": [POD | {"metrics": {"m": {"buckets": {"fast": 2}}}}]},
            "pods[0].metrics.m.buckets has the bound 'fast', which is not a number",
            id="bound",
        ),
        pytest.param(
            SCRAPE | {"pods": [POD | {"metrics": {"m": {}}}]},
            "pods[0].metrics.m must have hits and total, buckets, or value",
            id="nothing",
        ),
        pytest.param({"rollout": "r", "policy": []}, "policy must be an object", id="policy"),
        pytest.param(
            {"rollout": "r", "reference": {}}, "reference must be a list of scrapes", id="reference"
        ),
        pytest.param(
            {"rollout": "r", "reference": [{"time": 0}]},
            "reference[0].pods must be a list",
            id="in a reference",
        ),
        pytest.param(
            {"rollout": "r", "policy": {"confidencePercent": 100}},
            "policy.confidencePercent must be from 50 to below 100",
            id="confidence",
        ),
        pytest.param(
            {"rollout": "r", "policy": {"metrics": [{"name": "m", "kind": "Guard"}]}},
            "policy.metrics, m: limitPercent is needed with the kind Guard",
            id="guard",
        ),
        pytest.param(
            {"rollout": "r", "policy": {"metrics": [{"name": "m", "kind": "Mean"}]}},
            "policy cannot be used: Invalid enum value 'Mean' - at `$.metrics[0].kind`",
            id="kind",
        ),
    ],
)
def test_what_is_refused(value: Any, problem_text: str) -> None:
    """With the place and what would be right."""
    with pytest.raises(
        InvalidLine, match="^" + problem_text.replace("[", r"\[").replace("$", r"\$").replace(".", r"\.")
    ):
        line(value)


@pytest.mark.parametrize("text", ["", "{", b"\xff\xfe", '{"rollout": "r"', "[" * 100_000])
def test_what_is_not_json_is_refused(text: str | bytes) -> None:
    """Whatever it is."""
    with pytest.raises(InvalidLine):
        parsed(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "rollout",
                    "policy",
                    "time",
                    "pods",
                    "pod",
                    "arm",
                    "metrics",
                    "m",
                    "hits",
                    "total",
                    "buckets",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, JSON, JSON)
def test_any_json_is_read_or_refused(pods: Any, header: Any, metric: Any) -> None:
    """Never anything else."""
    for value in (
        pods,
        {"rollout": "r", "time": 1, "pods": pods},
        {"rollout": "r", "policy": header},
        {"rollout": "r", "reference": header},
        SCRAPE | {"pods": [POD | {"metrics": {"m": metric}}]},
    ):
        try:
            line(value)
        except InvalidLine:
            continue


# --- policies -----------------------------------------------------------------------------------------------

RATIO, VALUE = RatioReading(hits=0, total=1), GaugeReading(value=1)
HISTOGRAM = HistogramReading(buckets={inf: 1})


def test_metrics_are_recognised_by_their_shape() -> None:
    """Where the policy names none. A gauge needs a direction and a tolerance, so it is left aside."""
    made = policy(None, errors=RATIO, request_latency=HISTOGRAM, score=HISTOGRAM, queue=VALUE)
    assert [(m.name, m.kind, m.errors) for m in made.metrics] == [
        ("errors", MetricKind.RATIO, True),
        ("request_latency", MetricKind.LATENCY, False),
        ("score", MetricKind.DISTRIBUTION, False),
    ]
    assert made.metrics[2].action is MetricAction.HOLD


@pytest.mark.parametrize("nested", [True, False])
def test_a_policy_is_that_of_a_spec(nested: bool) -> None:  # noqa: FBT001
    """spec.analysis and spec.rollout, one beside the other or in one; numbers may be texts."""
    analysis = {
        "intervalSeconds": 5,
        "confidencePercent": "99.9",
        "tolerancePercent": 10,
        "metrics": [
            {"name": "errors", "hits": "failed_total", "total": "requests_total"},
            {"name": "slo", "kind": "Guard", "signal": "errors", "limitPercent": "2"},
            {"name": "value", "kind": "Gauge", "direction": "HigherIsBetter", "tolerancePercent": 5},
            {"name": "drift", "signal": "predictions", "share": 3, "action": "RollBack", "dryRun": True},
        ],
    }
    rollout = {
        "steps": [{"weightPercent": 10}, 50],
        "stepMinSeconds": 60,
        "stepMaxSeconds": 300,
        "onInconclusive": "Promote",
        "strategy": "Canary",
    }
    header = line(
        {
            "rollout": "r",
            "policy": {"analysis": analysis, "rollout": rollout} if nested else analysis | rollout,
        }
    ).header
    assert header is not None
    assert (header.policy.steps, header.policy.on_inconclusive) == ((10, 50), OnInconclusive.PROMOTE)
    assert header.unheeded == ()
    made = header.policy.policy({"errors": RATIO}, None)
    assert (made.interval_seconds, made.step_min_seconds, made.step_max_seconds) == (5, 60, 300)
    assert made.alpha == pytest.approx(0.001)
    assert [(m.kind, m.margin) for m in made.metrics] == [
        (MetricKind.RATIO, 1.1),
        (MetricKind.GUARD, 1.1),
        (MetricKind.GAUGE, 1.05),
        (MetricKind.DISTRIBUTION, 1.5),
    ]
    assert made.metrics[1].limit == 0.02
    assert made.metrics[2].higher_is_better
    assert (made.metrics[3].share, made.metrics[3].dry_run) == (3, True)


def test_fields_that_mean_nothing_are_named() -> None:
    """A misspelt one would otherwise be a policy that nobody wanted."""
    header = line({"rollout": "r", "policy": {"tolerance": 3, "stepMinSeconds": 60}}).header
    assert header is not None
    assert header.unheeded == ("tolerance",)
