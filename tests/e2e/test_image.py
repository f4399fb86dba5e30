"""The operator's image: Python, its libraries, the operator, and no other program."""

import tarfile
from pathlib import Path, PurePosixPath

import pytest

from devcluster.images import build_image
from supply.image import blob, debian_packages, entries, manifest, unpacked

PROGRAMS = {"python3.13", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "libc.so.6"}
SHELLS_AND_PACKAGE_MANAGERS = {
    *("ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "perl", "sh", "zsh"),
    *("apk", "apt", "apt-get", "conda", "dnf", "dpkg", "easy_install", "pip", "pip3", "rpm", "uv", "yum"),
    *("curl", "env", "gcc", "ldd", "nc", "openssl", "su", "sudo", "wget"),
}
INSTALLERS = {"conda", "ensurepip", "pip", "setuptools", "uv"}  # modules of Python

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image as an unpacked OCI layout."""
    return unpacked(build_image("operator"), tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def files(image: Path) -> dict[PurePosixPath, tarfile.TarInfo]:
    """Everything that is in the layers, by path."""
    return {
        PurePosixPath("/", entry.name): entry
        for layer in manifest(image)["layers"]
        for entry in entries(image, layer)
    }


def test_python_is_the_only_program(files: dict[PurePosixPath, tarfile.TarInfo]) -> None:
    """What may be executed is the interpreter, the loader of its libraries, and modules that only reconcile so."""
    executable = {
        path.name
        for path, entry in files.items()
        if entry.isfile() and entry.mode & 0o111 and path.suffix not in {".py", ".so"}
    }
    assert "python3.13" in executable
    assert executable <= PROGRAMS


def test_no_shell_and_no_package_manager(files: dict[PurePosixPath, tarfile.TarInfo]) -> None:
    """Neither as a file nor as a link, nor as a module of Python."""
    programs = {path for path, entry in files.items() if not entry.isdir()}
    assert not {str(path) for path in programs if path.name in SHELLS_AND_PACKAGE_MANAGERS}
    assert not {str(path) for path in files if path.name in INSTALLERS}
    assert not [str(path) for path, entry in files.items() if entry.mode & 0o6000 and entry.isfile()]


def test_nothing_but_tmp_can_be_written(files: dict[PurePosixPath, tarfile.TarInfo]) -> None:
    """All belongs to root, and others may write to /tmp only."""
    assert {entry.uid for entry in files.values()} == {0}
    open_to_all = [path for path, entry in files.items() if entry.mode & 0o022 and not entry.issym()]
    assert open_to_all == [PurePosixPath("/") / "tmp"]


def test_scanners_find_whose_the_libraries_are(
    image: Path, files: dict[PurePosixPath, tarfile.TarInfo]
) -> None:
    """Each shared library of the system has the entry of a Debian package, with its version, though dpkg is not there."""
    libraries = {
        path.name.partition(".so")[0]
        for path in files
        if str(path).startswith("/usr/lib/x86_64-linux-gnu/lib")
    }
    assert {"libc", "libssl", "libcrypto", "libsqlite3", "libstdc++"} <= libraries
    found = {package.name: package.version for package in debian_packages(image)}
    assert {
        "libc6",
        "libssl3t64",
        "libsqlite3-0",
        "libstdc++6",
        "python3.13-minimal",
        "zlib1g",
    } <= found.keys()
    assert all(version[0].isdigit() for version in found.values())
    assert PurePosixPath("/etc/os-release") in files


def test_configuration_of_the_image(image: Path) -> None:
    """It starts the operator as nobody in particular, and says what it is."""
    configuration = blob(image, manifest(image)["config"]["digest"])["config"]
    assert configuration["User"] == "65532:65532"
    assert configuration["Entrypoint"] == ["python", "-m", "modelward"]
    assert configuration["Cmd"] == ["run"]
    assert "PYTHONSAFEPATH=1" in configuration["Env"]
    labels = configuration["Labels"]
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert {f"org.opencontainers.image.{name}" for name in ("title", "version", "revision")} <= labels.keys()
