"""Processor time of one lane: its tests, what they start, and its cluster with all pods.

Read from /proc (proc_pid_stat(5)), so it can be had on every Linux. A process that ended is counted by whoever waited for it;
one that nobody of the lane waited for (a container's shim) keeps what it had when it was last seen.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from devcluster.processes import MARK

_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class _Process:
    parent: int
    started: int
    seconds: float
    """Its own, and that of children it has waited for."""


@dataclass(slots=True)
class Meter:
    """Counts for this process and the cluster of that name."""

    cluster: str
    _lost: float = 0.0
    """Seconds of processes that ended without a parent in the lane."""
    _seen: dict[tuple[int, int], _Process] = field(default_factory=dict)

    def seconds(self) -> float:
        """Processor seconds so far."""
        alive = {(pid, each.started): each for pid, each in self._of_lane().items()}
        pids = {pid for pid, _ in alive} | {pid for pid, _ in self._seen}
        ended = self._seen.keys() - alive.keys()
        self._lost += sum(self._seen[key].seconds for key in ended if self._seen[key].parent not in pids)
        self._seen = alive
        return self._lost + sum(each.seconds for each in alive.values())

    def _of_lane(self) -> dict[int, _Process]:
        found = dict(_processes())
        roots = {os.getpid(), *(pid for pid in found if self._is_of_cluster(pid))}
        members: dict[int, bool] = {1: False, 0: False}
        return {pid: each for pid, each in found.items() if _belongs(pid, found, roots, members)}

    def _is_of_cluster(self, pid: int) -> bool:
        try:
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False
        mark = next((each for each in variables if each.startswith(MARK.encode() + b"=")), b"")
        name = Path(mark.partition(b"=")[2].decode(errors="replace").rpartition(":")[0]).name
        # A cluster that a test brings up for itself has a name that no lane has.
        return bool(mark) and (name == self.cluster or not name.startswith("test-"))


def _processes() -> Iterable[tuple[int, _Process]]:
    for path in Path("/proc").iterdir():
        if not path.name.isdigit():
            continue
        try:
            # The program's name stands in parentheses, and may hold spaces.
            numbers = (path / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        ticks = sum(int(each) for each in numbers[11:15])
        yield int(path.name), _Process(int(numbers[1]), int(numbers[19]), ticks / _TICKS)


def _belongs(pid: int, found: Mapping[int, _Process], roots: set[int], members: dict[int, bool]) -> bool:
    """Whether a process or one that it comes from is a root."""
    if pid not in members:
        above = found[pid].parent if pid in found else 0
        members[pid] = pid in roots or _belongs(above, found, roots, members)
    return members[pid]
