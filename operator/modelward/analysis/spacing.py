"""How far apart two values of a gauge must be to carry new information: until stable's pods have forgotten the first.

A gauge that is itself an average over minutes gives nearly the same value at each poll, and a test of the sign of a
difference that hardly moves would be won or lost by chance all at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import sqrt
from typing import Final

GRID_SECONDS: Final = 60.0
LAGS: Final = (1, 2, 4, 8, 16)
"""Distances that are tried, in minutes."""
FORGOTTEN: Final = 0.1
"""Correlation below which values count as independent."""
LEAST_PAIRS: Final = 20
"""Fewer pairs than this say nothing about a distance."""

_Values = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lag:
    """Sums over pairs of deviations at one distance."""

    both: float = 0.0
    first: float = 0.0
    second: float = 0.0
    pairs: int = 0

    def plus(self, earlier: _Values, later: _Values) -> "_Lag":
        """The sums with the pairs of two moments."""
        shared = [(earlier[pod], later[pod]) for pod in later if pod in earlier]
        return _Lag(
            both=self.both + sum(a * b for a, b in shared),
            first=self.first + sum(a * a for a, _ in shared),
            second=self.second + sum(b * b for _, b in shared),
            pairs=self.pairs + len(shared),
        )

    @property
    def correlation(self) -> float:
        """The correlation; 0 for values that never move."""
        scale = sqrt(self.first * self.second)
        return self.both / scale if scale > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spacing:
    """Running sums over the values of stable's pods. A value: `plus` gives the next one."""

    lags: tuple[_Lag, ...] = (_Lag(),) * len(LAGS)
    recent: tuple[_Values, ...] = ()
    """Deviations of the last minutes, newest last."""
    time: float | None = None
    mean: float = 0.0
    polls: int = 0

    def plus(self, values: _Values, time: float) -> "Spacing":
        """The sums after one more poll; those within a minute of the last are left aside."""
        if not values or (self.time is not None and time - self.time < GRID_SECONDS - 1):
            return self
        now = sum(values.values()) / len(values)
        mean = self.mean + (now - self.mean) / (self.polls + 1)
        # Pods are compared with each other, for the arms are; a single pod only with what it used to be.
        centre = now if len(values) > 1 else mean
        deviations = {pod: value - centre for pod, value in values.items()}
        lags = tuple(
            sums.plus(self.recent[-lag], deviations) if lag <= len(self.recent) else sums
            for lag, sums in zip(LAGS, self.lags, strict=True)
        )
        recent = (*self.recent, deviations)[-LAGS[-1] :]
        return replace(self, lags=lags, recent=recent, time=time, mean=mean, polls=self.polls + 1)

    @property
    def seconds(self) -> float:
        """The least distance at which the values are forgotten; a minute while too little is known."""
        for lag, sums in zip(LAGS, self.lags, strict=True):
            if sums.pairs < LEAST_PAIRS:
                return GRID_SECONDS if lag == LAGS[0] else lag * GRID_SECONDS
            if sums.correlation < FORGOTTEN:
                return lag * GRID_SECONDS
        return LAGS[-1] * GRID_SECONDS
