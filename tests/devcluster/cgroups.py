"""One cgroup per cluster above all its pods: whatever runs in it is ours, and it is removed as a whole.

Works on version 1, where each controller has a tree of its own, on version 2, which has one, and on mixtures.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from devcluster import commands, processes
from devcluster.errors import DevclusterError

MOUNTS = Path("/proc/mounts")
# What the kubelet and runc limit and count.
CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")
CPUSET_FILES = ("cpuset.cpus", "cpuset.mems")


def group(directory: Path) -> str:
    """The cluster's group, as a path below each tree's root; another user's cluster of the same name has another."""
    return f"mw-{directory.name}-{hashlib.sha256(bytes(directory)).hexdigest()[:8]}"


def trees(mounts: str) -> tuple[list[Path], Path | None]:
    """Roots of the trees in a mount table: those of version 1, and that of version 2."""
    fields = [line.split() for line in mounts.splitlines()]
    old = [Path(field[1]) for field in fields if field[2] == "cgroup"]
    new = [Path(field[1]) for field in fields if field[2] == "cgroup2"]
    return old, new[0] if new else None


def create(directory: Path) -> None:
    """Make the cluster's group in every tree that has controllers."""
    old, new = trees(MOUNTS.read_text())
    if new is not None and not old:
        _delegate(new)
        commands.run(commands.privileged(["mkdir", "-p", str(new / group(directory))]))
        _delegate(new / group(directory))
        return
    paths = [root / group(directory) for root in old]
    commands.run(commands.privileged(["mkdir", "-p", *map(str, paths)]))
    for path in paths:
        _fill_cpuset(path)


def groups(directory: Path) -> list[Path]:
    """The cluster's group in each tree; runc may make it even where no controller is."""
    old, new = trees(MOUNTS.read_text())
    return [root / group(directory) for root in [*old, *([new] if new else [])]]


def kill_pods(directory: Path) -> None:
    """Kill all containers of the cluster; their shims notice."""
    _empty(groups(directory))


def remove(directory: Path) -> None:
    """Kill whatever runs in the group and remove it from every tree, also after a crash."""
    _empty(groups(directory))
    found = {path for top in groups(directory) for path in _directories(top)}
    deepest_first = sorted(found, key=lambda path: -len(path.parts))
    if deepest_first:
        commands.run(commands.privileged(["rmdir", *map(str, deepest_first)]))


def _empty(tops: list[Path]) -> None:
    deadline = time.monotonic() + 20
    while pids := {pid for top in tops for pid in _members(top)}:
        if time.monotonic() > deadline:
            raise DevclusterError(
                f"containers do not end, even killed (pids {sorted(pids)})", "See: cat /proc/PID/stack"
            )
        processes.kill(pids)
        time.sleep(0.05)


def _members(top: Path) -> set[int]:
    found: set[int] = set()
    for directory in _directories(top):
        try:
            found.update(int(line) for line in (directory / "cgroup.procs").read_text().split())
        except OSError:  # removed meanwhile
            continue
    return found


def _directories(top: Path) -> list[Path]:
    # Groups vanish meanwhile; os.walk passes over them.
    return [Path(parent) for parent, _, _ in os.walk(top)]


def _fill_cpuset(path: Path) -> None:
    """A new group of version 1 has no processor and no memory node, and nothing can run in it."""
    for file in CPUSET_FILES:
        own, parents = path / file, path.parent / file
        if own.exists() and parents.exists() and not own.read_text().strip():
            commands.run(commands.privileged(["tee", str(own)]), stdin=parents.read_text())


def _delegate(path: Path) -> None:
    """Version 2: let groups below `path` have controllers of their own."""
    control = path / "cgroup.subtree_control"
    there = (path / "cgroup.controllers").read_text().split()
    wanted = " ".join(f"+{name}" for name in CONTROLLERS if name in there)
    if set(CONTROLLERS) & set(there) - set(control.read_text().split()):
        commands.run(commands.privileged(["tee", str(control)]), stdin=wanted)
