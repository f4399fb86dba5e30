"""The target appears whole or not at all, whatever happens; and what was done is not done again."""

import itertools
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from modelward_fetch import staging
from modelward_fetch.failures import FetchFailed, Reason
from modelward_fetch.limits import Deadline
from modelward_fetch.parts import Parts
from modelward_fetch.progress import Counter
from modelward_fetch.sources.base import Entry, Listing
from support.fetch import (
    MEASURING,
    PART_BYTES,
    QUICK,
    command,
    environment,
    failure,
    fetch,
    files,
    program,
    reason,
)
from support.fetch_site import Page, Site

CONTENT = b"".join(number.to_bytes(4, "big") * 256 for number in range(8 * PART_BYTES // 1024))


class Killed(BaseException):
    """The process ended here."""


@contextmanager
def killed_at(number: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The process ends at its n-th change of what lies on the disk; what happened before."""
    done: list[str] = []
    with monkeypatch.context() as patched:
        for module, name in (
            (os, "pwrite"),
            (os, "open"),
            (os, "rename"),
            (os, "replace"),
            (os, "mkdir"),
            (os, "unlink"),
            (os, "rmdir"),
        ):
            real = getattr(module, name)

            def counted(*args: object, _real: object = real, _name: str = name, **options: object) -> object:
                done.append(_name)
                if len(done) == number:
                    raise Killed(_name)
                return _real(*args, **options)  # type: ignore[operator]

            patched.setattr(module, name, counted)
        yield done


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # a killed process closes no file
def test_a_crash_at_any_moment_leaves_nothing_or_all_of_it(
    plain_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every single write, rename and removal: the target is the old model, the new one, or not there."""
    old, new = b"old" * 1000, CONTENT[: 3 * PART_BYTES]
    target, uri = tmp_path / "m", f"{plain_site.url}/model.onnx"
    for number in itertools.count(1):
        plain_site.pages["/model.onnx"] = Page(old, etag='"old"')
        fetch(uri, target)
        plain_site.pages["/model.onnx"] = Page(new, etag='"new"')
        with killed_at(number, monkeypatch) as done, suppress(Killed):
            fetch(uri, target)
        whole = len(done) < number
        assert not target.exists() or files(target) in ({"model.onnx": old}, {"model.onnx": new})
        fetch(uri, target)
        assert files(target) == {"model.onnx": new}
        if whole:
            break
    assert number > 15


def test_a_killed_program_goes_on_where_it_was(plain_site: Site, tmp_path: Path) -> None:
    """By SIGKILL, in the middle; parts that were there are not fetched again."""
    large = os.urandom(40 * 1024 * 1024)
    page = Page(large, stall_after=1024 * 1024, stalls_from=16 * 1024 * 1024)  # all parts but the first
    plain_site.pages["/model.onnx"] = page
    uri = f"{plain_site.url}/model.onnx"
    journal = tmp_path / ".m.modelward" / "journal"
    with subprocess.Popen(command(uri, tmp_path / "m"), env=environment(), stderr=subprocess.PIPE) as process:
        assert process.stderr
        while not journal.exists() or '["model.onnx", ' not in journal.read_text(encoding="utf-8"):
            assert process.stderr.readline()
        process.kill()
    page.stalls = 0
    assert not (tmp_path / "m").exists()
    ended = program(uri, tmp_path / "m")
    assert ended.code == 0
    assert files(tmp_path / "m") == {"model.onnx": large}
    assert ended.report["transferred"] <= len(large) - 16 * 1024 * 1024


def test_sigterm_ends_the_program_at_once(plain_site: Site, tmp_path: Path) -> None:
    """As the first process of a container, too, where Python would ignore it."""
    plain_site.pages["/model.onnx"] = Page(CONTENT, stall_after=1000)
    uri = f"{plain_site.url}/model.onnx"
    with subprocess.Popen(command(uri, tmp_path / "m"), env=environment(), stderr=subprocess.PIPE) as process:
        assert process.stderr
        process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_journal_of_another_boot_counts_for_nothing(
    plain_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a power failure may have lost was never forced to the disk."""
    plain_site.pages["/model.onnx"] = Page(CONTENT, stall_after=PART_BYTES - 1, stalls=0)
    target, uri = tmp_path / "m", f"{plain_site.url}/model.onnx"
    with killed_at(12, monkeypatch), pytest.raises(Killed):
        fetch(uri, target)
    boot = tmp_path / "boot"
    boot.write_text("another", encoding="ascii")
    monkeypatch.setattr(staging, "BOOT_ID", boot)
    assert fetch(uri, target).transferred == len(CONTENT)


@pytest.mark.parametrize("line", ["", "{", "[1]\n", '["model.onnx", 0]\n["model.on'])
def test_a_journal_that_was_cut(plain_site: Site, tmp_path: Path, line: str) -> None:
    """The process may have ended within a line."""
    plain_site.pages["/model.onnx"] = Page(CONTENT)
    folder = tmp_path / ".m.modelward"
    folder.mkdir()
    (folder / "journal").write_text(line, encoding="utf-8")
    fetch(f"{plain_site.url}/model.onnx", tmp_path / "m")
    assert files(tmp_path / "m") == {"model.onnx": CONTENT}


def test_one_fetch_at_a_time(plain_site: Site, tmp_path: Path) -> None:
    """The second is reported at once."""
    plain_site.pages["/model.onnx"] = Page(CONTENT)
    with staging.Staging(tmp_path / "m").locked():
        assert reason(f"{plain_site.url}/model.onnx", tmp_path / "m") == Reason.TARGET_IN_USE


def test_what_no_fetch_brought_is_never_replaced(plain_site: Site, tmp_path: Path) -> None:
    """A folder with files, a file, a link. An empty folder may be."""
    plain_site.pages["/model.onnx"] = Page(CONTENT)
    uri = f"{plain_site.url}/model.onnx"
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("years", encoding="ascii")
    (tmp_path / "file").write_text("years", encoding="ascii")
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    for name in ("folder", "file", "link"):
        assert reason(uri, tmp_path / name) == Reason.TARGET_IN_USE
    assert reason(uri, Path("/proc")) == Reason.INVALID_URI
    assert (tmp_path / "folder" / "thesis.tex").read_text(encoding="ascii") == "years"
    (tmp_path / "empty").mkdir()
    assert fetch(uri, tmp_path / "empty").result == "Fetched"


def record_of(target: Path) -> Path:
    """What was published there."""
    return target.parent / f".{target.name}.modelward" / "record.json"


def fetched_beside_another(site: Site, folder: Path) -> Path:
    """A target into which one model was fetched, of a site that has another one, too."""
    site.pages["/model.onnx"] = Page(CONTENT)
    site.pages["/other.onnx"] = Page(CONTENT[:100])
    fetch(f"{site.url}/model.onnx", folder / "m")
    return folder / "m"


def old_and_new(site: Site) -> tuple[str, str]:
    """Addresses of two models."""
    site.pages["/old.onnx"] = Page(CONTENT[:100])
    site.pages["/new.onnx"] = Page(CONTENT[:200])
    return f"{site.url}/old.onnx", f"{site.url}/new.onnx"


@pytest.mark.parametrize("name", ["model.onnx", "other.onnx"])
@pytest.mark.parametrize(
    "added", ["beside", "instead", "in a folder", "link", "link instead", "empty folder"]
)
def test_a_file_that_was_added_after_a_fetch_is_never_removed(
    plain_site: Site, tmp_path: Path, added: str, name: str
) -> None:
    """Neither by the same address nor by another one: a record is one of names, not of a place."""
    target = fetched_beside_another(plain_site, tmp_path)
    if added in {"instead", "link instead"}:
        (target / "model.onnx").unlink()
    path = {"in a folder": target / "a" / "thesis.txt", "link instead": target / "model.onnx"}.get(
        added, target / "thesis.txt"
    )
    path.parent.mkdir(exist_ok=True)
    if "link" in added:
        path.symlink_to(tmp_path / "nowhere")
    elif added == "empty folder":
        path.mkdir()
    else:
        path.write_text("precious", encoding="ascii")
    failed = failure(f"{plain_site.url}/{name}", target)
    assert (failed.reason, failed.field) == (Reason.TARGET_IN_USE, "DIR")
    assert os.path.lexists(path)
    assert not path.is_file() or path.read_text(encoding="ascii") == "precious"


@pytest.mark.parametrize("damage", ["changed", "missing", "all missing"])
@pytest.mark.parametrize("name", ["model.onnx", "other.onnx"])
def test_a_damaged_model_of_ours_is_repaired_or_replaced(
    plain_site: Site, tmp_path: Path, damage: str, name: str
) -> None:
    """What it holds was all brought by a fetch."""
    target = fetched_beside_another(plain_site, tmp_path)
    if damage == "changed":
        (target / "model.onnx").write_bytes(b"damaged")
    else:
        (target / "model.onnx").unlink()
    if damage == "all missing":
        target.rmdir()
    assert fetch(f"{plain_site.url}/{name}", target).result == "Fetched"
    assert files(target) == {name: plain_site.pages[f"/{name}"].content}


def test_files_that_appear_while_a_fetch_runs_are_kept_by_later_ones(
    plain_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fetch is refused when it publishes, and so is each later one."""
    plain_site.pages["/model.onnx"] = Page(CONTENT)
    target, uri = tmp_path / "m", f"{plain_site.url}/model.onnx"
    fetched = Parts.fetch

    def meanwhile(parts: Parts) -> None:
        fetched(parts)
        target.mkdir()
        (target / "thesis.txt").write_text("precious", encoding="ascii")

    with monkeypatch.context() as patched:
        patched.setattr(Parts, "fetch", meanwhile)
        assert reason(uri, target) == Reason.TARGET_IN_USE
    assert not record_of(target).exists()
    assert reason(uri, target) == Reason.TARGET_IN_USE
    assert files(target) == {"thesis.txt": b"precious"}
    (target / "thesis.txt").unlink()
    assert fetch(uri, target).transferred == 0  # goes on from what is there


def test_a_file_that_appears_beside_the_model_while_a_fetch_runs(
    plain_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model before and the file are both there afterwards."""
    target = fetched_beside_another(plain_site, tmp_path)
    fetched = Parts.fetch

    def meanwhile(parts: Parts) -> None:
        fetched(parts)
        (target / "thesis.txt").write_text("precious", encoding="ascii")

    monkeypatch.setattr(Parts, "fetch", meanwhile)
    assert reason(f"{plain_site.url}/other.onnx", target) == Reason.TARGET_IN_USE
    assert files(target) == {"model.onnx": CONTENT, "thesis.txt": b"precious"}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_crash_at_any_moment_of_a_replacement_by_other_names(
    plain_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever address comes next finds a model of ours, never a folder that is refused; an added file is kept."""
    (old, new), target = old_and_new(plain_site), tmp_path / "m"
    for number in itertools.count(1):
        after = (old, new)[number % 2]
        fetch(old, target)
        with killed_at(number, monkeypatch) as done, suppress(Killed):
            fetch(new, target)
        with suppress(Killed), killed_at(number % 7 + 1, monkeypatch):
            fetch(after, target)  # a second crash, of the start that goes on
        fetch(after, target)
        name = after.rpartition("/")[2]
        assert files(target) == {name: plain_site.pages[f"/{name}"].content}
        if len(done) < number:
            break
    assert number > 10


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_crash_while_a_file_was_added_loses_neither(
    plain_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file came after the first check, the crash after any later change of the disk."""
    old, new = old_and_new(plain_site)
    fetched = Parts.fetch
    for number in itertools.count(1):
        target = tmp_path / str(number)
        fetch(old, target)

        def meanwhile(parts: Parts, target: Path = target) -> None:
            fetched(parts)
            (target / "thesis.txt").write_text("precious", encoding="ascii")

        with (
            killed_at(number, monkeypatch) as done,
            suppress(Killed, FetchFailed),
            monkeypatch.context() as patched,
        ):
            patched.setattr(Parts, "fetch", meanwhile)
            fetch(new, target)
        with suppress(FetchFailed):
            fetch(new, target)
        if files(target) != {"new.onnx": CONTENT[:200]}:  # the crash came before the file did
            assert files(target) == {"old.onnx": CONTENT[:100], "thesis.txt": b"precious"}
        else:
            assert number < len(done) or not any(tmp_path.rglob("thesis.txt"))
        if len(done) < number:
            break


@pytest.mark.parametrize("changed", [False, True])
def test_a_record_of_an_older_form_is_for_the_files_of_its_digest(
    plain_site: Site, tmp_path: Path, *, changed: bool
) -> None:
    """It has no names."""
    old, new = old_and_new(plain_site)
    target = tmp_path / "m"
    fetch(old, target)
    record = json.loads(record_of(target).read_text(encoding="utf-8"))
    del record["names"], record["before"]
    record_of(target).write_text(json.dumps(record), encoding="utf-8")
    if changed:
        (target / "old.onnx").write_bytes(b"precious")
        assert reason(new, target) == Reason.TARGET_IN_USE
    else:
        assert fetch(old, target).result == "AlreadyThere"
        assert fetch(new, target).result == "Fetched"


def test_a_disk_that_is_too_small(plain_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Known before the first byte of the file."""
    plain_site.pages["/model.onnx"] = Page(CONTENT)
    monkeypatch.setattr(staging, "free_bytes", lambda _folder: len(CONTENT) - 1)
    failed = failure(f"{plain_site.url}/model.onnx", tmp_path / "m")
    assert (failed.reason, str(len(CONTENT)) in failed.message) == (Reason.NO_SPACE, True)
    assert len(plain_site.seen) == 1


def test_a_disk_that_gets_full(plain_site: Site, tmp_path: Path) -> None:
    """Somebody else fills it meanwhile; a limit of the process stands for that."""
    plain_site.pages["/model.onnx"] = Page(CONTENT)
    half = len(CONTENT) // 2
    code = f"import resource, os, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({half}, {half})); os.execvp(sys.argv[1], sys.argv[1:])"
    ended = program(
        f"{plain_site.url}/model.onnx", tmp_path / "m", prefix=("/usr/bin/env", "python3", "-c", code)
    )
    assert (ended.code, ended.report["reason"]) == (14, "NoSpace")
    assert not (tmp_path / "m").exists()
    assert fetch(f"{plain_site.url}/model.onnx", tmp_path / "m").result == "Fetched"


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system is mounted by root")
def test_a_real_file_system_that_is_full(plain_site: Site, tmp_path: Path) -> None:
    """Of one MiB; an archive whose content does not fit, too."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount")
    try:
        plain_site.pages["/model.onnx"] = Page(CONTENT)
        assert reason(f"{plain_site.url}/model.onnx", place / "m") == Reason.NO_SPACE
        plain_site.pages["/model.onnx"] = Page(CONTENT[: PART_BYTES * 2])
        assert fetch(f"{plain_site.url}/model.onnx", place / "m").result == "Fetched"
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_memory_of_a_large_file(plain_site: Site, tmp_path: Path) -> None:
    """200 MiB at most, for a file of 96 MiB in six parts: none is held."""
    plain_site.pages["/model.onnx"] = Page(bytes(96 * 1024 * 1024))
    ended = program(f"{plain_site.url}/model.onnx", tmp_path / "m", prefix=MEASURING)
    assert ended.code == 0
    assert ended.peak_kib < 200 * 1024


def test_the_report_of_a_pod(plain_site: Site, tmp_path: Path) -> None:
    """A termination message is there before, empty, and takes 4,096 bytes."""
    message = tmp_path / "termination-log"
    message.touch()
    inode = message.stat().st_ino
    plain_site.pages["/model.onnx"] = Page(CONTENT)
    env = {"MODELWARD_FETCH_URI": f"{plain_site.url}/model.onnx", "MODELWARD_FETCH_DIR": str(tmp_path / "m")}
    run = command("", tmp_path)[:3]
    assert subprocess.run([*run, "--report", message], env=environment(**env), check=False).returncode == 0
    assert message.stat().st_ino == inode
    said = json.loads(message.read_text(encoding="ascii"))
    assert said["result"] == "Fetched"
    assert set(said) == {
        *("version", "result", "uri", "resolved", "identity", "listing", "digest", "sha256", "path"),
        *("files", "bytes", "transferred", "seconds"),
    }


def test_a_limit_is_one_of_the_whole_model(plain_site: Site, tmp_path: Path) -> None:
    """A server that shows no size is stopped while it sends."""
    plain_site.pages["/model.onnx"] = Page(CONTENT, ranges=False)
    with pytest.raises(FetchFailed) as raised:
        fetch(f"{plain_site.url}/model.onnx", tmp_path / "m", limits=replace(QUICK, bytes=1000))
    assert raised.value.reason == Reason.TOO_LARGE


class Endless:
    """A source of a file whose length nobody shows; the time limit passes while it is read."""

    def __init__(self) -> None:
        self.closed = False

    def resolve(self) -> Listing:
        """One file."""
        raise NotImplementedError

    def read(self, entry: Entry, start: int, end: int | None) -> Iterator[bytes]:
        """Until it is closed, and once more."""
        del entry, start, end
        while not self.closed:
            yield b"x"
        yield b"y"

    def close(self) -> None:
        """The fetch is over."""
        self.closed = True


def test_a_file_of_unknown_length_that_was_stopped_is_not_done(tmp_path: Path) -> None:
    """The next start would take it for whole."""
    journal = staging.Journal(tmp_path / "journal", "plan")
    parts = Parts(
        Endless(),
        (Entry(path="model.onnx", size=None, resumable=False),),
        tmp_path / "files",
        journal=journal,
        limits=QUICK,
        deadline=Deadline(0.3),
        counter=Counter(),
    )
    before = set(threading.enumerate())
    with pytest.raises(FetchFailed):
        parts.fetch()
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
    assert journal.files == {}
    journal.close()
