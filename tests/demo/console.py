"""What the user sees: a line per thing that happened, after the seconds since the start."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Iterable, Iterator

INDENT = " " * 12


class Console:
    """Plain text on standard output, the same with and without a terminal."""

    def __init__(self) -> None:
        """The clock starts now."""
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def title(self, text: str) -> None:
        """Begin a part."""
        print(f"\n{text}\n{'-' * len(text)}", flush=True)

    def say(self, text: str) -> None:
        """Something happened."""
        print(f"{self.seconds:8.1f} s  {text}", flush=True)

    def show(self, lines: Iterable[str]) -> None:
        """Text that belongs to the line before, such as what kubectl printed."""
        for line in lines:
            print(f"{INDENT}{line}".rstrip(), flush=True)

    def plain(self, text: str = "") -> None:
        """A line as it is."""
        print(text, flush=True)

    @contextlib.contextmanager
    def taking_over(self) -> Iterator[None]:
        """Show what other tools of ours report on standard error the way everything else is shown."""
        with contextlib.redirect_stderr(_Lines(self)):
            yield


class _Lines(io.TextIOBase):
    """Hands complete lines to the console, without the name of the tool in front."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rest = ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._console.say(line.removeprefix("[images] "))
        return len(text)
