"""Incidents that hit both arms, as pods are read."""

import numpy as np
import pytest

from bench.analysis.incidents import Incident, arms_in, with_gaps
from bench.analysis.tables.together import incidents
from bench.analysis.traffic import Load, arms


@pytest.mark.parametrize("incident", incidents(15.0), ids=lambda incident: incident.name)
def test_all_requests_but_the_last_are_read_once(incident: Incident) -> None:
    """The canary gets its weight of them, whenever pods are read."""
    seen = arms_in(incident, 20, np.random.default_rng(1), rps=100.0, poll=15.0)
    share = float(np.mean(seen.weights))
    total = 100.0 * 1800.0 * 20
    assert seen.n_c.sum() == pytest.approx(share * total, rel=0.02)
    assert seen.n_s.sum() == pytest.approx((1.0 - share) * total, rel=0.02)


def test_failed_scrapes_delay_counts_and_lose_none() -> None:
    """Until the last sample; both arms are handed on together."""
    seen = arms(Load(rps=100.0, weight=0.5, stable=0.1, canary=0.1), 10, np.random.default_rng(2))
    late = with_gaps(seen, 0.2, np.random.default_rng(3))
    for whole, part in ((seen.n_c, late.n_c), (seen.e_s, late.e_s)):
        missing = whole.sum(axis=0) - part.sum(axis=0)
        assert (missing >= 0).all()
        assert missing.sum() < 0.1 * whole.sum()
    assert ((late.n_c == 0) == (late.n_s == 0)).all()
    assert 0.25 < float((late.n_c == 0).mean()) < 0.45
