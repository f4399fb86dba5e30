"""How soon and how often rollouts were rolled back."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from bench.analysis.arrays import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Of many rollouts."""

    rollouts: int
    count: int
    """Rolled back at all."""
    median: float
    """Seconds; infinite when fewer than half were."""
    p95: float
    mean: float
    """Of those that were."""

    @classmethod
    def of(cls, times: Floats) -> Self:
        """From the times of all."""
        ended = times[np.isfinite(times)]
        return cls(
            rollouts=len(times),
            count=len(ended),
            median=float(np.quantile(times, 0.5, method="inverted_cdf")),
            p95=float(np.quantile(times, 0.95, method="inverted_cdf")),
            mean=float(ended.mean()) if ended.size else float("inf"),
        )

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.count / self.rollouts

    @property
    def times(self) -> str:
        """`median/p95`, with the share found when it is below 95 %; the share alone below one half."""
        if self.share < 0.005:
            return "never"
        if np.isinf(self.median):
            return f"({100 * self.share:.0f}%)"
        if np.isinf(self.p95):
            return f"{self.median:.0f}/- ({100 * self.share:.0f}%)"
        return f"{self.median:.0f}/{self.p95:.0f}"

    @property
    def percent(self) -> str:
        """The share found."""
        return percent(self.share)


def percent(share: float) -> str:
    """In percent, with as many digits as a share near zero needs."""
    value = 100 * share
    return (
        "0"
        if value == 0
        else f"{value:.3f}"
        if value < 0.1
        else f"{value:.2f}"
        if value < 1
        else f"{value:.3g}"
    )
