"""kubectl with the administrator's rights on one cluster."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from devcluster import commands


def run(
    directory: Path, binaries: Path, *arguments: str, stdin: str = "", timeout_seconds: float = 120
) -> str:
    """What kubectl prints. Raises DevclusterError when it fails."""
    return commands.run(_argv(directory, binaries, arguments), stdin=stdin, timeout_seconds=timeout_seconds)


def succeeds(directory: Path, binaries: Path, *arguments: str) -> bool:
    """Whether kubectl ends well."""
    return attempt(directory, binaries, *arguments).returncode == 0


def attempt(directory: Path, binaries: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The finished kubectl, whatever its exit code."""
    return commands.attempt(_argv(directory, binaries, arguments))


def apply(directory: Path, binaries: Path, *manifests: dict[str, Any]) -> None:
    """Create or change objects."""
    document = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
    run(directory, binaries, "apply", "-f", "-", stdin=json.dumps(document))


def _argv(directory: Path, binaries: Path, arguments: tuple[str, ...]) -> list[str]:
    return [str(binaries / "kubectl"), f"--kubeconfig={directory / 'kubeconfig'}", *arguments]
