"""The rules of others on traffic whose outcome their documentation shows."""

import math

import numpy as np
import pytest

from bench.analysis import rivals
from bench.analysis.traffic import Arms

SCRAPES = 120


def arms(canary_errors: int, *, requests: int = 100, stable_errors: int = 0) -> Arms:
    """The same counts in every scrape of half an hour, one rollout, equal arms."""
    shape = (SCRAPES, 1)
    return Arms(
        seconds=15.0,
        n_c=np.full(shape, requests),
        e_c=np.full(shape, canary_errors),
        n_s=np.full(shape, requests),
        e_s=np.full(shape, stable_errors),
        weights=(0.5,) * SCRAPES,
    )


@pytest.mark.parametrize(
    ("judge", "errors", "seconds"),
    [
        pytest.param(rivals.flagger, 1, np.inf, id="Flagger lets 99 % pass"),
        pytest.param(rivals.flagger, 2, 360.0, id="Flagger acts at the tick after the fifth failure"),
        pytest.param(rivals.argo, 5, np.inf, id="Argo lets 95 % pass"),
        pytest.param(rivals.argo, 6, 240.0, id="Argo acts at the fourth failure"),
        pytest.param(rivals.argo_example, 6, 1200.0, id="Argo's example needs four times five minutes"),
    ],
)
def test_thresholds(judge: rivals.Judge, errors: int, seconds: float) -> None:
    """When each acts on a constant error rate."""
    assert judge(arms(errors))[0] == seconds


@pytest.mark.parametrize(
    ("judge", "seconds"),
    [
        pytest.param(rivals.flagger, 360.0, id="no data is a failed check of Flagger's"),
        pytest.param(rivals.argo, 240.0, id="0/0 is a failed measurement of Argo's"),
        pytest.param(rivals.z_test, np.inf, id="no data says nothing to a z-test"),
        pytest.param(rivals.netflix, np.inf, id="no errors say nothing to a test of errors"),
    ],
)
def test_no_requests(judge: rivals.Judge, seconds: float) -> None:
    """What each makes of a canary without requests."""
    assert judge(arms(0, requests=0))[0] == seconds


def test_posterior_is_the_integral_over_both_beta_densities() -> None:
    """Against draws from both posteriors."""
    rng = np.random.default_rng(7)
    for n_c, e_c, n_s, e_s in [(30, 1, 270, 0), (100, 5, 900, 10), (1000, 10, 9000, 90), (20, 20, 180, 1)]:
        canary = rng.beta(e_c + 0.1, n_c - e_c + 0.1, 400_000)
        stable = rng.beta(e_s + 0.1, n_s - e_s + 0.1, 400_000)
        worse = rivals.posterior_worse(*np.array([[n_c], [e_c], [n_s], [e_s]]))
        assert worse[0] == pytest.approx(float((canary > stable).mean()), abs=0.005)


def test_netflix_evidence_is_the_ratio_of_gamma_functions() -> None:
    """Seven errors of the canary and one of stable, half of the traffic each: odds of the closed form."""
    k, rho = 2.0, 0.5
    log = (
        math.lgamma(k)
        - math.lgamma(k + 8)
        + math.lgamma(k * rho + 7)
        + math.lgamma(k * rho + 1)
        - 2 * math.lgamma(k * rho)
        - 8 * math.log(rho)
    )
    assert rivals.log_netflix(np.array([7]), np.array([1]), 0.5)[0] == pytest.approx(log)
