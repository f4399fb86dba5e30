"""The shipped likelihood ratios have mean 1 at the margin, exactly, in every small table (G1)."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb, exp
from typing import Final

import numpy as np

from bench.analysis.report import Goal, Outcome
from bench.analysis.run import Run
from modelward.analysis.core import RATIO_ALTERNATIVES, likelihood_ratios

MARGINS: Final = (0.8, 1.0, 1.25, 1.5)
LARGEST: Final = 12
_PHI: Final = 3.0
_INSIDE: Final = 0.8
"""An odds ratio inside the null: this share of the margin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """Extremes over all tables of one size and all e-values."""

    tables: int
    away: float
    """Largest distance of the mean from 1 at the margin."""
    inside: float
    """Largest mean inside the null, where one is possible that is below 1."""
    clumped: float
    """Largest mean at the margin with phi = 3."""


def probabilities(n_c: int, n_s: int, m: int, psi: float) -> dict[int, float]:
    """Fisher's non-central hypergeometric distribution of the canary's hits, from whole numbers."""
    terms = {x: comb(n_c, x) * comb(n_s, m - x) * psi**x for x in range(max(0, m - n_s), min(n_c, m) + 1)}
    total = sum(terms.values())
    return {x: term / total for x, term in terms.items()}


def _ratios(n_c: int, n_s: int, m: int, margin: float) -> dict[int, tuple[float, ...]]:
    support = range(max(0, m - n_s), min(n_c, m) + 1)
    found = {x: likelihood_ratios((x, n_c, m - x, n_s), margin) for x in support}
    return {x: ratios for x, ratios in found.items() if ratios is not None}


def _means(n_c: int, n_s: int) -> Iterator[tuple[float, float, float]]:
    for m in range(1, n_c + n_s):
        for margin in MARGINS:
            ratios = _ratios(n_c, n_s, m, margin)
            at, inside = (probabilities(n_c, n_s, m, psi) for psi in (margin, _INSIDE * margin))
            for alternative in range(len(RATIO_ALTERNATIVES)):
                yield (
                    sum(at[x] * exp(log[alternative]) for x, log in ratios.items()),
                    sum(inside[x] * exp(log[alternative]) for x, log in ratios.items())
                    if len(ratios) > 1
                    else 0.0,
                    sum(at[x] * exp(log[alternative] / _PHI) for x, log in ratios.items()),
                )


def measure(requests: int, _rollouts: int, _rng: np.random.Generator) -> Means:
    """All tables with so many requests of the canary."""
    found = [means for n_s in range(1, LARGEST + 1) for means in _means(requests, n_s)]
    at, inside, clumped = zip(*found, strict=True)
    return Means(
        tables=len(found), away=max(abs(mean - 1.0) for mean in at), inside=max(inside), clumped=max(clumped)
    )


def outcome(run: Run) -> Outcome:
    """G1."""
    parts = run.map(measure, range(1, LARGEST + 1))
    away, inside = max(part.away for part in parts), max(part.inside for part in parts)
    clumped = max(part.clumped for part in parts)
    cases = sum(part.tables for part in parts)
    return Outcome(
        goals=(
            Goal(
                number="G1",
                target="mean likelihood ratio 1 +- 1e-9 at the margin; < 1 inside the null; <= 1 with phi 3",
                measured=f"{away:.1e} in {cases:,} cases; {inside:.4f}; {clumped:.4f}",
                ok=away <= 1e-9 and inside < 1.0 and clumped <= 1.0 + 1e-9,
            ),
        )
    )
