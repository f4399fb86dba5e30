"""What a fetch may take: bytes, files, time, redirects."""

from dataclasses import dataclass
from typing import Final

from modelward_fetch.failures import FetchFailed, Reason

MIB: Final = 1024 * 1024
CHUNK_BYTES: Final = MIB
WORKERS: Final = 4
"""Parts read at once. With a chunk each, memory stays far below 200 MiB."""


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
