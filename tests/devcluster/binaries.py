"""Kubernetes' programs, built once from a pinned Go module in gobuild/ into the cache.

All programs come from one module, whose go.mod lists them as tools, and one `go build`: what they share is compiled once.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from devcluster import versions
from devcluster.errors import DevclusterError, PrerequisiteError
from devcluster.gocommand import go_output
from devcluster.locks import locked
from devcluster.paths import cache_directory
from devcluster.progress import Say
from devcluster.toolchain import find_go

KWOK_MODULE = "sigs.k8s.io/kwok"
# The order matters: kwok plays the stages of one kind in the order in which it reads them.
KWOK_STAGES = ("pod/fast/pod-*.yaml", "node/fast/node-*.yaml", "node/heartbeat-with-lease/node-*.yaml")
STAGES_FILE = "kwok-stages.yaml"

# Measured: 3.3 GB of Go's build cache, 0.6 GB of modules, 0.6 GB of programs; the rest is for the linker.
NEEDED_BYTES = 6 * 10**9


def ensure_binaries(minor: str, say: Say) -> Path:
    """Directory with all programs and kwok's stages; builds them first (some minutes) when it is not there."""
    directory = binaries_directory(minor)
    if directory.is_dir():
        return directory
    with locked(directory.parent / ".lock", say=say):
        if not directory.is_dir():
            _build_into(directory, minor, say)
    return directory


def binaries_directory(minor: str) -> Path:
    """Where the programs of the pinned release of a minor version are, or will be."""
    return cache_directory() / "bin" / build_key(minor)


def linker_flags(version: str) -> str:
    """What Kubernetes' own build shows the linker: without it every program says v0.0.0-master."""
    major, minor, _ = version.split(".", 2)
    base = "k8s.io/component-base/version"
    values = {
        f"{base}.gitVersion": f"v{version}",
        f"{base}.gitMajor": major,
        f"{base}.gitMinor": minor,
        f"{base}.gitTreeState": "clean",
        "k8s.io/client-go/pkg/version.gitVersion": f"v{version}",
    }
    return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in values.items())])


def build_key(minor: str) -> str:
    """Changes whenever the result of the build would."""
    pins = [(versions.module(minor) / name).read_bytes() for name in ("go.mod", "go.sum")]
    digest = hashlib.sha256()
    for part in (*pins, linker_flags(versions.release(minor)).encode()):
        digest.update(part + b"\0")
    return digest.hexdigest()[:16]


def _build_into(directory: Path, minor: str, say: Say) -> None:
    """Build beside `directory` and rename at the end: an interrupted build leaves nothing that checks finished."""
    _require_space(directory.parent)
    module, release = versions.module(minor), versions.release(minor)
    go = find_go(module, say)
    for abandoned in directory.parent.glob(".*.partial"):
        shutil.rmtree(abandoned, ignore_errors=True)
    # Not the same name each time: the go of a killed build may still be writing to its own.
    partial = directory.with_name(f".{directory.name}.{os.getpid()}.partial")
    partial.mkdir()
    say(f"building Kubernetes {release} from source, once: 5 to 10 minutes on two cores")
    listed = go_output(go, ["list", "-mod=readonly", "-deps", "tool"], "resolving modules", 0, say, module)
    total = len(listed.split())
    flags = ["-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", linker_flags(release)]
    go_output(go, ["build", "-v", *flags, "-o", f"{partial}/", "tool"], "compiling", total, say, module)
    (partial / "server").rename(partial / "etcd")  # named after its package's folder
    (partial / STAGES_FILE).write_text(_kwok_stages(go, module, say))
    partial.rename(directory)
    say(f"programs are in {directory}")


def _kwok_stages(go: Path, module: Path, say: Say) -> str:
    """How fake pods and nodes become Ready: kwok's own files, as they lie in the module cache."""
    where = ["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", KWOK_MODULE]
    kwok = Path(go_output(go, where, "", 0, say, module).strip())
    files = [file for pattern in KWOK_STAGES for file in sorted((kwok / "kustomize/stage").glob(pattern))]
    if not files:
        raise DevclusterError(f"{kwok} has no stages", "Did its layout change with the pinned version?")
    return "\n---\n".join(file.read_text() for file in files)


def _require_space(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(directory).free
    if free < NEEDED_BYTES:
        raise PrerequisiteError(
            f"only {free / 1e9:.1f} GB are free in {directory}, the build needs {NEEDED_BYTES / 1e9:.0f}",
            "Make room, or set MODELWARD_CACHE to a larger disk (and GOCACHE, GOMODCACHE for Go's own part)",
        )
