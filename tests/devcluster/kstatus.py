"""kstatus as its own library computes it, for objects of a test: a small Go program, built once into the cache.

Flux, `kubectl apply --prune` and others read an object's status with that library (Go module sigs.k8s.io/cli-utils).
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from devcluster.gocommand import go_output, pinned
from devcluster.locks import locked
from devcluster.paths import GOBUILD, cache_directory
from devcluster.progress import Say
from devcluster.toolchain import find_go

MODULE: Final = GOBUILD / "kstatus"
LIBRARY: Final = "sigs.k8s.io/cli-utils"
_SECONDS: Final = 30


def kstatus(raw: Mapping[str, Any], say: Say) -> str:
    """The status of an object: Current, InProgress, Failed, Terminating or Unknown."""
    found = subprocess.run(
        [ensure_program(say)],
        input=json.dumps(raw),
        capture_output=True,
        text=True,
        check=True,
        timeout=_SECONDS,
    )
    return found.stdout.partition(":")[0]


def ensure_program(say: Say) -> Path:
    """The program in the cache; it is built there first if it is missing. Raises DevclusterError."""
    program = cache_directory() / f"kstatus-{pinned(MODULE, LIBRARY)}-{_digest()}"
    with locked(cache_directory() / ".kstatus.lock", say=say):
        if not program.is_file():
            partial = program.with_name(f".{program.name}.{os.getpid()}.partial")
            flags = ["-mod=readonly", "-trimpath", "-buildvcs=false", "-o", str(partial)]
            go_output(find_go(MODULE, say), ["build", "-v", *flags, "."], "compiling", 0, say, MODULE)
            partial.rename(program)
    return program


def _digest() -> str:
    """Changes whenever the result of the build would."""
    parts = [(MODULE / name).read_bytes() for name in ("go.mod", "go.sum", "main.go")]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
