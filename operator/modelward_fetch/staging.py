"""The folder where a model is put together, beside the target; and the one moment in which it becomes the target.

For the target `models/fraud` that is `models/.fraud.modelward`:

    lock          held while a fetch runs; the kernel lets go of it when the process ends, however it ends
    journal       what is done: a header that names the plan, then a line for each part and each file
    files/        the files, growing
    unpacked/     an archive's content, made anew each time
    record.json   what was published, with its digest and the names of what it brought
    old/          the model before, for the moment between two renames
    removed/      the model before, while it is removed

Nothing is ever written into the target. It appears by one `rename`, complete; so a crash at any moment leaves nothing, or
the model before, and here what a later start goes on from. A path in the target that the record does not name is
somebody else's: it is neither replaced nor removed, the fetch is refused. The journal counts only within one boot of the machine:
what a power failure may have lost was never forced to the disk, since in a pod the disk goes with the pod.
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any, Final

from modelward_fetch import digest
from modelward_fetch.failures import FetchFailed, Reason

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY: Final = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ENOENT}


class Journal:
    """What is done of a plan, line by line."""

    def __init__(self, path: Path, plan: str) -> None:
        self._path = path
        self._header = {"plan": plan, "boot": _boot()}
        self.parts: dict[str, set[int]] = {}
        self.files: dict[str, str] = {}
        self.goes_on = self._read()
        self._file: IO[str] = path.open("a" if self.goes_on else "w", encoding="utf-8", buffering=1)
        if not self.goes_on:
            self._write(self._header)

    def part_done(self, path: str, part: int) -> None:
        """The part's bytes are in the file."""
        self._write([path, part])

    def file_done(self, path: str, sha256: str) -> None:
        """The file is whole, and verified where the store says what it should be."""
        self.files[path] = sha256
        self._write([path, sha256])

    def close(self) -> None:
        """Nothing more is done."""
        self._file.close()

    def _write(self, line: Any) -> None:
        self._file.write(f"{json.dumps(line)}\n")

    def _read(self) -> bool:
        """Whether this plan was begun before, since the machine's start."""
        try:
            with self._path.open(encoding="utf-8") as file:
                if json.loads(file.readline()) != self._header:
                    return False
                for line in file:
                    self._take(line)
        except (OSError, ValueError, TypeError):
            return bool(self.parts or self.files)  # up to a line that was cut
        return True

    def _take(self, line: str) -> None:
        path, done = json.loads(line)
        if isinstance(done, int):
            self.parts.setdefault(path, set()).add(done)
        else:
            self.files[path] = done


class Staging:
    """Locked for one process."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.folder = target.parent / f".{target.name}.modelward"
        self.files = self.folder / "files"
        self.unpacked = self.folder / "unpacked"
        self._old = self.folder / "old"
        self._record = self.folder / "record.json"

    @contextlib.contextmanager
    def locked(self) -> Iterator["Staging"]:
        """One fetch at a time. Raises FetchFailed."""
        with no_space():
            self._check_target()
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / "lock").open("w")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise in_use("another fetch into this folder is running", "Wait for its end.") from error
            self._restore()
            yield self

    def begin(self, plan: str) -> Journal:
        """The plan's journal; files of another plan are removed."""
        journal = Journal(self.folder / "journal", plan)
        if not journal.goes_on:
            shutil.rmtree(self.files, ignore_errors=True)
        self.files.mkdir(exist_ok=True)
        shutil.rmtree(self.unpacked, ignore_errors=True)
        return journal

    def published(self, folder: Path | None = None) -> dict[str, Any] | None:
        """The record of what was published, if the target (or `folder`) is there."""
        try:
            record = json.loads(self._record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) and (folder or self.target).is_dir() else None

    def publish(self, folder: Path, record: dict[str, Any]) -> None:
        """The folder becomes the target; the model before goes. Raises FetchFailed.

        `before` is for a crash between the last two renames: the model before is put back, and still is ours.
        """
        self._discard()
        previous = self.published()
        before = self._set_aside() if previous is not None else []
        self._write_record({**record, "names": sorted(_paths(folder)), "before": before})
        try:
            folder.rename(self.target)  # over an empty folder, too
        except OSError as error:
            if previous is None:
                self._record.unlink()
            else:
                self._write_record(previous)
                self._restore()
            raise in_use(
                "the target has files that no fetch brought", "Name another folder, or empty it."
            ) from error
        self._discard()
        for left in (self.files, self.unpacked):
            shutil.rmtree(left, ignore_errors=True)
        (self.folder / "journal").unlink(missing_ok=True)

    def _set_aside(self) -> list[str]:
        """The names of the model before, which is in `old` now: checked there, where nobody adds a file meanwhile."""
        self.target.rename(self._old)
        try:
            return sorted(self._check_ours(self._old))
        except FetchFailed:
            self._restore()
            raise

    def _restore(self) -> None:
        """After a crash between two renames: the model before is the target again."""
        if self._old.is_dir() and (not self.target.exists() or _is_empty(self.target)):
            self._old.rename(self.target)
            self._check_ours(self.target)

    def _discard(self) -> None:
        """Remove the model before; renamed first, so that what is in `old` is always whole."""
        removed = self.folder / "removed"
        shutil.rmtree(removed, ignore_errors=True)
        if self._old.is_dir():
            self._check_ours(self._old)
            self._old.rename(removed)
            shutil.rmtree(removed, ignore_errors=True)

    def _write_record(self, record: dict[str, Any]) -> None:
        unfinished = self.folder / "record.new"
        with no_space():
            unfinished.write_text(json.dumps(record), encoding="utf-8")
        unfinished.replace(self._record)

    def _check_target(self) -> None:
        if self.target.is_symlink() or (self.target.exists() and not self.target.is_dir()):
            raise in_use("the target is no folder", "Name a folder.")
        if self.target.is_mount() or self.target.name in {"", ".", ".."}:
            raise FetchFailed(
                Reason.INVALID_URI,
                "the target is a mount point, which cannot be replaced in one step",
                remedy="Name a folder below it.",
                field="DIR",
            )
        if self.target.is_dir():
            self._check_ours(self.target)

    def _check_ours(self, folder: Path) -> Collection[str]:
        """The paths of the folder. Raises FetchFailed if it holds one that no fetch brought."""
        with no_space():
            paths = _paths(folder)
        ours = self._names(folder, paths)
        if foreign := sorted(path for path, is_link in paths.items() if is_link or path not in ours):
            raise in_use(
                f"the target has files that no fetch brought, such as {foreign[0]!r}",
                "Name another folder, or move these files away.",
            )
        return paths

    def _names(self, folder: Path, paths: dict[str, bool]) -> set[str]:
        """What fetches brought. A record of an older form has no names: it is for just the files of its digest."""
        record = self.published(folder) or {}
        if "names" in record:
            return {*record["names"], *record.get("before", ())}
        if "digest" in record and digest.of_folder(folder)[0] == record["digest"]:
            return set(paths)
        return set()


def _paths(folder: Path) -> dict[str, bool]:
    """Each path below the folder, and whether it is a link, which no fetch brings."""
    found = {}
    for place, folders, files in os.walk(folder, onerror=_raised):
        for path in (Path(place, name) for name in (*folders, *files)):
            found[str(path.relative_to(folder))] = path.is_symlink()
    return found


def _raised(error: OSError) -> None:
    raise error


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def free_bytes(folder: Path) -> int:
    """On the file system of the folder, for whoever runs this."""
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize


def check_free(folder: Path, needed: int) -> None:
    """Raises FetchFailed if the file system has not as much."""
    if (free := free_bytes(folder)) < needed:
        raise _full(f"{needed} bytes are needed and {free} are free")


@contextlib.contextmanager
def no_space() -> Iterator[None]:
    """A disk, a quota or a limit that is reached, as a failure with a remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise _full(f"{os.strerror(error.errno)} while writing") from error
        if error.errno in _READ_ONLY:
            raise FetchFailed(
                Reason.INVALID_URI,
                f"the target cannot be written: {os.strerror(error.errno)}",
                remedy="Name a folder that may be written.",
                field="DIR",
            ) from error
        raise


def in_use(problem: str, remedy: str) -> FetchFailed:
    """The target belongs to somebody else."""
    return FetchFailed(Reason.TARGET_IN_USE, problem, remedy=remedy, field="DIR")


def _full(problem: str) -> FetchFailed:
    return FetchFailed(
        Reason.NO_SPACE,
        f"no space for the model: {problem}",
        remedy="Make room on the node or raise the volume's size limit; a smaller model needs less.",
        field="spec.resources",
    )


def _boot() -> str:
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""  # not Linux: a laptop, where only a power failure is not noticed
