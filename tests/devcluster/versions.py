"""Which Kubernetes: each minor version that can be built is a Go module in gobuild/ with pins of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from devcluster.errors import DevclusterError
from devcluster.gocommand import pinned
from devcluster.paths import GOBUILD

VARIABLE = "MODELWARD_KUBERNETES"
DEFAULT = "1.36"


def available() -> list[str]:
    """The minor versions, such as `1.36`, oldest first."""
    found = [path.name for path in GOBUILD.iterdir() if re.fullmatch(r"1\.\d+", path.name)]
    return sorted(found, key=lambda minor: int(minor.removeprefix("1.")))


def chosen(environment: Mapping[str, str] = os.environ) -> str:
    """The minor version that the environment names, else the default. Raises DevclusterError for an unknown one."""
    minor = environment.get(VARIABLE) or DEFAULT
    module(minor)
    return minor


def module(minor: str) -> Path:
    """The folder of its go.mod. Raises DevclusterError for an unknown version."""
    if minor not in available():
        raise DevclusterError(
            f"there is no Kubernetes {minor} to build",
            f"Set {VARIABLE} (make: KUBERNETES) to one of {', '.join(available())}",
        )
    return GOBUILD / minor


def release(minor: str) -> str:
    """The release that is pinned for a minor version, such as `1.36.3`."""
    return pinned(module(minor), "k8s.io/kubernetes")


def minor_of(release: str) -> str:
    """`1.36` of `1.36.3`."""
    return release.rpartition(".")[0]
