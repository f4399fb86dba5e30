"""The normaliser of many tables at once against plain sums."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.fisher import log_normaliser

TABLES = st.tuples(st.integers(1, 60), st.integers(1, 400), st.floats(0.0, 1.0))
PSI = (0.01, 0.8, 1.0, 1.25, 3.75, 375.0)


def plain(n_c: int, n_s: int, m: int, psi: float) -> float:
    """The sum, term by term, in whole numbers and fractions of logarithms."""
    terms = [
        math.log(math.comb(n_c, x) * math.comb(n_s, m - x)) + x * math.log(psi)
        for x in range(max(0, m - n_s), min(n_c, m) + 1)
    ]
    return max(terms) + math.log(sum(math.exp(term - max(terms)) for term in terms))


@given(st.lists(TABLES, min_size=1, max_size=5))
def test_equals_the_plain_sum_for_every_table_and_odds_ratio(tables: list[tuple[int, int, float]]) -> None:
    """Also where all or none are hits."""
    counts = [(n_c, n_s, round(share * (n_c + n_s))) for n_c, n_s, share in tables]
    n_c, n_s, m = (np.array(column, dtype=np.int64) for column in zip(*counts, strict=True))
    logs = log_normaliser(n_c, n_s, m, np.log(np.array(PSI)))
    expected = [[plain(*table, psi) for table in counts] for psi in PSI]
    np.testing.assert_allclose(logs, expected, rtol=0, atol=1e-9)


def test_large_counts_do_not_overflow() -> None:
    """A thousand requests per second for a quarter of a minute, a third of them hits."""
    n_c, n_s, m = (np.array([number]) for number in (1_500, 13_500, 5_000))
    logs = log_normaliser(n_c, n_s, m, np.log(np.array([1.0])))
    np.testing.assert_allclose(
        logs[0, 0], math.log(math.comb(15_000, 5_000)), rtol=1e-13, err_msg="Vandermonde's identity"
    )
