"""What a source is: `resolve` once, then `read` in any order and from several threads."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from modelward_fetch import digest
from modelward_fetch.uri import Location


class Identity(StrEnum):
    """What the store promises about the bytes under the resolved address."""

    PINNED = "Pinned"
    """The same for ever: a commit, a digest, a version of an object."""
    MUTABLE = "Mutable"
    """They may be overwritten; a change is noticed, what was cannot be had again."""
    NOT_COVERED = "NotCovered"
    """Contents are not read: only names, sizes and times are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file of the model, as the store lists it."""

    path: str
    """Below the target folder."""
    size: int | None
    """None where the server does not say."""
    key: str = ""
    """The source's own name of it."""
    mark: str = ""
    """Changes when the content does: an ETag, a checksum, a time."""
    version: str = ""
    """With which the store gives this content for ever."""
    sha256: str = ""
    git_sha1: str = ""
    resumable: bool = True
    """Whether any range of it can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a name means now."""

    resolved: Location
    entries: tuple[Entry, ...]
    identity: Identity
    is_single: bool = False
    """The address names one file: an archive is unpacked, and spec.model.sha256 is that of the file."""
    in_place: Path | None = None
    """The files are there already, mounted; nothing is copied."""
    unpacked: frozenset[str] = field(default_factory=frozenset)
    """Paths of entries that are layers of an image: archives to be unpacked in this order, over one another."""

    @property
    def digest(self) -> str:
        """Of names, sizes and the store's marks."""
        return digest.of_listing(
            (entry.path, entry.size, entry.sha256 or entry.git_sha1 or entry.version or entry.mark)
            for entry in self.entries
        )

    @property
    def bytes(self) -> int:
        """As far as they are known."""
        return sum(entry.size or 0 for entry in self.entries)


class Source(Protocol):
    """A store."""

    def resolve(self) -> Listing:
        """Pin what moves, and list. Raises Transient, FetchFailed."""

    def read(self, entry: Entry, start: int, end: int | None) -> Iterator[bytes]:
        """Bytes from `start` to before `end`, or to the end of the file. Raises Transient, SourceChanged, FetchFailed.

        Ending early without an exception is a connection that broke. Without `entry.resumable` the start is 0.
        """

    def close(self) -> None:
        """Ends connections."""
