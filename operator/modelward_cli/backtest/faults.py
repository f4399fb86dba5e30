"""Faults for a pseudo-canary: what its counters would have shown, had it failed more often or been slower.

Its own requests stay as they are. Of those that were well so many more fail, each by itself, that the share of failures
becomes what is wanted on the average: usual share times factor, or a share that is given. A slower pod has each case of
a bucket at a random place in it, and there multiplied. Random numbers depend on seed, window and pod alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf
from random import Random

from modelward.analysis.counters import BucketCounts, Counts, RatioCounts, added, increment
from modelward.analysis.readings import Arm, HistogramReading, Poll, RatioReading, Reading
from modelward_cli.backtest.series import Metrics
from modelward_cli.backtest.windows import Trial


class Wrong(StrEnum):
    """What may be wrong with a canary."""

    ERRORS_TIMES = "errors x"
    """Failures, so many times as often as usual."""
    ERRORS_PLUS = "errors +"
    """Failures of so many percent of the requests, on top of those that there are."""
    LATENCY_TIMES = "latency x"
    """Requests that take so many times as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that is wrong, and how much."""

    wrong: Wrong
    amount: float

    @property
    def name(self) -> str:
        """What tables call it."""
        unit = "%" if self.wrong is Wrong.ERRORS_PLUS else ""
        return f"{self.wrong}{self.amount:g}{unit}"

    def metric(self, metrics: Metrics) -> str:
        """Which metric it shows in; empty: in none that there is."""
        return metrics.latency if self.wrong is Wrong.LATENCY_TIMES else metrics.errors

    def changed(self, counts: Counts, usual: float, random: Random) -> Counts:
        """What the pod counts with the fault instead of `counts`; `usual` is stable's share of failures."""
        match counts:
            case RatioCounts():
                return failing(counts, self._extra(usual), random)
            case BucketCounts():
                return slowed(counts, self.amount, random)
            case _:
                return counts

    def _extra(self, usual: float) -> float:
        """The probability with which a request fails that was well."""
        if self.wrong is Wrong.ERRORS_PLUS:
            return self.amount / 100
        return (self.amount - 1) * usual / max(1 - usual, 1e-12)


def injected(trial: Trial, fault: Fault, metric: str, usual: float, random: Random) -> Iterator[Poll]:
    """The polls of a trial as they would have been with the fault in the pseudo-canary."""
    old = shown = _reading(trial.past[-1], trial.pod, metric)
    for poll in trial.polls:
        now = _reading(poll, trial.pod, metric)
        if now is None:
            yield poll
            continue
        counts = fault.changed(increment(old, now), usual, random)
        old, shown = now, _plus(shown, counts, now)
        yield _showing(poll, trial.pod, metric, shown)


def failing(counts: RatioCounts, share: float, random: Random) -> RatioCounts:
    """The counts, when of those cases that were none so large a share is a hit, too."""
    extra = binomial(round(counts.total - counts.hits), min(1.0, share), random)
    return replace(counts, hits=counts.hits + extra)


def slowed(counts: BucketCounts, factor: float, random: Random) -> BucketCounts:
    """The cases, each `factor` times as long; where in its bucket one was is drawn."""
    slow = [0] * len(counts.bounds)
    low = 0.0
    for bound, cases in zip(counts.bounds, counts.in_buckets, strict=True):
        for index, moved in _spread(counts.bounds, (low, bound), round(cases), factor, random):
            slow[index] += moved
        low = bound
    total = 0
    cumulative = tuple(total := total + cases for cases in slow)
    return BucketCounts(bounds=counts.bounds, cumulative=cumulative)


def _spread(
    bounds: tuple[float, ...], bucket: tuple[float, float], cases: int, factor: float, random: Random
) -> Iterator[tuple[int, int]]:
    """Into which buckets, and how many, the cases of one go."""
    low, high = bucket
    done, left = 0.0, cases
    for index, bound in enumerate(bounds):
        upto = 1.0 if bound == inf else 0.0 if high == inf else (bound / factor - low) / (high - low)
        upto = min(1.0, max(done, upto))
        moved = left if upto == 1 else binomial(left, (upto - done) / (1 - done), random)
        yield index, moved
        done, left = upto, left - moved
        if not left:
            return


def binomial(number: int, share: float, random: Random) -> int:
    """How many of `number` happen, each with probability `share`, in time that grows with the logarithm of `number`.

    The middle one of the uniform numbers is drawn first; it decides on which side the rest is to be counted
    (Devroye, Non-Uniform Random Variate Generation, 1986, X.4.3).
    """
    hits = 0
    while number > 16 and 0 < share < 1:
        middle = 1 + number // 2
        place = random.betavariate(middle, number + 1 - middle)
        if place <= share:
            hits += middle
            number, share = number - middle, (share - place) / (1 - place)
        else:
            number, share = middle - 1, share / place
    return hits + sum(random.random() < share for _ in range(number))


def _reading(poll: Poll, name: str, metric: str) -> Reading | None:
    found = (pod.metrics.get(metric) for pod in poll.pods if pod.pod == name and pod.arm is Arm.CANARY)
    return next(found, None)


def _plus(shown: Reading | None, counts: Counts, now: Reading) -> Reading:
    """The counter as it stands after another interval. It is not reset when the real one was."""
    total = added(increment(None, shown) if shown else None, counts)
    if isinstance(total, RatioCounts):
        return RatioReading(hits=total.hits, total=total.total)
    if isinstance(total, BucketCounts):
        return HistogramReading(buckets=dict(zip(total.bounds, total.cumulative, strict=True)))
    return now


def _showing(poll: Poll, name: str, metric: str, reading: Reading) -> Poll:
    pods = tuple(
        replace(pod, metrics={**pod.metrics, metric: reading}) if pod.pod == name else pod
        for pod in poll.pods
    )
    return replace(poll, pods=pods)
