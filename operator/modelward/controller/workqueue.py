"""A queue of keys: each is held once and worked on by one worker at a time; failures wait longer and longer.

The semantics are those of client-go's workqueue
(https://pkg.go.dev/k8s.io/client-go/util/workqueue), with delays and two priorities in one.
"""

import asyncio
import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

K = TypeVar("K")

FIRST_BACKOFF_SECONDS: Final = 0.25
LONGEST_BACKOFF_SECONDS: Final = 30.0
_JITTER: Final = 0.2
_URGENT_IN_A_ROW: Final = 16
"""After so many urgent keys one of the others has its turn: a fleet of rollouts must not keep a new model waiting for
ever."""


@dataclass(slots=True)
class WorkQueue(Generic[K]):
    """Keys that are due. `clock` gives seconds that never go back."""

    clock: Callable[[], float]
    is_urgent: Callable[[K], bool] = lambda _: False
    """Asked when a key gets due, whoever added it and however."""
    _due: dict[K, tuple[float, bool]] = field(default_factory=dict)
    """When each waiting key is due, and whether it is urgent."""
    _heap: list[tuple[float, int, K]] = field(default_factory=list)
    _ready: dict[bool, dict[K, float]] = field(default_factory=lambda: {True: {}, False: {}})
    """Due keys in their order, urgent ones apart, with the time since when they wait."""
    _working: set[K] = field(default_factory=set)
    _failures: dict[K, int] = field(default_factory=dict)
    _count: int = 0
    _in_a_row: int = 0
    """Urgent keys that were handed out while others waited."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, key: K, *, delay: float = 0.0, urgent: bool = False) -> None:
        """Have a key worked on after `delay` seconds; an earlier appointment stands."""
        due = self.clock() + delay
        before = self._due.get(key)
        if before is not None and before[0] <= due and (before[1] or not urgent):
            return
        urgent = urgent or (before is not None and before[1])
        due = min(due, before[0]) if before is not None else due
        self._due[key] = (due, urgent)
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, key))
        self._changed.set()

    def fail(self, key: K, *, at_least: float = 0.0, urgent: bool = False) -> float:
        """Have a key tried again: twice as late as last time, not before the server asked for, at most 30 s later."""
        count = self._failures[key] = self._failures.get(key, 0) + 1
        delay = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(count - 1, 10))
        delay = max(min(at_least, LONGEST_BACKOFF_SECONDS), delay * (1 - _JITTER * random.random()))  # noqa: S311 - no secret
        self.add(key, delay=delay, urgent=urgent)
        return delay

    def clear(self) -> None:
        """Forget all keys that wait."""
        self._due.clear()
        self._heap.clear()
        self._failures.clear()
        for ready in self._ready.values():
            ready.clear()

    def succeed(self, key: K) -> None:
        """The next failure of the key is a first one again."""
        self._failures.pop(key, None)

    async def get(self) -> tuple[K, float]:
        """The next key, and how long it has waited beyond its time. Call `done` with it."""
        while True:
            self._promote()
            others_first = self._in_a_row >= _URGENT_IN_A_ROW
            for urgent in (not others_first, others_first):
                for key, since in self._ready[urgent].items():
                    if key not in self._working:
                        del self._ready[urgent][key]
                        self._working.add(key)
                        self._in_a_row = self._in_a_row + 1 if urgent and self._ready[False] else 0
                        return key, max(0.0, self.clock() - since)
            await self._until_something_changes()

    def done(self, key: K) -> None:
        """A worker has finished with the key; it may be given out again."""
        self._working.discard(key)
        self._changed.set()

    def depth(self) -> int:
        """How many keys are due or being worked on."""
        self._promote()
        return len(self._ready[True]) + len(self._ready[False]) + len(self._working)

    def _promote(self) -> None:
        """Move keys whose time has come."""
        now = self.clock()
        while self._heap and self._heap[0][0] <= now:
            due, _, key = heapq.heappop(self._heap)
            if self._due.get(key, (None,))[0] != due:
                continue  # an earlier appointment took its place
            _, urgent = self._due.pop(key)
            urgent = urgent or self.is_urgent(key)
            if urgent:
                self._ready[False].pop(key, None)
            if key not in self._ready[True]:
                self._ready[urgent].setdefault(key, due)

    async def _until_something_changes(self) -> None:
        self._changed.clear()
        timeout = self._heap[0][0] - self.clock() if self._heap else None
        try:
            async with asyncio.timeout(timeout if timeout is None else max(0.0, timeout)):
                await self._changed.wait()
        except TimeoutError:
            pass
