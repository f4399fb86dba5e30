"""Kernel limits that several clusters share. To meet them in the middle of a start gives puzzling errors."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from devcluster.errors import PrerequisiteError

INOTIFY_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
# Counted on running clusters: the control plane watches its certificates, the node its containers.
CONTROL_PLANE_INSTANCES = 15
NODE_INSTANCES = 8


def require_inotify(instances: int) -> None:
    """Raise PrerequisiteError unless this user can have so many more inotify instances.

    The kernel shows the limit (128 on most systems) but not the use, so they are taken and given back.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    taken: list[int] = []
    try:
        while len(taken) < instances:
            descriptor = int(libc.inotify_init1(os.O_CLOEXEC))
            if descriptor < 0:
                raise PrerequisiteError(
                    f"this user's {INOTIFY_LIMIT.read_text().strip()} inotify instances are used up",
                    "Take another cluster down, or: sysctl -w fs.inotify.max_user_instances=1024",
                )
            taken.append(descriptor)
    finally:
        for descriptor in taken:
            os.close(descriptor)
