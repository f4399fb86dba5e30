"""The stores that models are fetched from in a rehearsal, and what the fetch container of a pod says at its end.

The reports are those of `modelward_fetch` (docs/fetch.md), as far as the operator reads them.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from modelward.api.fetch_report import CONTAINER
from modelward.api.objects import Manifest

_EXIT_FAILED: Final = 10
_URI: Final = "MODELWARD_FETCH_URI"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What is at an address."""

    version: str = "1"
    """Other bytes have another one."""
    versioned: bool = True
    """Whether the store still gives an older version by its name."""
    drifts: bool = False
    """It is overwritten all the time: each pod finds another version."""
    failure: str = ""
    """A reason of docs/fetch.md: it cannot be fetched."""
    message: str = ""
    remedy: str = "Check the address, letter by letter."


@dataclass(slots=True)
class Stores:
    """By address; what is at all others is there, in version 1, and never changes."""

    _reads: int = 0
    seconds: float = 2.0
    """That fetching takes."""
    stored: dict[str, Stored] = field(default_factory=dict)

    def fetched(self, pod: Mapping[str, Any], pin: Mapping[str, Any] | None) -> tuple[Manifest, int]:
        """The report, and the exit code. `pin` is the ConfigMap that the pod mounts, if there is one."""
        uri = uri_of(pod)
        found = self.stored.get(uri, Stored())
        if found.drifts:
            self._reads += 1
            found = replace(found, version=str(self._reads))
        pinned = json.loads(pin["data"]["pin.json"]) if pin else {}
        if found.failure:
            return _failed(uri, found.failure, found.message, found.remedy), _EXIT_FAILED
        if pinned and not found.versioned and pinned["digest"] != _digest(uri, found.version):
            message = f"the content of {uri} is not what this revision had before"
            remedy = "Put the former content back, or send out the new one: modelward.dev/refresh."
            return _failed(uri, "ModelChanged", message, remedy), _EXIT_FAILED
        version = pinned.get("resolved", "").partition("?versionId=")[2] or found.version
        report = _done(uri, found, version, moved=bool(pinned) and version != found.version)
        return report | ({"pinned": True} if pinned else {}), 0


def uri_of(pod: Mapping[str, Any]) -> str:
    """The address of the model that a pod fetches; empty if it fetches none."""
    containers = pod["spec"].get("initContainers") or ()
    variables = next((each["env"] for each in containers if each["name"] == CONTAINER), ())
    return next((str(each["value"]) for each in variables if each["name"] == _URI), "")


def pin_of(pod: Mapping[str, Any]) -> str:
    """Name of the ConfigMap with the pin."""
    return next(
        (str(each["configMap"]["name"]) for each in pod["spec"]["volumes"] if "configMap" in each), ""
    )


def _done(uri: str, found: Stored, version: str, *, moved: bool) -> Manifest:
    return {
        "version": 1,
        "result": "Fetched",
        "uri": uri,
        "resolved": f"{uri}?versionId={version}" if found.versioned else uri,
        "identity": "Pinned" if found.versioned else "Mutable",
        "listing": _digest(uri, found.version, "listing"),
        "digest": _digest(uri, version),
        "files": 1,
        "bytes": 13_631_488,
        **({"sourceMoved": True} if moved else {}),
    }


def _failed(uri: str, reason: str, message: str, remedy: str) -> Manifest:
    text = {"message": message or f"{uri} cannot be had", "remedy": remedy, "field": "spec.model.uri"}
    return {"version": 1, "result": "Failed", "uri": uri, "reason": reason, **text}


def _digest(*parts: str) -> str:
    return f"sha256:{hashlib.sha256(' '.join(parts).encode()).hexdigest()}"
