"""Progress for people: one line per finished step, with the seconds since the start, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

Say = Callable[[str], None]


def stopwatch() -> Say:
    """A function that prints its argument after the seconds since this call; works without a terminal."""
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:6.1f} s] {text}", file=sys.stderr, flush=True)

    return say


def silence(_text: str) -> None:
    """For callers that want no progress."""
