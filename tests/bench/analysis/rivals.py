"""The rules of others, from their documentation and source: when each would roll back.

Flagger 1.x (`pkg/controller/scheduler.go`), Argo Rollouts 1.10 (`analysis/analysis.go`), Netflix's test of counts
(Lindon & Malek 2022, arXiv 2011.03567), a repeated z-test, and a Bayesian posterior checked repeatedly (Iter8 v1).
"""

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from bench.analysis.arrays import NEVER, Counts, Flags, Floats, first_time
from bench.analysis.traffic import Arms

Judge = Callable[[Arms], Floats]
"""When each rollout is rolled back, in seconds; NEVER if it is not."""

MINUTE: Final = 60.0
ARGO_EXAMPLE_SECONDS: Final = 300.0
SCRAPE_SECONDS: Final = 15.0
"""Of the rivals' Prometheus."""

_FLAGGER_FAILURES: Final = 5
_FLAGGER_SUCCESS: Final = 0.99
_ARGO_FAILURES: Final = 4
"""More than failureLimit 3."""
_ARGO_SUCCESS: Final = 0.95
_Z: Final = 2.33
_Z_REQUESTS: Final = 30
_POSTERIOR: Final = 0.99
_PRIOR: Final = 0.1
_ALPHA: Final = 0.01
_NETFLIX_K: Final = 2.0


def flagger(arms: Arms) -> Floats:
    """Success below 99 % in five minutes, not in a row; no data fails, too; acts at the tick after the fifth."""
    errors, requests = _per(arms, MINUTE, arms.e_c), _per(arms, MINUTE, arms.n_c)
    failed = (requests == 0) | (requests - errors < _FLAGGER_SUCCESS * requests)
    return flagger_on(failed, arms.horizon)


def flagger_on(failed: Flags, horizon: float) -> Floats:
    """The same from failed checks, one a minute."""
    times = first_time(failed.cumsum(axis=0) >= _FLAGGER_FAILURES, MINUTE) + MINUTE
    return np.where(times <= horizon, times, NEVER)


def argo(arms: Arms) -> Floats:
    """Success below 95 % in the fourth minute; 0/0 fails, too."""
    errors, requests = _per(arms, MINUTE, arms.e_c), _per(arms, MINUTE, arms.n_c)
    return _argo_on(errors, requests, MINUTE)


def argo_example(arms: Arms) -> Floats:
    """The documented example: every five minutes `irate[5m]`, which is the last two scrapes."""
    rows = max(1, round(SCRAPE_SECONDS / arms.seconds))
    every = round(ARGO_EXAMPLE_SECONDS / arms.seconds)
    ends = range(every, len(arms.weights) + 1, every)
    errors = np.stack([arms.e_c[end - rows : end].sum(axis=0) for end in ends])
    requests = np.stack([arms.n_c[end - rows : end].sum(axis=0) for end in ends])
    return _argo_on(errors, requests, ARGO_EXAMPLE_SECONDS)


def _argo_on(errors: Counts, requests: Counts, seconds: float) -> Floats:
    failed = (requests == 0) | (requests - errors < _ARGO_SUCCESS * requests)
    return first_time(failed.cumsum(axis=0) >= _ARGO_FAILURES, seconds)


def z_test(arms: Arms) -> Floats:
    """Pooled one-sided z above 2.33 at any scrape with at least 30 requests of the canary."""
    n_c, e_c, n_s, e_s = _summed(arms)
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = (e_c + e_s) / (n_c + n_s)
        z = (e_c / n_c - e_s / n_s) / np.sqrt(pooled * (1.0 - pooled) * (1.0 / n_c + 1.0 / n_s))
    return first_time((z > _Z) & (n_c >= _Z_REQUESTS), arms.seconds)


def bayes(arms: Arms) -> Floats:
    """P(the canary is worse) of at least 0.99 at any scrape, with Iter8's Beta(0.1, 0.1) for both arms."""
    n_c, e_c, n_s, e_s = _summed(arms)
    alarms = np.zeros(n_c.shape, dtype=np.bool_)
    for row in range(len(n_c)):
        worse = posterior_worse(n_c[row], e_c[row], n_s[row], e_s[row])
        alarms[row] = worse >= _POSTERIOR
    return first_time(alarms, arms.seconds)


def posterior_worse(n_c: Counts, e_c: Counts, n_s: Counts, e_s: Counts, points: int = 160) -> Floats:
    """P(p_c > p_s), integrated over the logits of both rates, on which Beta densities are smooth."""
    beta_c, beta_s = _beta(n_c, e_c), _beta(n_s, e_s)
    low = np.minimum(_lower_logit(*beta_c), _lower_logit(*beta_s))
    high = np.maximum(-_lower_logit(*beta_c[::-1]), -_lower_logit(*beta_s[::-1]))
    logit = low + (high - low) * np.linspace(0.0, 1.0, points)[:, None]
    canary, stable = _density(logit, *beta_c), _density(logit, *beta_s)
    below = np.cumsum(stable, axis=0) - 0.5 * stable
    worse: Floats = (canary * below).sum(axis=0)
    return worse


def _beta(requests: Counts, errors: Counts) -> tuple[Floats, Floats]:
    """Parameters of the posterior."""
    return errors.astype(np.float64) + _PRIOR, (requests - errors).astype(np.float64) + _PRIOR


def _lower_logit(a: Floats, b: Floats) -> Floats:
    """Where next to nothing of Beta(a, b) lies below, on the scale of the logit: far out in its tail a*logit."""
    middle = np.log(a / b)
    lower: Floats = middle - 6.0 * np.sqrt(1.0 / a + 1.0 / b) - 4.0 / a * (a < 1.0)
    return lower


def _density(logit: Floats, a: Floats, b: Floats) -> Floats:
    """Weights of Beta(a, b) on a grid of logits, summing to 1."""
    log = -a * np.logaddexp(0.0, -logit) - b * np.logaddexp(0.0, logit)
    weights = np.exp(log - log.max(axis=0))
    shares: Floats = weights / weights.sum(axis=0)
    return shares


def netflix(arms: Arms) -> Floats:
    """The multinomial test with a Dirichlet mixture, k = 2, on the errors; the canary must have more than its share."""
    weight = arms.weights[0]
    e_c, e_s = arms.e_c.cumsum(axis=0), arms.e_s.cumsum(axis=0)
    more = e_c > weight * (e_c + e_s)
    return first_time((log_netflix(e_c, e_s, weight) >= -math.log(_ALPHA)) & more, arms.seconds)


def log_netflix(e_c: Counts, e_s: Counts, weight: float) -> Floats:
    """The logarithm of the evidence that errors are not spread as requests are configured to be."""
    log: Floats = (
        -_log_rising(_NETFLIX_K, e_c + e_s)
        + _log_rising(_NETFLIX_K * weight, e_c)
        + _log_rising(_NETFLIX_K * (1.0 - weight), e_s)
        - e_c * math.log(weight)
        - e_s * math.log(1.0 - weight)
    )
    return log


def _log_rising(start: float, counts: Counts) -> Floats:
    """ln of Gamma(start + count) / Gamma(start), from a table of sums."""
    table = np.concatenate([[0.0], np.cumsum(np.log(start + np.arange(counts.max(initial=0))))])
    return table[counts]


def _summed(arms: Arms) -> tuple[Counts, Counts, Counts, Counts]:
    n_c, e_c, n_s, e_s = (counts.cumsum(axis=0) for counts in (arms.n_c, arms.e_c, arms.n_s, arms.e_s))
    return n_c, e_c, n_s, e_s


def _per(arms: Arms, seconds: float, counts: Counts) -> Counts:
    """Sums over whole periods; a last piece of one is left out."""
    return per_period(counts, round(seconds / arms.seconds))


def per_period(counts: Counts, rows: int) -> Counts:
    """Sums of so many rows each; a last piece is left out."""
    whole = len(counts) // rows
    summed: Counts = counts[: whole * rows].reshape(whole, rows, *counts.shape[1:]).sum(axis=1)
    return summed
