"""What the operator asked of the API server, by the server's own account: its audit log."""

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

WRITES: Final = frozenset({"create", "patch", "update", "delete"})
_SETTLE_SECONDS: Final = 0.3


class _Object(msgspec.Struct):
    resource: str = ""
    subresource: str = ""


class _User(msgspec.Struct):
    username: str = ""


class _Line(msgspec.Struct, rename="camel"):
    stage: str
    verb: str
    user: _User
    request_received_timestamp: datetime
    stage_timestamp: datetime
    object_ref: _Object | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the operator; a watch counts when it is opened."""

    verb: str
    resource: str
    """With its subresource, as in `modeldeployments/status`."""
    seconds: float
    """What the API server needed for it."""


@dataclass(slots=True)
class Requests:
    """Requests of one phase."""

    all: list[Request] = field(default_factory=list)

    def by_verb(self) -> Counter[str]:
        """Number of requests of each verb."""
        return Counter(request.verb for request in self.all)

    def writes(self) -> Counter[str]:
        """Number of writes of each kind, by verb and resource; Events (`events`) and the Lease apart."""
        apart = ("events", "leases")
        writes = (each for each in self.all if each.verb in WRITES and each.resource not in apart)
        return Counter(f"{each.verb} {each.resource}" for each in writes)

    def seconds(self, verb: str, resource: str) -> list[float]:
        """How long the API server needed for each request of a kind."""
        return [each.seconds for each in self.all if (each.verb, each.resource) == (verb, resource)]

    def events(self) -> int:
        """Number of Kubernetes Events sent."""
        return sum(request.resource == "events" for request in self.all)


class AuditLog:
    """The part of the log that concerns one user. The file stays open, so that a rotation loses nothing."""

    def __init__(self, file: Path, user: str) -> None:
        """Start at the end of the file."""
        self._path, self._user = file, user
        self._file = file.open("rb")
        self._file.seek(0, 2)

    def since_last_time(self) -> Requests:
        """The user's requests since the last call. Waits a moment for the last lines to be written."""
        time.sleep(_SETTLE_SECONDS)
        found = Requests(self._read(self._file))
        if (
            self._path.stat().st_ino != self._inode()
        ):  # rotated; one rotation (200 MB) between two calls at most
            self._file.close()
            self._file = self._path.open("rb")
            found.all += self._read(self._file)
        return found

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _inode(self) -> int:
        return Path(f"/proc/self/fd/{self._file.fileno()}").stat().st_ino

    def _read(self, file: BinaryIO) -> list[Request]:
        mark = f'"{self._user}"'.encode()
        requests = (self._request(line) for line in file if mark in line)
        return [request for request in requests if request]

    def _request(self, text: bytes) -> Request | None:
        line = msgspec.json.decode(text, type=_Line)
        counted = "ResponseStarted" if line.verb == "watch" else "ResponseComplete"
        if line.user.username != self._user or line.stage != counted:
            return None
        about = line.object_ref or _Object()
        resource = "/".join(part for part in (about.resource, about.subresource) if part)
        took = line.stage_timestamp - line.request_received_timestamp
        return Request(line.verb, resource, took.total_seconds())
