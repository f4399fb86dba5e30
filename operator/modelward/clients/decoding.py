"""What the API server sends, made fit for a decoder: lines of any length, and values that are not nested too deep.

Python's decoders of JSON give up at about a thousand levels; the API server takes ten thousand, in what is free-form:
`metadata.managedFields`, which any writer of an object may set, or the `data` of a ControllerRevision. Whoever may make a
ModelDeployment or a pod could end the operator with one. Nothing of ours is nested deep, so what is deep is left out.
"""

import re
from collections.abc import AsyncIterator
from typing import Final

import aiohttp
import msgspec

DEPTH: Final = 100
"""Levels that are kept of what is nested too deep to be decoded."""
_MARGIN: Final = 200
"""Levels that a decoder may have less than the one that tries: it is called by others."""
_MARK: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
"""A string, whatever is in it, or the beginning or end of something nested."""


def shallow(data: bytes) -> bytes:
    """The same JSON, if it can be decoded; else with null in place of all that is nested deeper than `DEPTH`."""
    try:
        msgspec.json.decode(b"[" * _MARGIN + data + b"]" * _MARGIN, type=msgspec.Raw)
    except RecursionError:
        return _cut(data)
    except msgspec.DecodeError:
        pass  # for whoever decodes it to say
    return data


def _cut(data: bytes) -> bytes:
    kept: list[bytes] = []
    level = begin = 0
    for mark in _MARK.finditer(data):
        if mark[0] in b"[{":
            level += 1
            if level == DEPTH + 1:
                kept += (data[begin : mark.start()], b"null")
        elif mark[0] in b"]}":
            if level == DEPTH + 1:
                begin = mark.end()
            level -= 1
    return b"".join((*kept, data[begin:] if level <= DEPTH else b""))


async def lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """The lines of a stream, however long: aiohttp's own reader gives up at 4 MiB.

    An object of the 1.5 MiB that etcd takes may be a line of 9 MiB: JSON spells some characters with six.
    """
    pieces: list[bytes] = []
    async for received in content.iter_any():
        first, *others = received.split(b"\n")
        pieces.append(first)
        for other in others:
            yield shallow(b"".join(pieces))
            pieces = [other]
    if rest := b"".join(pieces):
        yield shallow(rest)
