"""pvc://: a claim that is mounted in the pod. Nothing is copied; names, sizes and times are what is known of it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from modelward_fetch.failures import FetchFailed, Reason, not_found
from modelward_fetch.limits import CHUNK_BYTES, Limits
from modelward_fetch.names import safe_path
from modelward_fetch.sources.base import Entry, Identity, Listing
from modelward_fetch.uri import Location


class ClaimSource:
    """A path below the folder where the claim is mounted."""

    def __init__(self, at: Location, mount: Path | None, limits: Limits) -> None:
        self._at = at
        self._mount = mount
        self._limits = limits

    def resolve(self) -> Listing:
        """What lies there. Links may lead anywhere within the claim, and nowhere else."""
        if self._mount is None:
            raise FetchFailed(
                Reason.INVALID_URI,
                "pvc:// is known in a pod that mounts the claim, and nowhere else",
                remedy="On a laptop name the store that the claim was filled from; in a pod give --claim.",
            )
        root = self._mount.resolve() / self._at.path
        if not root.exists():
            raise not_found(f"the claim {self._at.authority} has no {self._at.path or 'root'}")
        self._check_inside(root)
        entries = (self._entry(str(root), root.name),) if root.is_file() else tuple(self._walk(root))
        return Listing(
            resolved=self._at,
            entries=entries,
            identity=Identity.NOT_COVERED,
            is_single=root.is_file(),
            in_place=root,
        )

    def read(self, entry: Entry, start: int, end: int | None) -> Iterator[bytes]:
        """Of a file."""
        with Path(entry.key).open("rb") as file:
            file.seek(start)
            left = (entry.size or 0) - start if end is None else end - start
            while left > 0 and (chunk := file.read(min(CHUNK_BYTES, left))):
                left -= len(chunk)
                yield chunk

    def close(self) -> None:
        """Nothing is open."""

    def _walk(self, root: Path) -> Iterator[Entry]:
        count, total, folders = 0, 0, [str(root)]
        while folders:
            with os.scandir(folders.pop()) as found:
                for item in found:
                    if item.is_dir(follow_symlinks=False):
                        folders.append(item.path)
                        continue
                    entry = self._entry(item.path, item.path[len(str(root)) + 1 :])
                    count, total = count + 1, total + (entry.size or 0)
                    self._limits.check(files=count, bytes_=total)
                    yield entry

    def _entry(self, path: str, name: str) -> Entry:
        if os.path.islink(path):  # noqa: PTH114 - a hundred thousand times
            self._check_inside(Path(path))
        found = os.stat(path)  # noqa: PTH116
        if not stat.S_ISREG(found.st_mode):
            raise _unsafe(f"{name} is neither a file nor a folder, or a link to a folder")
        return Entry(path=str(safe_path(name)), size=found.st_size, key=path, mark=str(found.st_mtime_ns))

    def _check_inside(self, path: Path) -> None:
        if self._mount and not path.resolve().is_relative_to(self._mount.resolve()):
            raise _unsafe(f"{path.name} is a link out of the claim")


def _unsafe(problem: str) -> FetchFailed:
    return FetchFailed(Reason.UNSAFE_NAME, problem, remedy="Replace it by the file itself.")
