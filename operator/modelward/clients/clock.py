"""A clock that never goes back and does not stop while the machine sleeps."""

import time


def boot_seconds() -> float:
    """Seconds since some fixed moment, time in suspension included where the system counts it (Linux).

    `time.monotonic` stands still while a machine is suspended: a process would wake with a lease that others
    have long seen expire. See CLOCK_BOOTTIME in clock_gettime(2).
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
