"""pvc://: what is mounted already."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from modelward_fetch.failures import Reason
from support.fetch import QUICK, digest_of, fetch, reason

CONTENT = {"model.onnx": b"abc", "deep/er/labels.txt": b"cat\n"}


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    """A mounted claim with a model in the folder `fraud`."""
    for name, content in CONTENT.items():
        path = tmp_path / "claim" / "fraud" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "claim"


def test_nothing_is_copied_and_identity_is_not_covered(claim: Path, tmp_path: Path) -> None:
    """Names, sizes and times are compared, and that is said."""
    report = fetch("pvc://models/fraud", tmp_path / "target", claim=claim)
    assert (report.result, report.identity, report.files, report.bytes) == ("InPlace", "NotCovered", 2, 7)
    assert (report.digest, report.path) == ("", str(claim / "fraud"))
    assert not (tmp_path / "target").exists()
    os.utime(claim / "fraud" / "model.onnx", (1, 1))
    assert fetch("pvc://models/fraud", tmp_path / "target", claim=claim).listing != report.listing


def test_a_checksum_is_compared(claim: Path, tmp_path: Path) -> None:
    """Then all is read."""
    right = digest_of(CONTENT).removeprefix("sha256:")
    assert fetch("pvc://models/fraud", tmp_path, claim=claim, sha256=right).digest == f"sha256:{right}"
    assert reason("pvc://models/fraud", tmp_path, claim=claim, sha256="0" * 64) == Reason.CHECKSUM_MISMATCH


def test_what_is_not_there(claim: Path, tmp_path: Path) -> None:
    """And what is mounted nowhere."""
    assert reason("pvc://models/other", tmp_path, claim=claim) == Reason.NOT_FOUND
    assert reason("pvc://models/fraud", tmp_path) == Reason.INVALID_URI


def test_ways_out_of_the_claim(claim: Path, tmp_path: Path) -> None:
    """In the address, and by a link; one that stays within is fine."""
    (tmp_path / "outside").write_bytes(b"secret")
    assert reason("pvc://models/../outside", tmp_path, claim=claim) == Reason.INVALID_URI
    assert reason("pvc://models/%2e%2e/outside", tmp_path, claim=claim) == Reason.INVALID_URI
    (claim / "fraud" / "inside").symlink_to(claim / "fraud" / "model.onnx")
    assert fetch("pvc://models/fraud", tmp_path, claim=claim).files == 3
    (claim / "fraud" / "link").symlink_to(tmp_path / "outside")
    assert reason("pvc://models/fraud", tmp_path, claim=claim) == Reason.UNSAFE_NAME
    (claim / "fraud" / "link").unlink()
    os.mkfifo(claim / "fraud" / "pipe")
    assert reason("pvc://models/fraud", tmp_path, claim=claim) == Reason.UNSAFE_NAME


def test_100_000_files(claim: Path, tmp_path: Path) -> None:
    """The walk ends at the limit."""
    for number in range(100_000):
        os.mknod(f"{claim}/fraud/{number}")
    assert reason("pvc://models/fraud", tmp_path, claim=claim) == Reason.TOO_LARGE
    limits = replace(QUICK, files=200_000)
    assert fetch("pvc://models/fraud", tmp_path, claim=claim, limits=limits).files == 100_002


def test_an_empty_model(claim: Path, tmp_path: Path) -> None:
    """Is none."""
    (claim / "empty").mkdir()
    (claim / "empty" / "model.onnx").touch()
    assert reason("pvc://models/empty", tmp_path, claim=claim) == Reason.FORMAT_UNKNOWN
