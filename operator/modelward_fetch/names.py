"""Names that others chose, as paths below the target: one rule for keys of stores, members of archives, titles."""

from pathlib import PurePosixPath
from typing import Final

from modelward_fetch.failures import FetchFailed, Reason

LONGEST_PART: Final = 255
"""Bytes of a file's name on the file systems of Linux."""
LONGEST_PATH: Final = 1024


def unsafe(name: str) -> str | None:
    """What is wrong with the name as a path below a folder; None if nothing."""
    if len(name.encode(errors="surrogateescape")) > LONGEST_PATH:
        return f"is longer than {LONGEST_PATH} bytes"
    if not name.isprintable() or "\\" in name:
        return "has control characters or backslashes"
    parts = name.split("/")
    if name.startswith("/"):
        return "is absolute"
    if any(part in {"", ".", ".."} for part in parts):
        return "has empty parts, `.` or `..`"
    if any(len(part.encode()) > LONGEST_PART for part in parts):
        return f"has a part longer than {LONGEST_PART} bytes"
    return None


def safe_path(name: str, *, reason: Reason = Reason.UNSAFE_NAME) -> PurePosixPath:
    """The name as a path. Raises FetchFailed."""
    if problem := unsafe(name):
        raise FetchFailed(
            reason, f"the name {name[:200]!r} {problem}", remedy="Rename it in the store and upload again."
        )
    return PurePosixPath(name)


class Taken:
    """Paths that a model has so far: none twice, none both a file and a folder."""

    def __init__(self, reason: Reason = Reason.UNSAFE_NAME) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()
        self._reason = reason

    def add(self, path: PurePosixPath) -> None:
        """Raises FetchFailed if the path is taken."""
        name = str(path)
        parents = {str(each) for each in path.parents} - {"."}
        if name in self._files or name in self._folders or parents & self._files:
            raise FetchFailed(
                self._reason,
                f"{name!r} is there twice, or both as a file and as a folder",
                remedy="Keep one of them.",
            )
        self._files.add(name)
        self._folders |= parents
