"""Bounds of harm: what they allow, and how often they are wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import default_rng

from modelward.analysis.promotion import cases_needed, lower_bound, upper_bound

RATES = st.tuples(st.integers(1, 10_000), st.floats(0, 1)).map(
    lambda drawn: (int(drawn[0] * drawn[1]), drawn[0])
)


@given(RATES)
def test_bounds_enclose_what_was_seen(counts: tuple[int, int]) -> None:
    """Between 0 and 1, whatever the counts."""
    hits, cases = counts
    assert 0 <= lower_bound(hits, cases) <= hits / cases <= upper_bound(hits, cases) <= 1


@pytest.mark.parametrize(("weight", "needed"), [(25, 43), (50, 95), (100, 209)])
def test_how_many_requests_without_an_error_allow_a_weight(weight: int, needed: int) -> None:
    """With h = 2 %."""
    assert cases_needed(0.02 * 100 / weight, 1.0) == needed


def test_nothing_is_known_without_a_case() -> None:
    """Any rate is possible."""
    assert (lower_bound(0, 0), upper_bound(0, 0)) == (0, 1)


def test_bounds_hold_at_all_times() -> None:
    """500 streams of 500 requests, checked after every 25: at most one in twenty is ever excluded wrongly, both ends."""
    random = default_rng(7)
    rate, wrong = 0.05, 0
    for _ in range(500):
        polls = range(25, 501, 25)
        seen = random.binomial(25, rate, size=len(polls)).cumsum()
        bounds = ((lower_bound(int(e), n), upper_bound(int(e), n)) for e, n in zip(seen, polls, strict=True))
        wrong += any(not low <= rate <= high for low, high in bounds)
    assert wrong <= 500 * 0.05
