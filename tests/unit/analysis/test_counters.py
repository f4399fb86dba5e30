"""Cumulative counters become increments: resets, new and vanished pods, arms that are awaited."""

from math import inf, nan
from typing import Any

import pytest

from modelward.analysis.counters import BucketCounts, Counters, RatioCounts, Sample, Values, from_zero
from modelward.analysis.readings import (
    Arm,
    GaugeReading,
    HistogramReading,
    PodReading,
    Poll,
    RatioReading,
    Reading,
)


def pod(name: str, hits: float, total: float, **fields: Any) -> PodReading:
    """A pod with errors; its name begins with its arm."""
    return shown(name, {"errors": RatioReading(hits=hits, total=total)}, **fields)


def shown(name: str, metrics: dict[str, Reading], **fields: Any) -> PodReading:
    """A pod with metrics."""
    arm = Arm.CANARY if name.startswith("canary") else Arm.STABLE
    return PodReading(pod=name, arm=arm, metrics=metrics, **fields)


def poll(
    time: float, *pods: PodReading, weight: float = 10, unread: tuple[tuple[str, Arm], ...] = ()
) -> Poll:
    """A poll at 10 % weight."""
    return Poll(time=time, weight_percent=weight, pods=pods, unread=unread)


def samples(*polls: Poll, counters: Counters | None = None) -> list[Sample | None]:
    """What each poll completes."""
    counters = counters or Counters()
    made = []
    for one in polls:
        counters, sample = counters.advance(one)
        made.append(sample)
    return made


def errors(sample: Sample | None) -> tuple[float, float, float, float]:
    """Hits and cases of canary and stable."""
    assert sample is not None
    increment = sample.metrics["errors"]
    assert isinstance(increment.canary, RatioCounts)
    assert isinstance(increment.stable, RatioCounts)
    return increment.canary.hits, increment.canary.total, increment.stable.hits, increment.stable.total


def running(hits: float, total: float) -> PodReading:
    """A canary pod whose container is known to have run since time 1."""
    return pod("canary-1", hits, total, started=1.0)


def test_counters_that_fall_while_the_container_runs_on_are_not_believed() -> None:
    """Nobody started them anew: the metric is unknown until they are as high as they were."""
    stable = [pod("stable-1", 50, 5000 + 90 * number) for number in range(5)]
    shown = [(5, 50), (5, 40), (5, 45), (6, 60)]
    polls = [poll(15 * number, running(*counts), stable[number]) for number, counts in enumerate(shown)]
    _, fallen, once_more, risen = samples(*polls)
    assert fallen is not None
    assert once_more is not None
    assert fallen.metrics == once_more.metrics == {}
    assert errors(risen) == (1, 10, 0, 270), "stable's requests have waited"


def test_histogram_that_falls_while_the_container_runs_on_is_not_believed() -> None:
    """One bucket is enough."""
    before, after = {0.1: 9.0, inf: 10.0}, {0.1: 8.0, inf: 20.0}
    polls = [
        poll(
            15 * number,
            shown("canary-1", {"latency": HistogramReading(buckets=buckets)}, started=1.0),
            shown("stable-1", {"latency": HistogramReading(buckets={0.1: 9.0 + number, inf: 10.0 + number})}),
        )
        for number, buckets in enumerate((before, after))
    ]
    fallen = samples(*polls)[1]
    assert fallen is not None
    assert fallen.metrics == {}


def test_counters_that_fall_because_the_container_was_started_anew_are_a_reset() -> None:
    """They count from zero."""
    before, after = poll(0, running(5, 50), pod("stable-1", 50, 5000)), pod("canary-1", 1, 8, started=9.0)
    assert errors(samples(before, poll(15, after, pod("stable-1", 51, 5090)))[1]) == (1, 8, 1, 90)


FIRST = poll(0, pod("canary-1", 5, 50), pod("stable-1", 50, 5000))


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        pytest.param(
            [pod("canary-1", 7, 60), pod("stable-1", 51, 5090)], (2, 10, 1, 90), id="the difference"
        ),
        pytest.param(
            [pod("canary-1", 1, 8), pod("stable-1", 51, 5090)], (1, 8, 1, 90), id="a reset counts anew"
        ),
        pytest.param(
            [pod("canary-1", 1, 60), pod("stable-1", 51, 5090)],
            (1, 60, 1, 90),
            id="hits that fell are a reset",
        ),
        pytest.param(
            [pod("canary-1", 7, 60), pod("canary-2", 1, 9), pod("stable-1", 51, 5090)],
            (3, 19, 1, 90),
            id="a new canary pod counts from zero",
        ),
        pytest.param(
            [pod("canary-1", 7, 60), pod("stable-1", 51, 5090), pod("stable-2", 1, 80)],
            (2, 10, 2, 170),
            id="a new pod of stable counts from zero",
        ),
        pytest.param(
            [pod("canary-1", 7, 60), pod("stable-1", 51, 5090), pod("stable-2", 90, 9000)],
            (2, 10, 1, 90),
            id="an old pod that is read for the first time does not bring its past",
        ),
        pytest.param(
            [pod("canary-1", 7, 60), pod("stable-1", 51, 5090), pod("stable-2", 90, 9000, started=1.0)],
            (2, 10, 91, 9090),
            id="unless it is known to be new",
        ),
        pytest.param(
            [pod("canary-1", 9, 60), pod("stable-1", 51, 5090), pod("canary-2", nan, 9)],
            (4, 10, 1, 90),
            id="what is not a number is unknown",
        ),
        pytest.param(
            [pod("canary-1", 60, 55), pod("stable-1", 50, 5000)],
            (5, 5, 0, 0),
            id="never more hits than cases",
        ),
    ],
)
def test_increments(second: list[PodReading], expected: tuple[float, ...]) -> None:
    """Of hits and cases, canary first."""
    assert errors(samples(FIRST, poll(15, *second))[1]) == expected


def test_the_first_poll_is_where_counting_starts() -> None:
    """Nothing is known of what was before."""
    assert samples(FIRST) == [None]


def test_counting_may_start_at_zero() -> None:
    """When both arms are known to have started together."""
    assert errors(samples(FIRST, counters=from_zero())[0]) == (5, 50, 50, 5000)


def test_a_poll_that_is_not_later_counts_nothing() -> None:
    """Repeated and reordered polls."""
    second = poll(15, pod("canary-1", 7, 60), pod("stable-1", 51, 5090))
    assert samples(FIRST, second, second, FIRST)[2:] == [None, None]


def test_a_missing_arm_is_awaited_and_nothing_is_lost() -> None:
    """The increments of both arms cover the same time."""
    made = samples(
        FIRST,
        poll(15, pod("stable-1", 60, 5100)),
        poll(30, pod("stable-1", 70, 5200)),
        poll(45, pod("stable-1", 80, 5300), pod("canary-1", 8, 80)),
    )
    assert made[1:3] == [None, None]
    assert errors(made[3]) == (3, 30, 30, 300)


def test_an_arm_that_is_missing_for_long_is_unknown() -> None:
    """From the fourth poll on a sample without metrics says so; afterwards nothing is lost either."""
    alone = [poll(15 * n, pod("stable-1", 50 + n, 5000 + 100 * n)) for n in range(1, 6)]
    made = samples(FIRST, *alone, poll(90, pod("stable-1", 56, 5600), pod("canary-1", 6, 100)))
    assert made[1:4] == [None] * 3
    assert [sample.metrics for sample in made[4:6] if sample] == [{}, {}]
    assert errors(made[6]) == (1, 50, 6, 600)


def test_a_pod_of_stable_that_cannot_be_read_is_left_out_at_last() -> None:
    """The sample waits three polls for it; a canary pod is awaited for ever."""
    polls = [poll(15 * n, pod("canary-1", 5, 50 + n), pod("stable-1", 50, 5000 + n)) for n in range(1, 5)]
    for arm, fourth in ((Arm.STABLE, (0, 4, 0, 4)), (Arm.CANARY, None)):
        unread = (("other", arm),)
        made = samples(FIRST, *(poll(one.time, *one.pods, unread=unread) for one in polls))
        assert made[1:4] == [None] * 3
        assert made[4] is not None
        assert (errors(made[4]) if fourth else made[4].metrics) == (fourth or {})


def test_a_metric_that_one_arm_lacks_is_absent() -> None:
    """Unknown, never zero; the others are released."""
    latency = HistogramReading(buckets={0.1: 5.0, inf: 9.0})
    both = RatioReading(hits=9, total=90)
    first = poll(
        0, shown("canary-1", {"errors": both}), shown("stable-1", {"errors": both, "latency": latency})
    )
    made = samples(first, poll(15, *first.pods))[1]
    assert made is not None
    assert made.metrics.keys() == {"errors"}


def test_a_cold_pod_is_left_out_of_latency_only() -> None:
    """For 60 s after it became Ready: the metric is there, and says nothing yet."""

    def at(time: float, cases: float) -> Poll:
        readings: dict[str, Reading] = {
            "latency": HistogramReading(buckets={0.1: cases, inf: 2 * cases}),
            "errors": RatioReading(hits=0, total=2 * cases),
        }
        return poll(time, shown("canary-1", readings, ready_since=0.0), shown("stable-1", readings))

    made = samples(at(15, 10), at(30, 20), at(61, 30), counters=Counters(latency=frozenset({"latency"})))
    cold, warm = (sample.metrics["latency"].canary for sample in made[1:] if sample)
    assert cold == BucketCounts(bounds=(0.1, inf), cumulative=(0, 0))
    assert warm == BucketCounts(bounds=(0.1, inf), cumulative=(10, 20))
    assert errors(made[1])[1] == 20


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param({0.1: 7.0, 0.5: 9.0, inf: 11.0}, (2, 3, 4), id="differences"),
        pytest.param({0.1: 1.0, 0.5: 1.0, inf: 2.0}, (1, 1, 2), id="reset"),
        pytest.param({0.1: 8.0, 0.5: 8.0, inf: 10.0}, (3, 3, 3), id="buckets are not read in one instant"),
    ],
)
def test_histograms(now: dict[float, float], expected: tuple[float, ...]) -> None:
    """Cumulative by bound, and never falling."""
    before = HistogramReading(buckets={0.1: 5.0, 0.5: 6.0, inf: 7.0})
    polls = [
        poll(t, shown("canary-1", {"latency": reading}), shown("stable-1", {"latency": reading}))
        for t, reading in ((0, before), (15, HistogramReading(buckets=now)))
    ]
    made = samples(*polls)[1]
    assert made is not None
    assert made.metrics["latency"].canary == BucketCounts(bounds=(0.1, 0.5, inf), cumulative=expected)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(HistogramReading(buckets={}), id="no bucket"),
        pytest.param(HistogramReading(buckets={0.1: 1.0}), id="without infinity the total is unknown"),
        pytest.param(HistogramReading(buckets={0.1: 3.0, inf: 2.0}), id="buckets that fall"),
        pytest.param(RatioReading(hits=-1, total=2), id="negative"),
        pytest.param(RatioReading(hits=1, total=inf), id="infinite"),
        pytest.param(RatioReading(hits=1, total=1e300), id="no counter counts so far"),
        pytest.param(GaugeReading(value=nan), id="not a number"),
    ],
)
def test_broken_readings_are_unknown(broken: Reading) -> None:
    """They are left out, whatever they are."""
    both = [poll(t, shown("canary-1", {"m": broken}), shown("stable-1", {"m": broken})) for t in (0, 15)]
    made = samples(*both)[1]
    assert made is not None
    assert made.metrics == {}


def test_different_bounds_of_pods_are_joined_to_those_they_share() -> None:
    """Two servers of one arm may have different buckets."""

    def at(t: float, n: float) -> Poll:
        one = HistogramReading(buckets={0.1: n, 0.5: 2 * n, inf: 3 * n})
        other = HistogramReading(buckets={0.1: n, 0.9: 2 * n, inf: 3 * n})
        return poll(
            t, shown("canary-1", {"m": one}), shown("canary-2", {"m": other}), shown("stable-1", {"m": one})
        )

    made = samples(at(0, 1), at(15, 2))[1]
    assert made is not None
    assert made.metrics["m"].canary == BucketCounts(bounds=(0.1, inf), cumulative=(2, 6))


def test_a_gauge_is_the_mean_over_pods_as_it_is_now() -> None:
    """Older values do not count."""

    def at(t: float, *values: float) -> Poll:
        canaries = [shown(f"canary-{n}", {"m": GaugeReading(value=v)}) for n, v in enumerate(values)]
        return poll(t, *canaries, shown("stable-1", {"m": GaugeReading(value=1)}))

    made = samples(at(0, 9), at(15, 2, 4))[1]
    assert made is not None
    assert made.metrics["m"].canary == Values(sum=6, number=2)


def test_after_promotion_stable_is_not_awaited() -> None:
    """The canary has all the traffic: what it does is released alone."""
    first = poll(0, pod("canary-1", 0, 10), weight=100)
    assert errors(samples(first, poll(15, pod("canary-1", 1, 30), weight=100))[1]) == (1, 20, 0, 0)


def test_pods_that_are_gone_are_forgotten() -> None:
    """Names of pods are not used again; the memory does not grow."""
    counters = Counters()
    for n in range(200):
        counters, _ = counters.advance(poll(15.0 * n, pod(f"canary-{n}", 0, 9), pod("stable-1", 0, 90.0 * n)))
    assert len(counters.seen) < 70
