"""One counter of one pod over time: which of its readings are believed, and what they count from.

A counter that falls was started anew - or another process answered. Several workers behind one port, each with counters
of its own, give 1000, 100, 1000 to one who asks three times: taken for resets, that is 1000 requests where there was
none. So a fall is a reset only where something was started later than before: the container, or the process
(`process_start_time_seconds`). Start times that go back are those of several processes, and excuse nothing. Any other
fall makes the counter unknown until it is as high as it ever was; a second one, unknown for good.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf
from typing import Final

from modelward.analysis.readings import GaugeReading, HistogramReading, RatioReading, Reading

MOST_FALLS: Final = 2
"""Falls without a restart, after which a counter is not one counter."""
MOST_EXCESSES: Final = 3
"""Polls in a row with more hits than cases, after which the cases are not all cases."""
EXCESS_HITS: Final = 5
EXCESS_SHARE: Final = 0.01
"""So many more hits than cases are none: counters are not read in one instant."""
_FEW: Final = 20.0
"""Counters up to this may halve and double by chance."""


class Flaw(StrEnum):
    """Why a counter cannot be one. The values are what is said about it."""

    JUMPS = (
        "its counters fall and rise again although nothing was started anew: probably each scrape is answered by"
        " another worker process with counters of its own; let the workers share their metrics, or run one worker a pod"
    )
    EXCESS = (
        "it has more hits than cases: total probably counts successes only; let it be the sum of both counters,"
        " NAME + NAME"
    )


def flawed(flaws: Mapping[str, Flaw]) -> str:
    """What is said about the first of these metrics. The words stay the same while the trouble does."""
    name = min(flaws)
    return f"metric {name}: {flaws[name]}"


@dataclass(frozen=True, slots=True)
class Origin:
    """When what counts was started, Unix seconds; None: not known."""

    container: float | None = None
    process: float | None = None

    def is_later(self, other: "Origin") -> bool:
        """Whether something of it was started later."""
        return _is_less(other.container, self.container) or _is_less(other.process, self.process)

    def is_as_old(self, other: "Origin") -> bool:
        """Whether both are known to have been started at one time."""
        pairs = (self.container, other.container), (self.process, other.process)
        return not self.is_later(other) and any(one is not None and one == two for one, two in pairs)

    def latest(self, other: "Origin") -> "Origin":
        """The later start of each."""
        return Origin(_most(self.container, other.container), _most(self.process, other.process))


def _is_less(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and one < other


def _most(one: float | None, other: float | None) -> float | None:
    return max((each for each in (one, other) if each is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """What is known of one counter. A value: `plus` gives the next one."""

    last: Reading
    """As it was read last."""
    highest: Reading
    """What was believed last: counting goes on from there."""
    origin: Origin
    base: Reading | None = None
    """What the last reading counts from; None: from zero."""
    waits: bool = False
    """Whether it fell, and is not yet as high as it was: unknown."""
    falls: int = 0
    """Falls that nothing excuses."""
    excused: int = 0
    """Falls that were taken for resets."""
    before: Reading | None = None
    """The highest reading before the last reset."""
    several: bool = False
    """Whether start times have gone back: they are of several processes."""
    behind: float = 0.0
    """Hits whose cases were not seen yet: they are carried."""
    excesses: int = 0

    @property
    def flaw(self) -> Flaw | None:
        """Why it cannot be a counter; None while it can."""
        if self.falls >= MOST_FALLS:
            return Flaw.JUMPS
        return Flaw.EXCESS if self.excesses >= MOST_EXCESSES else None

    @property
    def is_believed(self) -> bool:
        """Whether the last reading counts."""
        return not self.waits and self.flaw is None

    def plus(self, now: Reading, origin: Origin) -> "Track":
        """What is known after one more reading."""
        seen = self._undone() if _is_less(origin.process, self.origin.process) and not self.several else self
        container = _is_less(seen.origin.container, origin.container)
        process = _is_less(seen.origin.process, origin.process) and not seen.several
        later = container or process
        unsure = not (later or seen.several or origin.is_as_old(seen.origin))
        fell = has_fallen(self.last, now)
        after = replace(seen, last=now, origin=seen.origin.latest(origin))
        if container and (fell or seen.waits or process):
            return after._begun_anew(now, falls=0, excused=0)  # noqa: SLF001
        if container:
            # The reading may be older than the start, or another container's: the start excuses the fall that comes.
            unspent = replace(after.origin, container=seen.origin.container)
            return replace(after, origin=unspent)._gone_on(now, fell=False)  # noqa: SLF001
        if fell and later:
            return after._begun_anew(now, falls=after.falls, excused=after.excused + 1)  # noqa: SLF001
        if fell and unsure:
            # Nothing tells of a start, and a counter that has only begun is not that high.
            odd = _size(now) > max(_size(self.last) / 2, _FEW)
            return after._begun_anew(now, falls=after.falls + odd, excused=after.excused)  # noqa: SLF001
        if unsure and self._returns(now):
            after = replace(after, falls=after.falls + 1, before=None)
        return after._gone_on(now, fell=fell)  # noqa: SLF001

    def _undone(self) -> "Track":
        """A start time went back, so those before it were of other processes, and the resets were none."""
        return replace(
            self,
            several=True,
            falls=self.falls + self.excused,
            excused=0,
            highest=_higher(self.highest, self.before),
        )

    def _begun_anew(self, now: Reading, *, falls: int, excused: int) -> "Track":
        """A reset: it counts from zero."""
        return replace(
            self,
            base=None,
            highest=now,
            before=_higher(self.highest, self.before),
            waits=False,
            falls=falls,
            excused=excused,
            behind=0.0,
            excesses=0,
        )

    def _gone_on(self, now: Reading, *, fell: bool) -> "Track":
        waits = has_fallen(self.highest, now)
        falls = self.falls + fell
        if waits or fell:
            return replace(self, waits=True, falls=falls)
        return replace(self, base=self.highest, highest=now, waits=False)

    def _returns(self, now: Reading) -> bool:
        """Whether it is back, at one bound, where it was before it fell: nothing that began anew gets there so fast."""
        top = _size(self.before) if self.before else 0.0
        return top > _FEW and _size(self.last) < top / 2 and _size(now) >= top

    def counted(self, behind: float) -> "Track":
        """The same after hits were counted, of which so many have no cases yet."""
        now = self.last
        if not isinstance(now, RatioReading):
            return self
        excess = max(now.hits - now.total, behind) > max(EXCESS_HITS, EXCESS_SHARE * now.total)
        return replace(self, behind=behind, excesses=self.excesses + 1 if excess else 0)


def begun(now: Reading, origin: Origin, base: Reading | None) -> Track:
    """What is known after the first reading, which counts from `base`."""
    return Track(last=now, highest=now, origin=origin, base=base)


def has_fallen(before: Reading, now: Reading) -> bool:
    """Whether anything in it is less than it was. A gauge may be anything."""
    match before, now:
        case RatioReading() as old, RatioReading():
            return now.total < old.total or now.hits < old.hits
        case HistogramReading() as old, HistogramReading():
            shared = old.buckets.keys() & now.buckets.keys()
            return any(now.buckets[bound] < old.buckets[bound] for bound in shared)
    return False


def _higher(one: Reading, other: Reading | None) -> Reading:
    return one if other is None or not has_fallen(other, one) else other


def _size(reading: Reading) -> float:
    match reading:
        case RatioReading(total=total):
            return total
        case HistogramReading(buckets=buckets):
            return buckets.get(inf, 0.0)
        case GaugeReading():
            return 0.0
