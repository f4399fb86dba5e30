"""Known vulnerabilities of what a lock file pins, as pip-audit finds them; and what it could not look up.

pip-audit ends with 0 and "No known vulnerabilities found" also when its service knew nothing of a single package (an
index behind a mirror answers 404). Here a package that was not looked up counts as not checked, never as good.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVICES = (("--vulnerability-service", "pypi"), ("--vulnerability-service", "osv"))
PATIENCE_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What one service says of one lock file."""

    checked: int = 0
    not_checked: tuple[str, ...] = ()
    found: tuple[str, ...] = ()


def look_up(lock: Path, services: Sequence[Sequence[str]] = SERVICES) -> Findings:
    """The findings of the first service that knows every package, else of the one that knows most."""
    best = Findings(not_checked=("no service was asked",))
    for service in services:
        findings = _ask(lock, service)
        if findings.checked > best.checked or not best.checked:
            best = findings
        if not findings.not_checked:
            break
    return best


def _ask(lock: Path, service: Sequence[str]) -> Findings:
    command = [sys.executable, "-m", "pip_audit", "--format=json", "--progress-spinner=off", *service]
    command += ["--disable-pip", "--require-hashes", f"--requirement={lock}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)
    try:
        return _findings(json.loads(done.stdout)["dependencies"])
    except ValueError:
        *_, last = done.stderr.splitlines() or ["pip-audit said nothing"]
        return Findings(not_checked=(f"all of {lock.name}: {last[:200]}",))


def _findings(packages: list[dict[str, Any]]) -> Findings:
    skipped = tuple(each["name"] for each in packages if "skip_reason" in each)
    return Findings(
        checked=len(packages) - len(skipped),
        not_checked=skipped,
        found=tuple(
            f"{each['name']} {each['version']}: {vulnerability['id']}, repaired in "
            f"{', '.join(vulnerability['fix_versions']) or 'no version'}"
            for each in packages
            for vulnerability in each.get("vulns", [])
        ),
    )
