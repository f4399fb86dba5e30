"""Requests that no user makes: probes of the kubelet and scrapes, where a server counts them as it counts all others.

They come to a canary without any traffic, too. So what a canary shows before it has weight, and what the operator
knows to cause itself, is no evidence for giving it more.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from modelward.analysis.counters import Counts, Values, clean, increment
from modelward.analysis.readings import Arm, PodReading, Poll, Reading

MARGIN: Final = 1.2
"""Probes are never exactly evenly spaced: requests count as users' beyond so many times what comes without any."""
_INTERVALS: Final = 2
"""The last so many tell: servers warm themselves up when they start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What is asked of each pod by the kubelet and the operator."""

    per_second: float = 0.0
    longest_seconds: float = 0.0
    """Time within which each of them has asked once."""


NOTHING: Final = Own()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a metric of the canary showed over some time without weight."""

    cases: float
    seconds: float
    """Of all pods together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """The canary before it has weight. A value: `plus` gives the next one."""

    last: Mapping[str, Mapping[str, Reading]] = field(default_factory=dict)
    """Readings of the poll before, by pod."""
    time: float | None = None
    intervals: tuple[Mapping[str, Shown], ...] = ()

    def plus(self, poll: Poll) -> "Idle":
        """With a poll at which the canary had no weight."""
        pods = [pod for pod in poll.pods if pod.arm is Arm.CANARY]
        shown = self._shown(pods, poll.time - self.time) if self.time is not None else {}
        return Idle(
            last={pod.pod: pod.metrics for pod in pods},
            time=poll.time,
            intervals=(*self.intervals, shown)[-_INTERVALS:] if shown else self.intervals,
        )

    def _shown(self, pods: Iterable[PodReading], seconds: float) -> dict[str, Shown]:
        """What pods did since the poll before, that were read then; counters that fell tell nothing."""
        shown: dict[str, Shown] = {}
        for pod in pods:
            before = self.last.get(pod.pod, {})
            for name in before.keys() & pod.metrics.keys():
                cases = _cases(before[name], pod.metrics[name])
                if cases is not None:
                    old = shown.get(name, Shown(cases=0, seconds=0))
                    shown[name] = Shown(cases=old.cases + cases, seconds=old.seconds + seconds)
        return shown

    def rates(self, own: Own) -> dict[str, float]:
        """Requests a second that come to each pod without users, by metric that was seen."""
        names = {name for shown in self.intervals for name in shown}
        return {
            name: _rate([shown[name] for shown in self.intervals if name in shown], own) for name in names
        }


def _cases(before: Reading, now: Reading) -> float | None:
    old, new = clean(before), clean(now)
    if old is None or new is None:
        return None
    whole, counts = _total(increment(None, new)), _total(increment(old, new))
    started_anew = whole is None or counts is None or whole < (_total(increment(None, old)) or 0)
    return None if started_anew else counts


def _total(counts: Counts) -> float | None:
    return None if isinstance(counts, Values) else counts.total


def _rate(shown: list[Shown], own: Own) -> float:
    """What was seen, and what is caused anyway, unless that was not counted while all of it was asked."""
    cases, seconds = sum(each.cases for each in shown), sum(each.seconds for each in shown)
    if not cases and seconds >= own.longest_seconds:
        return 0.0
    return max(cases / seconds if seconds else 0.0, own.per_second)
