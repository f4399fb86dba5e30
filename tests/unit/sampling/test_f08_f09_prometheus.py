"""Selectors that mean nothing of what a Prometheus has (F08, F09), and when a process began (F06)."""

import pytest

from modelward.analysis.readings import Arm, RatioReading
from modelward.analysis.sampled_evidence import MetricsProblem, MetricsUnknown, Unknown
from modelward.sampling.pods import Polled
from modelward.sampling.selectors import parse_sum
from modelward.sampling.targets import RatioTarget
from support.little_prometheus import Timeseries
from unit.sampling.fleet import KEY
from unit.sampling.test_prometheus import (
    BOTH,
    DEPTH,
    NOW,
    STEP,
    polled_of,
    series_of,
    sides_of,
    source_of,
    up_of,
)


def asked(hits: str, total: str) -> RatioTarget:
    """Errors by these selectors."""
    return RatioTarget(name="errors", hits=parse_sum(hits, "f"), total=parse_sum(total, "f"))


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
    """What shows a reset from another worker, where there is a metric source."""
    starts = [series_of("process_start_time_seconds", Arm.CANARY, 0.25)]
    polled = await polled_of(*BOTH, *starts, at=NOW)
    begun = {pod.arm: pod.process_started for pod in polled.poll.pods}
    assert begun[Arm.STABLE] is None
    assert begun[Arm.CANARY] == pytest.approx(1800, abs=15)


def _served(*codes: str) -> list[Timeseries]:
    """Both arms, each with twenty series for each code, and `up`."""
    series = [
        series_of("hits", arm, 1, code=code, path=f"/{number}", method="POST")
        for arm in Arm
        for code in codes
        for number in range(20)
    ]
    return [*series, *(up_of(series_of("hits", arm, 1)) for arm in Arm)]


async def test_f08_a_good_canary_costs_one_small_query_more() -> None:
    """While no request has failed, the labels that are asked for are checked, and nothing else, poll after poll."""
    async with source_of(*_served("200", "201")) as (source, server):
        for number in range(4):
            await source.polls(
                KEY, sides_of(asked('hits{code=~"5.."}', "hits")), (NOW + number * STEP,), interval=STEP
            )
    assert not [each for each in server.queries if "without () (hits{" in each["query"]]
    # `up` of both pods; total and its first and last scrape; two codes of each
    assert server.returned == [2 + 6, 4] * 4


async def test_f08_once_one_has_failed_nothing_more_is_asked() -> None:
    """The hits have series: whether they could have any is no question."""
    async with source_of(*_served("200", "503")) as (source, server):
        await source.polls(KEY, sides_of(asked('hits{code=~"5.."}', "hits")), (NOW,), interval=STEP)
    assert server.returned == [2 + 8]


async def test_f08_all_labels_are_asked_for_once_one_is_missing() -> None:
    """For the sentence that says which there are."""
    async with source_of(*_served("200")) as (source, server):
        (polled,) = await source.polls(
            KEY, sides_of(asked('hits{status="5"}', "hits")), (NOW,), interval=STEP
        )
    assert "their labels are code, instance, job, method, namespace, path, pod" in problem_of(polled).message
    assert server.returned == [2 + 6, 2, 40]


@pytest.mark.parametrize("refused", ["count by (namespace, pod, status) (hits{", "count without () (hits{"])
async def test_f08_what_cannot_be_examined_is_one_metrics_problem(refused: str) -> None:
    """The poll goes on with the other metrics; without labels to name, the one that is missing is named still."""
    gauges = [series_of("depth", arm, 0.001) for arm in Arm]
    wanted = asked('hits{status="5"}', "hits"), DEPTH
    async with source_of(*_served("200"), *gauges) as (source, server):
        server.refused = lambda query: refused in query
        (polled,) = await source.polls(KEY, sides_of(*wanted), (NOW,), interval=STEP)
    assert [set(pod.metrics) for pod in polled.poll.pods] == [{"depth"}, {"depth"}]
    problem = problem_of(polled)
    if "without" in refused:
        assert problem.reason is Unknown.METRIC_MISSING
        assert "no series hits has the label status" in problem.message
    else:
        assert problem.reason is Unknown.HTTP_STATUS
        assert problem.message.startswith("metric errors: whether its labels are right is not known: ")


async def test_f08_what_is_wanted_cannot_be_had_fails_the_poll() -> None:
    """Only the query beside it may fail alone."""
    async with source_of(*_served("200")) as (source, server):
        server.refused = lambda query: "timestamp(hits{" in query
        with pytest.raises(MetricsUnknown):
            await source.polls(KEY, sides_of(asked("hits", "hits")), (NOW,), interval=STEP)


def _pods(arm: Arm, *labels: dict[str, str]) -> list[Timeseries]:
    """A pod of an arm for each of these labels."""
    one = series_of("hits", arm, 10)
    return [
        Timeseries(labels={**one.labels, "pod": f"{one.labels['pod'][:-1]}{letter}", **more}, value=one.value)
        for letter, more in zip("jkm", labels, strict=False)
    ]


async def test_f08_a_label_that_only_failures_have_is_decided_by_arm() -> None:
    """One pod of an arm had a failure: the others, which had none, are read, with none."""
    failed = {"error_type": "timeout"}
    series = [*_pods(Arm.CANARY, {}, failed), *_pods(Arm.STABLE, {}, {}, failed)]
    polled = await polled_of(*series, wanted=(asked('hits{error_type!=""}', "hits"),))
    hits = [
        pod.metrics["errors"].hits > 0
        for pod in polled.poll.pods
        if isinstance(pod.metrics["errors"], RatioReading)
    ]
    assert sorted(hits) == [False, False, False, True, True]
    assert not polled.lacking[Arm.CANARY]


@pytest.mark.parametrize("hits", ['hits{error_type=~".+"}', 'hits{error_type!="none"}'])
async def test_f08_a_label_that_neither_arm_has_is_missing_in_both(hits: str) -> None:
    """Nobody has failed yet, or the name is wrong: which of the two is not known."""
    series = [*_pods(Arm.CANARY, {}, {}), *_pods(Arm.STABLE, {}, {})]
    polled = await polled_of(*series, wanted=(asked(hits, "hits"),))
    for arm in Arm:
        assert "no series hits has the label error_type" in problem_of(polled, arm).message
