"""What earlier pods of this revision fetched: followed, so that later ones get the same; believed in nothing else.

The operator writes it as a ConfigMap that the pod mounts, if it is there. A tenant may have written it, too. So a pin may
only choose among versions of what the address names; what comes is reported as it is, and the operator compares that with
what it knows.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelward_fetch.failures import FetchFailed, Reason
from modelward_fetch.uri import Location, parse

FILE: Final = "pin.json"
LARGEST_BYTES: Final = 2048
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """What the first pod reported."""

    resolved: Location
    digest: str
    listing: str = ""


def read(path: Path | None, at: Location) -> Pin | None:
    """The pin for this address; None if there is none yet. Raises FetchFailed for one that is not for it."""
    if path is None:
        return None
    file = path / FILE if path.is_dir() else path
    if not file.exists():
        return None
    try:
        text = file.read_text(encoding="utf-8")
        fields = json.loads(text) if len(text) <= LARGEST_BYTES else {}
        pinned = parse(str(fields["resolved"]))
        pin = Pin(
            resolved=at.at(pinned.revision, is_alias=pinned.is_alias),
            digest=str(fields["digest"]),
            listing=str(fields.get("listing", "")),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, FetchFailed) as error:
        raise _refused("the pin of this revision cannot be read") from error
    if not at.is_same_source(pinned) or (at.names_version and pin.resolved != at):
        raise _refused("the pin of this revision is for another source than spec.model.uri")
    if pin.digest and not _DIGEST.fullmatch(pin.digest):
        raise _refused("the pin of this revision holds no digest")
    return pin


def _refused(problem: str) -> FetchFailed:
    return FetchFailed(
        Reason.MODEL_CHANGED,
        problem,
        remedy="Somebody else wrote this revision's ConfigMap: delete it. Pods then resolve the address anew,"
        " and what they get is compared with what the revision began with.",
        field="ConfigMap",
    )
