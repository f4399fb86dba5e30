"""Numbers as people read them."""

import pytest

from modelward.analysis.messages import duration, in_odds, percent


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0%"),
        (0.021, "2.1%"),
        (0.36, "36%"),
        (1, "100%"),
        (0.000_13, "0.013%"),
        (1e-6, "< 0.001%"),
        (0.0999, "10%"),
    ],
)
def test_percent(share: float, text: str) -> None:
    """Two digits."""
    assert percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (45, "45s"), (90, "90s"), (360, "6m"), (150, "2m30s"), (10_800, "3h"), (11_100, "3h5m")],
)
def test_duration(seconds: float, text: str) -> None:
    """As kubectl writes it."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("odds", "text"), [(0.31, "0.3:1"), (2700, "2,700:1"), (99.6, "100:1"), (1e9, "> 1,000,000:1")]
)
def test_odds(odds: float, text: str) -> None:
    """No more is printed than anybody can mean."""
    assert in_odds(odds) == text
