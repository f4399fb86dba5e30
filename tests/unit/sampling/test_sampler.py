"""Rollouts are followed in the background, from real pages over real sockets; what is unknown has its reason."""

import asyncio
from dataclasses import replace

import pytest

from modelward.analysis.counters import RatioCounts, Sample
from modelward.analysis.noise import Reference
from modelward.analysis.readings import Arm
from modelward.analysis.sampled_evidence import Unknown
from modelward.sampling.sampler import Sampler
from modelward.sampling.subject import Endpoint
from support.faulty_server import Behaviour, answer, dripping, hanging, sent
from unit.sampling.fleet import (
    KEY,
    STABLE,
    counting,
    fleet,
    make_serving,
    sampler,
    until,
)

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def _counts(sample: Sample) -> tuple[RatioCounts, RatioCounts]:
    increment = sample.metrics["errors"]
    assert isinstance(increment.canary, RatioCounts)
    assert isinstance(increment.stable, RatioCounts)
    return increment.canary, increment.stable


async def test_samples_are_increments_of_both_arms() -> None:
    """From the second poll on, over all pods of an arm; the model is woken for each."""
    async with (
        fleet(
            (Arm.CANARY, counting(per_poll=10, errors=2)),
            (Arm.STABLE, counting(per_poll=100)),
            (Arm.STABLE, counting(per_poll=200)),
        ) as pods,
        sampler(pods) as reading,
    ):
        reading.track(pods.subject())
        await until(lambda: len(reading.evidence(KEY).samples) >= 3)
        evidence = reading.evidence(KEY)
        assert evidence.problem is None
        for sample in evidence.samples:
            assert _counts(sample) == (RatioCounts(hits=2, total=10), RatioCounts(hits=2, total=300))
            assert sample.weight_percent == 10
        assert set(pods.woken) == {KEY}
        assert set(pods.results) == {"OK"}


async def test_what_is_recorded_is_dropped_and_never_counted_twice() -> None:
    """Status keeps microseconds; the times of samples are milliseconds, so the last one is known again exactly."""
    async with (
        fleet((Arm.CANARY, counting()), (Arm.STABLE, counting())) as pods,
        sampler(pods) as reading,
    ):
        reading.track(pods.subject())
        await until(lambda: len(reading.evidence(KEY).samples) >= 4)
        samples = reading.evidence(KEY).samples
        assert all(round(sample.time, 3) == sample.time for sample in samples)
        left = reading.evidence(KEY, samples[1].time).samples
        assert left[: len(samples) - 2] == samples[2:]
        assert reading.evidence(KEY, samples[-1].time).samples[:1] != samples[-1:]


async def test_times_rise_after_the_clock_was_set_back() -> None:
    """What is recorded as taken in the future makes later samples later still."""
    async with (
        fleet((Arm.CANARY, counting()), (Arm.STABLE, counting())) as pods,
        sampler(pods) as reading,
    ):
        recorded = reading.clock() + 500
        reading.track(pods.subject(), since=recorded)
        await until(lambda: len(reading.evidence(KEY, recorded).samples) >= 2)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        pytest.param(hanging, Unknown.TIMEOUT, id="hangs"),
        pytest.param(dripping(CHUNKED, b"1\r\na\r\n", 0.01), Unknown.TIMEOUT, id="drips"),
        pytest.param(
            dripping(CHUNKED, b"fff\r\n" + b"a" * 0xFFF + b"\r\n", 0), Unknown.TOO_LARGE, id="floods"
        ),
        pytest.param(sent(b"", close=True), Unknown.NOT_METRICS, id="closes"),
        pytest.param(answer(b"<html>", kind="text/html"), Unknown.NOT_METRICS, id="HTML"),
        pytest.param(
            answer(status="302 Found", headers="Location: /\r\n"), Unknown.REDIRECTED, id="redirects"
        ),
        pytest.param(answer(status="401 Unauthorized"), Unknown.UNAUTHORIZED, id="401"),
        pytest.param(answer(status="404 Not Found"), Unknown.NOT_FOUND, id="404"),
        pytest.param(answer(status="503 Busy"), Unknown.HTTP_STATUS, id="503"),
        pytest.param(answer(b"other 1\n"), Unknown.METRIC_MISSING, id="lacks the metric"),
        pytest.param(answer(b"requests_total NaN\n"), Unknown.METRIC_INVALID, id="NaN"),
        pytest.param(answer(b"requests_total -5\n"), Unknown.METRIC_INVALID, id="negative"),
        pytest.param(answer(b""), Unknown.METRIC_MISSING, id="empty"),
    ],
)
@pytest.mark.parametrize("arm", list(Arm))
async def test_an_arm_that_cannot_be_read_is_unknown(arm: Arm, behaviour: Behaviour, reason: Unknown) -> None:
    """After four polls, in words that stay; and no sample ever has a number."""
    other = Arm.STABLE if arm is Arm.CANARY else Arm.CANARY
    async with fleet((arm, behaviour), (other, counting())) as pods, sampler(pods) as reading:
        reading.track(pods.subject())
        await until(lambda: reading.evidence(KEY).problem)
        evidence = reading.evidence(KEY)
        assert evidence.problem is not None
        assert evidence.problem.reason is reason
        assert str(arm) in evidence.problem.message
        assert "127.0" not in evidence.problem.message
        assert pods.woken
        assert not any(sample.metrics for sample in evidence.samples)


async def test_nobody_listens() -> None:
    """Refused."""
    async with (
        fleet((Arm.CANARY, counting()), (Arm.STABLE, counting())) as pods,
        sampler(pods) as reading,
    ):
        pods.pods[0] = replace(pods.pods[0], ip="127.0.0.99")
        reading.track(pods.subject())
        await until(lambda: reading.evidence(KEY).problem)
        problem = reading.evidence(KEY).problem
        assert problem is not None
        assert problem.reason is Unknown.REFUSED


async def test_one_canary_pod_that_cannot_be_read_makes_all_unknown() -> None:
    """The others may be the healthy ones."""
    async with (
        fleet(
            (Arm.CANARY, counting()), (Arm.CANARY, answer(status="500 Error")), (Arm.STABLE, counting())
        ) as pods,
        sampler(pods) as reading,
    ):
        reading.track(pods.subject())
        await until(lambda: reading.evidence(KEY).problem)
        assert not any(sample.metrics for sample in reading.evidence(KEY).samples)


async def test_a_stable_pod_that_cannot_be_read_is_left_out() -> None:
    """After four polls; the other pods of stable go on to be compared with."""
    async with (
        fleet((Arm.CANARY, counting()), (Arm.STABLE, counting()), (Arm.STABLE, hanging)) as pods,
        sampler(pods, timeout_seconds=0.05) as reading,
    ):
        reading.track(pods.subject())
        await until(lambda: sum(bool(each.metrics) for each in reading.evidence(KEY).samples) >= 3)
        assert reading.evidence(KEY).problem is None


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"ready": False}, id="not ready"),
        pytest.param({"deleting": True}, id="leaving"),
        pytest.param({"started": None}, id="not started"),
        pytest.param({"ip": ""}, id="without an address"),
        pytest.param({"failed": "Evicted"}, id="failed"),
    ],
)
async def test_pods_that_need_not_answer_are_not_waited_for(change: dict[str, object]) -> None:
    """A canary's pod that starts or goes makes nothing unknown while another one answers."""
    async with (
        fleet(
            (Arm.CANARY, counting()), (Arm.STABLE, counting()), (Arm.CANARY, sent(b"", close=True))
        ) as pods,
        sampler(pods) as reading,
    ):
        pods.pods[2] = replace(pods.pods[2], **change)  # type: ignore[arg-type]  # fields of many types
        reading.track(pods.subject())
        await until(lambda: len(reading.evidence(KEY).samples) >= 6)
        assert reading.evidence(KEY).problem is None
        assert all(sample.metrics for sample in reading.evidence(KEY).samples)


async def test_no_pods() -> None:
    """A canary without any pod is unknown, too."""
    async with fleet((Arm.STABLE, counting())) as pods, sampler(pods) as reading:
        reading.track(pods.subject())
        await until(lambda: reading.evidence(KEY).problem)
        problem = reading.evidence(KEY).problem
        assert problem is not None
        assert problem.reason is Unknown.NO_PODS


async def test_a_metric_that_vanishes_is_unknown_and_comes_back() -> None:
    """It was judged by it before; what is missing is not what is fine. Both is reported."""
    broken = asyncio.Event()
    good = counting()

    async def turning(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        await (answer(b"other 1\n") if broken.is_set() else good)(reader, writer, head)

    async with fleet((Arm.CANARY, turning), (Arm.STABLE, counting())) as pods, sampler(pods) as reading:
        reading.track(pods.subject())
        await until(lambda: reading.evidence(KEY).samples)
        broken.set()
        await until(lambda: reading.evidence(KEY).problem)
        pods.woken.clear()
        broken.clear()
        await until(lambda: reading.evidence(KEY).problem is None)
        assert pods.woken


async def test_a_rollout_that_hangs_delays_no_other() -> None:
    """While one waits for its first page, the other has its samples."""
    released = asyncio.Event()

    async def waiting(_: asyncio.StreamReader, writer: asyncio.StreamWriter, _head: bytes) -> None:
        await released.wait()

    other = ("shop", "other")
    async with (
        fleet(
            (Arm.CANARY, waiting), (Arm.STABLE, waiting), (Arm.CANARY, counting()), (Arm.STABLE, counting())
        ) as pods,
        sampler(pods, timeout_seconds=30) as reading,
    ):
        pods.of = {KEY: slice(0, 2), other: slice(2, 4)}
        reading.track(pods.subject())
        reading.track(pods.subject(key=other))
        await until(lambda: len(reading.evidence(other).samples) >= 3)
        assert (pods.polls(0), pods.polls(1)) == (1, 1)
        assert not reading.evidence(KEY).samples
        released.set()


async def test_a_forgotten_rollout_is_read_no_more() -> None:
    """While the pods of another one are read again and again; and nobody is woken for it."""
    other = ("shop", "other")
    arms = [(Arm.CANARY, counting()), (Arm.STABLE, counting())]
    async with fleet(*arms, *arms) as pods, sampler(pods) as reading:
        pods.of = {KEY: slice(0, 2), other: slice(2, 4)}
        reading.track(pods.subject())
        reading.track(pods.subject(key=other))
        await until(lambda: reading.evidence(KEY).samples)
        reading.forget(KEY)
        assert not reading.evidence(KEY).samples
        seen = pods.polls()
        pods.woken.clear()
        enough = len(reading.evidence(other).samples) + 3
        await until(lambda: len(reading.evidence(other).samples) >= enough)
        assert pods.polls() <= seen + 1
        assert KEY not in pods.woken
        reading.forget(other)
        assert not reading.followed()


async def test_another_weight_goes_on_and_another_canary_begins_anew() -> None:
    """Counters belong to two revisions; their share of the traffic may change."""
    async with (
        fleet((Arm.CANARY, counting()), (Arm.STABLE, counting())) as pods,
        sampler(pods) as reading,
    ):
        reading.track(pods.subject())
        await until(lambda: reading.evidence(KEY).samples)
        reading.track(pods.subject(weight=50))
        await until(lambda: reading.evidence(KEY).samples[-1].weight_percent == 50)
        assert reading.evidence(KEY).samples[0].weight_percent == 10
        subject = pods.subject()
        reading.track(replace(subject, canary=replace(subject.canary, revision=STABLE)))
        assert not reading.evidence(KEY).samples


async def test_f04_a_reading_that_ended_goes_on_with_what_it_had() -> None:
    """Whoever cancelled it: samples follow those that were read, each of one poll."""
    async with (
        fleet((Arm.CANARY, counting()), (Arm.STABLE, counting())) as pods,
        sampler(pods) as reading,
    ):
        before = asyncio.all_tasks()
        reading.track(pods.subject())
        (task,) = asyncio.all_tasks() - before
        await until(lambda: len(reading.evidence(KEY).samples) >= 2)
        task.cancel()
        read = reading.evidence(KEY).samples
        await until(lambda: len(reading.evidence(KEY).samples) >= len(read) + 2)
        samples = reading.evidence(KEY).samples
        assert samples[: len(read)] == read
        assert [each.time for each in samples] == sorted({each.time for each in samples})
        assert all(each.metrics for each in samples)


async def test_f04_how_long_a_rollout_was_not_read_is_known() -> None:
    """Read or tried to: a server that hangs is reported as a problem, a task that hangs by its age."""
    async with (
        fleet((Arm.CANARY, counting()), (Arm.STABLE, counting())) as pods,
        sampler(pods) as reading,
    ):
        reading.supervisor.clock = lambda: pods.now
        reading.track(pods.subject())
        pods.now = 7.0
        assert reading.supervisor.age_seconds() == 7.0
        await until(lambda: reading.supervisor.age_seconds() == 0)
        reading.forget(KEY)
        pods.now = 20.0
        assert reading.supervisor.age_seconds() == 0


async def test_f04_a_shorter_interval_is_not_awaited_by_the_longer_one() -> None:
    """Whoever has set an hour and then a second is read at once, not in an hour."""
    async with (
        fleet((Arm.CANARY, counting()), (Arm.STABLE, counting())) as pods,
        sampler(pods) as reading,
    ):
        reading.track(pods.subject(interval=3600))
        await until(lambda: pods.polls(0) and pods.polls(1))
        reading.track(pods.subject())
        await until(lambda: len(reading.evidence(KEY).samples) >= 2)


async def test_each_revision_is_read_at_its_own_port() -> None:
    """A canary with another runtime shows its metrics elsewhere."""
    async with (
        fleet((Arm.CANARY, counting())) as canary,
        fleet((Arm.STABLE, counting())) as stable,
        sampler(canary) as reading,
    ):
        canary.pods.append(make_serving("stable", Arm.STABLE, "127.0.0.2"))
        subject = canary.subject()
        endpoint = Endpoint(port=stable.port, path="/metrics")
        reading.track(replace(subject, stable=replace(subject.stable, endpoint=endpoint)))
        await until(lambda: reading.evidence(KEY).samples)
        assert canary.polls()
        assert stable.polls()


async def test_a_source_that_nobody_configured() -> None:
    """SourceUnknown, by its name, and at once: there is nothing to wait for."""
    async with fleet((Arm.CANARY, counting())) as pods, sampler(pods) as reading:
        reading.track(replace(pods.subject(), source="prom"))
        problem = reading.evidence(KEY).problem
        assert problem is not None
        assert problem.reason is Unknown.SOURCE_UNKNOWN
        assert "prom" in problem.message


async def test_the_first_poll_shows_what_stable_did_since_it_started() -> None:
    """Without any history: the usual rate of errors, from the counters of the pods."""
    async with (
        fleet((Arm.CANARY, counting()), (Arm.STABLE, counting(per_poll=10_000, errors=100))) as pods,
        sampler(pods) as reading,
    ):
        reading.track(pods.subject())
        await until(lambda: reading.evidence(KEY).reference)
        await until(lambda: "errors" in _reference(reading).metrics)
        known = _reference(reading).metrics["errors"]
        assert (known.hits, known.total) == (100, 10_000)


def _reference(reading: Sampler) -> Reference:
    reference = reading.evidence(KEY).reference
    assert reference is not None
    return reference


async def test_f10_a_canary_without_weight_is_read_for_what_no_user_asks() -> None:
    """No sample, no problem and no check the model; with its first weight counting begins, and that is kept."""
    async with (
        fleet((Arm.CANARY, counting(per_poll=2, errors=0)), (Arm.STABLE, counting())) as pods,
        sampler(pods) as reading,
    ):
        starting = replace(pods.subject(weight=0), idle=True)
        reading.track(starting)
        await until(lambda: len(reading.evidence(KEY).idle.intervals) == 2)
        evidence = reading.evidence(KEY)
        assert not evidence.samples
        assert evidence.problem is None
        assert not pods.woken
        shown = [interval["errors"] for interval in evidence.idle.intervals]
        assert [each.cases for each in shown] == [2, 2]
        reading.track(pods.subject())
        await until(lambda: reading.evidence(KEY).samples)
        assert reading.evidence(KEY).idle.intervals
        reading.track(replace(pods.subject(), canary=pods.subject().stable))
        assert not reading.evidence(KEY).idle.intervals
