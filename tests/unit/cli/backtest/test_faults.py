"""Injected faults: the shares that they promise, the same ones every time, and counters that stay counters."""

from math import inf
from random import Random

import pytest
from scipy.stats import binom, chisquare

from modelward.analysis.counters import BucketCounts, RatioCounts, clean, increment
from modelward.analysis.readings import Arm, PodReading, Poll, RatioReading
from modelward_cli.backtest.faults import Fault, Wrong, binomial, failing, injected, slowed
from modelward_cli.backtest.series import Metrics
from modelward_cli.backtest.windows import Trial
from modelward_cli.judge.protocol import Header


@pytest.mark.parametrize(("number", "share"), [(5, 0.3), (40, 0.02), (40, 0.7), (1000, 0.01), (100_000, 0.2)])
def test_binomial_numbers(number: int, share: float) -> None:
    """As scipy's distribution has them: 4,000 draws, in classes of equal probability."""
    random, draws = Random(5), 4000
    edges = sorted({int(binom.ppf(step / 10, number, share)) for step in range(1, 10)})
    found, expected, below, before = [], [], 0, 0.0
    values = [binomial(number, share, random) for _ in range(draws)]
    for edge in [*edges, number]:
        upto = sum(value <= edge for value in values)
        probability = float(binom.cdf(edge, number, share))
        found.append(upto - below)
        expected.append((probability - before) * draws)
        below, before = upto, probability
    assert chisquare(found, expected).pvalue > 0.001


@pytest.mark.parametrize(("number", "share", "hits"), [(0, 0.5, 0), (100, 0.0, 0), (100, 1.0, 100)])
def test_certain_numbers(number: int, share: float, hits: int) -> None:
    """Nothing, never, always."""
    assert binomial(number, share, Random(1)) == hits


def test_requests_that_were_well_fail() -> None:
    """Those that failed still do, and there are no more requests than before."""
    counts = failing(RatioCounts(hits=100, total=10_000), 0.05, Random(2))
    assert counts.total == 10_000
    assert counts.hits == pytest.approx(100 + 0.05 * 9900, abs=5 * 22)


def test_slower_requests_go_to_later_buckets() -> None:
    """Twice as slow: half of the bucket up to 0.1 s stays below it, all of it below 0.2 s; none is lost."""
    counts = BucketCounts(bounds=(0.1, 0.2, 0.4, inf), cumulative=(8000, 8000, 8000, 8010))
    slow = slowed(counts, 2, Random(3))
    assert slow.in_buckets[0] == pytest.approx(4000, abs=250)
    assert slow.in_buckets[1] == 8000 - slow.in_buckets[0]
    assert slow.in_buckets[2:] == (0, 10)
    assert slow.total == counts.total


def test_faster_requests_go_to_earlier_buckets() -> None:
    """A factor below one."""
    counts = BucketCounts(bounds=(0.1, 0.2, inf), cumulative=(0, 1000, 1000))
    assert slowed(counts, 0.5, Random(3)).in_buckets == (1000, 0, 0)


@pytest.mark.parametrize(
    ("fault", "name", "share"),
    [
        (Fault(wrong=Wrong.ERRORS_TIMES, amount=5), "errors x5", 0.05),
        (Fault(wrong=Wrong.ERRORS_TIMES, amount=1.5), "errors x1.5", 0.015),
        (Fault(wrong=Wrong.ERRORS_PLUS, amount=10), "errors +10%", 0.109),
    ],
)
def test_the_share_becomes_what_is_promised(fault: Fault, name: str, share: float) -> None:
    """With a usual share of 1 %."""
    counts = fault.changed(RatioCounts(hits=2000, total=200_000), 0.01, Random(4))
    assert isinstance(counts, RatioCounts)
    assert fault.name == name
    assert counts.hits / counts.total == pytest.approx(share, rel=0.03)


def test_the_metric_that_a_fault_shows_in() -> None:
    """Errors, or latency; empty where there is none."""
    metrics = Metrics(errors="failed")
    assert Fault(wrong=Wrong.ERRORS_PLUS, amount=1).metric(metrics) == "failed"
    assert Fault(wrong=Wrong.LATENCY_TIMES, amount=2).metric(metrics) == ""


def _poll(time: float, hits: float, total: float) -> Poll:
    pods = [
        PodReading(pod="p", arm=Arm.CANARY, metrics={"errors": RatioReading(hits=hits, total=total)}),
        PodReading(pod="q", arm=Arm.STABLE, metrics={"errors": RatioReading(hits=hits, total=total)}),
    ]
    return Poll(time=time, weight_percent=50, pods=tuple(pods))


def _trial(*polls: Poll) -> Trial:
    return Trial(pod="p", header=Header(), past=polls[:1], polls=polls[1:])


def test_the_faulty_counter_goes_on_where_the_real_one_was() -> None:
    """The others' stay as they are; a reset is one interval, as for everybody; an unread pod stays unread."""
    unread = Poll(time=30, weight_percent=50, pods=())
    trial = _trial(_poll(0, 10, 1000), _poll(15, 11, 2000), unread, _poll(45, 0, 500))
    fault = Fault(wrong=Wrong.ERRORS_PLUS, amount=20)
    polls = list(injected(trial, fault, "errors", 0.0, Random(1)))
    first, last = (poll.pods[0].metrics["errors"] for poll in (polls[0], polls[2]))
    assert isinstance(first, RatioReading)
    assert isinstance(last, RatioReading)
    assert (first.total, last.total) == (2000, 2500)
    assert first.hits == pytest.approx(11 + 200, abs=70)
    assert last.hits - first.hits == pytest.approx(100, abs=50)
    assert clean(last) == last
    assert increment(first, last) == RatioCounts(hits=last.hits - first.hits, total=500)
    assert [poll.pods[1:] for poll in polls] == [poll.pods[1:] for poll in trial.polls]
    assert polls[1] == unread


def test_the_same_seed_gives_the_same_faults() -> None:
    """And another one others."""
    trial = _trial(*(_poll(15 * n, n, 100 * n) for n in range(10)))
    fault = Fault(wrong=Wrong.ERRORS_PLUS, amount=20)
    made = [list(injected(trial, fault, "errors", 0.0, Random(seed))) for seed in (1, 1, 2)]
    assert made[0] == made[1]
    assert made[0] != made[2]
