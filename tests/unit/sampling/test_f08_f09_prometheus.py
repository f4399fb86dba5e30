"""Selectors that mean nothing of what a Prometheus has (F08, F09), and when a process began (F06)."""

import pytest

from modelward.analysis.problem import MetricsProblem, Unknown
from modelward.analysis.readings import Arm, RatioReading
from modelward.sampling.pods import Polled
from modelward.sampling.selectors import parse_sum
from modelward.sampling.wanted import WantedRatio
from unit.sampling.test_prometheus import BOTH, NOW, polled_of, series_of


def asked(hits: str, total: str) -> WantedRatio:
    """Errors by these selectors."""
    return WantedRatio(name="errors", hits=parse_sum(hits, "f"), total=parse_sum(total, "f"))


def problem_of(polled: Polled, arm: Arm = Arm.CANARY) -> MetricsProblem:
    """Why the errors of an arm are unknown."""
    assert all("errors" not in pod.metrics for pod in polled.poll.pods if pod.arm is arm)
    return polled.lacking[arm]["errors"]


@pytest.mark.parametrize("hits", ['hits{status=~"5.."}', 'hits{status!="200"}', 'hits{code="2",status="5"}'])
async def test_f08_a_label_that_no_series_has_is_named(hits: str) -> None:
    """Never "no error"; also where what lacks the label would match."""
    problem = problem_of(await polled_of(*BOTH, wanted=(asked(hits, "hits"),)))
    assert problem.reason is Unknown.METRIC_MISSING
    assert "no series hits has the label status; their labels are code, instance, job" in problem.message


async def test_f08_one_version_only_may_lack_the_label() -> None:
    """The other is read."""
    other = [series_of("hits", Arm.CANARY, 10, status="2"), series_of("hits", Arm.STABLE, 90, code="2")]
    polled = await polled_of(*other, wanted=(asked('hits{code="5"}', "hits"),))
    assert "has the label code" in problem_of(polled).message
    assert [set(pod.metrics) for pod in polled.poll.pods if pod.arm is Arm.STABLE] == [{"errors"}]


async def test_f08_hits_are_none_while_the_labels_are_there() -> None:
    """No error yet: a series is born with its first case."""
    alone = [series_of("hits", arm, 10, code="2") for arm in Arm]
    polled = await polled_of(*alone, wanted=(asked('hits{code="5"}', "hits"),))
    assert {
        pod.metrics["errors"].hits
        for pod in polled.poll.pods
        if isinstance(pod.metrics["errors"], RatioReading)
    } == {0}
    assert not polled.lacking[Arm.CANARY]


async def test_f09_the_name_of_a_family_is_that_of_its_counter() -> None:
    """`http_requests` for `http_requests_total`, as OpenMetrics has it."""
    series = [series_of("http_requests_total", arm, 10, code="2") for arm in Arm]
    polled = await polled_of(*series, wanted=(asked('http_requests{code="5"}', "http_requests"),))
    read = [pod.metrics["errors"] for pod in polled.poll.pods]
    assert len(read) == 2
    assert all(isinstance(each, RatioReading) and each.total > 0 for each in read)


async def test_f09_a_total_that_means_no_series_names_the_nearest() -> None:
    """Never "no request"."""
    problem = problem_of(await polled_of(*BOTH, wanted=(asked("hits", 'hits{code="9"}'),)))
    assert problem.reason is Unknown.METRIC_MISSING
    assert 'no series fits hits{code="9"}; the nearest is hits{code="2"}' in problem.message


async def test_f06_when_the_process_began_is_read() -> None:
    """What tells a reset from another worker, where there is a metric source."""
    starts = [series_of("process_start_time_seconds", Arm.CANARY, 0.25)]
    polled = await polled_of(*BOTH, *starts, at=NOW)
    begun = {pod.arm: pod.process_started for pod in polled.poll.pods}
    assert begun[Arm.STABLE] is None
    assert begun[Arm.CANARY] == pytest.approx(1800, abs=15)
