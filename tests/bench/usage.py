"""What a process uses, from /proc."""

import asyncio
import os
import re
import time
from pathlib import Path
from typing import Final

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_SAMPLE_SECONDS: Final = 0.25
_IDLE_SHARE: Final = 0.1
"""Of one core. At rest the operator uses less than 1 %; one sample can be off by 4 % (a tick is 10 ms)."""


def memory_mib(pid: int) -> tuple[float, float]:
    """Resident memory now and at its peak, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", status, re.MULTILINE))
    return int(found["VmRSS"]) / 1024, int(found["VmHWM"]) / 1024


def cpu_seconds(pid: int) -> float:
    """CPU time used so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


async def last_busy(pid: int, *, idle_seconds: float, patience_seconds: float = 300.0) -> float:
    """When the process was last seen busy (monotonic seconds), once it was idle for `idle_seconds`."""
    end = time.monotonic() + patience_seconds
    busy = before = time.monotonic()
    used = cpu_seconds(pid)
    while before - busy < idle_seconds and before < end:
        await asyncio.sleep(_SAMPLE_SECONDS)
        now, used_now = time.monotonic(), cpu_seconds(pid)
        if used_now - used > _IDLE_SHARE * (now - before):
            busy = now
        before, used = now, used_now
    return busy
