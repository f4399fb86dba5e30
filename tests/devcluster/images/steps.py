"""Running the programs that build images: progress on standard error, output in a log, errors in one line."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

LOG_LINES_SHOWN = 12


class ImageError(RuntimeError):
    """An image cannot be built; the message says what failed and what to do about it."""


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Says on standard error that a step begins and how many seconds it took."""
    started = time.monotonic()
    print(f"[images] {title} ...", file=sys.stderr, flush=True)
    yield
    print(f"[images] {title}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)


def run(command: Sequence[str | Path], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Standard output of a program that must succeed. Raises ImageError with the end of its output."""
    arguments = [str(part) for part in command]
    environment = {**os.environ, **(env or {})}
    try:
        done = subprocess.run(
            arguments, cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise ImageError(f"the program {arguments[0]!r} is missing") from None
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-LOG_LINES_SHOWN:])
        raise ImageError(f"`{' '.join(arguments[:6])} ...` ended with exit code {done.returncode}:\n{tail}")
    return done.stdout
