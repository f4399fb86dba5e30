"""What a fetch may take: bytes, files, redirects, and time, within which what failed is tried again."""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from modelward_fetch.failures import FetchFailed, Reason, Transient

LOG: Final = logging.getLogger(__name__)

MIB: Final = 1024 * 1024
CHUNK_BYTES: Final = MIB
WORKERS: Final = 4
"""Parts read at once. With a chunk each, memory stays far below 200 MiB."""
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 20.0

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Set by who starts the fetch."""

    bytes: int = 1024 * 1024 * MIB
    """Of all files, unpacked ones included."""
    files: int = 10_000
    seconds: float = 3600.0
    stall_seconds: float = 30.0
    """Without a byte: the connection is given up and made anew."""
    redirects: int = 5
    part_bytes: int = 16 * MIB
    """Of a file: read, noted and resumed by the part. The same for all that share a staging folder."""

    def check(self, *, files: int, bytes_: int, what: str = "the model") -> None:
        """Raises FetchFailed where there is more than may be."""
        if files > self.files:
            raise FetchFailed(
                Reason.TOO_LARGE,
                f"{what} has more than {self.files} files",
                remedy="Name the folder of one model, pack the files into an archive, or raise the limit of files.",
            )
        if bytes_ > self.bytes:
            raise FetchFailed(
                Reason.TOO_LARGE,
                f"{what} has more than {self.bytes} bytes",
                remedy="Name the folder of one model, or raise the limit of bytes.",
            )


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
        longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(attempt, 10))
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
