"""Running other programs: plainly, or with the rights of root (directly, or through sudo without a password)."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from devcluster.errors import DevclusterError

# Debian leaves these out of an ordinary user's PATH.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def which(program: str) -> str | None:
    """Path of a program, looked up in PATH and in the system's directories."""
    return shutil.which(program) or shutil.which(program, path=SYSTEM_PATH)


@functools.cache
def can_be_root() -> bool:
    """Whether privileged commands will work: as root, or by sudo without a password."""
    if os.geteuid() == 0:
        return True
    if which("sudo") is None:
        return False
    return subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0


def privileged(argv: Sequence[str]) -> list[str]:
    """The command to run so that `argv` runs as root."""
    return list(argv) if os.geteuid() == 0 else ["sudo", "-n", *argv]


def run(
    argv: Sequence[str],
    *,
    stdin: str = "",
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_seconds: float = 120,
) -> str:
    """Standard output of a command. Raises DevclusterError with the last line it wrote on standard error."""
    done = attempt(argv, stdin=stdin, cwd=cwd, env=env, timeout_seconds=timeout_seconds)
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
        raise DevclusterError(f"`{' '.join(argv)[:200]}` failed ({done.returncode}): {lines[-1]}")
    return done.stdout


def attempt(
    argv: Sequence[str],
    *,
    stdin: str = "",
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_seconds: float = 120,
) -> subprocess.CompletedProcess[str]:
    """The finished command, whatever its exit code. Raises DevclusterError when it is missing or too slow."""
    environment = {**os.environ, **(env or {}), "PATH": f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"}
    try:
        return subprocess.run(
            list(argv),
            input=stdin,
            cwd=cwd,
            env=environment,
            timeout=timeout_seconds,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise DevclusterError(f"there is no program {argv[0]}") from error
    except subprocess.TimeoutExpired as error:
        raise DevclusterError(
            f"`{' '.join(argv)[:200]}` did not end within {timeout_seconds:.0f} s"
        ) from error
