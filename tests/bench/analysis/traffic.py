"""Requests and errors of both arms, scrape by scrape, for many rollouts at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.analysis.arrays import Counts, Floats

HALF_AN_HOUR: Final = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arms:
    """Increments of both arms: [scrapes, rollouts] each."""

    seconds: float
    """Between two scrapes."""
    n_c: Counts
    e_c: Counts
    n_s: Counts
    e_s: Counts
    weights: tuple[float, ...]
    """Share of the canary that was configured, by scrape."""

    @property
    def horizon(self) -> float:
        """Seconds in all."""
        return self.seconds * len(self.weights)

    def bad_until(self, times: Floats) -> Counts:
        """Errors of the canary until each rollout's time, or to the end."""
        rows = np.minimum(times / self.seconds, len(self.weights)).astype(np.int64)
        summed = np.vstack([np.zeros_like(self.e_c[:1]), np.cumsum(self.e_c, axis=0)])
        bad: Counts = np.take_along_axis(summed, rows[None, :], axis=0)[0]
        return bad


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What flows, on average."""

    rps: float
    weight: float
    """Share of the canary, 0 to 1."""
    stable: float
    """Error rate of stable."""
    canary: float
    """Error rate of the canary."""
    poll: float = 15.0
    horizon: float = HALF_AN_HOUR
    onset: float = 0.0
    """Until then the canary's error rate is stable's."""

    @property
    def scrapes(self) -> int:
        """How many there are."""
        return round(self.horizon / self.poll)


def arms(load: Load, rollouts: int, rng: np.random.Generator) -> Arms:
    """Poisson requests, each an error by chance: errors and successes are independent Poisson counts."""
    ends = np.arange(1, load.scrapes + 1) * load.poll
    rates_c = np.where(ends > load.onset, load.canary, load.stable)
    canary = load.rps * load.weight * load.poll
    stable = load.rps * (1.0 - load.weight) * load.poll
    e_c, n_c = _counts(canary, rates_c, rollouts, rng)
    e_s, n_s = _counts(stable, np.full(load.scrapes, load.stable), rollouts, rng)
    return Arms(seconds=load.poll, n_c=n_c, e_c=e_c, n_s=n_s, e_s=e_s, weights=(load.weight,) * load.scrapes)


def _counts(mean: float, rates: Floats, rollouts: int, rng: np.random.Generator) -> tuple[Counts, Counts]:
    """Errors and requests of one arm."""
    shape = (len(rates), rollouts)
    errors = rng.poisson(mean * rates[:, None], shape)
    return errors, errors + rng.poisson(mean * (1.0 - rates[:, None]), shape)


def chunks(rollouts: int, size: int = 2000) -> Iterator[int]:
    """Parts that fit into the processor's cache."""
    for start in range(0, rollouts, size):
        yield min(size, rollouts - start)
