"""Who led when, and what was written out of turn: by the API server's own account, its audit log.

Every process names itself in its User-Agent. A term begins with the first write of the Lease by another process than
the one before, and lasts until the next one begins.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

_AGENT: Final = re.compile(r"modelward/\S+ \((?P<identity>[^)]+)\)")
_WRITES: Final = frozenset({"create", "patch", "update", "delete"})
_OK: Final = 300
RENEWED_WITHIN_SECONDS: Final = 30.0
"""Who leads has renewed its Lease within this time."""


class _Object(msgspec.Struct, frozen=True):
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""


class _Status(msgspec.Struct, frozen=True):
    code: int = 0


class _Line(msgspec.Struct, rename="camel"):
    stage: str
    verb: str
    request_received_timestamp: datetime
    stage_timestamp: datetime
    user_agent: str = ""
    object_ref: _Object = _Object()
    response_status: _Status = _Status()


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One mutating request that the API server has seen."""

    who: str
    """Identity of the process."""
    verb: str
    resource: str
    namespace: str
    name: str
    received: float
    """Seconds since the epoch, when its first bytes were read."""
    answered: float
    code: int

    @property
    def accepted(self) -> bool:
        """Whether it changed something."""
        return self.code < _OK

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} {self.namespace}/{self.name} by {self.who}: {self.code}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """From a taking of the Lease on."""

    who: str
    asked: float
    """When the API server received the taking."""
    taken: float
    """When it had answered it."""


@dataclass(slots=True)
class Account:
    """All writes of the operators that share one Lease, in the order in which they were received."""

    terms: list[Term]
    writes: list[Write]
    """The Lease's own apart."""
    incumbent: str = ""
    """Who had the Lease when the account begins, and until the first of the terms."""

    def landed_out_of_turn(self) -> list[Write]:
        """Changes and deletions that were accepted although another process had taken the Lease before they came."""
        return [each for each in self._late() if each.accepted and each.verb != "create"]

    def late_creates(self) -> list[Write]:
        """Objects that were made by a request held up on its way. A create never changes what is there."""
        return [each for each in self._late() if each.accepted and each.verb == "create"]

    def refused_out_of_turn(self) -> list[Write]:
        """Writes that arrived when another process had taken the Lease, and changed nothing."""
        return [each for each in self._late() if not each.accepted]

    def sent_out_of_turn(self, sent: Mapping[str, Iterable[float]]) -> list[tuple[str, float]]:
        """Of what was sent, by process: what was when another one was taking the Lease or had taken it."""
        return [(who, when) for who, times in sent.items() for when in times if not self._has_turn(who, when)]

    def _late(self) -> list[Write]:
        return [each for each in self.writes if not self._has_turn(each.who, each.received)]

    def _has_turn(self, who: str, when: float) -> bool:
        at = bisect_right([term.asked for term in self.terms], when) - 1
        return (self.terms[at].who if at >= 0 else self.incumbent) == who

    def within(self, namespace: str) -> list[Write]:
        """What was written in a namespace. Others may be on their way out, with models of tests that are over."""
        return [each for each in self.writes if each.namespace == namespace]

    def writers(self, name: str) -> set[str]:
        """Who has written objects of that name, or named after it."""
        return {each.who for each in self.writes if each.name == name or each.name.startswith(f"{name}-")}


def account(audit_log: Path, lease: tuple[str, str], *, since: float = 0.0) -> Account:
    """What became of a Lease (namespace and name) since a time, and what its holders wrote."""
    writes = sorted(_writes(audit_log, since - RENEWED_WITHIN_SECONDS), key=lambda each: each.answered)
    of_lease = [w for w in writes if w.resource == "leases" and (w.namespace, w.name) == lease]
    taken = [each for each in of_lease if each.accepted]
    identities = {each.who for each in of_lease}
    others = [each for each in writes if each.resource != "leases" and each.who in identities]
    return Account(
        terms=list(_terms(each for each in taken if each.received >= since)),
        writes=sorted((each for each in others if each.received >= since), key=lambda each: each.received),
        incumbent=next((each.who for each in reversed(taken) if each.received < since), ""),
    )


def _terms(of_lease: Iterable[Write]) -> Iterator[Term]:
    who = None
    for write in of_lease:
        if write.who != who:
            who = write.who
            yield Term(who=who, asked=write.received, taken=write.answered)


def _writes(audit_log: Path, since: float) -> Iterator[Write]:
    for file in _rotated(audit_log, since):
        with file.open("rb") as lines:
            yield from _writes_in(lines, since)


def _rotated(audit_log: Path, since: float) -> list[Path]:
    """The files of the log that hold something since then, in their order."""
    files = audit_log.parent.glob(f"{audit_log.stem}*{audit_log.suffix}")
    written = sorted((file.stat().st_mtime, file) for file in files)
    return [file for when, file in written if when >= since]


def _writes_in(lines: Iterable[bytes], since: float) -> Iterator[Write]:
    for text in lines:
        if b"modelward/" not in text:
            continue
        line = msgspec.json.decode(text, type=_Line)
        agent = _AGENT.fullmatch(line.user_agent)
        received = line.request_received_timestamp.timestamp()
        if agent and line.verb in _WRITES and line.stage == "ResponseComplete" and received >= since:
            about = line.object_ref
            yield Write(
                who=agent["identity"],
                verb=line.verb,
                resource="/".join(part for part in (about.resource, about.subresource) if part),
                namespace=about.namespace,
                name=about.name,
                received=received,
                answered=line.stage_timestamp.timestamp(),
                code=line.response_status.code,
            )
