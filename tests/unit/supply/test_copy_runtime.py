"""What becomes the root of the image: the libraries that are linked, under the names that are asked for.

And the Debian packages that its files come from are noted, and no others.
"""

import runpy
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from supply import locks

COPY_RUNTIME: dict[str, Any] = runpy.run_path(str(locks.ROOT / "operator" / "image" / "copy_runtime.py"))
PYTHON = Path(sys.executable).resolve()
STATUS = """Package: libx1
Status: install ok installed
Version: 1.2-3
Architecture: amd64

Package: shell
Status: install ok installed
Version: 5
Architecture: amd64
"""


def test_loader_lists_the_c_library() -> None:
    """Of the interpreter that runs this test."""
    libraries = COPY_RUNTIME["shared_libraries"](COPY_RUNTIME["loader_of"](PYTHON), [PYTHON])
    assert {path.name for path in libraries} >= {"libc.so.6", "libm.so.6"}
    assert all(path.exists() for path in libraries)


def test_missing_library_ends_the_build(tmp_path: Path) -> None:
    """An image without it would fail when it is too late."""
    module = Path(sysconfig.get_path("stdlib")).rglob("_ssl.*.so")
    broken = tmp_path / "broken.so"
    broken.write_bytes(next(module).read_bytes().replace(b"libssl.so.", b"libnot.so."))
    with pytest.raises(
        LookupError, match=r"broken\.so needs what the base image does not have: .*libnot\.so"
    ):
        COPY_RUNTIME["shared_libraries"](COPY_RUNTIME["loader_of"](PYTHON), [broken])


def test_link_is_copied_with_what_it_points_to(tmp_path: Path) -> None:
    """A library that is asked for by its short name has its long one in the image, and the link."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libx.so.1.2").write_bytes(b"x")
    (tmp_path / "lib" / "libx.so.1").symlink_to("libx.so.1.2")
    root = tmp_path / "root"
    COPY_RUNTIME["copy"](tmp_path / "lib" / "libx.so.1", root)
    copied = root / (tmp_path / "lib").relative_to("/")
    assert (copied / "libx.so.1.2").read_bytes() == b"x"
    assert (copied / "libx.so.1").readlink() == tmp_path / "lib" / "libx.so.1.2"


def test_library_goes_without_installers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's library has what runs programs, not what installs them; its bytecode knows its later place."""
    # As in a build of the image, whatever the tests run with.
    monkeypatch.setattr(sys, "pycache_prefix", None)
    library = tmp_path / "python"
    for name in ("json", "ensurepip", "venv", "site-packages/pip", "json/__pycache__"):
        (library / name).mkdir(parents=True)
        (library / name / "__init__.py").write_text("raise ValueError\n")
    root = tmp_path / "root"
    COPY_RUNTIME["copy_library"](library, root)
    copied = root / library.relative_to("/")
    assert [path.name for path in copied.iterdir()] == ["json"]
    (compiled,) = (copied / "json" / "__pycache__").glob("__init__.*.pyc")
    assert str(library / "json").encode() in compiled.read_bytes()
    assert str(root).encode() not in compiled.read_bytes()
    assert shutil.which("pip", path=str(copied)) is None


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
    COPY_RUNTIME["note_packages"](root, base)
    (record,) = (root / "var/lib/dpkg/status.d").iterdir()
    assert record.name == "libx1"
    assert "Version: 1.2-3\n" in record.read_text()
    assert (root / "etc/os-release").read_text() == "ID=debian\n"


def test_base_without_dpkg_has_nothing_to_note(base: Path, root: Path, tmp_path: Path) -> None:
    """Another distribution's base is no failure."""
    COPY_RUNTIME["note_packages"](root, tmp_path / "nothing")
    assert not (root / "var").exists()
