"""Copies Python and what it needs at run time into an empty folder, which becomes the root of the image.

    python copy_runtime.py ROOT PACKAGES

A base image has a shell, a package manager, pip and whatever else a builder wants; the operator wants none of it.
So this takes the interpreter, its standard library, the shared libraries that these and the wheels in PACKAGES are
linked to (as the dynamic loader itself lists them), certificates and two accounts. It runs in the base image, whatever
that is: Python's own with /usr/local, or a distribution's with /usr.

It notes which Debian packages these files come from, so that scanners know what needs an update. Without it, the C library or
OpenSSL would be files without a name or a version. The image has no dpkg; scanners read /var/lib/dpkg/status.d, a file for
each package, and at /etc/os-release for whose packages these are. On a base that is not Debian's nothing is noted.
"""

import compileall
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from py_compile import PycInvalidationMode

NOT_AT_RUN_TIME = (  # of the standard library
    "__pycache__",
    "site-packages",
    "dist-packages",
    "config-*",  # what links programs with Python
    *("ensurepip", "venv"),  # pip
    *("idlelib", "lib2to3", "pydoc_data", "test", "tkinter", "turtle*"),
    *("curses", "_curses*", "readline*"),  # for people at a terminal
    *("dbm", "_dbm*", "_gdbm*"),  # a database, whose library would need updates
)
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
CACHE = Path("/etc").glob(
    "ld.so.cache"
)  # which of the folders libraries lie in, where they are not the usual ones
FILES = {
    "etc/passwd": "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n",
    "etc/group": "root:x:0:\nnonroot:x:65532:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",  # else the C library asks DNS before it reads /etc/hosts
}
INTERPRETER = re.compile(rb"(/[\w./-]*/ld-[\w.-]+)\0")  # first, in the section .interp of an ELF program
LISTED = re.compile(r"=> (\S+) \(0x")
DPKG = Path("var/lib/dpkg")
OS_RELEASE = Path("etc/os-release")
PACKAGE = re.compile(r"^Package: (\S+)$", re.MULTILINE)


def main(root: Path, packages: Path) -> None:
    """Fills the root, and notes whose it is. Raises LookupError if a library that something is linked to is not there."""
    python = Path(sys.executable)
    library = Path(sysconfig.get_path("stdlib"))
    loader = loader_of(python.resolve())
    libraries = shared_libraries(loader, [python.resolve(), *modules(library), *packages.rglob("*.so*")])
    root.mkdir()
    copy_links(root)
    outside = (path for path in libraries if not path.is_relative_to(packages))
    for path in [python, loader, *outside, *loaded_later(libraries), CERTIFICATES, *CACHE]:
        copy(path, root)
    copy_library(library, root)
    for name, text in FILES.items():
        below(root, Path("/", name)).write_text(text)
    (root / "tmp").mkdir(mode=0o1777)
    (root / "tmp").chmod(0o1777)  # the umask took some of it
    note_packages(root)


def loader_of(program: Path) -> Path:
    """The dynamic loader that the program names."""
    found = INTERPRETER.search(program.read_bytes())
    if found is None:
        raise LookupError(f"{program} names no dynamic loader")
    return Path(found[1].decode())


def modules(library: Path) -> list[Path]:
    """The compiled modules of the standard library that go along."""
    return [
        path
        for path in library.rglob("*.so")
        if not any(
            fnmatch(part, each) for part in path.relative_to(library).parts for each in NOT_AT_RUN_TIME
        )
    ]


def shared_libraries(loader: Path, linked: Iterable[Path]) -> set[Path]:
    """All that the files are linked to, as the loader finds it. Raises LookupError for what it does not find."""
    found: set[Path] = set()
    for path in linked:
        listed = subprocess.run([loader, "--list", path], capture_output=True, text=True, check=False)
        if listed.returncode:
            raise LookupError(f"{path} needs what the base image does not have: {listed.stderr.strip()}")
        found |= {Path(each) for each in LISTED.findall(listed.stdout)}
    return found


def loaded_later(libraries: Iterable[Path]) -> Iterator[Path]:
    """What the C library opens by name when a thread is cancelled; nothing is linked to it."""
    for path in libraries:
        unwinder = path.parent / "libgcc_s.so.1"
        if path.name == "libc.so.6" and unwinder.exists():
            yield unwinder


def copy_links(root: Path) -> None:
    """The folders at the top that are links since Debian moved them to /usr."""
    for path in Path("/").glob("lib*"):
        if path.is_symlink():
            (root / path.name).symlink_to(path.readlink())


def copy(path: Path, root: Path) -> None:
    """Copies a file to its place below the root; under the name it was asked by, if that is a link."""
    resolved = path.resolve(strict=True)
    target = below(root, resolved)
    shutil.copy(resolved, target)
    name = below(root, path.parent.resolve() / path.name)
    if not name.exists():
        name.symlink_to(resolved)


def copy_library(library: Path, root: Path) -> None:
    """The standard library, compiled for the place it will have: a read-only root could not keep bytecode."""
    target = below(root, library)
    shutil.copytree(
        library, target, ignore=shutil.ignore_patterns(*NOT_AT_RUN_TIME), ignore_dangling_symlinks=True
    )
    compileall.compile_dir(
        target,
        quiet=1,
        stripdir=str(root),
        prependdir="/",
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )


def below(root: Path, path: Path) -> Path:
    """The place of an absolute path below the root; its folder is made."""
    target = root / path.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def note_packages(root: Path, base: Path = Path("/")) -> None:
    """Writes the records of all packages that a file below the root was copied from."""
    copied = {path.relative_to(root) for path in root.rglob("*") if path.is_file() and not path.is_symlink()}
    names = set(packages_of(copied, base))
    if not names:
        return
    folder = root / DPKG / "status.d"
    folder.mkdir(parents=True)
    for name, record in records(base):
        if name in names:
            (folder / name).write_text(record + "\n")
    shutil.copyfile(base / OS_RELEASE, root / OS_RELEASE)


def packages_of(files: set[Path], base: Path) -> Iterator[str]:
    """Names of the packages that any of the files belongs to."""
    wanted = {path.name for path in files}
    for listing in (base / DPKG / "info").glob("*.list"):
        lines = (line.lstrip("/") for line in listing.read_text().splitlines())
        # Lists say /lib/x or /usr/lib/x, whatever is a link today.
        if any(
            (base / line).resolve().relative_to(base) in files for line in lines if Path(line).name in wanted
        ):
            yield listing.stem.partition(":")[0]


def records(base: Path) -> Iterator[tuple[str, str]]:
    """Each package's name and its entry in dpkg's list of what is installed."""
    for record in (base / DPKG / "status").read_text().split("\n\n"):
        if named := PACKAGE.search(record):
            yield named[1], record.strip()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
