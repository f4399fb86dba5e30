"""Reading files by the part, several at once, each again until it is there; hashing while they come.

A part is a range of 16 MiB. It is written where it belongs, and noted in the journal when its last byte is; a connection
that breaks within a part goes on at the byte where it broke. SHA-256 needs the bytes in order: whoever writes the next
byte that the hash waits for hashes it at once, and then what other parts have already written behind it, from the page cache.
"""

import hashlib
import os
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from modelward_fetch import digest
from modelward_fetch.failures import FetchFailed, Reason, Transient
from modelward_fetch.limits import CHUNK_BYTES, WORKERS, Deadline, Limits
from modelward_fetch.progress import Counter
from modelward_fetch.sources.base import Entry, Source
from modelward_fetch.staging import Journal, no_space


class File:
    """A file that grows."""

    def __init__(self, entry: Entry, path: Path, done: set[int], part_bytes: int) -> None:
        self._part_bytes = part_bytes
        self.entry = entry
        self.path = path
        self.count = self._parts()
        self.done = done if entry.resumable else set()
        self.missing = deque(number for number in range(self.count) if number not in self.done)
        self._sha = hashlib.sha256()
        self._hashed = 0
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | (0 if self.done else os.O_TRUNC)
        self._descriptor = os.open(path, flags, 0o644)

    def range_of(self, part: int) -> tuple[int, int | None]:
        """From, to before; the latter None where the size is not known."""
        if not self.entry.resumable:
            return 0, self.entry.size
        return part * self._part_bytes, min((part + 1) * self._part_bytes, self.entry.size or 0)

    def write(self, offset: int, chunk: bytes) -> None:
        """At its place; hashed if it is its turn."""
        view = memoryview(chunk)
        while view:
            written = os.pwrite(self._descriptor, view, offset)
            with self._lock:
                if offset == self._hashed:
                    self._sha.update(view[:written])
                    self._hashed += written
            offset, view = offset + written, view[written:]

    def start_again(self) -> None:
        """A file without ranges: what came is worth nothing."""
        with self._lock:
            os.ftruncate(self._descriptor, 0)
            self._sha, self._hashed = hashlib.sha256(), 0

    def part_done(self, part: int) -> bool:
        """Note it; whether it was the last one. Hashes what can be."""
        with self._lock:
            self.done.add(part)
            self._hash_on()
            return len(self.done) == self.count

    def sha256(self) -> str:
        """Of the whole file, which is closed."""
        with self._lock:
            self._hash_on()
            os.close(self._descriptor)
            return self._sha.hexdigest()

    def _parts(self) -> int:
        return -(-(self.entry.size or 0) // self._part_bytes) if self.entry.resumable else 1

    def _hash_on(self) -> None:
        if not self.entry.resumable:
            return
        while (part := self._hashed // self._part_bytes) in self.done and self._hashed < (
            self.entry.size or 0
        ):
            _, end = self.range_of(part)
            chunk = os.pread(self._descriptor, min(CHUNK_BYTES, (end or 0) - self._hashed), self._hashed)
            if not chunk:
                raise FetchFailed(
                    Reason.CHECKSUM_MISMATCH,
                    f"{self.entry.path} became shorter while it was written",
                    remedy="Nothing else may write into the target's folder.",
                )
            self._sha.update(chunk)
            self._hashed += len(chunk)


class Parts:
    """All files of a listing, into a folder."""

    def __init__(
        self,
        source: Source,
        entries: tuple[Entry, ...],
        folder: Path,
        *,
        journal: Journal,
        limits: Limits,
        deadline: Deadline,
        counter: Counter,
    ) -> None:
        self._source = source
        self._folder = folder
        self._journal = journal
        self._limits = limits
        self._deadline = deadline
        self._counter = counter
        self._work = self._planned(entries)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._failure: BaseException | None = None

    def fetch(self) -> None:
        """Until all are there. Raises FetchFailed, SourceChanged."""
        threads = [threading.Thread(target=self._run, daemon=True) for _ in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive() and self._deadline.remaining > 0 and not self._failure:
                thread.join(min(0.2, max(self._deadline.remaining, 0.01)))
        if self._failure or any(thread.is_alive() for thread in threads):
            self._stop.set()
            self._source.close()
            raise self._failure or self._deadline.passed()

    def _run(self) -> None:
        try:
            while (task := self._next()) and not self._stop.is_set():
                self._bring(*task)
        except BaseException as error:  # noqa: BLE001 - the thread that waits raises it
            self._failure = self._failure or error
            self._stop.set()

    def _next(self) -> tuple[File, int] | None:
        with self._lock:
            return next(self._work, None)

    def _planned(self, entries: tuple[Entry, ...]) -> Iterator[tuple[File, int]]:
        """Part for part in order, so that hashing keeps up; a file is opened when its turn comes."""
        for entry in entries:
            if entry.path in self._journal.files:
                self._counter.add(done=entry.size or 0, files=1)
                continue
            with no_space():
                done = self._journal.parts.get(entry.path, set())
                file = File(entry, self._folder / entry.path, done, self._limits.part_bytes)
            self._counter.add(done=sum(_length(file, part) for part in file.done))
            yield from ((file, part) for part in file.missing)
            if not file.missing:  # empty, or all its parts came before a crash
                self._finish(file)

    def _bring(self, file: File, part: int) -> None:
        start, end = file.range_of(part)
        offset, attempt = start, 0
        while not self._stop.is_set():
            before = offset
            try:
                for chunk in self._chunks(file, offset, end):
                    offset += len(chunk)
                if end is None or offset == end:
                    return self._part_done(file, part)
                problem = Transient(f"the store ended {file.entry.path} at byte {offset} of {end}")
            except Transient as broken:
                problem = broken
            attempt = 0 if offset > before else attempt + 1
            if not file.entry.resumable:
                file.start_again()
                self._counter.add(done=-offset)
                offset, attempt = 0, attempt + 1
            self._deadline.pause(problem, attempt, self._stop)
        return None

    def _chunks(self, file: File, offset: int, end: int | None) -> Iterator[bytes]:
        """Each written before it is counted."""
        with no_space():
            for chunk in self._source.read(file.entry, offset, end):
                if self._stop.is_set():  # not the end of the file, which may be what nobody knows
                    raise Transient("the fetch was stopped")
                if end is not None and offset + len(chunk) > end:
                    raise Transient(f"the store gives more of {file.entry.path} than was asked for")
                file.write(offset, chunk)
                offset += len(chunk)
                self._deadline.arrived += len(chunk)
                self._counter.add(done=len(chunk), transferred=len(chunk))
                if file.entry.size is None:
                    self._limits.check(files=1, bytes_=offset)
                yield chunk

    def _part_done(self, file: File, part: int) -> None:
        if file.entry.resumable:
            self._journal.part_done(file.entry.path, part)
        if file.part_done(part):
            self._finish(file)

    def _finish(self, file: File) -> None:
        sha256 = file.sha256()
        verify(file.entry, file.path, sha256)
        self._journal.file_done(file.entry.path, sha256)
        self._counter.add(files=1)


def _length(file: File, part: int) -> int:
    start, end = file.range_of(part)
    return (end or 0) - start


def verify(entry: Entry, path: Path, sha256: str) -> None:
    """Raises FetchFailed if the store says of the content what it is, and it is not that."""
    wrong = (entry.sha256 and entry.sha256 != sha256) or (
        entry.git_sha1 and entry.git_sha1 != digest.git_blob(path)
    )
    if wrong:
        path.unlink(missing_ok=True)
        raise FetchFailed(
            Reason.CHECKSUM_MISMATCH,
            f"the content of {entry.path} is not what the store lists: {sha256}",
            remedy="The store, or something between, gives wrong bytes: upload the file again.",
        )
