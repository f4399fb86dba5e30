"""The image notes the Debian packages that its files come from, and no others."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from supply import locks

RECORDS: dict[str, Any] = runpy.run_path(str(locks.ROOT / "operator" / "image" / "package_records.py"))
STATUS = """Package: libx1
Status: install ok installed
Version: 1.2-3
Architecture: amd64

Package: shell
Status: install ok installed
Version: 5
Architecture: amd64
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A Debian whose /lib is a link, with a library that is listed under its old place, and a shell."""
    base = tmp_path / "base"
    for folder in ("usr/lib", "usr/bin", "etc", "var/lib/dpkg/info"):
        (base / folder).mkdir(parents=True)
    (base / "lib").symlink_to("usr/lib")
    for name in ("usr/lib/libx.so.1", "usr/bin/sh", "etc/os-release"):
        (base / name).write_text("ID=debian\n")
    (base / "var/lib/dpkg/status").write_text(STATUS)
    (base / "var/lib/dpkg/info/libx1:amd64.list").write_text("/.\n/lib\n/lib/libx.so.1\n")
    (base / "var/lib/dpkg/info/shell.list").write_text("/.\n/usr/bin\n/usr/bin/sh\n")
    return base


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of an image with the library, and without the shell."""
    root = tmp_path / "root"
    (root / "usr/lib").mkdir(parents=True)
    (root / "etc").mkdir()
    (root / "usr/lib/libx.so.1").touch()
    return root


def test_package_of_a_copied_file_is_noted(base: Path, root: Path) -> None:
    """With its version, wherever its list says that the file lies; a package without a file in the image is not."""
    RECORDS["main"](root, base)
    (record,) = (root / "var/lib/dpkg/status.d").iterdir()
    assert record.name == "libx1"
    assert "Version: 1.2-3\n" in record.read_text()
    assert (root / "etc/os-release").read_text() == "ID=debian\n"


def test_base_without_dpkg_has_nothing_to_note(base: Path, root: Path, tmp_path: Path) -> None:
    """Another distribution's base is no failure."""
    RECORDS["main"](root, tmp_path / "nothing")
    assert not (root / "var").exists()
