"""History cut into windows, in each of which healthy pods play the canary's part, one after the other.

A pseudo-canary is a pod of stable whose readings are given to the arm `canary`, before and in the window, so neither
the noise of the reference nor stable's counts know of it. The rest of the pods are stable.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

from modelward.analysis.readings import Arm, PodReading, Poll
from modelward_cli.judge.protocol import Header

CLOSE_GAPS: Final = 2.5
"""A poll that comes so many intervals after the one before leaves a hole in between."""
_LEAST_FILLED: Final = 0.8
"""Share of the polls of a window that must be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutting:
    """How history is cut."""

    window_seconds: float = 1800.0
    reference_seconds: float = 3600.0
    most_pods: int = 8
    """Pods that take their turn in one window; the next window goes on with the next ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of time, and the reference before it; polls of stable alone."""

    past: tuple[Poll, ...]
    polls: tuple[Poll, ...]
    pods: tuple[str, ...]
    """Who takes a turn."""
    of: int
    """Pods that there are."""

    @property
    def start(self) -> float:
        """Where the window begins."""
        return self.past[-1].time


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One pod as pseudo-canary."""

    pod: str
    header: Header
    polls: tuple[Poll, ...]
    past: tuple[Poll, ...]


def trials(window: Window, header: Header) -> Iterator[Trial]:
    """One trial for each pod whose turn it is; `header` gives the policy."""
    interval = header.policy.interval_seconds or _interval(window.polls)
    policy = replace(header.policy, interval_seconds=interval)
    for pod in window.pods:
        past = tuple(_with_canary(poll, pod, 100 / window.of) for poll in window.past)
        yield Trial(
            pod=pod,
            header=Header(policy=policy, reference=past),
            polls=tuple(_with_canary(poll, pod, 100 / window.of) for poll in window.polls),
            past=past,
        )


def _interval(polls: tuple[Poll, ...]) -> float:
    gaps = sorted(later.time - sooner.time for sooner, later in pairwise(polls))
    return gaps[len(gaps) // 2]


def _with_canary(poll: Poll, name: str, weight_percent: float) -> Poll:
    pods = tuple(replace(pod, arm=Arm.CANARY) if pod.pod == name else pod for pod in poll.pods)
    unread = tuple((pod, Arm.CANARY if pod == name else arm) for pod, arm in poll.unread)
    return replace(poll, pods=pods, unread=unread, weight_percent=weight_percent)


@dataclass(slots=True, kw_only=True)
class Windows:
    """Cuts one history as it comes; it keeps one window and one reference of it."""

    cutting: Cutting
    made: int = 0
    skipped: int = 0
    _past: deque[Poll] = field(default_factory=deque)
    _polls: list[Poll] = field(default_factory=list)
    _start: float | None = None
    _last: float | None = None
    _turn: int = 0
    """Whose turn is next, in the order of names."""

    def take(self, poll: Poll) -> Iterator[Window]:
        """The window that ends with `poll`, if one does."""
        if self._last is not None and poll.time <= self._last:
            return  # a reference may reach into the rollout
        self._last = poll.time
        poll = _stable_only(poll)
        if self._start is None:
            self._past.append(poll)
            if poll.time - self._past[0].time >= self.cutting.reference_seconds:
                self._start = poll.time
            return
        self._polls.append(poll)
        if poll.time - self._start < self.cutting.window_seconds:
            return
        window = self._closed()
        if window is None:
            self.skipped += 1
        else:
            self.made += 1
            yield window

    def _closed(self) -> Window | None:
        polls = tuple(self._polls)
        past = tuple(self._past)
        window = self._window(past, polls)
        self._past.extend(polls)
        self._polls = []
        self._start = polls[-1].time
        while self._past[0].time < self._start - self.cutting.reference_seconds:
            self._past.popleft()
        return window

    def _window(self, past: tuple[Poll, ...], polls: tuple[Poll, ...]) -> Window | None:
        """The window, or None when too much of it is missing."""
        if len(polls) < 3:
            return None
        interval = _interval(polls)
        if polls[0].time - past[-1].time > CLOSE_GAPS * interval:
            past, polls = (*past, polls[0]), polls[1:]  # what was counted in the hole belongs to nobody
        if len(polls) < _LEAST_FILLED * self.cutting.window_seconds / interval:
            return None
        there = _names(past[-1].pods)
        staying = sorted(there & _names(polls[-1].pods))
        if len(there) < 2 or not staying:
            return None
        return Window(past=past, polls=polls, pods=self._next(staying), of=len(there))

    def _next(self, staying: list[str]) -> tuple[str, ...]:
        number = min(self.cutting.most_pods, len(staying))
        turns = [staying[(self._turn + index) % len(staying)] for index in range(number)]
        self._turn += number
        return tuple(turns)


def _stable_only(poll: Poll) -> Poll:
    return replace(
        poll,
        pods=tuple(pod for pod in poll.pods if pod.arm is Arm.STABLE),
        unread=tuple(each for each in poll.unread if each[1] is Arm.STABLE),
    )


def _names(pods: Iterable[PodReading]) -> set[str]:
    return {pod.pod for pod in pods}
