"""Starting, finding and stopping a cluster's processes.

There are no pid files, which a crash would leave stale or unwritten. Every process carries a mark in its environment
(`MODELWARD_DEVCLUSTER=<cluster directory>:<component>`) and its children inherit it, containerd's shims among them.
Only processes with the mark are ever signalled.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from devcluster import commands
from devcluster.errors import DevclusterError

MARK = "MODELWARD_DEVCLUSTER"
# A proxy of the user's would sit between components that talk over loopback and private addresses.
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")

# So many times in a row a process must be missing before it counts as gone.
CHECKS = 5
# So long a program may take to be read from the disk.
START_SECONDS = 10


@dataclasses.dataclass(frozen=True, slots=True)
class Process:
    """A process that carries our mark."""

    pid: int
    component: str
    program: str  # last part of its argv[0]; empty for one that just ended


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A part of the cluster that runs as one process."""

    name: str
    program: str
    argv: Sequence[str]
    as_root: bool = False
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)


def marked(directory: Path) -> list[Process]:
    """All living processes of the cluster in `directory`, oldest pid first."""
    wanted = f"{directory}:".encode()
    found = []
    for pid, value in _marks():
        if value.startswith(wanted):
            component = value.removeprefix(wanted).decode(errors="replace")
            found.append(Process(pid, component, _program(pid)))
    return sorted(found, key=lambda process: process.pid)


def marked_below(parent: Path) -> set[str]:
    """Names of the directories in `parent` whose clusters have living processes."""
    found = {Path(os.fsdecode(value.rpartition(b":")[0])) for _, value in _marks()}
    return {directory.name for directory in found if directory.parent == parent}


def main_process(directory: Path, name: str, program: str) -> Process | None:
    """The component's own process, as opposed to children that inherited its mark."""
    for process in marked(directory):
        if process.component == name and process.program == program:
            return process
    return None


def start(directory: Path, component: Component) -> None:
    """Start a component detached from us, its output in logs/<name>.log. Does nothing if it runs."""
    if main_process(directory, component.name, component.program):
        return
    path = log_path(directory, component.name)
    path.parent.mkdir(exist_ok=True)
    variables = {**component.environment, MARK: f"{directory}:{component.name}"}
    argv = [
        "env",
        *(word for variable in PROXY_VARIABLES for word in ("-u", variable)),
        *(f"{name}={value}" for name, value in variables.items()),
        "setsid",
        "--fork",  # so that it is no child of ours: no zombies in a long-lived caller
        *component.argv,
    ]
    with path.open("ab") as log:
        written = path.stat().st_size
        started = subprocess.run(
            commands.privileged(argv) if component.as_root else argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            check=False,
        )
    if started.returncode:
        raise DevclusterError(f"{component.name} cannot be started: {last_line(directory, component.name)}")
    _wait_for_program(directory, component, path, written)


def _wait_for_program(directory: Path, component: Component, log: Path, written: int) -> None:
    """Wait until the component's own program runs, so that from then on its mark can be read at any time.

    Until then the process replaces itself several times (exec), and its environment reads empty meanwhile: for long when
    a large program comes from a cold disk. One that ends at once is seen by what it wrote.
    """
    deadline = time.monotonic() + START_SECONDS
    while not main_process(directory, component.name, component.program):
        if log.stat().st_size > written or time.monotonic() > deadline:
            return
        time.sleep(0.02)


def wait_until_ready(
    directory: Path, component: Component, ready: Callable[[], bool], timeout_seconds: float = 180
) -> None:
    """Return when `ready()`. Raises DevclusterError as soon as the process is gone, or after the timeout."""
    deadline = time.monotonic() + timeout_seconds
    see = f"See {log_path(directory, component.name)}"
    while not ready():
        if _gone(directory, component.name, seconds=0):
            raise DevclusterError(f"{component.name} ended: {last_line(directory, component.name)}", see)
        if time.monotonic() > deadline:
            raise DevclusterError(f"{component.name} is not ready after {timeout_seconds:.0f} s", see)
        time.sleep(0.05)


def stop(directory: Path, name: str, *, grace_seconds: float = 10) -> bool:
    """End a component and its children: SIGTERM, then SIGKILL. False when there was none."""
    if not _with_component(directory, name):
        return False
    _signal(_with_component(directory, name), signal.SIGTERM)
    if not _gone(directory, name, grace_seconds):
        _signal(_with_component(directory, name), signal.SIGKILL)
        if not _gone(directory, name, grace_seconds):
            pids = _with_component(directory, name)
            raise DevclusterError(
                f"{name} does not end, even killed (pid {pids})", "See: cat /proc/PID/stack"
            )
    return True


def kill(pids: Collection[int]) -> None:
    """SIGKILL processes that the caller knows to be ours by other means than the mark."""
    _signal(pids, signal.SIGKILL)


def log_path(directory: Path, name: str) -> Path:
    """Where the output of a component goes."""
    return directory / "logs" / f"{name}.log"


def last_line(directory: Path, name: str) -> str:
    """The last line a component said."""
    try:
        lines = log_path(directory, name).read_text(errors="replace").strip().splitlines()
    except FileNotFoundError:
        lines = []
    return lines[-1][:400] if lines else "it said nothing"


def _with_component(directory: Path, name: str) -> list[int]:
    return [process.pid for process in marked(directory) if process.component == name]


def _gone(directory: Path, name: str, seconds: float) -> bool:
    """Whether the component is away within `seconds`.

    One check is not enough: while a process replaces itself by another program (exec), its environment reads empty.
    """
    deadline = time.monotonic() + seconds
    missed = 0
    while missed < CHECKS:
        missed = 0 if _with_component(directory, name) else missed + 1
        if missed == 0 and time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True


def _signal(pids: Collection[int], number: signal.Signals) -> None:
    refused = []
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
        except PermissionError:
            refused.append(str(pid))
    if refused:  # The exit code shows only that one of them ended in between.
        commands.attempt(commands.privileged(["kill", f"-{number.name.removeprefix('SIG')}", *refused]))


def _marks() -> Iterator[tuple[int, bytes]]:
    """Pid and value of the mark, of all processes on this machine that have one."""
    refused = []
    for path in Path("/proc").iterdir():
        if not path.name.isdigit():
            continue
        try:
            environment = (path / "environ").read_bytes()
        except PermissionError:
            refused.append(str(path / "environ"))
            continue
        except OSError:  # ended meanwhile
            continue
        for variable in environment.split(b"\0"):
            if variable.startswith(MARK.encode() + b"="):
                yield int(path.name), variable.partition(b"=")[2]
    if refused and commands.can_be_root():
        yield from _marks_as_root(refused)


def _marks_as_root(paths: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    """With -z grep takes each variable for a line, so -H prints `<path>:<variable>` and a NUL."""
    argv = ["grep", "-a", "-z", "-s", "-H", f"^{MARK}=", *paths]
    found = subprocess.run(commands.privileged(argv), capture_output=True, check=False).stdout
    for line in found.split(b"\0"):
        path, separator, value = line.partition(f":{MARK}=".encode())
        if separator:
            yield int(path.split(b"/")[2]), value


def _program(pid: int) -> str:
    try:
        first = Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0]
    except OSError:
        return ""
    return Path(os.fsdecode(first)).name
