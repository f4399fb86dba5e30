"""Trying again what may work the next time, until the time limit."""

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from modelward_fetch.failures import FetchFailed, Reason, Transient

LOG: Final = logging.getLogger(__name__)
FIRST_SECONDS: Final = 0.1
LONGEST_SECONDS: Final = 20.0

_Result = TypeVar("_Result")


class Deadline:
    """The time limit of a fetch."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._seconds = seconds
        self.arrived = 0
        """Bytes so far: whether it was too slow or never anything came."""
        self.last: Transient | None = None

    @property
    def remaining(self) -> float:
        """Seconds."""
        return self._end - time.monotonic()

    def pause(self, problem: Transient, attempt: int, stop: threading.Event | None = None) -> None:
        """Wait before the next attempt, or until `stop`. Raises FetchFailed if the time limit would pass."""
        self.last = problem
        longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(attempt, 10))
        wait = max(problem.retry_after, longest * random.uniform(0.5, 1.0))  # noqa: S311 - spreads, hides nothing
        if wait >= self.remaining:
            raise self.passed()
        LOG.warning("%s; trying again in %.1f s", problem.message, wait)
        (stop or threading.Event()).wait(wait)

    def passed(self) -> FetchFailed:
        """The failure once time is over."""
        last = f"; last: {self.last.message}" if self.last else ""
        if self.arrived or not self.last:
            return FetchFailed(
                Reason.TIMEOUT,
                f"not finished after {self._seconds:.0f} s, {self.arrived} bytes came{last}",
                remedy="Allow more time, or find out why the store is slow; what came is kept and the next start goes on.",
                field="spec.rollout.progressDeadlineSeconds",
            )
        return FetchFailed(
            Reason.UNREACHABLE, f"no answer within {self._seconds:.0f} s{last}", remedy=self.last.remedy
        )


def retrying(deadline: Deadline, call: Callable[[], _Result]) -> _Result:
    """The result of the first attempt that works."""
    attempt = 0
    while True:
        try:
            return call()
        except Transient as problem:
            deadline.pause(problem, attempt)
            attempt += 1
