"""Tasks that run until they are cancelled: one that ends otherwise, for whatever reason, is begun again.

A cancellation may reach a task that nobody meant (a library's, or that of a future which several wait for), and no
`except Exception` sees it. So it is not the task that promises to go on: its supervisor restarts it here.
A task also reports that it is alive; how long it has not is a metric, and readiness names one that is silent for too long.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from modelward.api.objects import Key

AGAIN_SECONDS: Final = 1.0
"""Pause before a task is begun again: one that ends at once, each time, must not take the processor for itself."""
SILENT_SECONDS: Final = 600.0
"""A task is silent when it has reported nothing for so long beyond its own pace. Longer than any of its requests may take:
an hour of history, in parts, from a server with the longest timeout that settings allow."""

Work = Callable[[], Coroutine[Any, Any, None]]

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class _Supervised:
    work: Work
    pace: float
    """Seconds after which it is heard of again, as a rule."""
    alive: float
    """When it was last heard of."""
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class Supervisor:
    """One task for each key. `begun_again` is called whenever a task has ended by itself."""

    begun_again: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.monotonic
    again_seconds: float = AGAIN_SECONDS
    _supervised: dict[Key, _Supervised] = field(default_factory=dict)

    def begin(self, key: Key, work: Work, *, pace: float) -> None:
        """Run `work` for `key`, in place of what ran for it before."""
        self.end(key)
        supervised = self._supervised[key] = _Supervised(work=work, pace=pace, alive=self.clock())
        self._start(key, supervised, pause=0.0)

    def end(self, key: Key) -> None:
        """End what runs for `key`, if anything does."""
        supervised = self._supervised.pop(key, None)
        if supervised and supervised.task:
            supervised.task.cancel()

    async def stop(self) -> None:
        """End all tasks, and wait until they have ended."""
        tasks = [each.task for each in self._supervised.values() if each.task]
        for key in list(self._supervised):
            self.end(key)
        await asyncio.gather(*tasks, return_exceptions=True)

    def alive(self, key: Key) -> None:
        """Said by the task of `key`, at its pace."""
        if supervised := self._supervised.get(key):
            supervised.alive = self.clock()

    def age_seconds(self) -> float:
        """How long the task that was not heard of for longest has been silent; 0 without any."""
        now = self.clock()
        return max((now - each.alive for each in self._supervised.values()), default=0.0)

    def silent(self) -> str:
        """Whose metrics are not read any more, though they should be. Empty while all is well."""
        now = self.clock()
        found = (
            key for key, each in self._supervised.items() if now - each.alive > each.pace + SILENT_SECONDS
        )
        names = ", ".join("/".join(key) for key in sorted(found))
        return f"the metrics of {names} are not read any more" if names else ""

    def _start(self, key: Key, supervised: _Supervised, *, pause: float) -> None:
        supervised.task = asyncio.create_task(_after(pause, supervised.work))
        supervised.task.add_done_callback(partial(self._ended, key, supervised))

    def _ended(self, key: Key, supervised: _Supervised, task: asyncio.Task[None]) -> None:
        """Begin again, unless it was ended here. What was not heard of before stays so: beginning is no sign of life."""
        if self._supervised.get(key) is not supervised:
            return
        error = None if task.cancelled() else task.exception()
        logger.error("%s/%s: reading metrics ended by itself and is begun again", *key, exc_info=error)
        self.begun_again()
        self._start(key, supervised, pause=self.again_seconds)


async def _after(pause: float, work: Work) -> None:
    await asyncio.sleep(pause)
    await work()
