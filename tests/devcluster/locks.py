"""File locks between processes. The kernel frees them when the holder dies, so a crash never blocks anyone."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from devcluster.errors import DevclusterError
from devcluster.progress import Say, silence


@contextlib.contextmanager
def locked(
    path: Path, *, say: Say = silence, remove: bool = False, timeout_seconds: float = 1800
) -> Iterator[None]:
    """Hold the lock file `path`; `remove` deletes it at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _acquire(path, say, time.monotonic() + timeout_seconds)
    try:
        yield
    finally:
        if remove:
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path, say: Say, deadline: float) -> int:
    waiting = False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            if time.monotonic() > deadline:
                raise DevclusterError(
                    f"{path} is still held by another process", "See who with: fuser"
                ) from None
            if not waiting:
                say(f"waiting for another process that holds {path}")
            waiting = True
            time.sleep(0.1)
            continue
        if _is_still(path, descriptor):
            return descriptor
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    """False when a former holder removed the file between our open and our lock."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
