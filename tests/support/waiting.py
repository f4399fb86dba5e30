"""Waiting for the world, instead of sleeping."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 120.0
"""How long a test waits for what should take a second or two: machines are slow at times. Not a figure."""


def until(condition: Callable[[], T], what: str, *, seconds: float = PATIENCE_SECONDS) -> T:
    """The first true value of `condition`. Raises AssertionError, naming `what`, when there is none in time.

    Asked often at first, and three times a second in the end: each question costs the API server and the test alike.
    """
    end, pause = time.monotonic() + seconds, 0.05
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:.0f} s in vain: {what}")
        time.sleep(pause)
        pause = min(0.3, 1.15 * pause)
