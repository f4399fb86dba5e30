"""One cgroup per cluster above all its pods: whatever runs in it is ours, and it is removed as a whole.

Works on version 1, where each controller has a tree of its own, on version 2, which has one, and on mixtures.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from devcluster import commands, processes
from devcluster.errors import DevclusterError

MOUNTS = Path("/proc/mounts")
# What the kubelet and runc limit and count.
CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")
CPUSET_FILES = ("cpuset.cpus", "cpuset.mems")


def group(name: str) -> str:
    """The cluster's group, as a path below each tree's root."""
    return f"mw-{name}"


def trees(mounts: str) -> tuple[list[Path], Path | None]:
    """Roots of the trees in a mount table: those of version 1, and that of version 2."""
    fields = [line.split() for line in mounts.splitlines()]
    old = [Path(field[1]) for field in fields if field[2] == "cgroup"]
    new = [Path(field[1]) for field in fields if field[2] == "cgroup2"]
    return old, new[0] if new else None


def create(name: str) -> None:
    """Make the cluster's group in every tree that has controllers."""
    old, new = trees(MOUNTS.read_text())
    groups = [root / group(name) for root in old]
    if new is not None and not old:
        _delegate(new)
        groups.append(new / group(name))
    commands.run(commands.privileged(["mkdir", "-p", *map(str, groups)]))
    for path in groups:
        _fill_cpuset(path)
    if new is not None and not old:
        _delegate(new / group(name))


def remove(name: str) -> None:
    """Kill whatever runs in the group and remove it from every tree, also after a crash."""
    old, new = trees(MOUNTS.read_text())
    groups = [root / group(name) for root in [*old, *([new] if new else [])] if (root / group(name)).is_dir()]
    _empty(groups)
    deepest_first = sorted(
        {path for top in groups for path in _directories(top)}, key=lambda path: -len(path.parts)
    )
    if deepest_first:
        commands.run(commands.privileged(["rmdir", *map(str, deepest_first)]))


def kill_pods(name: str) -> None:
    """Kill all containers of the cluster; their shims notice."""
    old, new = trees(MOUNTS.read_text())
    _empty(root / group(name) for root in [*old, *([new] if new else [])])


def _empty(groups: Iterable[Path]) -> None:
    tops = list(groups)
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
    return [top, *(path for path in top.rglob("*") if path.is_dir())] if top.is_dir() else []


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
