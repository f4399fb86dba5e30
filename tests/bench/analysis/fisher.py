"""Fisher's non-central hypergeometric distribution for many tables at once."""

from typing import Final

import numpy as np

from bench.analysis.arrays import Counts, Floats

_NEGLIGIBLE: Final = 1e-15
"""Of the largest term. Terms fall faster than geometrically, so what is left out is of this order."""
_LOOK_EVERY: Final = 4


class LogFactorial:
    """Table of ln n!, which grows as it is asked."""

    def __init__(self) -> None:
        """A small one."""
        self._table: Floats = _log_factorials(1024)

    def choose(self, n: Counts, k: Counts) -> Floats:
        """Logarithms of n over k."""
        largest = int(n.max(initial=0))
        if largest >= self._table.size:
            self._table = _log_factorials(2 * largest)
        table = self._table
        log: Floats = table[n] - table[k] - table[n - k]
        return log


def _log_factorials(largest: int) -> Floats:
    table = np.zeros(largest + 1)
    np.cumsum(np.log(np.arange(1, largest + 1, dtype=np.longdouble)), out=table[1:], dtype=np.longdouble)
    return table


_LOG = LogFactorial()


def log_normaliser(n_c: Counts, n_s: Counts, m: Counts, log_psi: Floats) -> Floats:
    """ln G(psi), G = sum over x of C(n_c, x) C(n_s, m - x) psi^x: one row per odds ratio, one column per table."""
    psi = np.exp(log_psi)[:, None]
    start = _mode(n_c, n_s, m, psi)
    log = _LOG.choose(n_c, start) + _LOG.choose(n_s, m - start) + start * log_psi[:, None]
    x, c, s, hits = (
        start.astype(np.float64),
        n_c.astype(np.float64),
        n_s.astype(np.float64),
        m.astype(np.float64),
    )
    total: Floats = 1.0 + _upwards(x, c, s, hits, psi) + _downwards(x, c, s, hits, psi)
    return log + np.log(total)


def _mode(n_c: Counts, n_s: Counts, m: Counts, psi: Floats) -> Counts:
    """About the largest term: where the ratio of neighbours is 1, held inside the support.

    Source: Liao & Rosen 2001, Fast and stable algorithms for the noncentral hypergeometric distribution.
    """
    a = psi - 1.0
    b = -((m + n_c + 2.0) * psi + n_s - m)
    c = psi * (n_c + 1.0) * (m + 1.0)
    root = -2.0 * c / (b - np.sqrt(np.maximum(b * b - 4.0 * a * c, 0.0)))
    inside: Counts = np.clip(np.floor(root), np.maximum(0, m - n_s), np.minimum(n_c, m)).astype(np.int64)
    return inside


def _upwards(start: Floats, n_c: Floats, n_s: Floats, m: Floats, psi: Floats) -> Floats:
    """Sum of the terms above the start, which counts 1."""
    up, hits_left, x, below = n_c - start, m - start, start + 1.0, n_s - m + start + 1.0
    term, total = np.ones_like(start), np.zeros_like(start)
    for step in range(10**9):
        term *= psi * up * hits_left / (x * below)
        total += term
        if step % _LOOK_EVERY == 0 and term.max(initial=0.0) < _NEGLIGIBLE:
            break
        up -= 1.0
        hits_left -= 1.0
        x += 1.0
        below += 1.0
    return total


def _downwards(start: Floats, n_c: Floats, n_s: Floats, m: Floats, psi: Floats) -> Floats:
    """Sum of the terms below the start, which counts 1."""
    x, below, up, hits_left = start.copy(), n_s - m + start, n_c - start + 1.0, m - start + 1.0
    term, total = np.ones_like(start), np.zeros_like(start)
    for step in range(10**9):
        term *= x * below / (psi * up * hits_left)
        total += term
        if step % _LOOK_EVERY == 0 and term.max(initial=0.0) < _NEGLIGIBLE:
            break
        x -= 1.0
        below -= 1.0
        up += 1.0
        hits_left += 1.0
    return total
