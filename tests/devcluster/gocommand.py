"""Running `go` in a module below gobuild/: progress while it works, an explanation when it fails."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from devcluster.errors import DevclusterError, PrerequisiteError
from devcluster.progress import Say

REPORT_SECONDS = 10
# Modules may be fetched, toolchains not; workspaces and flags of the user's own must not change the build.
GO_ENVIRONMENT = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}


def go_output(go: Path, arguments: list[str], doing: str, total: int, say: Say, module: Path) -> str:
    """Standard output of a go command in the folder of a module, whose lines on standard error are shown as progress.

    `total` is the number of packages to compile, 0 if that is not what it does. Raises DevclusterError.
    """
    with subprocess.Popen(
        [str(go), *arguments],
        cwd=module,
        env={**os.environ, **GO_ENVIRONMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        if process.stdout is None or process.stderr is None:
            raise DevclusterError("go has no output to read")
        follower = _Follower(process.stderr, doing, total, say)
        try:
            output = process.stdout.read()
            process.wait()
        except BaseException:
            process.terminate()
            raise
        finally:
            follower.join()
    if process.returncode:
        raise _explained(follower.last_lines)
    return output


def pinned(module: Path, required: str) -> str:
    """The version, without its `v`, at which the go.mod in `module` requires another module. Raises DevclusterError."""
    found = re.search(rf"\b{re.escape(required)} v(\S+)", (module / "go.mod").read_text())
    if not found:
        raise DevclusterError(f"{module / 'go.mod'} does not require {required}")
    return found.group(1)


class _Follower(threading.Thread):
    """Reads go's messages (one line per compiled package or fetched module) and reports every ten seconds."""

    def __init__(self, lines: Iterable[str], doing: str, total: int, say: Say) -> None:
        super().__init__(daemon=True)
        self._lines, self._doing, self._total, self._say = lines, doing, total, say
        self.last_lines: list[str] = []
        self.start()

    def run(self) -> None:
        """Count until go closes its end."""
        reported = time.monotonic()
        for count, line in enumerate(self._lines, start=1):
            self.last_lines = [*self.last_lines[-9:], line.strip()]
            if time.monotonic() - reported >= REPORT_SECONDS:
                reported = time.monotonic()
                # What Go's build cache holds is not compiled again: the total is an upper bound.
                share = f"{count} of at most {self._total} packages" if self._total else f"{count} fetched"
                self._say(f"{self._doing}: {share}, now {line.strip()}")


def _explained(lines: list[str]) -> DevclusterError:
    text = " | ".join(lines[-3:]) or "go said nothing"
    if "no space left" in text:
        return PrerequisiteError(
            f"the disk is full: {text}", "Make room, or move GOCACHE and MODELWARD_CACHE"
        )
    if re.search(r"dial tcp|no such host|proxyconnect|i/o timeout|connection refused", text):
        return PrerequisiteError(
            f"no way to the Go modules: {text}", "Check the network, or set GOPROXY to a mirror"
        )
    if "signal: killed" in text:
        return PrerequisiteError(
            f"the compiler was killed: {text}", "It needs about 4 GB of memory; set GOMAXPROCS=1"
        )
    return DevclusterError(f"the build failed: {text}")
