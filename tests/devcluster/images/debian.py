"""A small root file system with Python from Debian packages: what a `python:*-slim` image holds, without a shell.

Packages are downloaded by apt (which checks their signatures) and only unpacked: nothing of them runs here, so
neither root nor a container is needed, and it takes seconds.
"""

import shutil
import sys
import tarfile
from pathlib import Path

from devcluster.images.steps import ImageError, run, step

SUITE = "trixie"  # Debian 13 ships Python 3.13
PYTHON = "python3.13"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
WITH_DEPENDENCIES = (f"{PYTHON}-minimal", f"lib{PYTHON}-stdlib", "libstdc++6")
WITHOUT_DEPENDENCIES = ("ca-certificates", "python3-pip-whl")  # else they bring Perl
NOT_UNPACKED = ("debconf", "tzdata", "gcc-14-base", "openssl-provider-legacy", "readline-common")
NOT_NEEDED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/lintian",
    "usr/share/bug",
    "usr/share/python-wheels",
    "usr/lib/*/gconv",
    f"usr/lib/{PYTHON}/EXTERNALLY-MANAGED",
    f"usr/lib/{PYTHON}/pydoc_data",
    f"usr/lib/{PYTHON}/test",
)
FILES = {
    "etc/os-release": 'ID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n',
    "etc/passwd": "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/nonexistent:/sbin/nologin\n",
    "etc/group": "root:x:0:\nnonroot:x:65532:\n",
}


def write_root_tar(target: Path, work: Path) -> None:
    """Writes the root file system as a tar archive; `work` is an empty folder for what comes in between."""
    root = work / "root"
    with step(f"downloading Debian packages ({SUITE}, {PYTHON})"):
        packages = _download(work)
    with step("unpacking them"):
        for package in packages:
            _unpack(package, root)
        _finish(root)
        _pack(root, target)


def _download(work: Path) -> list[Path]:
    """The package files, from the mirror that this machine's own apt uses."""
    apt = work / "apt"
    for folder in ("state/lists/partial", "cache/archives/partial", "sources"):
        (apt / folder).mkdir(parents=True)
    (apt / "state/status").touch()  # nothing is installed, so every dependency is fetched
    (apt / "sources/base.sources").write_text(
        f"Types: deb\nURIs: {_mirror()}\nSuites: {SUITE} {SUITE}-updates\nComponents: main\nSigned-By: {KEYRING}\n"
    )
    options = [
        *("-o", f"Dir::State={apt / 'state'}", "-o", f"Dir::State::status={apt / 'state/status'}"),
        *("-o", f"Dir::Cache={apt / 'cache'}", "-o", "Dir::Etc::sourcelist=/dev/null"),
        *("-o", f"Dir::Etc::sourceparts={apt / 'sources'}", "-o", "APT::Sandbox::User=root"),
        *("-o", "Acquire::Languages=none", "-o", "APT::Update::Post-Invoke-Success::=true"),
    ]
    run(["apt-get", *options, "-qq", "update"])
    install = ["install", "-qq", "--download-only", "--no-install-recommends", "--yes"]
    run(["apt-get", *options, *install, *WITH_DEPENDENCIES])
    archives = apt / "cache/archives"
    run(["apt-get", *options, "-qq", "download", *WITHOUT_DEPENDENCIES], cwd=archives)
    return [path for path in sorted(archives.glob("*.deb")) if path.name.split("_")[0] not in NOT_UNPACKED]


def _unpack(package: Path, root: Path) -> None:
    """Unpacks it and notes it where dpkg would: what is installed, and which files are whose."""
    listed = run(["dpkg-deb", "-X", package, root])
    record = run(["dpkg-deb", "-f", package]).strip()
    dpkg = root / "var/lib/dpkg"
    (dpkg / "info").mkdir(parents=True, exist_ok=True)
    name = package.name.split("_")[0]
    (dpkg / "info" / f"{name}.list").write_text("".join(f"{line[1:]}\n" for line in listed.splitlines()))
    with (dpkg / "status").open("a") as status:
        status.write(record.replace("\n", "\nStatus: install ok installed\n", 1) + "\n\n")


def _mirror() -> str:
    """Address of a Debian archive, as this machine's own package lists have it."""
    if not shutil.which("apt-get") or not KEYRING.exists():
        raise ImageError("the base image is made of Debian packages: run this on Debian, with apt")
    listed = run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian"]
    )
    mirrors = [line for line in listed.splitlines() if not line.rstrip("/").endswith("-security")]
    if not mirrors:
        raise ImageError("apt knows no Debian archive on this machine: run `apt-get update` first")
    return mirrors[0]


def _finish(root: Path) -> None:
    """What the packages' scripts would have done, and what the image does without."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("dev", "proc", "sys", "run", "tmp", "root", "var/tmp", "usr/local/bin", "etc/ssl/certs"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("tmp", "var/tmp"):
        (root / name).chmod(0o1777)
    for path, text in FILES.items():
        (root / path).write_text(text)
    authorities = sorted((root / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    (root / "etc/ssl/certs/ca-certificates.crt").write_bytes(
        b"".join(path.read_bytes() for path in authorities)
    )
    for name in ("python", "python3"):
        (root / "usr/local/bin" / name).symlink_to(f"/usr/bin/{PYTHON}")
    for wheel in (root / "usr/share/python-wheels").glob("pip-*.whl"):
        run([sys.executable, "-m", "zipfile", "-e", wheel, root / f"usr/local/lib/{PYTHON}/dist-packages"])
    for unneeded in (found for pattern in NOT_NEEDED for found in root.glob(pattern)):
        if unneeded.is_dir():
            shutil.rmtree(unneeded)
        else:
            unneeded.unlink()


def _pack(root: Path, target: Path) -> None:
    with tarfile.open(target, "w") as archive:
        for path in sorted(root.iterdir()):
            archive.add(path, path.name, filter=_owned_by_root)


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = "root"
    return entry
