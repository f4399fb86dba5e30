"""The rules of others: the same answers as the benchmark's vectorised ones, and what their documentation says."""

from collections.abc import Iterable
from math import inf, isnan

import numpy as np
import pytest

from bench.analysis import rivals as vectorised
from bench.analysis.traffic import Load, arms
from modelward.analysis.counters import BucketCounts, Increment, RatioCounts, Sample
from modelward_cli.backtest.rivals import Argo, Flagger, Rule, Thresholds, rules
from modelward_cli.backtest.series import Metrics, Series, quantile

ERRORS = Metrics(errors="errors")


def _sample(time: float, errors: int, requests: int) -> Sample:
    counts = RatioCounts(hits=errors, total=requests)
    return Sample(
        time=time, weight_percent=10, metrics={"errors": Increment(canary=counts, stable=RatioCounts())}
    )


def _time(rule: Rule, samples: Iterable[Sample], metrics: Metrics = ERRORS) -> float:
    """When a rule rolls back what begins at 0; infinite if it does not."""
    series = Series(keep_seconds=2 * rule.window_seconds)
    series.begin(0.0, metrics)
    rule.begin(0.0)
    for sample in samples:
        series.take(sample.time, [sample], metrics)
        rule.check(series, sample.time)
        series.forget(sample.time)
    return inf if rule.rolled_back is None else rule.rolled_back


LOADS = [
    pytest.param(Load(rps=1, weight=0.1, stable=0.001, canary=0.05), id="hardly any traffic"),
    pytest.param(Load(rps=10, weight=0.1, stable=0.01, canary=0.02), id="at Flagger's limit"),
    pytest.param(Load(rps=100, weight=0.1, stable=0.001, canary=0.055), id="at Argo's limit"),
    pytest.param(Load(rps=20, weight=0.1, stable=0.01, canary=0.2, onset=600), id="later"),
    pytest.param(Load(rps=10, weight=0.5, stable=0.001, canary=0.06, poll=5), id="polls of 5 s"),
]


@pytest.mark.parametrize("load", LOADS)
def test_the_same_as_in_the_benchmark(load: Load) -> None:
    """Rollout by rollout, to the second, as the vectorised rules have it."""
    rollouts = 40
    made = arms(load, rollouts, np.random.default_rng(11))
    expected = [vectorised.flagger(made), vectorised.argo(made), vectorised.argo_example(made)]
    for column in range(rollouts):
        rows = zip(made.e_c[:, column], made.n_c[:, column], strict=True)
        samples = [_sample((n + 1) * load.poll, int(e), int(r)) for n, (e, r) in enumerate(rows)]
        found = [_time(rule, samples) for rule in rules(Thresholds())]
        assert found == [times[column] for times in expected]


def _steady(errors: int, requests: int, minutes: int = 20) -> list[Sample]:
    return [_sample(15.0 * (n + 1), errors, requests) for n in range(4 * minutes)]


CASES = [
    pytest.param(Flagger(), _steady(2, 100), 360, id="Flagger acts in the sixth minute"),
    pytest.param(Flagger(), _steady(1, 100), inf, id="99 % is enough for Flagger"),
    pytest.param(Flagger(threshold=1), _steady(2, 100), 120, id="its code's own default"),
    pytest.param(Flagger(), _steady(0, 0), 360, id="no data fails in Flagger"),
    pytest.param(Flagger(success_percent=95), _steady(2, 100), inf, id="a threshold of one's own"),
    pytest.param(Argo(), _steady(6, 100), 240, id="Argo fails with the fourth failure"),
    pytest.param(Argo(), _steady(5, 100), inf, id="95 % is enough for Argo"),
    pytest.param(Argo(), _steady(0, 0), 240, id="0/0 fails in Argo"),
    pytest.param(Argo(failure_limit=0), _steady(6, 100), 60, id="Argo's own default"),
    pytest.param(Argo(interval=300, window=15), _steady(6, 100, 30), 1200, id="the documented example"),
]


@pytest.mark.parametrize(("rule", "samples", "time"), CASES)
def test_as_documented(rule: Rule, samples: list[Sample], time: float) -> None:
    """Each threshold, just met and just missed."""
    assert _time(rule, samples) == time


def test_failed_checks_need_not_be_in_a_row() -> None:
    """Flagger's count is never reset."""
    samples = [_sample(60.0 * (n + 1), 5 * (n % 2), 100) for n in range(20)]
    assert _time(Flagger(), samples) == 660  # bad in the minutes 2, 4, 6, 8, 10


def _slow(over: float, requests: int = 100) -> list[Sample]:
    """Requests of which the share `over` takes longer than half a second."""
    fast = requests * (1 - over)
    counts = BucketCounts(bounds=(0.25, 0.5, 1.0, inf), cumulative=(fast, fast, requests, requests))
    arm = Increment(canary=counts, stable=counts)
    return [Sample(time=15.0 * (n + 1), weight_percent=10, metrics={"latency": arm}) for n in range(40)]


@pytest.mark.parametrize(
    ("over", "limit", "time"),
    [
        pytest.param(0.02, 0.5, 360, id="too slow"),
        pytest.param(0.005, 0.5, inf, id="fast enough"),
        pytest.param(0.02, None, inf, id="not checked"),
        pytest.param(0.02, 0.9, inf, id="a limit of one's own"),
    ],
)
def test_flagger_checks_the_99th_percentile(over: float, limit: float | None, time: float) -> None:
    """Also where errors are not known."""
    assert _time(Flagger(p99_seconds=limit), _slow(over), Metrics(latency="latency")) == time


def test_quantiles_are_those_of_prometheus() -> None:
    """Linear inside a bucket; beyond the last bound that bound; nothing of nothing."""
    counts = BucketCounts(bounds=(0.1, 0.5, inf), cumulative=(50, 90, 100))
    assert quantile(counts, 0.5) == pytest.approx(0.1)
    assert quantile(counts, 0.7) == pytest.approx(0.3)
    assert quantile(counts, 0.99) == 0.5
    assert isnan(quantile(BucketCounts(), 0.99))


def test_without_the_metric_a_rule_says_nothing() -> None:
    """A share of errors that nobody counts is neither good nor bad."""
    for rule in rules(Thresholds(flagger_p99_seconds=None)):
        assert _time(rule, _slow(0.5), Metrics(latency="latency")) == inf
