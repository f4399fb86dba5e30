"""The order of a fetch: resolve, check, read, verify, unpack, publish, report."""

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from modelward_fetch import archives, digest, layers
from modelward_fetch.failures import FetchFailed, Reason, SourceChanged, Transient
from modelward_fetch.limits import Deadline, Limits, retrying
from modelward_fetch.parts import Parts
from modelward_fetch.pin import Pin
from modelward_fetch.progress import Counter, amount
from modelward_fetch.report import Report
from modelward_fetch.sources.base import Entry, Identity, Listing, Source
from modelward_fetch.staging import Journal, Staging, check_free
from modelward_fetch.uri import Location

LOG: Final = logging.getLogger("modelward_fetch")
TRIES: Final = 3
"""Of a source that changes while it is read: each begins with a fresh listing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be fetched, and how it is known to be right."""

    at: Location
    target: Path
    limits: Limits
    sha256: str = ""
    """Of the file, or of the folder as `digest` has it; empty: not checked."""
    pin: Pin | None = None


class Fetch:
    """One fetch. `report` says at any moment what is known so far."""

    def __init__(self, request: Request, open_source: Callable[[Location], Source], counter: Counter) -> None:
        self._request = request
        self._open = open_source
        self._counter = counter
        self._deadline = Deadline(request.limits.seconds)
        self._began = time.monotonic()
        self.report = Report(result="Failed", uri=str(request.at))

    def run(self) -> Report:
        """Until the model is in its place. Raises FetchFailed."""
        for _ in range(TRIES):
            try:
                self._once()
                break
            except SourceChanged as changed:
                LOG.warning("%s; listing anew", changed)
                why = changed
        else:
            raise _changed(f"{why}, {TRIES} times in a row")
        self._note(seconds=round(time.monotonic() - self._began, 3))
        return self.report

    def _once(self) -> None:
        self._counter.progress.state = "Resolving"
        pin = self._request.pin
        source = self._open(pin.resolved if pin else self._request.at)
        try:
            listing = retrying(self._deadline, source.resolve)
            self._note(
                resolved=str(listing.resolved),
                identity=listing.identity,
                listing=listing.digest,
                pinned=pin is not None,
                source_moved=pin is not None and self._has_moved(pin, listing),
            )
            self._check_listing(listing)
            if listing.in_place:
                self._in_place(source, listing, listing.in_place)
            else:
                with Staging(self._request.target).locked() as staging:
                    self._bring(source, listing, staging)
        except SourceChanged as changed:
            if _is_pinned(self._request, self.report):
                raise _changed(str(changed)) from changed
            raise
        finally:
            source.close()

    def _has_moved(self, pin: Pin, listing: Listing) -> bool:
        """Whether the address means something else by now than when the revision was pinned.

        For people: whoever cannot be asked just now keeps no pod from its model.
        """
        if pin.listing and pin.listing != listing.digest:
            return True
        if pin.resolved == self._request.at or listing.identity is not Identity.PINNED:
            return False
        source = self._open(self._request.at)
        try:
            return source.resolve().resolved != pin.resolved
        except (FetchFailed, Transient, SourceChanged) as problem:
            LOG.info("whether the address means something else by now is not known: %s", problem)
            return False
        finally:
            source.close()

    def _check_listing(self, listing: Listing) -> None:
        self._request.limits.check(files=len(listing.entries), bytes_=listing.bytes)
        _check_any(any(entry.size != 0 for entry in listing.entries))
        progress = self._counter.progress
        progress.files, progress.total = len(listing.entries), listing.bytes

    def _in_place(self, source: Source, listing: Listing, path: Path) -> None:
        """Mounted already: listed, and read only where a checksum is to be compared."""
        if self._request.sha256:
            self._counter.progress.state = "Verifying"
            found = {entry.path: _sha256_of(source, entry) for entry in listing.entries}
            self._check_sha256(_expected_of(listing, found))
            self._note(digest=digest.of_files(found))
        self._note(result="InPlace", path=str(path), files=len(listing.entries), bytes=listing.bytes)

    def _bring(self, source: Source, listing: Listing, staging: Staging) -> None:
        plan = _plan_of(listing, self._request.limits.part_bytes)
        if self._is_there(plan, staging):
            return
        journal = staging.begin(plan)
        try:
            found = self._read(source, listing, staging, journal)
            sha256 = _expected_of(listing, found)
            self._check_sha256(sha256)
            folder = self._unpacked(listing, staging)
        except FetchFailed as failure:
            if failure.reason == Reason.CHECKSUM_MISMATCH:
                (staging.folder / "journal").unlink(missing_ok=True)  # nothing of it is worth going on from
            raise
        finally:
            journal.close()
        if folder is None:
            folder, content, sizes = staging.files, digest.of_files(found), _sizes(staging.files, found)
        else:
            content, files, size = digest.of_folder(folder)
            sizes = (files, size)
        _check_any(sizes[1] > 0)
        self._check_pin(content)
        record = {"plan": plan, "digest": content, "sha256": sha256, "files": sizes[0], "bytes": sizes[1]}
        staging.publish(folder, record)
        self._done("Fetched", record)

    def _is_there(self, plan: str, staging: Staging) -> bool:
        """Whether the target holds this very model: read again, not believed."""
        record = staging.published()
        if record is None or record.get("plan") != plan:
            return False
        self._counter.progress.state = "Verifying"
        content, _, _ = digest.of_folder(staging.target)
        if content != record.get("digest"):
            LOG.warning("the files in %s were changed since they were fetched", staging.target)
            return False
        self._check_sha256(str(record["sha256"]))
        self._check_pin(content)
        self._done("AlreadyThere", record)
        return True

    def _read(self, source: Source, listing: Listing, staging: Staging, journal: Journal) -> dict[str, str]:
        there = (
            sum(len(parts) for parts in journal.parts.values()) * self._request.limits.part_bytes
            if journal.goes_on
            else 0
        )
        check_free(staging.folder, max(listing.bytes - there, 0))
        progress = self._counter.progress
        progress.state, progress.began, progress.done, progress.files_done = (
            "Fetching",
            time.monotonic(),
            0,
            0,
        )
        LOG.info("fetching %s, %d files, %s", listing.resolved, len(listing.entries), amount(listing.bytes))
        if journal.goes_on:
            LOG.info("going on from an earlier start: %d files are there", len(journal.files))
        Parts(
            source,
            listing.entries,
            staging.files,
            journal=journal,
            limits=self._request.limits,
            deadline=self._deadline,
            counter=self._counter,
        ).fetch()
        return {entry.path: journal.files[entry.path] for entry in listing.entries}

    def _unpacked(self, listing: Listing, staging: Staging) -> Path | None:
        """Where an archive's or an image's content is now; None where the files are the model."""
        self._counter.progress.state = "Unpacking"
        limits = self._request.limits
        if listing.unpacked:
            layers.unpack(listing, staging.files, staging.unpacked, limits)
            return staging.unpacked
        if listing.is_single and archives.is_archive(listing.entries[0].path):
            archives.unpack(staging.files / listing.entries[0].path, staging.unpacked, limits)
            return staging.unpacked
        return None

    def _check_sha256(self, found: str) -> None:
        self._note(sha256=found)
        expected = self._request.sha256.lower()
        if expected and expected != found:
            raise FetchFailed(
                Reason.CHECKSUM_MISMATCH,
                f"the bytes have the SHA-256 {found}",
                remedy="Upload the right bytes; or, if these are right, put this value into spec.model.sha256.",
                field="spec.model.sha256",
            )

    def _check_pin(self, content: str) -> None:
        pin = self._request.pin
        if pin and pin.digest and pin.digest != content:
            self._note(digest=content)
            raise _changed(f"the store now has {content}, this revision has {pin.digest}")

    def _done(self, result: str, record: dict[str, Any]) -> None:
        self._counter.progress.state = "Done"
        self._note(
            result=result,
            path=str(self._request.target),
            digest=record["digest"],
            files=record["files"],
            bytes=record["bytes"],
        )

    def _note(self, **found: Any) -> None:
        self.report = replace(self.report, transferred=self._counter.progress.transferred, **found)

    def failed(self, failure: FetchFailed) -> Report:
        """The report of a fetch that ended so."""
        self._counter.progress.state = "Failed"
        self._note(seconds=round(time.monotonic() - self._began, 3))
        return self.report.failed(failure)


def _check_any(some: bool) -> None:  # noqa: FBT001
    """Raises FetchFailed where there is not one byte."""
    if not some:
        raise FetchFailed(
            Reason.FORMAT_UNKNOWN,
            "the model is empty: 0 bytes in all its files",
            remedy="Upload it again; an upload that was broken off leaves such files.",
        )


def _is_pinned(request: Request, report: Report) -> bool:
    """Whether a change of the source is a change of this revision, not of a name."""
    return report.identity == Identity.PINNED and request.pin is not None


def _plan_of(listing: Listing, part_bytes: int) -> str:
    """What a journal or a record is for: the same address, the same content, cut the same way."""
    text = f"{listing.resolved}\0{listing.digest}\0{listing.is_single}\0{part_bytes}"
    return hashlib.sha256(text.encode()).hexdigest()


def _expected_of(listing: Listing, found: dict[str, str]) -> str:
    """What spec.model.sha256 has to be: of the one file, else of the folder."""
    if listing.is_single:
        return found[listing.entries[0].path]
    return digest.of_files(found).removeprefix("sha256:")


def _sha256_of(source: Source, entry: Entry) -> str:
    sha = hashlib.sha256()
    for chunk in source.read(entry, 0, entry.size):
        sha.update(chunk)
    return sha.hexdigest()


def _sizes(folder: Path, found: dict[str, str]) -> tuple[int, int]:
    return len(found), sum((folder / path).stat().st_size for path in found)


def _changed(problem: str) -> FetchFailed:
    return FetchFailed(
        Reason.MODEL_CHANGED,
        problem,
        remedy="Bring the old bytes back, or roll out what is there now: `kubectl annotate mwd NAME modelward.dev/refresh=1`.",
    )
