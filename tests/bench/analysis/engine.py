"""The judge's ratio test for many rollouts at once: a copy of the shipped one, held equal to it by a test."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self

import numpy as np

from bench.analysis.arrays import NEVER, Counts, Flags, Floats
from bench.analysis.fisher import log_normaliser
from bench.analysis.rivals import Judge
from bench.analysis.traffic import Arms

ALTERNATIVES: Final = (1.2, 1.6, 3.0, 8.0, 40.0, 300.0)
HALF_HOUR_SECONDS: Final = 1800.0
_STRATA_APART: Final = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How the test is set; the defaults are the shipped ones."""

    alpha: float = 0.01
    margin: float = 1.25
    alternatives: tuple[float, ...] = ALTERNATIVES
    strata: float = 120.0
    """H: half of the restarts have begun after so many strata. Half an hour."""
    restarts: bool = True
    cap: float = 0.75
    """Most that one stratum may add, as a share of ln(1/alpha)."""
    requests: int = 20
    polls: int = 4
    """A stratum closes with so many requests, or after so many polls."""

    def at(self, poll: float) -> Self:
        """The rule for another distance of polls: H is meant in time."""
        return replace(self, strata=HALF_HOUR_SECONDS / poll)

    def opposite(self) -> Self:
        """The rule that looks for too few instead of too many."""
        return replace(
            self,
            margin=1.0 / self.margin,
            alternatives=tuple(1.0 / alternative for alternative in self.alternatives),
        )


class Ratio:
    """Evidence of one metric in every rollout."""

    def __init__(self, rollouts: int, rule: Rule, phi: Floats | float = 1.0) -> None:
        """Nothing seen yet."""
        self.rule = rule
        self._phi = np.broadcast_to(np.asarray(phi, dtype=np.float64), (rollouts,)).copy()
        self._log = np.full((len(rule.alternatives), rollouts), np.log(0.5 if rule.restarts else 1.0))
        self._strata = np.zeros(rollouts)
        self._open = np.zeros((4, rollouts), dtype=np.int64)
        self._polls = np.zeros(rollouts, dtype=np.int64)
        self._log_alternatives = np.log(np.array(rule.alternatives))
        self._log_psi = np.log(rule.margin) + np.concatenate([[0.0], self._log_alternatives])

    @property
    def evidence(self) -> Floats:
        """E of every rollout."""
        prior_weight = np.log(0.5) - np.log1p(self._strata / _STRATA_APART)
        read: Floats = np.exp((1.0 - 1.0 / self._phi) * prior_weight + self._log / self._phi).mean(axis=0)
        return read

    @property
    def discounted(self) -> Flags:
        """Where the evidence is divided by more than 1."""
        discounted: Flags = self._phi > 1.0
        return discounted

    def informed(self, phi: Floats) -> None:
        """Read the evidence by the noise that is known today."""
        self._phi = phi

    def keep(self, chosen: Flags) -> None:
        """Forget all other rollouts."""
        self._phi, self._log, self._strata = self._phi[chosen], self._log[:, chosen], self._strata[chosen]
        self._open, self._polls = self._open[:, chosen], self._polls[chosen]

    def observe(self, n_c: Counts, e_c: Counts, n_s: Counts, e_s: Counts) -> Flags:
        """In which rollouts a stratum closed. One increment of each arm is taken in."""
        self._open += np.stack([n_c, e_c, n_s, e_s])
        self._polls += 1
        both = (self._open[0] > 0) & (self._open[2] > 0)
        enough = both & (self._open[0] + self._open[2] >= self.rule.requests)
        closed: Flags = enough | (self._polls >= self.rule.polls)
        self._close(closed)
        return closed

    def weight_changed(self) -> None:
        """Close what is open: no stratum spans two weights."""
        self._close(self._polls > 0)

    def _close(self, closed: Flags) -> None:
        self._restart(closed)
        n_c, e_c, n_s, e_s = self._open
        hits = e_c + e_s
        informative = np.flatnonzero(closed & (n_c > 0) & (n_s > 0) & (hits > 0) & (hits < n_c + n_s))
        if informative.size:
            self._log[:, informative] += self._increments(self._open[:, informative], self._phi[informative])
        self._open[:, closed] = 0
        self._polls[closed] = 0

    def _restart(self, closed: Flags) -> None:
        self._strata[closed] += 1.0
        if self.rule.restarts:
            h, t = self.rule.strata, self._strata[closed]
            fresh = np.log(0.5 * h / ((h + t - 1.0) * (h + t)))
            self._log[:, closed] = np.logaddexp(self._log[:, closed], fresh)

    def _increments(self, opened: Counts, phi: Floats) -> Floats:
        n_c, e_c, n_s, e_s = opened
        log_g = log_normaliser(n_c, n_s, e_c + e_s, self._log_psi)
        gained = e_c * self._log_alternatives[:, None] - log_g[1:] + log_g[0]
        capped: Floats = np.minimum(gained, -self.rule.cap * np.log(self.rule.alpha) * phi)
        return capped


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One ratio among those that are added up: a metric, a bound of latency, a bucket of scores."""

    arms: Arms
    share: float = 0.5
    rule: Rule = field(default_factory=Rule)
    phi: Floats | float = 1.0
    """The noise: of all rollouts, of each, or [scrapes, rollouts] where it goes on to be learnt."""

    def phi_at(self, number: int) -> Floats | float:
        """The noise that is known after a scrape."""
        return self.phi[number] if isinstance(self.phi, np.ndarray) and self.phi.ndim > 1 else self.phi


def engine(rule: Rule | None = None, *, share: float = 0.5, phi: Floats | float = 1.0) -> Judge:
    """The judge on one ratio metric; other metrics of the rollout have nothing to say."""
    return lambda arms: rolled_back([Compared(arms=arms, share=share, rule=rule or Rule(), phi=phi)])


def rolled_back(tests: Sequence[Compared]) -> Floats:
    """When the evidence of all tests together reaches the limit, in seconds; where it is discounted, the limit is higher by one."""
    first = tests[0].arms
    rollouts = first.n_c.shape[1]
    times, alive = np.full(rollouts, NEVER), np.arange(rollouts)
    ratios = [Ratio(rollouts, test.rule.at(first.seconds), test.phi_at(0)) for test in tests]
    for number in range(len(first.weights)):
        _inform(tests, ratios, number, alive)
        before = _total(tests, ratios)
        closed = _observe(tests, ratios, number, alive)
        total = _total(tests, ratios)
        discounted = np.any([ratio.discounted for ratio in ratios], axis=0)
        limit = 1.0 / tests[0].rule.alpha + discounted
        over = closed & (total >= limit) & (total > before)
        if over.any():
            times[alive[over]] = (number + 1) * first.seconds
            alive = alive[~over]
            for ratio in ratios:
                ratio.keep(~over)
    return times


def _inform(tests: Sequence[Compared], ratios: Sequence[Ratio], number: int, alive: Counts) -> None:
    for test, ratio in zip(tests, ratios, strict=True):
        phi = test.phi_at(number)
        if isinstance(phi, np.ndarray) and test.phi is not phi:
            ratio.informed(phi[alive])


def _total(tests: Sequence[Compared], ratios: Sequence[Ratio]) -> Floats:
    total: Floats = np.sum(
        [test.share * ratio.evidence for test, ratio in zip(tests, ratios, strict=True)], axis=0
    )
    return total


def _observe(tests: Sequence[Compared], ratios: Sequence[Ratio], number: int, alive: Counts) -> Flags:
    """Where a stratum closed in any test, after one scrape of all."""
    closed = np.zeros(alive.size, dtype=np.bool_)
    for test, ratio in zip(tests, ratios, strict=True):
        arms = test.arms
        if number and arms.weights[number] != arms.weights[number - 1]:
            ratio.weight_changed()
        rows = (arms.n_c[number], arms.e_c[number], arms.n_s[number], arms.e_s[number])
        closed |= ratio.observe(*(counts[alive] for counts in rows))
    return closed
