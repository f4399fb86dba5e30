"""Times of requests in the buckets of a histogram, and the rules that check them."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.analysis.arrays import Counts, Flags, Floats, first_time, normal_above
from bench.analysis.engine import Compared, Rule
from bench.analysis.rivals import MINUTE, flagger_on, per_period
from bench.analysis.traffic import Arms

BOUNDS_MS: Final = np.array([5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0])
MEDIAN_MS: Final = 60.0
SIGMA: Final = 0.70
"""Of the logarithm: p99 at 306 ms."""
SLOW_MS: Final = 900.0
_QUANTILES: Final = (0.9, 0.99, 0.999)
_BAND_ALPHA: Final = 0.005
"""For each arm: half of 1 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long the canary's requests take, against stable's."""

    name: str
    factor: float = 1.0
    slow: float = 0.0
    """Share of requests that take 0.9 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Histograms:
    """Increments by bucket: [scrapes, rollouts, buckets], the last bucket is beyond all bounds."""

    seconds: float
    weight: float
    canary: Counts
    stable: Counts

    def above(self, bound: int) -> Arms:
        """The ratio of requests beyond a bound (its index)."""
        return Arms(
            seconds=self.seconds,
            n_c=self.canary.sum(axis=2),
            e_c=self.canary[:, :, bound + 1 :].sum(axis=2),
            n_s=self.stable.sum(axis=2),
            e_s=self.stable[:, :, bound + 1 :].sum(axis=2),
            weights=(self.weight,) * len(self.canary),
        )


def shares(times: Times, scale: Floats | float = 1.0) -> Floats:
    """Share of requests in each bucket; one more axis than `scale`, a further factor on all times."""
    middle = np.log(MEDIAN_MS * times.factor * np.asarray(scale, dtype=np.float64))[..., None]
    above = (1.0 - times.slow) * normal_above((np.log(BOUNDS_MS) - middle) / SIGMA)
    above += times.slow * (BOUNDS_MS < SLOW_MS)
    ends = np.ones((*above.shape[:-1], 1))
    divided: Floats = np.maximum(-np.diff(np.concatenate([ends, above, 0.0 * ends], axis=-1), axis=-1), 0.0)
    return divided


def histograms(
    times: Times,
    rollouts: int,
    rng: np.random.Generator,
    *,
    rps: float,
    weight: float = 0.1,
    poll: float = 15.0,
    horizon: float = 1800.0,
) -> Histograms:
    """Independent requests: every bucket is a Poisson count of its own."""
    scrapes = round(horizon / poll)
    canary = rps * weight * poll * shares(times)
    stable = rps * (1.0 - weight) * poll * shares(Times(name="stable"))
    shape = (scrapes, rollouts, len(BOUNDS_MS) + 1)
    return Histograms(
        seconds=poll, weight=weight, canary=rng.poisson(canary, shape), stable=rng.poisson(stable, shape)
    )


def bounds_of(reference: Floats) -> tuple[int, ...]:
    """Indexes of the bounds at or below stable's p90, p99 and p99.9, from shares of buckets."""
    cumulated = np.cumsum(reference)
    found = [int(np.searchsorted(cumulated, quantile)) - 1 for quantile in _QUANTILES]
    return tuple(dict.fromkeys(max(0, index) for index in found))


def latency_tests(
    seen: Histograms, share: float = 0.5, rule: Rule | None = None, phi: Floats | float = 1.0
) -> list[Compared]:
    """One ratio test per bound; they share the metric's weight."""
    chosen = bounds_of(shares(Times(name="stable")))
    return [
        Compared(arms=seen.above(bound), share=share / len(chosen), rule=rule or Rule(), phi=phi)
        for bound in chosen
    ]


def quantile_99(counts: Counts) -> Floats:
    """Prometheus' `histogram_quantile(0.99, ...)` in ms: linear inside a bucket; NaN without requests."""
    cumulated = counts.cumsum(axis=-1)
    total = cumulated[..., -1]
    rank = 0.99 * total
    bucket = np.minimum((cumulated < rank[..., None]).sum(axis=-1), len(BOUNDS_MS))
    edges = np.concatenate([[0.0], BOUNDS_MS, BOUNDS_MS[-1:]])
    before = np.take_along_axis(
        np.concatenate([0 * cumulated[..., :1], cumulated], axis=-1), bucket[..., None], -1
    )
    inside = np.take_along_axis(counts, bucket[..., None], -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        part = (rank - before[..., 0]) / inside[..., 0]
    value: Floats = edges[bucket] + (edges[bucket + 1] - edges[bucket]) * part
    return np.where(total > 0, value, np.nan)


def flagger_p99(seen: Histograms, limit_ms: float) -> Floats:
    """When Flagger's check of p99 in the last minute rolls back; no data fails."""
    p99 = quantile_99(per_period(seen.canary, round(MINUTE / seen.seconds)))
    failed: Flags = ~(p99 <= limit_ms)
    return flagger_on(failed, seen.seconds * len(seen.canary))


def bands(seen: Histograms) -> Floats:
    """When the canary is slower beyond anytime bands of both distributions (Howard & Ramdas 2022, DKW shape)."""
    canary, stable = seen.canary.cumsum(axis=0), seen.stable.cumsum(axis=0)
    n_c, n_s = canary.sum(axis=2, keepdims=True), stable.sum(axis=2, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        slower = stable.cumsum(axis=2) / n_s - canary.cumsum(axis=2) / n_c
        apart = slower.max(axis=2) > (_radius(n_c) + _radius(n_s))[:, :, 0]
    return first_time(apart & (n_c[:, :, 0] > 0) & (n_s[:, :, 0] > 0), seen.seconds)


def _radius(n: Counts) -> Floats:
    n = np.maximum(n, 1)
    radius: Floats = 0.85 * np.sqrt((np.log(np.log(np.e * n)) + 0.8 * np.log(1612.0 / _BAND_ALPHA)) / n)
    return radius
