"""Notes in the image which Debian packages its files come from, so that scanners know what needs an update.

    python package_records.py ROOT

Without it, the C library or OpenSSL would be files without a name or a version. The image has no dpkg; scanners read
/var/lib/dpkg/status.d, a file for each package, and at /etc/os-release for whose packages these are. On a base that is
not Debian's nothing is noted.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

DPKG = Path("var/lib/dpkg")
OS_RELEASE = Path("etc/os-release")
NAME = re.compile(r"^Package: (\S+)$", re.MULTILINE)


def main(root: Path, base: Path = Path("/")) -> None:
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
        if named := NAME.search(record):
            yield named[1], record.strip()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
