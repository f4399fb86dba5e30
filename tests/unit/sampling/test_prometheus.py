"""A source that remembers: polls at the ends of intervals, the same whenever they are asked for."""

import asyncio
import math
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from modelward.analysis.counters import Counters, Sample
from modelward.analysis.readings import Arm, GaugeReading, HistogramReading, RatioReading
from modelward.analysis.sampled_evidence import MetricsUnknown, Unknown
from modelward.api.names import child_name
from modelward.clients.prometheus import Prometheus
from modelward.clients.scrape import Scraper
from modelward.sampling.pods import PodSource, Polled
from modelward.sampling.prometheus import PrometheusSource, boundary, pod_pattern
from modelward.sampling.queries import LabelNames, Queries
from modelward.sampling.sampler import NamedSource, Sampler
from modelward.sampling.selectors import parse_selector, parse_sum
from modelward.sampling.subject import Side
from modelward.sampling.targets import GaugeTarget, HistogramTarget, RatioTarget, SampleTarget
from support.little_prometheus import LittlePrometheus, Timeseries, little_prometheus
from unit.sampling.fleet import KEY, Fleet, no_history, until

CANARY, STABLE = "bcdfghjkl2", "mnpqrstvw4"
NOW = 1_763_800_000.0
STEP = 15.0
ERRORS = RatioTarget(name="errors", hits=parse_sum('hits{code="5"}', "f"), total=parse_sum("hits", "f"))
LATENCY = HistogramTarget(name="latency", buckets=parse_selector("took", "f").named("_bucket"), scale=1e-3)
DEPTH = GaugeTarget(name="depth", gauge=parse_selector("depth", "f"))
POD = {Arm.CANARY: f"fraud-{CANARY}-5d4f-abcde", Arm.STABLE: f"fraud-{STABLE}-6c7b-fghij"}


def series_of(name: str, arm: Arm, rate: float, **labels: str) -> Timeseries:
    """A counter of the pod of an arm, that rises by `rate` a second."""
    own = {"__name__": name, "pod": POD[arm], "namespace": KEY[0], "job": "pods", "instance": POD[arm]}
    return Timeseries(labels={**own, **labels}, value=lambda at: math.floor((at - NOW + 7200) * rate))


def _ratio(arm: Arm, rate: float = 10) -> list[Timeseries]:
    return [series_of("hits", arm, rate, code="2"), series_of("hits", arm, rate / 10, code="5")]


BOTH = [*_ratio(Arm.CANARY), *_ratio(Arm.STABLE, 90)]


def sides_of(*wanted: SampleTarget) -> dict[Arm, Side]:
    """Both revisions, with the errors alone if nothing else is wanted."""
    revisions = {Arm.CANARY: CANARY, Arm.STABLE: STABLE}
    return {arm: Side(revision=revisions[arm], wanted=wanted or (ERRORS,), endpoint=None) for arm in Arm}


@asynccontextmanager
async def source_of(*series: Timeseries) -> AsyncIterator[tuple[PrometheusSource, LittlePrometheus]]:
    """A source that asks a server which has these series."""
    async with little_prometheus(*series) as server:
        client = Prometheus(name="prom", url=server.url, timeout=5)
        try:
            yield PrometheusSource(queries=Queries(server=client, labels=LabelNames())), server
        finally:
            await client.close()


async def polled_of(
    *series: Timeseries, wanted: tuple[SampleTarget, ...] = (ERRORS,), at: float = NOW
) -> Polled:
    """One poll of a server that has these series."""
    async with source_of(*series) as (source, _):
        return (await source.polls(KEY, sides_of(*wanted), (at,), interval=STEP))[0]


async def test_raw_counters_of_each_pod() -> None:
    """Reported apart by the names of pods; hits, histograms and gauges."""
    buckets = [
        series_of("took_bucket", arm, rate, le=le)
        for arm in Arm
        for le, rate in (("100", 1.0), ("250.0", 2.0), ("+Inf", 3.0))
    ]
    gauges = [series_of("depth", arm, 0.001) for arm in Arm]
    polled = await polled_of(*BOTH, *buckets, *gauges, wanted=(ERRORS, LATENCY, DEPTH))
    at = math.floor(NOW / 15) * 15 - NOW + 7200
    pods = {pod.arm: pod for pod in polled.poll.pods}
    assert {arm: pod.pod for arm, pod in pods.items()} == POD
    assert pods[Arm.STABLE].metrics["errors"] == RatioReading(hits=at * 9, total=at * 99)
    assert pods[Arm.CANARY].metrics["latency"] == HistogramReading(
        buckets={0.1: at, 0.25: 2 * at, math.inf: 3 * at}
    )
    assert pods[Arm.CANARY].metrics["depth"] == GaugeReading(value=math.floor(at * 0.001))
    assert not polled.unread


async def test_every_query_is_held_to_namespace_and_pods() -> None:
    """Whatever the selector says: the last two matchers are ours, and all must hold."""
    sly = RatioTarget(
        name="errors",
        hits=parse_sum('hits{namespace="other",pod=~".*"}', "f"),
        total=parse_sum('hits{x="\\"} or up{"}', "f"),
    )
    async with source_of(*BOTH) as (source, server):
        await source.polls(KEY, sides_of(sly), (NOW,), interval=STEP)
    ours = f'namespace="shop",pod=~"fraud-{CANARY}-[a-z0-9-]{{5,16}}|fraud-{STABLE}-[a-z0-9-]{{5,16}}"}}'
    selectors = [part for asked in server.queries for part in re.findall(r"\{.*?\}(?=\)+)", asked["query"])]
    assert len(selectors) > 10
    assert all(each.endswith(ours) for each in selectors)


async def test_a_query_of_the_past_is_what_a_query_then_was() -> None:
    """One by one or as a range, early or late: the same polls. So a restart at any moment loses nothing."""
    times = tuple(boundary(NOW, STEP) + STEP * number for number in range(8))
    async with source_of(*BOTH) as (source, _):
        ranged = await source.polls(KEY, sides_of(), times, interval=STEP)
        single = [(await source.polls(KEY, sides_of(), (time,), interval=STEP))[0] for time in times]
    assert [each.poll for each in ranged] == [each.poll for each in single]
    assert _samples(ranged) == _samples(single[:3]) + _samples(single[2:])


def _samples(polled: list[Polled]) -> list[Sample]:
    counters, samples = Counters(), []
    for each in polled:
        counters, sample = counters.advance(each.poll)
        if sample:
            samples.append(sample)
    return samples


def _gone(series: list[Timeseries], **change: Any) -> list[Timeseries]:
    return [replace(each, **change) for each in series]


@pytest.mark.parametrize(
    ("series", "reason"),
    [
        pytest.param([], Unknown.METRIC_MISSING, id="empty"),
        pytest.param([series_of("hits", Arm.CANARY, math.nan)], Unknown.METRIC_INVALID, id="NaN"),
        pytest.param([series_of("hits", Arm.CANARY, math.inf)], Unknown.METRIC_INVALID, id="infinite"),
        pytest.param(
            [*_ratio(Arm.CANARY), series_of("hits", Arm.CANARY, 1, job="again")],
            Unknown.METRIC_INVALID,
            id="scraped twice",
        ),
        pytest.param(_gone(_ratio(Arm.CANARY), last=NOW - 60), Unknown.METRIC_MISSING, id="ended"),
    ],
)
async def test_what_is_wrong_is_unknown(series: list[Timeseries], reason: Unknown) -> None:
    """No reading of the canary; stable's is there."""
    safe = [replace(each, value=_odd(each.value)) for each in series]
    polled = await polled_of(*safe, *_ratio(Arm.STABLE))
    assert [pod.arm for pod in polled.poll.pods if pod.metrics] == [Arm.STABLE]
    assert polled.lacking[Arm.CANARY]["errors"].reason is reason


def _odd(value: Callable[[float], float]) -> Callable[[float], float]:
    """NaN and infinity cannot be floored: they are what they are."""

    def odd(at: float) -> float:
        try:
            return value(at)
        except ValueError:
            return math.nan
        except OverflowError:
            return math.inf

    return odd


async def test_old_values_are_stale() -> None:
    """Prometheus shows a series for five minutes when nobody marked its end; a pod with old values is unread."""
    old = _gone(_ratio(Arm.CANARY), last=NOW - 120, stuck=True)
    polled = await polled_of(*old, *_ratio(Arm.STABLE))
    assert polled.poll.unread == ((POD[Arm.CANARY], Arm.CANARY),)
    assert polled.unread[POD[Arm.CANARY]].reason is Unknown.STALE


async def test_several_gauges_are_no_value() -> None:
    """A mean of them would be a guess."""
    several = [series_of("depth", Arm.CANARY, 0.001, queue=queue) for queue in "ab"]
    polled = await polled_of(*several, wanted=(DEPTH,))
    assert polled.lacking[Arm.CANARY]["depth"].reason is Unknown.METRIC_INVALID


async def test_rollouts_ask_together_and_get_their_own() -> None:
    """The same series at the same time is one query for all; one that fails is asked by each alone."""
    others = [(KEY[0], f"model-{number}") for number in range(6)]
    series = [
        replace(each, labels={**each.labels, "pod": each.labels["pod"].replace("fraud", name)})
        for _, name in others
        for each in [*BOTH, *map(up_of, BOTH)]
    ]
    async with source_of(*series) as (source, server):
        polls = await asyncio.gather(
            *(source.polls(key, sides_of(), (NOW,), interval=STEP) for key in others)
        )
        assert len(server.queries) == 1  # of all that is wanted, for both arms at once
        for (_, name), found in zip(others, polls, strict=True):
            assert [pod.pod.startswith(f"{name}-") for pod in found[0].poll.pods] == [True, True]
        server.down = True
        with pytest.raises(MetricsUnknown):
            await source.polls(KEY, sides_of(), (NOW,), interval=STEP)


def test_names_of_pods() -> None:
    """Of this revision, of this model, and of no other; too long a name cannot be distinguished, and says so."""
    pattern = pod_pattern(KEY, CANARY)
    matcher = parse_selector(f'x{{pod=~"{pattern}"}}', "f")
    assert matcher.accepts({"pod": POD[Arm.CANARY]})
    for other in (
        POD[Arm.STABLE],
        f"fraud-{CANARY}",
        f"not-{POD[Arm.CANARY]}",
        f"fraud-{CANARY}-{STABLE}-5d4f-abcde",
    ):
        assert not matcher.accepts({"pod": other})
    longest = "m" * 45
    assert len(child_name(longest, CANARY)) == 56
    assert pod_pattern(("shop", longest), CANARY)
    with pytest.raises(MetricsUnknown):
        pod_pattern(("shop", "m" * 46), CANARY)


async def test_history_is_an_hour_of_stable() -> None:
    """In parts, without a gap and without the canary."""
    async with source_of(*BOTH, *map(up_of, BOTH)) as (source, server):
        polls = await source.history(KEY, sides_of()[Arm.STABLE], boundary(NOW, STEP), STEP)
    assert [later.time - sooner.time for sooner, later in pairwise(polls)] == [STEP] * 240
    assert {pod.arm for poll in polls for pod in poll.pods} == {Arm.STABLE}
    assert len(server.queries) <= 12


class _Clock:
    """A clock that runs fast."""

    def __init__(self, now: float, speed: float) -> None:
        self._start, self._real, self._speed = now, asyncio.get_running_loop().time(), speed

    def __call__(self) -> float:
        return self._start + (asyncio.get_running_loop().time() - self._real) * self._speed


@asynccontextmanager
async def _sampler(
    source: PrometheusSource, clock: Callable[[], float]
) -> AsyncIterator[tuple[Sampler, Fleet]]:
    fleet, scraper = Fleet(port=1), Scraper()
    made = Sampler(
        pods=PodSource(scraper, fleet.watched),
        sources={"prom": NamedSource(source=source, delay_seconds=0)},
        clock=clock,
        wake=fleet.woken.append,
        noise=no_history,
    )
    try:
        yield made, fleet
    finally:
        await made.stop()
        await scraper.close()


async def _first(source: PrometheusSource, since: float | None, number: int, now: float) -> list[Sample]:
    async with _sampler(source, _Clock(now, 1)) as (made, fleet):
        subject = replace(
            fleet.subject(),
            source="prom",
            interval_seconds=STEP,
            canary=sides_of()[Arm.CANARY],
            stable=sides_of()[Arm.STABLE],
        )
        made.track(subject, since)
        await until(lambda: len(made.evidence(KEY).samples) >= number)
        return list(made.evidence(KEY).samples)[:number]


async def test_after_a_restart_the_same_samples_follow() -> None:
    """From any recorded sample on, whenever the operator comes back."""
    start = boundary(NOW, STEP)
    async with source_of(*BOTH) as (source, _):
        whole = await _first(source, start, 8, NOW + 8 * STEP + 3)
        assert [sample.time - start for sample in whole] == [STEP * number for number in range(1, 9)]
        for at in (0, 3, 6):
            again = await _first(source, whole[at].time, 7 - at, NOW + 8 * STEP + 20)
            assert again == whole[at + 1 :]


async def test_a_source_that_is_away_is_unknown_and_asked_at_its_pace() -> None:
    """Not faster because it fails; and what it missed is made up for."""
    async with source_of(*BOTH) as (source, server):
        server.down = True
        async with _sampler(source, _Clock(NOW, 1)) as (made, fleet):
            subject = replace(
                fleet.subject(),
                source="prom",
                interval_seconds=1,
                canary=sides_of()[Arm.CANARY],
                stable=sides_of()[Arm.STABLE],
            )
            made.track(subject)
            await until(lambda: made.evidence(KEY).problem)
            problem = made.evidence(KEY).problem
            assert problem is not None
            assert problem.reason is Unknown.HTTP_STATUS
            # five polls of history and polls, four queries and a few alone
            assert len(server.queries) <= 6 * 6
            server.down = False
            await until(lambda: made.evidence(KEY).problem is None and made.evidence(KEY).samples)
            assert fleet.woken


async def test_f04_the_end_of_one_rollout_leaves_the_reading_of_others() -> None:
    """Both share each query; the one that asked first is ended in the midst of one."""
    other = (KEY[0], "other")
    series = [
        replace(each, labels={**each.labels, "pod": each.labels["pod"].replace("fraud", "other")})
        for each in BOTH
    ]
    async with (
        source_of(*BOTH, *series) as (source, server),
        _sampler(source, _Clock(NOW, 1)) as (made, fleet),
    ):
        for key in (KEY, other):
            subject = replace(
                fleet.subject(key=key, interval=1),
                source="prom",
                canary=sides_of()[Arm.CANARY],
                stable=sides_of()[Arm.STABLE],
            )
            made.track(subject, NOW)
        await until(lambda: made.evidence(other).samples)
        server.answers.clear()
        asked = len(server.queries)
        await until(lambda: len(server.queries) > asked)
        made.forget(KEY)
        read = len(made.evidence(other).samples)
        server.answers.set()
        await until(lambda: len(made.evidence(other).samples) > read)
        assert made.evidence(other).problem is None


def _scraped_by(series: Timeseries, offset: float, ahead: float = 0, **labels: str) -> Timeseries:
    """The same series as another scraper has it: read at other times, with labels of its own."""
    return replace(
        series, labels={**series.labels, **labels}, offset=offset, value=lambda at: series.value(at + ahead)
    )


def up_of(series: Timeseries) -> Timeseries:
    """What the server says of the scrape that a series comes from."""
    kept = {label: value for label, value in series.labels.items() if label not in {"code", "le", "method"}}
    return replace(series, labels={**kept, "__name__": "up"}, value=lambda _: 1.0)


def _replicated(label: str, names: tuple[str, str] = ("a", "b"), *, up: bool) -> list[Timeseries]:
    """Both arms as two replicas have them, five seconds apart, with and without `up`."""
    twice = [
        _scraped_by(each, offset, 0, **{label: name})
        for name, offset in zip(names, (3.0, 8.0), strict=True)
        for each in BOTH
    ]
    return [*twice, *({_identity(one): one for one in map(up_of, twice)}.values() if up else ())]


def _identity(series: Timeseries) -> frozenset[tuple[str, str]]:
    return frozenset(series.labels.items())


def _totals(polled: Polled) -> dict[Arm, RatioReading]:
    readings = {pod.arm: pod.metrics["errors"] for pod in polled.poll.pods}
    return {arm: reading for arm, reading in readings.items() if isinstance(reading, RatioReading)}


@pytest.mark.parametrize(
    "label", ["prometheus_replica", "__replica__", "replica", "receiver", "container", "dc"]
)
async def test_f12_replicas_of_one_prometheus_count_once(label: str) -> None:
    """Whatever the label is called: `up` has it, and no label of the page. The later scrape is taken."""
    polled = await polled_of(*_replicated(label, up=True))
    newest = max(math.floor((NOW - offset) / 15) * 15 + offset for offset in (3, 8)) - NOW + 7200
    assert _totals(polled)[Arm.CANARY] == RatioReading(hits=newest, total=newest * 11)


async def test_f12_labels_of_the_page_are_added_up_as_before() -> None:
    """The codes of one page are several counters, with `up` and without, whatever the page calls them."""
    series = [
        series_of("hits", arm, rate, code=code, replica=replica)
        for arm in Arm
        for code, replica, rate in (("2", "x", 10.0), ("2", "y", 7.0), ("5", "x", 1.0))
    ]
    ups = [up_of(series_of("hits", arm, 1)) for arm in Arm]
    at = math.floor(NOW / 15) * 15 - NOW + 7200
    for among in (series, [*series, *ups]):
        totals = _totals(await polled_of(*among))
        assert totals[Arm.CANARY] == RatioReading(hits=at, total=at * 18)


@pytest.mark.parametrize("stuck", [False, True], ids=["marked as ended", "its last values stay"])
@pytest.mark.parametrize("first", ["a", "b"])
async def test_f12_a_replica_that_ends_halves_nothing(first: str, *, stuck: bool) -> None:
    """Marked as ended or not: totals go on rising, poll by poll, and no sample counts anything twice."""
    series = [
        replace(each, last=NOW + 40, stuck=stuck) if each.labels.get("dc") == first else each
        for each in _replicated("dc", up=True)
    ]
    async with source_of(*series) as (source, _):
        times = tuple(boundary(NOW, STEP) + STEP * number for number in range(12))
        polled = await source.polls(KEY, sides_of(), times, interval=STEP)
    totals = [_totals(each)[Arm.STABLE].total for each in polled]
    grown = [after - before for before, after in pairwise(totals)]
    assert all(0 < each <= 2 * 99 * STEP for each in grown), grown
    assert sum(grown) <= 99 * STEP * 12


async def test_f12_replicas_without_up_are_unknown_and_the_label_is_named() -> None:
    """Nobody can say which of two scrapes is the truth; the user can, in the selector."""
    gauges = [series_of("depth", arm, 0.001) for arm in Arm]
    polled = await polled_of(*_replicated("dc", up=False), *gauges, wanted=(ERRORS, DEPTH))
    problem = polled.lacking[Arm.CANARY]["errors"]
    assert problem.reason is Unknown.METRIC_INVALID
    assert "differ in the label dc: name one of them" in problem.message
    assert [set(pod.metrics) for pod in polled.poll.pods] == [{"depth"}, {"depth"}]
    chosen = RatioTarget(
        name="errors",
        hits=parse_sum('hits{code="5",dc="a"}', "f"),
        total=parse_sum('hits{dc="a"}', "f"),
    )
    polled = await polled_of(*_replicated("dc", up=False), wanted=(chosen,))
    assert _totals(polled)[Arm.CANARY].total < 11 * 7200


@pytest.mark.parametrize("label", ["prometheus_replica", "__replica__"])
async def test_f12_the_usual_names_need_no_up(label: str) -> None:
    """They are the names of replicas and nothing else."""
    polled = await polled_of(*_replicated(label, up=False))
    assert _totals(polled)[Arm.CANARY].total < 11 * 7200


async def test_f12_hits_and_total_are_of_one_replica() -> None:
    """A replica that is a minute behind has fewer of both: shares are never mixed of two."""
    ahead = [_scraped_by(each, 1.0, replica="fresh") for each in BOTH]
    behind = [_scraped_by(each, 0.0, ahead=-60, replica="late") for each in BOTH]
    ups = {_identity(one): one for one in map(up_of, [*ahead, *behind])}.values()
    polled = await polled_of(*behind, *ahead, *ups)
    reading = _totals(polled)[Arm.CANARY]
    assert reading.hits * 11 == pytest.approx(reading.total, abs=11)


async def test_f12_a_series_that_is_just_born_is_no_replica() -> None:
    """Its code was not there in the scrapes before, so it shares only the last one."""
    born = replace(series_of("hits", Arm.CANARY, 1, code="503"), first=math.floor(NOW / 15) * 15)
    polled = await polled_of(*BOTH, born)
    at = math.floor(NOW / 15) * 15 - NOW + 7200
    assert _totals(polled)[Arm.CANARY].total == at * 12


async def test_f12_a_replica_that_appears_while_it_is_asked_counts_once() -> None:
    """`up` is a part of the answer that the counters are of: nothing comes between the two."""
    async with source_of(*_replicated("dc", up=True)) as (source, server):
        alone = [each for each in server.series if each.labels["dc"] == "a"]
        server.series, whole = alone, server.series

        def comes_back(_query: str) -> bool:
            server.series = whole if len(server.queries) > 1 else alone
            return False

        server.refused = comes_back
        polls = [
            (await source.polls(KEY, sides_of(), (NOW + number * STEP,), interval=STEP))[0]
            for number in range(3)
        ]
    totals = [_totals(polled)[Arm.CANARY].total for polled in polls]
    assert all(after - before <= 2 * 11 * STEP for before, after in pairwise([11 * 7200, *totals])), totals
