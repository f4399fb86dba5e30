"""Programs of the operating system that a real node or a test needs, from the distribution's packages.

containerd and Prometheus are only unpacked into the cache: installing their packages would start services.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from devcluster import commands
from devcluster.errors import DevclusterError, PrerequisiteError
from devcluster.locks import locked
from devcluster.paths import cache_directory
from devcluster.progress import Say

# Program, and the Debian package that brings it.
PROGRAMS = {
    "ip": "iproute2",
    "iptables": "iptables",
    "nft": "nftables",
    "nsenter": "util-linux",
    "runc": "runc",
    "socat": "socat",
}
CNI_PACKAGE = "containernetworking-plugins"
CNI_DIRECTORIES = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
CNI_PLUGINS = ("bridge", "host-local", "loopback", "portmap")
APT_OPTIONS = ("-q", "-o", "DPkg::Lock::Timeout=120")


def missing_packages() -> list[str]:
    """Packages to install before a node can run, without containerd."""
    packages = [package for program, package in PROGRAMS.items() if commands.which(program) is None]
    return packages if cni_directory() else [*packages, CNI_PACKAGE]


def cni_directory() -> Path | None:
    """Where the CNI plugins are, or None when some are missing."""
    for directory in CNI_DIRECTORIES:
        if all((directory / plugin).is_file() for plugin in CNI_PLUGINS):
            return directory
    return None


def containerd_directory() -> Path:
    """Where containerd, its shim and ctr are, once unpacked."""
    return cache_directory() / "containerd"


def can_provide() -> bool:
    """Whether everything is there or can be had."""
    complete = not missing_packages() and containerd_directory().is_dir()
    return complete or all(commands.which(program) for program in ("apt-get", "dpkg"))


def ensure(say: Say) -> None:
    """Install and unpack what is missing. Raises PrerequisiteError when apt cannot."""
    with locked(cache_directory() / ".packages.lock", say=say):
        packages = missing_packages()
        if packages:
            say(f"installing {' '.join(packages)}")
            _apt(["install", "--yes", "--no-install-recommends", *packages], as_root=True)
        if not containerd_directory().is_dir():
            say("unpacking containerd")
            _unpack("containerd", containerd_directory())


def unpacked(package: str) -> Path:
    """The programs of a package, unpacked into the cache. Raises PrerequisiteError when apt cannot get it."""
    target = cache_directory() / package
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(cache_directory() / ".packages.lock"):
        if not target.is_dir():
            _unpack(package, target)
    return target


def _unpack(package: str, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{package}.") as temporary:
        work = Path(temporary)
        work.chmod(0o755)  # apt downloads as a user of its own
        _apt(["download", package], as_root=False, cwd=work)
        (found,) = work.glob(f"{package}_*.deb")
        commands.run(["dpkg", "-x", str(found), str(work / "root")])
        shutil.move(work / "root" / "usr" / "bin", target)


def _apt(arguments: list[str], *, as_root: bool, cwd: Path | None = None) -> None:
    """Fetch the package lists only if apt fails with those it has (or has none)."""
    if commands.which("apt-get") is None:
        wanted = " ".join([*missing_packages(), "containerd"])
        raise PrerequisiteError(
            "this machine has no apt-get", f"Install yourself what these packages bring: {wanted}"
        )
    command = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *APT_OPTIONS, *arguments]
    command = commands.privileged(command) if as_root else command
    if commands.attempt(command, cwd=cwd, timeout_seconds=600).returncode == 0:
        return
    commands.run(commands.privileged(["apt-get", *APT_OPTIONS, "update"]), timeout_seconds=600)
    try:
        commands.run(command, cwd=cwd, timeout_seconds=600)
    except DevclusterError as error:
        raise PrerequisiteError(str(error), "Check the network and apt's sources") from error
