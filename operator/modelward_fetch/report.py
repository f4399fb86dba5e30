"""What a fetch says at its end: one JSON object of at most 4,096 bytes, as Kubernetes keeps of a termination message."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from modelward_fetch.failures import FetchFailed, Reason
from modelward_fetch.redaction import Redactor

LARGEST_BYTES: Final = 4096
VERSION: Final = 1
_LONGEST_TEXT: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Of success or failure; what is not known is left out."""

    result: str
    """Fetched, AlreadyThere, InPlace, Failed."""
    uri: str = ""
    resolved: str = ""
    identity: str = ""
    listing: str = ""
    digest: str = ""
    sha256: str = ""
    """What spec.model.sha256 would have to be."""
    path: str = ""
    files: int | None = None
    bytes: int | None = None
    transferred: int = 0
    seconds: float = 0.0
    pinned: bool = False
    """A pin was there, and was followed."""
    source_moved: bool = False
    """The store lists something else than when the revision was pinned; the digest says whether that matters."""
    reason: Reason | None = None
    field: str = ""
    message: str = ""
    remedy: str = ""

    def failed(self, failure: FetchFailed) -> "Report":
        """The same, ended by a failure. Digests of what did not arrive are none."""
        return replace(
            self,
            result="Failed",
            reason=failure.reason,
            field=failure.field,
            message=failure.message,
            remedy=failure.remedy,
        )

    def as_json(self, redactor: Redactor) -> str:
        """One line, in ASCII, at most 4,096 bytes: long texts are cut, not the object."""
        longest = _LONGEST_TEXT
        while True:
            text = json.dumps(self._fields(redactor, longest), separators=(",", ":"))
            if len(text) <= LARGEST_BYTES:
                return text
            longest = longest * 3 // 4

    def _fields(self, redactor: Redactor, longest: int) -> dict[str, Any]:
        names = {"source_moved": "sourceMoved"}
        values = {name: getattr(self, name) for name in self.__slots__}
        found = {
            names.get(name, name): value for name, value in values.items() if value not in {"", None, False}
        }
        return {
            "version": VERSION,
            **{key: _cut(redactor(v), longest) if isinstance(v, str) else v for key, v in found.items()},
        }


def write(path: Path, text: str) -> None:
    """Where the kubelet reads it. That file is there already and cannot be replaced; elsewhere it appears complete."""
    if path.exists() and not path.is_file():
        return
    with suppress(OSError):  # the exit code still shows it
        if path.exists() and path.stat().st_size == 0:
            path.write_text(text, encoding="ascii")
            return
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        unfinished.write_text(text, encoding="ascii")
        unfinished.replace(path)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
