"""One counter of one pod over time: which of its readings are believed, and what they count from.

A counter that falls was started anew - or another process answered. Several workers behind one port, each with counters
of its own, give 1000, 100, 1000 to one who asks three times: taken for resets, that is 1000 requests where there was
none. So a fall is a reset only where something was started later than before: the container, or the process
(`process_start_time_seconds`). Start times that go back are those of several processes, and excuse nothing. Any other
fall makes the counter unknown until it is higher than it ever was; a second one, until it has risen like one counter for
long enough (modelward.analysis.rises). It is believed on a short leash then: the next fall is one too many at once, and a
rise that is no usual one does not count.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf
from typing import Final

from modelward.analysis.readings import GaugeReading, HistogramReading, RatioReading, Reading
from modelward.analysis.rises import Rises

MOST_FALLS: Final = 2
"""Falls without a restart, after which a counter is not one counter."""
MOST_EXCESSES: Final = 3
"""Polls in a row with more hits than cases, after which the cases are not all cases."""
EXCESS_HITS: Final = 5
EXCESS_SHARE: Final = 0.01
"""So many more hits than cases are none: counters are not read in one instant."""
CLOCK_SECONDS: Final = 2.5
"""Starts of processes that differ by no more are one: some clients add the time since boot to a clock that is set."""
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

    def has_later_container(self, other: "Origin") -> bool:
        """Whether its container was started later."""
        return _is_later(self.container, other.container)

    def has_later_process(self, other: "Origin") -> bool:
        """Whether its process was started later, by more than a clock is set."""
        return _is_later(self.process, other.process, CLOCK_SECONDS)

    def is_as_old(self, other: "Origin") -> bool:
        """Whether something of both is known to have been started at one time, and nothing later."""
        container = None not in (self.container, other.container) and self.container == other.container
        process = None not in (self.process, other.process) and not other.has_later_process(self)
        later = self.has_later_container(other) or self.has_later_process(other)
        return not later and (container or process)

    def latest(self, other: "Origin") -> "Origin":
        """The later start of each; of a process with a clock that is set, what it says now."""
        container = max(
            (each for each in (self.container, other.container) if each is not None), default=None
        )
        kept = other.process is None or self.has_later_process(other)
        return Origin(container, self.process if kept else other.process)


def _is_later(one: float | None, other: float | None, by: float = 0.0) -> bool:
    return one is not None and other is not None and one > other + by


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
    """Whether it fell, and has not passed its height: unknown."""
    apart: bool = False
    """Whether it is unknown what it did since the reading before, as that was perhaps another counter."""
    falls: int = 0
    """Falls that nothing excuses."""
    excused: int = 0
    """Falls that were taken for resets."""
    before: Reading | None = None
    """The highest reading before the last reset."""
    several: bool = False
    """Whether start times have gone back: they are of several processes."""
    process: float | None = None
    """When the process that answered last was started; None: it did not say."""
    rises: Rises = field(default_factory=Rises)
    """How it has risen since it fell."""
    leashed: bool = False
    """Whether it was invalid before."""
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
        return self.flaw is None and not self.is_uncertain

    @property
    def is_uncertain(self) -> bool:
        """Whether it has done what is not known."""
        return self.waits or self.apart

    def plus(self, now: Reading, origin: Origin) -> "Track":
        """What is known after one more reading."""
        another = _are_apart(self.process, origin.process)
        after = replace(self._read(now, origin, another=another), process=origin.process)
        return after._watched(self, another=another) if after.falls else after  # noqa: SLF001

    def _read(self, now: Reading, origin: Origin, *, another: bool) -> "Track":
        """The same after a reading, `another`: of another process than the last."""
        seen = self._undone() if self.origin.has_later_process(origin) and not self.several else self
        container = origin.has_later_container(seen.origin)
        process = origin.has_later_process(seen.origin) and not seen.several
        later = container or process
        unsure = not (later or seen.several or origin.is_as_old(seen.origin))
        fell = has_fallen(self.last, now)
        after = replace(seen, last=now, origin=seen.origin.latest(origin), apart=False)
        if container and (fell or seen.waits or process):
            return after._begun_anew(now, falls=0, excused=0)  # noqa: SLF001
        if container:
            # The reading may be older than the start, or another container's: the start excuses the fall that comes.
            unspent = replace(after.origin, container=seen.origin.container)
            return replace(after, origin=unspent)._gone_on(now, fell=False, another=another)  # noqa: SLF001
        if fell and later:
            return after._begun_anew(now, falls=after.falls, excused=after.excused + 1)  # noqa: SLF001
        if fell and unsure:
            # Nothing shows a start, and a counter that has only begun is not that high.
            odd = _size(now) > max(_size(self.last) / 2, _FEW)
            return after._begun_anew(now, falls=after.falls + odd, excused=after.excused)  # noqa: SLF001
        if unsure and self._returns(now):
            after = replace(after, falls=after.falls + 1, before=None)
        return after._gone_on(now, fell=fell, another=another)  # noqa: SLF001

    def _watched(self, before: "Track", *, another: bool) -> "Track":
        """The same after it was seen how a counter that has fallen rises: whether it is believed again, and how far."""
        rise = _size(self.last) - _size(before.last)
        if not before.falls:
            return self
        if self.falls > before.falls or has_fallen(before.last, self.last):
            return replace(self, rises=before.rises.ended())
        after = replace(self, rises=before.rises.plus(rise, same=not another))
        if after.flaw is Flaw.JUMPS and after.rises.suffice:
            return after._recovered()  # noqa: SLF001
        if after.leashed and not before.rises.is_usual(rise):
            return after._gone_apart()  # noqa: SLF001
        return after

    def _recovered(self) -> "Track":
        """It is believed from now on, until it falls once more."""
        begun_anew = self._begun_anew(self.last, falls=MOST_FALLS - 1, excused=0)
        return replace(begun_anew, base=self.last, before=None, leashed=True)

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
            leashed=self.leashed and falls > 0,
            rises=self.rises if falls else Rises(),
        )

    def _gone_on(self, now: Reading, *, fell: bool, another: bool) -> "Track":
        # Just as high again is another idle worker's: it has to be passed.
        below = has_fallen(self.highest, now) or (self.waits and _size(now) <= _size(self.highest))
        if fell or below:
            return replace(self, waits=True, falls=self.falls + fell)
        if another:
            # It is as high, but has not counted on: how much of it is new, nobody knows.
            return self._gone_apart()
        return replace(self, base=self.highest, highest=now, waits=False)

    def _gone_apart(self) -> "Track":
        """It counts from here."""
        return replace(self, highest=self.last, waits=False, apart=True)

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
    return Track(last=now, highest=now, origin=origin, base=base, process=origin.process)


def _are_apart(one: float | None, other: float | None) -> bool:
    """Whether two starts are known, and of two processes."""
    return one is not None and other is not None and abs(one - other) > CLOCK_SECONDS


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
