"""What fuzzing has found, as plain cases: each was a traceback, or a number that nobody can count with."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import make_deployment, make_model, make_observed, make_revision, revision_name
from modelward.analysis import judge
from modelward.analysis.noise import INDEPENDENT
from modelward.analysis.sampled_evidence import MetricsUnknown, Unknown
from modelward.analysis.state import _vector
from modelward.api.status import ModelDeploymentStatus, ScalingStatus
from modelward.api.times import is_time
from modelward.clients.prometheus import Prometheus
from modelward.errors import InvalidSettings, InvalidState
from modelward.rollout.decide import decide
from modelward.sampling.columns import Answer, Column, Grouping, Table
from modelward.sampling.exposition import readings
from modelward.sampling.queries import Part
from modelward.sampling.selectors import parse_selector, parse_sum
from modelward.sampling.targets import GaugeTarget, RatioTarget
from modelward.settings import load
from unit.analysis.samples import make_policy, make_sample, ratio

ERRORS = RatioTarget(
    name="errors",
    hits=parse_sum("errors_total", "hits"),
    total=parse_sum("requests_total", "total"),
)
QUEUE = GaugeTarget(name="queue", gauge=parse_selector("queue", "gauge"))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\x80", id="alone"),
        pytest.param(b'{"status":"\xff"}', id="in a string"),
        pytest.param(
            b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"\xff"}}]}}',
            id="in a label",
        ),
    ],
)
def test_an_answer_that_is_no_text(body: bytes) -> None:
    """Bytes that are not UTF-8 are no answer of a Prometheus; the judge hears that, and nothing ends."""
    with pytest.raises(MetricsUnknown) as caught:
        Prometheus(name="main", url="http://prometheus:9090")._read(200, body, "vector")
    assert caught.value.problem.reason is Unknown.NOT_METRICS


@pytest.mark.parametrize(
    "page",
    [
        pytest.param('requests_total{a="1"} 1e308\nrequests_total{a="2"} 1e308\n', id="a sum without end"),
        pytest.param("requests_total 1e17\n", id="a count that is not exact"),
    ],
)
def test_a_counter_beyond_counting(page: str) -> None:
    """Differences of such counters are NaN, or are lost: unknown, never zero."""
    found = readings(page, [ERRORS])
    assert found.metrics == {}
    assert found.problems["errors"].problem.reason is Unknown.METRIC_INVALID


@pytest.mark.parametrize("value", ["1e101", "-1e308", "NaN", "+Inf"])
def test_a_gauge_beyond_counting(value: str) -> None:
    """A difference of two such values would be infinite, and no memory could be written any more."""
    assert readings(f"queue {value}\n", [QUEUE]).problems["queue"].problem.reason is Unknown.METRIC_INVALID


@pytest.mark.parametrize("count", [float("nan"), float("inf"), 2.0, 1e18, 0.5, -1.0])
def test_a_number_of_series_that_is_not_one(count: float) -> None:
    """A metric source says how many series its average is of; anything but one says nothing about a value."""
    grouping, place = Grouping(()), (0.0, "p")
    tables: dict[Part, Table] = {part: {place: [("", (), 7.0)]} for part in grouping.parts(QUEUE)}
    tables[grouping.counts(QUEUE.gauge)] = {place: [("", (), count)]}
    outcome = Column(wanted=QUEUE, answer=Answer(grouping, tables)).scrape(*place).outcome
    assert isinstance(outcome, MetricsUnknown)
    assert outcome.problem.reason is Unknown.METRIC_INVALID


@pytest.mark.parametrize(
    "text", ["1970-01-01T00:00:00+14:00", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-23:59"]
)
def test_a_time_that_is_before_or_after_all_times_in_utc(text: str) -> None:
    """The zone counts: what is written back in UTC must be such a time, too."""
    assert not is_time(text)


def _state(**changes: Any) -> str:
    """A state with some places changed."""
    policy = make_policy()
    state = judge.observe(
        policy, judge.begin(policy, INDEPENDENT), make_sample(15, 10, errors=ratio((1, 150), (9, 1350)))
    )
    packed = json.loads(judge.encode(state))
    for place, value in changes.items():
        packed[int(place.removeprefix("at_"))] = value
    return json.dumps(packed)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"at_10": [1.0, "latency"]}, id="a verdict about a metric that there is not"),
        pytest.param({"at_5": 1e308}, id="a time without end"),
        pytest.param({"at_2": -7.0}, id="a share below none"),
        pytest.param({"at_9": [1.5, 0, []]}, id="a share above all"),
        pytest.param({"at_4": 10**30}, id="a count that no float holds"),
    ],
)
def test_a_memory_that_no_judge_wrote(changes: dict[str, Any]) -> None:
    """It is refused where it is read, so that judging begins anew; it made every check the model fail."""
    assert judge.encode(judge.decode(_state())) == json.dumps(json.loads(_state()), separators=(",", ":"))
    with pytest.raises(InvalidState):
        judge.decode(_state(**changes))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("resyncSeconds: 2026-99-99", id="a date that there is not"),
        pytest.param("workers: !!int x", id="a number that is none"),
        pytest.param("workers: !!bool x", id="a truth that is none"),
        pytest.param("workers: !!int ''", id="a number of no digits"),
        pytest.param("[" * 600, id="too deep"),
        pytest.param("log: 5", id="a number for a map"),
    ],
)
def test_a_settings_file_that_is_none(text: str, tmp_path: Path) -> None:
    """The process ends with a sentence that names the file, not with a traceback."""
    file = tmp_path / "settings.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidSettings, match=str(file)):
        load(file, {"log": {"level": "INFO"}})


def test_a_memory_with_cases_and_no_hits() -> None:
    """A table of counts without one place for hits is none."""
    packed = json.loads(_state())
    total = 11
    assert packed[-1][0][total] == _vector([150, 1350, 1, 9])
    for table in ([5, 5], _vector([5, 5])):
        packed[-1][0][total] = table
        with pytest.raises(InvalidState):
            judge.decode(json.dumps(packed))


def test_a_status_that_is_found_again_is_found_in_one_reconcile() -> None:
    """What an autoscaler left behind is counted of the revision that is found, not at the second check."""
    left = ModelDeploymentStatus(scaling=ScalingStatus(ignored_replicas=2))
    model = make_model("1", status=left, replicas=2)
    name = revision_name("1")
    observed = make_observed(
        model, make_deployment(name, replicas=9), selects=name, revisions=[make_revision("1")]
    )
    decision = decide(observed)
    assert decision.status.scaling == ScalingStatus(ignored_replicas=2, held_replicas=9)
    again = decide(replace(observed, model=replace(model, status=decision.status)))
    assert again.status == decision.status
