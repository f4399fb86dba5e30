"""Arrays and the distributions that numpy itself does not have."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]

NEVER: Final = np.inf
"""The time of what did not happen."""


def normal_above(value: Floats) -> Floats:
    """Share of the standard normal distribution above each value, off by less than 1.5e-7.

    Source: Abramowitz & Stegun, Handbook of Mathematical Functions, 7.1.26.
    """
    x = np.abs(value) / np.sqrt(2.0)
    t = 1.0 / (1.0 + 0.3275911 * x)
    coefficients = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
    above = 0.5 * np.polyval(coefficients, t) * t * np.exp(-x * x)
    share: Floats = np.where(value >= 0, above, 1.0 - above)
    return share


def first_time(alarms: Flags, seconds: float) -> Floats:
    """When each column of [times, rollouts] is first true, in seconds; the first row ends after `seconds`."""
    found = alarms.any(axis=0)
    times: Floats = np.where(found, (alarms.argmax(axis=0) + 1) * seconds, NEVER)
    return times
