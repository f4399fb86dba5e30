"""The name under which a process holds a lease; from it another process of the same machine learns that its owner is dead.

A holder that was killed cannot give its lease back, so all others have to wait until it expires. Only who shares
its kernel and its process namespace can know better: the next process of a developer, or of a test.
"""

import hashlib
import os
import re
import secrets
import socket
from pathlib import Path
from typing import Final

_IDENTITY: Final = re.compile(r".*_(?P<machine>[0-9a-f]{12})-(?P<pid>\d+)-(?P<start>\d+)_[0-9a-f]{8}")
_DEAD_STATES: Final = ("Z", "X")
# Fields of /proc/<pid>/stat, counted from the one after the name (proc_pid_stat(5)).
_STATE: Final = 0
_START: Final = 19


def own_identity() -> str:
    """Pod name (its host name), machine and process, and a random part: never the same twice."""
    return f"{socket.gethostname()}_{_process()}_{secrets.token_hex(4)}"


def is_dead(holder: str) -> bool:
    """Whether the process of that identity is known to have ended; False when it cannot be known from here."""
    found = _IDENTITY.fullmatch(holder)
    if not found or found["machine"] != _machine():
        return False
    pid = int(found["pid"])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # there is one, of another user; /proc may not show it
        pass
    fields = _stat(pid)
    return bool(fields) and (fields[_STATE] in _DEAD_STATES or fields[_START] != found["start"])


def _process() -> str:
    machine, fields = _machine(), _stat(os.getpid())
    return f"{machine}-{os.getpid()}-{fields[_START]}" if machine and fields else str(os.getpid())


def _machine() -> str:
    """The kernel since it was booted, and the process namespace; empty where there is no such thing."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_bytes()
        namespace = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return ""
    return hashlib.sha256(boot + os.fsencode(namespace)).hexdigest()[:12]


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
