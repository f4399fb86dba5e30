"""Unpacking what somebody else packed: files and folders below one folder, within limits, and nothing else.

Links, devices and whatever else an archive may hold are refused, not left out: a model with a part missing would be
another model. Names must be plain paths (`names`), each at most once. Sizes are counted before they are written, and what
is written is counted again, since an archive may say less than it holds.
"""

import gzip
import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from modelward_fetch.failures import FetchFailed, Reason
from modelward_fetch.limits import CHUNK_BYTES, MIB, Limits
from modelward_fetch.names import Taken, safe_path
from modelward_fetch.staging import check_free, no_space

SUFFIXES: Final = (".tar", ".tar.gz", ".tgz", ".zip")
LARGEST_READ: Final = 2 * MIB
"""Of a tar at once: no header needs as much."""
_ZIP_ENTRY_BYTES: Final = 300
"""Of a zip's directory for each file that there may be, names included."""
_ZIP_METHODS: Final = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED: Final = 0x1


def is_archive(name: str) -> bool:
    """By its name."""
    return name.lower().endswith(SUFFIXES)


def unpack(archive: Path, target: Path, limits: Limits, *, name: str = "") -> None:
    """All of the archive into the folder. Raises FetchFailed."""
    into = Target(target, limits)
    with _named_errors(name or archive.name):
        if (name or archive.name).lower().endswith(".zip"):
            _unpack_zip(archive, into)
        else:
            _unpack_tar(archive, into)


class Target:
    """The folder that grows, and what may still come. Layers of an image share one."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder = folder
        self._limits = limits
        self._count = 0
        self._bytes = 0
        self.largest_directory = limits.files * _ZIP_ENTRY_BYTES + MIB
        self.taken = Taken(Reason.UNSAFE_ARCHIVE)
        folder.mkdir(parents=True, exist_ok=True)

    def make_folder(self, name: str) -> None:
        """Raises FetchFailed for a name that is none."""
        if name.strip("/") in {"", "."}:
            return
        path = self.folder / safe_path(_plain(name), reason=Reason.UNSAFE_ARCHIVE)
        self._count_in(0)
        with no_space():
            path.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, size: int, content: IO[bytes]) -> None:
        """One file. Raises FetchFailed if it must not be, is too large, or ends elsewhere than it says."""
        path = safe_path(_plain(name), reason=Reason.UNSAFE_ARCHIVE)
        if size < 0:
            raise unsafe(f"{name!r} has a negative size")
        self.taken.add(path)
        self._count_in(size)
        check_free(self.folder, size)
        full = self.folder / path
        with no_space():
            full.parent.mkdir(parents=True, exist_ok=True)
            with full.open("xb") as file:
                written = _copy(content, file, size)
        if written != size:
            raise unsafe(f"{name!r} holds {written} bytes or more and says {size}")

    def _count_in(self, size: int) -> None:
        self._count += 1
        self._bytes += size
        self._limits.check(files=self._count, bytes_=self._bytes, what="the archive")


def _copy(content: IO[bytes], file: IO[bytes], size: int) -> int:
    """Bytes copied; one more than `size` where there is more."""
    left = size + 1
    while left and (chunk := content.read(min(CHUNK_BYTES, left))):
        left -= len(chunk)
        file.write(chunk if left else chunk[:-1])
    return size + 1 - left


def _unpack_tar(archive: Path, into: Target) -> None:
    with archive.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream: IO[bytes] = gzip.GzipFile(fileobj=raw) if zipped else raw  # type: ignore[assignment]
        bounded = _Bounded(stream, LARGEST_READ)
        with tarfile.open(fileobj=bounded, mode="r:") as tar:
            for member in _members(tar):
                unpack_member(tar, member, into)
        if bounded.last != bytes(tarfile.BLOCKSIZE):  # tarfile takes a broken header for the end
            raise tarfile.ReadError("no end of archive")


def unpack_member(tar: tarfile.TarFile, member: tarfile.TarInfo, into: Target) -> None:
    """A file or a folder. Raises FetchFailed for anything else."""
    if member.isdir():
        into.make_folder(member.name)
        return
    content = tar.extractfile(member) if member.isfile() and not member.issparse() else None
    if content is None:
        raise unsafe(f"{member.name!r} is neither a file nor a folder", _LINKS)
    into.write(member.name, member.size, content)


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """One by one, none remembered: an archive may have as many as it likes."""
    while member := tar.next():
        tar.members = []  # type: ignore[attr-defined] # what the documentation of TarFile.next leaves to grow
        yield member


def _unpack_zip(archive: Path, into: Target) -> None:
    with archive.open("rb") as raw, zipfile.ZipFile(_Bounded(raw, into.largest_directory)) as file:
        for member in file.infolist():
            mode = member.external_attr >> 16
            kind = stat.S_IFMT(mode)
            if member.is_dir():
                into.make_folder(member.filename)
            elif kind not in {0, stat.S_IFREG}:
                raise unsafe(f"{member.filename!r} is neither a file nor a folder", _LINKS)
            elif member.flag_bits & _ENCRYPTED or member.compress_type not in _ZIP_METHODS:
                raise _unknown(f"{member.filename!r} is encrypted or packed in a way that is not understood")
            else:
                with file.open(member) as content:
                    into.write(member.orig_filename, member.file_size, content)


class _Bounded(io.RawIOBase):
    """A file from which nothing long is read at once: tarfile and zipfile read what describes files as a whole."""

    def __init__(self, file: IO[bytes], largest: int) -> None:
        self._file = file
        self._largest = largest
        self.last = b""

    def read(self, size: int | None = -1, /) -> bytes:
        """Raises FetchFailed for more than any header needs."""
        to_the_end = size is None or size < 0
        self.last = self._file.read(self._largest + 1 if to_the_end else min(size or 0, self._largest + 1))
        if len(self.last) > self._largest:
            raise unsafe(f"what describes its files is larger than {self._largest} bytes")
        return self.last

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


@contextmanager
def _named_errors(name: str) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError) as error:
        raise _unknown(f"{name} is broken, or is not the archive that its name says") from error
    except (UnicodeError, ValueError, NotImplementedError, RuntimeError, OverflowError) as error:
        raise _unknown(f"{name} cannot be read as an archive") from error


def _plain(name: str) -> str:
    """Without the `./` that tar writes and the `/` at a folder's end."""
    return name.removeprefix("./").rstrip("/")


_LINKS: Final = (
    "Pack the files themselves: `tar --dereference --hard-dereference`, or `zip` without --symlinks."
)


def unsafe(problem: str, remedy: str = "Pack the model anew, from within its folder.") -> FetchFailed:
    """The archive would do more than put files into a folder."""
    return FetchFailed(Reason.UNSAFE_ARCHIVE, problem, remedy=remedy)


def _unknown(problem: str) -> FetchFailed:
    return FetchFailed(
        Reason.FORMAT_UNKNOWN,
        problem,
        remedy="Pack it as .tar, .tar.gz or .zip (stored or deflated), and upload again.",
    )
