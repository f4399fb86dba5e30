"""The arithmetic of evidence: exact, fair at the margin, and never in favour of a hasty verdict."""

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from itertools import product
from math import comb, exp, inf, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nchypergeom_fisher

from modelward.analysis import core
from support.repeatable import examples

MARGINS = (0.8, 1.0, 1.25, 1.5)
MOST = 12


@cache
def weights_of_tables(cases: int, stable_cases: int, m: int) -> dict[int, int]:
    """C(n_c, e) C(n_s, m - e) for all e, in whole numbers."""
    possible = range(max(0, m - stable_cases), min(cases, m) + 1)
    return {e: comb(cases, e) * comb(stable_cases, m - e) for e in possible}


def margins() -> Iterator[tuple[int, int, int]]:
    """All (n_c, n_s, m) with at most twelve cases in each arm that say anything."""
    arms = range(1, MOST + 1)
    for cases, stable_cases in product(arms, arms):
        for m in range(1, cases + stable_cases):
            yield cases, stable_cases, m


def expectations(margin: float, psi: float, phi: float = 1.0) -> Iterator[tuple[float, ...]]:
    """The mean of LR ** (1/phi) of each e-value when the odds ratio is psi, for all margins of a table."""
    for cases, stable_cases, m in margins():
        weights = {e: w * psi**e for e, w in weights_of_tables(cases, stable_cases, m).items()}
        total = sum(weights.values())
        sums = [0.0] * len(core.RATIO_ALTERNATIVES)
        for e, weight in weights.items():
            ratios = core.likelihood_ratios((e, cases, m - e, stable_cases), margin)
            assert ratios is not None
            for alternative, ratio in enumerate(ratios):
                sums[alternative] += weight / total * exp(ratio / phi)
        yield tuple(sums)


@pytest.mark.parametrize("margin", MARGINS)
def test_each_alternative_is_fair_at_the_margin(margin: float) -> None:
    """Over all tables with at most 12 cases in each arm the mean is 1, within 1e-9 (it is within 2e-14)."""
    worst = max(abs(mean - 1) for means in expectations(margin, margin) for mean in means)
    assert worst < 1e-9


@pytest.mark.parametrize("margin", MARGINS)
def test_each_alternative_loses_inside_the_margin(margin: float) -> None:
    """Where the canary is better than the margin allows, no e-value gains on average."""
    assert all(mean < 1 + 1e-12 for means in expectations(margin, 0.99 * margin) for mean in means)


@pytest.mark.parametrize("margin", MARGINS)
def test_a_discount_for_noise_only_lowers(margin: float) -> None:
    """With phi = 3 the mean is at most 1, by Jensen's inequality."""
    assert all(mean <= 1 + 1e-12 for means in expectations(margin, margin, phi=3) for mean in means)


TABLES = st.tuples(st.integers(1, 400), st.integers(1, 4000), st.floats(0, 1), st.floats(0, 1)).map(
    lambda drawn: (drawn[0], drawn[1], drawn[2] * drawn[0], drawn[3] * drawn[1])
)


@settings(max_examples=examples(60), deadline=None)
@given(TABLES, st.sampled_from(MARGINS))
def test_ratios_are_those_of_scipy(drawn: tuple[int, int, float, float], margin: float) -> None:
    """Fisher's non-central hypergeometric distribution as SciPy has it, for few terms and for many."""
    cases, stable_cases = drawn[0], drawn[1]
    hits, stable_hits = int(drawn[2]), int(drawn[3])
    m = hits + stable_hits
    ratios = core.likelihood_ratios((hits, cases, stable_hits, stable_cases), margin)
    if m in {0, cases + stable_cases}:
        assert ratios is None
        return
    assert ratios is not None
    at_margin = nchypergeom_fisher.pmf(hits, cases + stable_cases, cases, m, margin)
    for k, ratio in zip(core.RATIO_ALTERNATIVES, ratios, strict=True):
        at_alternative = nchypergeom_fisher.pmf(hits, cases + stable_cases, cases, m, k * margin)
        if (
            min(at_margin, at_alternative) > 1e-9
        ):  # SciPy's own error is absolute; far tails are left to the test below
            assert ratio == pytest.approx(log(at_alternative / at_margin), abs=1e-6)


@pytest.mark.parametrize("factor", [1, 5, 40])
def test_few_and_many_terms_agree(factor: int) -> None:
    """Both ways of summing, on both sides of the border between them, against whole numbers."""
    cases, stable_cases, m = 7 * factor, 90 * factor, 5 * factor
    weights = weights_of_tables(cases, stable_cases, m)
    for psi in (Fraction(5, 4), Fraction(450), Fraction(4, 5)):
        exact = sum((weight * psi**e for e, weight in weights.items()), Fraction())
        log_sum = core._log_sums(cases, stable_cases, m)
        expected = log_of(exact) - log(comb(cases + stable_cases, m))
        assert log_sum(float(psi)) - log_sum(1.0) == pytest.approx(expected, abs=1e-9)


def log_of(number: Fraction) -> float:
    """ln of a fraction whose parts are too large for a float."""
    return log(number.numerator) - log(number.denominator)


def test_prior_weights_of_late_changes_sum_to_one_half() -> None:
    """Whatever the horizon: after H strata half of them are spent, and never more than all."""
    for horizon in (120, 360):
        weights = [exp(core.fresh_weight(t, horizon)) for t in range(1, 200_000)]
        assert sum(weights[:horizon]) == pytest.approx(0.25, abs=1e-9)
        assert 0.499 < sum(weights) < 0.5


@given(
    st.lists(st.floats(-50, 50), min_size=6, max_size=6),
    st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=6),
)
def test_no_stratum_grows_an_e_value_beyond_the_cap(logs: list[float], ratios: list[float]) -> None:
    """However extreme the counts are."""
    cap, fresh = core.cap_of(0.01), core.fresh_weight(1, 120)
    still = core.multiplied(tuple(logs), None, fresh=fresh, cap=cap)
    after = core.multiplied(tuple(logs), ratios, fresh=fresh, cap=cap)
    assert all(new <= old + cap + 1e-9 for new, old in zip(after, still, strict=True))


def test_no_scrape_alone_reaches_the_limit() -> None:
    """From a fresh start, the most extreme first stratum gives less than a third of what is needed."""
    cap = core.cap_of(0.01)
    logs = core.multiplied(
        core.begun(core.RATIO_ALTERNATIVES), [inf] * 6, fresh=core.fresh_weight(1, 120), cap=cap
    )
    assert exp(core.log_mean(logs)) < 100 / 3


@pytest.mark.parametrize("limit", [0.0, 0.001, 0.02, 0.5, 1.0])
def test_a_test_against_a_limit_is_fair_at_the_limit(limit: float) -> None:
    """The mean over all counts of 30 cases is 1 at the limit."""
    cases = 30
    for alternative in range(len(core.RATIO_ALTERNATIVES)):
        mean = sum(
            comb(cases, e)
            * limit**e
            * (1 - limit) ** (cases - e)
            * exp(core.limit_ratios(e, cases, limit)[alternative])
            for e in range(cases + 1)
        )
        assert mean == pytest.approx(1, abs=1e-9)


def test_a_sign_test_is_fair() -> None:
    """Up and down are worth the same on average; a tie says nothing."""
    for up, down in zip(core.sign_ratios(1), core.sign_ratios(-1), strict=True):
        assert exp(up) + exp(down) == pytest.approx(2)
    assert core.sign_ratios(0) == (0, 0, 0)


def test_tables_of_any_size_are_judged_in_a_moment() -> None:
    """A pod that lies about its counts: the sum has some ten thousand terms, and evidence is not larger for it."""
    honest = core.likelihood_ratios((250_000, 2_500_000, 200_000, 2_500_000), 1.25)
    lied = core.likelihood_ratios((10**14, 10**15, 8 * 10**13, 10**15), 1.25)
    assert honest is not None
    assert lied == pytest.approx(honest)
