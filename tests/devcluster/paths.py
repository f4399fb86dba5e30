"""Where things lie: built programs in the cache, clusters in the state directory (XDG base directories)."""

from __future__ import annotations

import os
import re
from pathlib import Path

from devcluster.errors import DevclusterError

GOBUILD = Path(__file__).parent / "gobuild"
# "mw-" and the name make the name of a network interface, which Linux limits to 15 characters.
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?")


def cache_directory() -> Path:
    """Root of everything that can be made again: programs, containerd, a Go toolchain."""
    chosen = os.environ.get("MODELWARD_CACHE")
    return Path(chosen).absolute() if chosen else _xdg("XDG_CACHE_HOME", ".cache") / "modelward"


def clusters_directory() -> Path:
    """Parent of all clusters' directories."""
    return _xdg("XDG_STATE_HOME", ".local/state") / "modelward" / "clusters"


def cluster_directory(name: str) -> Path:
    """Directory of the cluster `name`, which need not exist. Raises DevclusterError for an unusable name."""
    if not NAME.fullmatch(name):
        raise DevclusterError(f"{name!r} cannot name a cluster", "Use 1 to 12 of a-z, 0-9 and inner dashes")
    return clusters_directory() / name


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Put `text` in `path` so that a reader or a crash never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        file.write(text)
    partial.replace(path)


def _xdg(variable: str, below_home: str) -> Path:
    """The specification says that relative values are to be ignored."""
    value = os.environ.get(variable, "")
    return Path(value) if value.startswith("/") else Path.home() / below_home
