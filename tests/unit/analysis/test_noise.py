"""phi: how much stable's pods scatter, and what is made of little history."""

from collections.abc import Callable, Sequence
from math import inf

import pytest
from numpy.random import Generator, default_rng

from modelward.analysis import noise
from modelward.analysis.noise import Noise, Reference, decode, encode
from modelward.analysis.policy import MetricPolicy
from modelward.analysis.readings import Arm, HistogramReading, PodReading, Poll, RatioReading
from modelward.api.analysis_policy import MetricKind
from modelward.errors import InvalidState
from unit.analysis.samples import ERRORS, LATENCY

Hits = Callable[[Generator, int, int], int]
"""Random, pod and cases -> hits."""


def history(
    hits: Hits, *, pods: int = 9, polls: int = 240, interval: float = 15, seed: int = 1
) -> list[Poll]:
    """An hour of `pods` with 75 requests each and poll."""
    random = default_rng(seed)
    counted = [[0, 0] for _ in range(pods)]
    made = []
    for number in range(polls + 1):
        made.append(
            Poll(
                time=number * interval,
                weight_percent=0,
                pods=tuple(
                    PodReading(
                        pod=f"stable-{index}",
                        arm=Arm.STABLE,
                        metrics={"errors": RatioReading(hits=h, total=n)},
                    )
                    for index, (h, n) in enumerate(counted)
                ),
            )
        )
        for index, counts in enumerate(counted):
            counts[1] += 75
            counts[0] += hits(random, index, 75)
    return made


def independent(random: Generator, pod: int, cases: int) -> int:
    """Each request fails by itself, 2 % of them."""
    return int(random.binomial(cases, 0.02))


def in_bursts(random: Generator, pod: int, cases: int) -> int:
    """Five at a time."""
    return 5 * int(random.binomial(cases // 5, 0.02))


def by_pod(random: Generator, pod: int, cases: int) -> int:
    """Pods that differ by a factor of four."""
    return int(random.binomial(cases, 0.01 if pod % 2 else 0.04))


def phi_of(polls: Sequence[Poll], metric: MetricPolicy = ERRORS) -> float:
    """phi of errors after all polls."""
    return summed(polls, metric).reference().phi(metric.name)


def summed(polls: Sequence[Poll], *metrics: MetricPolicy) -> Noise:
    """The sums over all polls."""
    made = Noise(metrics=metrics or (ERRORS,))
    for poll in polls:
        made = made.plus(poll)
    return made


@pytest.mark.parametrize(
    ("hits", "pods", "least", "most"),
    [
        pytest.param(independent, 9, 1, 1.5, id="independent requests"),
        pytest.param(in_bursts, 9, 4, 7, id="bursts of five"),
        pytest.param(by_pod, 9, 10, 80, id="pods that differ, seen in long blocks"),
        pytest.param(independent, 1, 1, 2, id="one pod, independent"),
        pytest.param(in_bursts, 1, 3.5, 12, id="one pod, from successive blocks"),
    ],
)
def test_phi(hits: Hits, pods: int, least: float, most: float) -> None:
    """Of an hour of history."""
    assert least <= phi_of(history(hits, pods=pods)) <= most


def test_little_history_is_treated_like_none() -> None:
    """phi begins at 2 and moves with what is seen."""
    assert Reference().phi("errors") == 2
    assert phi_of([]) == 2
    assert 1.3 < phi_of(history(independent, polls=2)) < 2.3
    assert phi_of(history(in_bursts, polls=2)) > 1.9
    assert summed(history(independent, polls=2)).reference().metrics["errors"].guessed
    assert not summed(history(independent)).reference().metrics["errors"].guessed


def test_phi_from_totals_is_marked() -> None:
    """It cannot see how pods differ, and messages say so."""
    alone = summed(history(independent, pods=1)).reference().metrics["errors"]
    assert alone.from_totals
    assert not summed(history(independent)).reference().metrics["errors"].from_totals


def test_the_usual_rate_is_that_of_the_history() -> None:
    """Hits and cases since the first poll."""
    known = summed(history(independent)).reference().metrics["errors"]
    assert known.total == 240 * 9 * 75
    assert known.hits / known.total == pytest.approx(0.02, rel=0.1)


def test_counters_since_the_start_stand_in_for_history() -> None:
    """One check pods that have served for long."""
    old = [
        PodReading(pod=f"stable-{n}", arm=Arm.STABLE, metrics={"errors": RatioReading(hits=5, total=5000)})
        for n in (1, 2)
    ]
    known = summed([Poll(time=0, weight_percent=0, pods=tuple(old))]).reference().metrics["errors"]
    assert (known.hits, known.total, known.phi) == (10, 10_000, 2)
    assert known.guessed


def test_the_canary_takes_no_part() -> None:
    """Its errors must not become stable's noise."""
    polls = history(independent)
    with_canary = [
        Poll(
            time=poll.time,
            weight_percent=10,
            pods=(
                *poll.pods,
                PodReading(
                    pod="canary-1",
                    arm=Arm.CANARY,
                    metrics={"errors": RatioReading(hits=poll.time * 9, total=poll.time * 10)},
                ),
            ),
        )
        for poll in polls
    ]
    assert summed(with_canary).reference() == summed(polls).reference()


def test_what_is_long_ago_fades() -> None:
    """Pods that have behaved for hours are trusted again."""
    restless = Noise(metrics=(ERRORS,), half_life_seconds=noise.HALF_LIFE_SECONDS)
    for poll in history(in_bursts):
        restless = restless.plus(poll)
    calmed = restless
    for poll in history(independent, polls=1200)[1:]:
        moved = Poll(time=poll.time + 3600, weight_percent=0, pods=poll.pods)
        calmed = calmed.plus(moved)
    assert restless.reference().phi("errors") > 4
    assert calmed.reference().phi("errors") < 1.5


def _latencies(polls: int) -> list[Poll]:
    def pod(name: str, n: int) -> PodReading:
        reading = HistogramReading(buckets={0.1: 60.0 * n, 0.5: 74.0 * n, inf: 75.0 * n})
        return PodReading(pod=name, arm=Arm.STABLE, metrics={"latency": reading})

    return [
        Poll(time=15.0 * n, weight_percent=0, pods=(pod("stable-1", n), pod("stable-2", n)))
        for n in range(polls)
    ]


@pytest.mark.parametrize("kind", [MetricKind.LATENCY, MetricKind.DISTRIBUTION])
def test_histograms_have_phi_by_bound(kind: MetricKind) -> None:
    """Above each bound, or within each bucket; that pods are exactly alike is taken for luck."""
    metric = MetricPolicy(name="latency", kind=kind)
    known = summed(_latencies(240), metric).reference().metrics["latency"]
    tested = {0.1, 0.5} | ({inf} if kind is MetricKind.DISTRIBUTION else set())
    # Twelve blocks of 300 s with one degree of freedom each, the last still open, and no more scatter than chance has.
    assert known.phis == pytest.approx(dict.fromkeys(tested, (12 + 40) / (12 + 20)))
    assert known.histogram.total == 239 * 2 * 75


def test_sums_survive_a_restart() -> None:
    """phi and the rates are the same, to the digits that are kept; it stays small."""
    before = summed(history(in_bursts), ERRORS, LATENCY)
    text = encode(before)
    after = decode(text, before.metrics).reference().metrics["errors"]
    known = before.reference().metrics["errors"]
    assert after.phi == pytest.approx(known.phi, rel=1e-4)
    assert after.hits == pytest.approx(known.hits, rel=1e-4)
    assert len(text) < 300


def test_histograms_survive_a_restart() -> None:
    """With infinity, which JSON does not have."""
    before = summed(_latencies(240), LATENCY)
    after = decode(encode(before), before.metrics).reference()
    assert after.metrics["latency"].histogram.bounds == (0.1, 0.5, inf)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        '[1,{"errors":[[],[1,"2"],1,[]]}]',
        "{}",
        "[]",
        "[2,{}]",
        '[1,{"errors":1}]',
        '[1,{"errors":[[],[1,2],1,[]]}]',
        "[" * 2000,
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    """With an error of ours: the sums begin anew."""
    with pytest.raises(InvalidState):
        decode(text, (ERRORS,))
