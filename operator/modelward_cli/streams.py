"""Recordings as byte streams: files that may be compressed, and temporary ones that are."""

import gzip
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

_GZIP = b"\x1f\x8b"


@contextmanager
def unpacked(file: str) -> Iterator[IO[bytes]]:
    """The bytes of a file, or of standard input for `-`. Raises OSError."""
    if file == "-":
        yield sys.stdin.buffer
        return
    with Path(file).open("rb") as raw:
        start = raw.read(len(_GZIP))
        raw.seek(0)
        if start != _GZIP:
            yield raw
            return
        with gzip.open(raw) as stream:
            yield cast("IO[bytes]", stream)


@contextmanager
def compressed() -> Iterator[tuple[IO[bytes], Callable[[], IO[bytes]]]]:
    """Where to write a long recording, and how to read it when all is written. Nothing is left of it."""
    with tempfile.TemporaryFile() as raw, gzip.open(raw, "wb", compresslevel=1) as sink:

        def source() -> IO[bytes]:
            sink.close()
            raw.seek(0)
            return cast("IO[bytes]", gzip.open(raw))

        yield cast("IO[bytes]", sink), source
