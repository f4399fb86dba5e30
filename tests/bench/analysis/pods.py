"""Requests that are not independent: errors in bursts, pods whose error rate wanders or differs for good."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from bench.analysis.arrays import Counts, Floats
from bench.analysis.traffic import Arms, Load

PODS: Final = 10
"""The first is the canary's."""
HISTORY_SECONDS: Final = 3600.0
FOR_GOOD: Final = np.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Wander:
    """Factors e^(sd z) on a rate, with a memory: an autoregressive process in the logarithm, with mean factor 1."""

    sd: float = 0.0
    memory: float = 60.0
    """Seconds until the correlation is 1/e."""

    def factors(self, shape: tuple[int, ...], seconds: float, rng: np.random.Generator) -> Floats:
        """One per step of time (the first axis) and whatever else."""
        if not self.sd:
            return np.ones((1,) * len(shape))
        kept = float(np.exp(-seconds / self.memory))
        z = rng.standard_normal((1, *shape[1:]) if kept == 1.0 else shape)
        for step in range(1, len(z)):
            z[step] = kept * z[step - 1] + np.sqrt(1.0 - kept * kept) * z[step]
        factors: Floats = np.exp(self.sd * z - 0.5 * self.sd**2)
        return factors


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How requests depend on each other."""

    name: str
    burst: float = 1.0
    """Mean size of a clump of errors (geometric) within one pod and scrape."""
    pod: Wander = field(default_factory=Wander)
    common: Wander = field(default_factory=Wander)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodCounts:
    """[scrapes, pods, rollouts] of an hour before the rollout (stable's pods only) and of the rollout."""

    before_n: Counts
    before_e: Counts
    n: Counts
    e: Counts

    def arms(self, load: Load) -> Arms:
        """Summed by arm."""
        return Arms(
            seconds=load.poll,
            n_c=self.n[:, 0],
            e_c=self.e[:, 0],
            n_s=self.n[:, 1:].sum(axis=1),
            e_s=self.e[:, 1:].sum(axis=1),
            weights=(load.weight,) * load.scrapes,
        )


def pod_counts(
    load: Load, noise: Noise, rollouts: int, rng: np.random.Generator, pods: int = PODS
) -> PodCounts:
    """One canary pod of ten, all with the same share of requests; the noise goes on from the hour before."""
    before = round(HISTORY_SECONDS / load.poll)
    factors = noise.pod.factors((before + load.scrapes, pods, rollouts), load.poll, rng)
    factors = factors * noise.common.factors((before + load.scrapes, 1, rollouts), load.poll, rng)
    factors = np.broadcast_to(factors, (before + load.scrapes, pods, rollouts))
    stable = pods - 1
    before_n, before_e = _counts(
        load.rps * load.poll / stable, load.stable * factors[:before, 1:], noise.burst, rng
    )
    rates = load.stable * factors[before:]
    rates[:, 0] *= load.canary / load.stable
    n, e = _counts(load.rps * load.poll / pods, rates, noise.burst, rng)
    return PodCounts(before_n=before_n, before_e=before_e, n=n, e=e)


def _counts(mean: float, rates: Floats, burst: float, rng: np.random.Generator) -> tuple[Counts, Counts]:
    rates = np.minimum(rates, 1.0)
    n = rng.poisson(mean, rates.shape)
    if burst == 1.0:
        return n, rng.binomial(n, rates)
    clumps = rng.poisson(n * rates / burst)
    errors = clumps + np.where(clumps > 0, rng.negative_binomial(np.maximum(clumps, 1), 1.0 / burst), 0)
    return n, np.minimum(n, errors)
