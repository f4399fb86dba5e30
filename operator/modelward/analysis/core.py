"""Evidence that the canary is worse: e-processes, whose expectation does not grow while it is not worse.

An e-value starts at most at 1 and is multiplied by a likelihood ratio at each stratum (some scrapes
taken together). If the canary is fine, its mean never rises, so that it ever reaches 1/alpha with probability at
most alpha, however often one tests (Ville's inequality). Several e-values, and later ones, are averaged: a mixture.

Sources: Fisher's non-central hypergeometric distribution (Fisher 1935; Harkness 1965) for two arms whose common
rate is unknown; Turner and Gruenwald 2023 for strata; Shin, Ramdas and Rinaldo 2024 (e-detectors) for restarts.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from math import exp, lgamma, log, log1p
from typing import Final

RATIO_ALTERNATIVES: Final = (1.2, 1.6, 3.0, 8.0, 40.0, 300.0)
"""How many times worse than the margin the alternatives take the canary to be (odds ratios)."""
SIGN_ALTERNATIVES: Final = (0.3, 0.6, 0.9)
"""How far the alternatives of a sign test are from an even chance."""
RESTART_SECONDS: Final = 1800.0
"""Time over which half of the prior weight for late changes is spent."""
CAP_SHARE: Final = 0.75
"""No stratum may multiply an e-value by more than alpha ** -0.75: a single scrape never decides."""

MOST_CASES: Final = 5_000_000
"""Larger tables are judged as if they were so large: a sum has as many terms as the root of the cases, and a pod that
lies about its counts must not keep the judge busy. It only lowers evidence."""

_NEGLIGIBLE: Final = 1e-17
_SMALL_SUPPORT: Final = 24
"""Sums of so few terms cannot overflow, whatever the counts of a scrape are."""

Logs = tuple[float, ...]
"""The logarithm of each e-value."""

START: Final = log(0.5)
"""Half of the prior weight counts at once, the other half is kept for problems that begin later."""


STRATA_APART: Final = 12
"""E-values that begin within so many strata see much the same."""


def likelihood_ratios(
    table: tuple[int, int, int, int], margin: float, alternatives: tuple[float, ...] = RATIO_ALTERNATIVES
) -> tuple[float, ...] | None:
    """ln LR of each alternative for `table` = (canary hits, canary cases, stable hits, stable cases); None: it says nothing.

    Given cases and all m hits, the canary's hits e have P(e) = C(n_c, e) C(n_s, m - e) psi^e / G(psi), with psi the
    odds ratio and G(psi) the sum over all e: the rate that both arms share drops out. An alternative k compares
    psi = r k with the margin psi = r:

        ln LR = e ln k - ln G(r k) + ln G(r)

    Its mean is 1 at the margin and at most 1 below it (the ratio is monotone).
    """
    too_many = -(-(table[1] + table[3]) // MOST_CASES)
    hits, cases, stable_hits, stable_cases = (count // too_many for count in table) if too_many > 1 else table
    m = hits + stable_hits
    if not cases or not stable_cases or not 0 < m < cases + stable_cases:
        return None
    log_g = _log_sums(cases, stable_cases, m)
    at_margin = log_g(margin)
    return tuple(hits * log(k) - log_g(margin * k) + at_margin for k in alternatives)


def _log_sums(cases: int, stable_cases: int, m: int) -> Callable[[float], float]:
    """ln G as a function of psi, up to a constant that is the same for all psi."""
    least, most = max(0, m - stable_cases), min(cases, m)
    if most - least <= _SMALL_SUPPORT:
        return _Polynomial(_terms(cases, stable_cases, m, least, most), least)
    return lambda psi: _log_sum_around_mode(cases, stable_cases, m, psi)


def _terms(cases: int, stable_cases: int, m: int, least: int, most: int) -> list[float]:
    """C(n_c, e) C(n_s, m - e) for all e, relative to the first, by the ratio of neighbours."""
    terms = [1.0]
    for e in range(least, most):
        terms.append(terms[-1] * (cases - e) * (m - e) / ((e + 1) * (stable_cases - m + e + 1)))
    return terms


class _Polynomial:
    """ln G for few terms."""

    def __init__(self, terms: list[float], least: int) -> None:
        self._terms = terms[::-1]
        self._least = least

    def __call__(self, psi: float) -> float:
        total = 0.0
        for term in self._terms:
            total = total * psi + term
        return log(total) + self._least * log(psi)


def _log_sum_around_mode(n: int, stable_cases: int, m: int, psi: float) -> float:
    """ln G for many terms: outwards from the largest, until what is left does not count."""
    mode = _mode(n, stable_cases, m, psi)
    rest = stable_cases - m
    total = term = 1.0
    e = mode
    while term > _NEGLIGIBLE * total:
        term *= (n - e) * (m - e) * psi / ((e + 1) * (rest + e + 1))
        total += term
        e += 1
    term, e = 1.0, mode
    while term > _NEGLIGIBLE * total:
        term *= e * (rest + e) / ((n - e + 1) * (m - e + 1) * psi)
        total += term
        e -= 1
    return _log_choose(n, mode) + _log_choose(stable_cases, m - mode) + mode * log(psi) + log(total)


def _mode(n: int, stable_cases: int, m: int, psi: float) -> int:
    """The largest term's e: the root of (n - e)(m - e) psi = e (n_s - m + e), next to which the terms fall."""
    a = psi - 1
    b = (n + m) * psi + stable_cases - m
    c = n * m * psi
    # The stable form of the quadratic's smaller root: b is positive, also where a is 0 or negative.
    root = 2 * c / (b + max(0.0, b * b - 4 * a * c) ** 0.5)
    return min(max(int(root), 0, m - stable_cases), n, m)


def _log_choose(n: int, e: int) -> float:
    return lgamma(n + 1) - lgamma(e + 1) - lgamma(n - e + 1)


def limit_ratios(
    hits: float, cases: float, limit: float, alternatives: tuple[float, ...] = RATIO_ALTERNATIVES
) -> tuple[float, ...]:
    """ln LR of each alternative that the share of hits is above `limit` (0-1): binomial, odds k times those of the limit.

    ln LR = e ln k - n ln(1 - p + p k)
    """
    return tuple(hits * log(k) - cases * log1p(limit * (k - 1)) for k in alternatives)


def sign_ratios(sign: int, alternatives: tuple[float, ...] = SIGN_ALTERNATIVES) -> tuple[float, ...]:
    """ln(1 + lambda sign) of each alternative: fair while the sign is no more often +1 than -1."""
    return tuple(log1p(alternative * sign) for alternative in alternatives)


def begun(alternatives: tuple[float, ...]) -> Logs:
    """The e-values before anything was seen."""
    return (START,) * len(alternatives)


def multiplied(logs: Logs, ratios: Iterable[float] | None, *, fresh: float, cap: float) -> Logs:
    """The e-values after a stratum: what begins now (`fresh`) is added, then each grows by its ratio, at most by `cap`."""
    joined = [larger + log1p(exp(smaller - larger)) for larger, smaller in (_ordered(a, fresh) for a in logs)]
    if ratios is None:
        return tuple(joined)
    return tuple(a + min(ratio, cap) for a, ratio in zip(joined, ratios, strict=True))


def discounted(logs: Iterable[float], phi: float, strata: int) -> float:
    """ln of the evidence of e-values M as the noise phi that is known today lets it count: the mean of w (M / w) ** (1/phi).

    w is the prior weight that an e-value is taken to have begun with, from 1/2 on falling with the strata in which it may begin:
    a prior weight is no evidence, and is not discounted. As w ** (1 - 1/phi) M ** (1/phi) <= max(w, M) for any phi >= 1, also one
    that was learnt from the same requests, what is fair for independent requests stays so, but for w at most. Where hits
    come in clumps of up to phi, it is exact protection.
    """
    weight = START - log1p(strata / STRATA_APART)
    return (1 - 1 / phi) * weight + log_mean(value / phi for value in logs)


def _ordered(one: float, other: float) -> tuple[float, float]:
    return (one, other) if one >= other else (other, one)


@lru_cache(maxsize=4096)
def fresh_weight(stratum: int, horizon: float) -> float:
    """ln of the prior weight of a change at `stratum` (from 1): 1/2 H / ((H + t - 1)(H + t)). They sum to 1/2 for ever."""
    return log(0.5 * horizon / ((horizon + stratum - 1) * (horizon + stratum)))


def log_mean(logs: Iterable[float]) -> float:
    """ln of the mean of numbers given by their logarithms."""
    values = tuple(logs)
    top = max(values)
    return top + log(sum(exp(value - top) for value in values) / len(values))


def cap_of(alpha: float) -> float:
    """ln of the most by which one stratum may multiply an e-value."""
    return CAP_SHARE * log(1 / alpha)
