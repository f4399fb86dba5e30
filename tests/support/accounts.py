"""What the operator asked of the API servers of all lanes: kept when a lane's cluster goes, compared with its rights at the end."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from devcluster import Cluster
from support.audit import lacked_a_right, requests

FOLDER: Final = "MODELWARD_LANES"
"""Environment variable: the folder that the lanes of one run share."""
Use = tuple[str, str, str]
"""(API group, resource with subresource, verb)"""

_modules: set[str] = set()


@dataclass(frozen=True, slots=True)
class Account:
    """Of one lane, or of all."""

    modules: set[str] = field(default_factory=set)
    """Modules whose tests ran."""
    used: set[Use] = field(default_factory=set)
    forbidden: list[str] = field(default_factory=list)
    """Requests that were refused for lack of a right."""

    def add(self, other: "Account") -> None:
        """Take in what another lane did."""
        self.modules.update(other.modules)
        self.used.update(other.used)
        self.forbidden.extend(other.forbidden)


def note_module(name: str) -> None:
    """A test of this module runs in this process."""
    _modules.add(name)


def of(cluster: Cluster) -> Account:
    """What the audit log of a running cluster says."""
    found = Account(set(_modules))
    for event in requests(cluster):
        if lacked_a_right(event):
            found.forbidden.append(f"{event['verb']} {event['requestURI']}")
        if use := _use(event):
            found.used.add(use)
    return found


def keep(cluster: Cluster) -> None:
    """Write the account of this lane into the folder that the lanes share, if they do."""
    if folder := os.environ.get(FOLDER):
        account = {key: sorted(value) for key, value in asdict(of(cluster)).items()}
        (Path(folder) / f"{cluster.name}.json").write_text(json.dumps(account), encoding="utf-8")


def kept() -> Account | None:
    """The account of all lanes; None when there are none."""
    folder = os.environ.get(FOLDER)
    return _sum(json.loads(path.read_text()) for path in Path(folder).glob("*.json")) if folder else None


def _sum(lanes: Iterable[Mapping[str, Any]]) -> Account:
    whole = Account()
    for lane in lanes:
        used = {(group, resource, verb) for group, resource, verb in lane["used"]}
        whole.add(Account(set(lane["modules"]), used, lane["forbidden"]))
    return whole


def _use(event: Mapping[str, Any]) -> Use | None:
    """What rule a request needs; None for paths that every account may read, such as /version."""
    ref = event.get("objectRef")
    if not ref or "resource" not in ref:
        return None
    resource = "/".join(part for part in (ref["resource"], ref.get("subresource")) if part)
    return ref.get("apiGroup", ""), resource, event["verb"]
