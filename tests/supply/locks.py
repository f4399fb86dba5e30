"""What the lock files pin: names, versions, the digests that pip accepts."""

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "requirements.lock"
FETCH = ROOT / "requirements-fetch.lock"
LOCKS = (
    RUNTIME,
    FETCH,
    ROOT / "requirements-dev.lock",
    ROOT / "requirements-build.lock",
    ROOT / "requirements-uv.lock",
)

_ENTRY = re.compile(
    r"^(?P<requirement>[\w.-]+==[^\\\n]+?)(?P<hashes>(?: \\\n    --hash=\S+)+)$", re.MULTILINE
)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One package of a lock file. `sha256` has a digest for each of its files, on whatever platform."""

    name: str
    version: str
    sha256: tuple[str, ...]
    requirement: Requirement

    def is_for(self, environment: dict[str, str]) -> bool:
        """Whether pip would install it there."""
        return self.requirement.marker is None or self.requirement.marker.evaluate(environment)


def read(path: Path) -> list[Pin]:
    """The packages of a lock file. Raises ValueError for one without a digest."""
    text = path.read_text(encoding="utf-8")
    pins = [_pin(entry["requirement"], entry["hashes"]) for entry in _ENTRY.finditer(text)]
    named = len(re.findall(r"^[\w.-]+==", text, re.MULTILINE))
    if len(pins) != named or not all(pin.sha256 for pin in pins):
        raise ValueError(f"{path.name} names {named} packages, {len(pins)} of them with digests")
    return pins


def of_image(lock: Path = RUNTIME) -> list[Pin]:
    """What an image holds of its lock, the operator's unless said: the packages for Linux and its version of Python."""
    environment = {name: str(value) for name, value in default_environment().items()} | {
        "python_version": "3.13",
        "python_full_version": "3.13.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
    }
    return [pin for pin in read(lock) if pin.is_for(environment)]


def _pin(text: str, hashes: str) -> Pin:
    requirement = Requirement(text)
    (pinned,) = requirement.specifier
    return Pin(
        name=canonicalize_name(requirement.name),
        version=pinned.version,
        sha256=tuple(_HASH.findall(hashes)),
        requirement=requirement,
    )
