"""A fetch as tests make one: in this process with a report, or as the program that a pod runs."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelward_fetch.credentials import Credentials
from modelward_fetch.failures import FetchFailed, Reason
from modelward_fetch.fetch import Fetch, Request
from modelward_fetch.limits import Limits
from modelward_fetch.pin import Pin
from modelward_fetch.progress import Counter
from modelward_fetch.report import Report
from modelward_fetch.sources.opening import Opening
from modelward_fetch.uri import parse

PART_BYTES = 256 * 1024
QUICK = Limits(seconds=120.0, stall_seconds=10.0, part_bytes=PART_BYTES)
ROOT = Path(__file__).parents[2]


def fetch(
    uri: str,
    target: Path,
    *,
    secret: Mapping[str, str] | None = None,
    limits: Limits = QUICK,
    sha256: str = "",
    pin: Pin | None = None,
    claim: Path | None = None,
    identity: Mapping[str, str] | None = None,
) -> Report:
    """Fetch. `identity` is the environment of a pod with a workload identity."""
    opening = Opening(
        Credentials(secret or {}),
        limits,
        environment=dict(identity or {}),
        claim=claim,
        workload=identity is not None,
    )
    request = Request(at=parse(uri), target=target, limits=limits, sha256=sha256, pin=pin)
    return Fetch(request, opening, Counter()).run()


def failure(*args: Any, **options: Any) -> FetchFailed:
    """The failure that a fetch ends in."""
    with pytest.raises(FetchFailed) as raised:
        fetch(*args, **options)
    return raised.value


def reason(*args: Any, **options: Any) -> Reason:
    """Its reason; a field and a remedy are always there."""
    failed = failure(*args, **options)
    assert failed.field
    assert failed.remedy
    return failed.reason


_MEASURE = (
    "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:]).returncode;"
    " print('peak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr); sys.exit(code)"
)
MEASURING = ("/usr/bin/env", "python3", "-c", _MEASURE)
"""Starts the program from a small process: what a large one has in memory would count for what it starts."""


@dataclass(frozen=True)
class Ended:
    """A run of the program."""

    code: int
    report: dict[str, Any]
    said: str
    """All that it wrote."""

    @property
    def peak_kib(self) -> int:
        """The most that it had in memory, if that was measured."""
        (peak,) = [line for line in self.said.splitlines() if line.startswith("peak ")]
        return int(peak.split()[1])


def command(uri: str, target: Path, *options: str) -> list[str]:
    """Its arguments."""
    return [sys.executable, "-m", "modelward_fetch", uri, str(target), "-o", "json", *options]


def environment(**more: str) -> dict[str, str]:
    """Without what this machine's environment may say of clouds."""
    kept = {key: os.environ[key] for key in ("PATH", "PYTHONPYCACHEPREFIX") if key in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT / "operator"), "HOME": "/nonexistent", **more}


def program(uri: str, target: Path, *options: str, prefix: tuple[str, ...] = (), **env: str) -> Ended:
    """The program until its end."""
    done = subprocess.run(
        [*prefix, *command(uri, target, *options)],
        env=environment(**env),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    said = done.stdout + done.stderr
    lines = [line for line in said.splitlines() if line.startswith("{")]
    assert lines, said
    return Ended(done.returncode, json.loads(lines[-1] if done.returncode else done.stdout), said)


def files(folder: Path) -> dict[str, bytes]:
    """What lies in the folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def digest_of(content: Mapping[str, bytes]) -> str:
    """As docs/fetch.md defines it, written anew."""
    lines = [
        f"{hashlib.sha256(content[name]).hexdigest()}  {name}\n" for name in sorted(content, key=str.encode)
    ]
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"
