"""When a counter that was invalid is believed again: it has to rise evenly, and for longer than it ever did before it jumped.

Several workers, asked in turn, rise too, from one to the next: but never more often in a row than there are workers, by
chance in one of (n + 1)! draws for n rises, and by as much as their counters differ. A worker that is asked for a while
rises by its own requests, which are real; what is not is the difference to the next one, and that is no usual rise.
"""

from dataclasses import dataclass, replace
from typing import Final

LEAST_RISES: Final = 10
"""In a row: idle workers in random order show that once in 11! (40 million) polls, however many there are."""
_LONGER: Final = 2
"""So many times the longest run before: whoever asks 40 workers in turn sees 39 rises between two falls, each time."""
_STEADY: Final = 3.0
_FEW: Final = 20.0
"""A rise up to so many times the usual one, and so many cases, is a usual one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rises:
    """How a counter has risen since it fell last. A value: `plus` gives the next one."""

    number: int = 0
    """Usual rises in a row. A reading like the last is none, and ends nothing: nobody asked."""
    run: int = 0
    """Rises since the last fall, usual or not."""
    longest: int = 0
    """Most of them between two falls."""
    usual: float = 0.0
    """What a rise has been of late: the mean, to which each rise before counts half of the next."""

    @property
    def suffice(self) -> bool:
        """Whether it is one counter again."""
        return self.number >= max(LEAST_RISES, _LONGER * self.longest)

    def is_usual(self, rise: float) -> bool:
        """Whether a rise is one of a single counter, and no jump to another one."""
        return rise <= self._most

    @property
    def _most(self) -> float:
        return _STEADY * self.usual + _FEW

    def plus(self, rise: float, *, same: bool) -> "Rises":
        """After one more reading; `same`: as far as is known, of the same process. The usual follows what comes slowly."""
        if rise <= 0:
            return self
        usual = same and self.is_usual(rise)
        return replace(
            self,
            number=self.number + 1 if usual else 0,
            run=self.run + 1,
            usual=(self.usual + min(rise, self._most)) / 2,
        )

    def ended(self) -> "Rises":
        """After a fall."""
        return replace(self, number=0, run=0, longest=max(self.longest, self.run))
