"""The real node (not yet)."""

from __future__ import annotations

from pathlib import Path

from devcluster.plan import Plan
from devcluster.progress import Say


def obstacle() -> str | None:
    """Why this machine cannot have a real node, or None."""
    return "not written yet"


def start(plan: Plan, binaries: Path, say: Say) -> None:
    """Bring it up."""


def stop(directory: Path, name: str, say: Say) -> None:
    """Take it down."""


def component_programs() -> dict[str, str]:
    """Names and programs of the node's components."""
    return {}
