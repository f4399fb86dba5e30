"""Versions of the operator: this one, and the release before it as git remembers it."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pytest

import conftest
from conftest import ROOT
from support.kubectl import Kubectl
from support.operator import OperatorProcess
from support.waiting import until

EARLIER: Final = "7d6d4e0627dab391d8a1aa7ef1f2b71e0e1eb0b5"
"""Taken for the release before this one while no commit before this one has a tag: after it the CRDs changed."""
PARTS: Final = ("operator", "crds", "manifests")
TESTS: Final = ROOT / "tests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """The operator's code, its CRDs and its rights, as they belong together."""

    name: str
    root: Path

    def install(self, admin: Kubectl) -> None:
        """Apply CRDs and rights."""
        self.install_crds(admin)
        self.install_rights(admin)

    def install_crds(self, admin: Kubectl) -> None:
        """Apply the CRDs."""
        conftest.install_crds(admin, self.root)

    def install_rights(self, admin: Kubectl) -> None:
        """Apply the operator's account and its rights."""
        conftest.install_rights(admin, self.root)

    def process(self, kubeconfig: Path, directory: Path, *flags: str) -> OperatorProcess:
        """Its operator, which is not started yet. It runs with the libraries of this version."""
        directory.mkdir(parents=True)
        process = OperatorProcess(kubeconfig, directory, *flags)
        if self.root != ROOT:
            process.environment["PYTHONPATH"] = os.pathsep.join([str(self.root / "operator"), str(TESTS)])
        return process


def present() -> Version:
    """What is in the work tree."""
    return Version(name="this", root=ROOT)


def previous(directory: Path) -> Version:
    """The last release before this commit, unpacked in `directory`.

    Skips the test where git does not have it: in a shallow clone, in an export without history.
    """
    revision = _last_tag() or EARLIER
    archive = _git("archive", "--format=tar", revision, *PARTS)
    if archive.returncode:
        pytest.skip(
            f"an upgrade is tried from {revision}, which git does not have here (git fetch --unshallow --tags):"
            f" {archive.stderr.decode(errors='replace').strip()}"
        )
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-x", "-C", str(directory)], input=archive.stdout, check=True)
    return Version(name=revision[:12], root=directory)


def _last_tag() -> str:
    """The newest tag of a version among the commits before this one; empty while there is none."""
    found = _git("describe", "--tags", "--abbrev=0", "--match=v[0-9]*", "HEAD^")
    return found.stdout.decode().strip() if found.returncode == 0 else ""


def _git(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    ours = f"safe.directory={ROOT}"  # in a container the clone may belong to another user
    return subprocess.run(["git", "-c", ours, *arguments], cwd=ROOT, capture_output=True, check=False)


@dataclass(slots=True)
class Operators:
    """The operator in changing versions, of which one leads. Use as a context manager."""

    credentials: Path
    directory: Path
    flags: tuple[str, ...]
    leading: OperatorProcess | None = None
    _starts: int = 0

    def hand_over(self, version: Version) -> OperatorProcess:
        """As a rolling update does: the new one starts and stands by, then the old one is asked to go.

        Returns when the new one has reconciled everything. Raises AssertionError if both lead, or one ends badly.
        """
        self._starts += 1
        directory = self.directory / f"{self._starts}-{version.name}"
        process = version.process(self.credentials, directory, *self.flags)
        process.launch()
        before, self.leading = self.leading, process
        try:
            until(process.is_ready, f"{version.name} is ready; its log: {process.log}")
            assert before is None or not process.leads(), "one leads at a time"
        finally:
            code = before.stop() if before else 0
        assert code == 0
        until(process.leads, f"{version.name} leads; its log: {process.log}")
        until(lambda: process.metric("modelward_queue_depth") == 0, "it has reconciled everything")
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.leading:
            self.leading.stop()
