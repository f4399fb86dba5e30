"""What goes wrong on the way to the API server, and when: a plan is asked about every request, answer and frame."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import msgspec

_MUTATING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_UNNUMBERED: Final = frozenset({"events", "leases"})
"""An Event may be lost by design; a Lease is renewed by the clock."""
_WITH_GROUP: Final = "apis"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a path of the API speaks of."""

    resource: str = ""
    """Plural, such as "deployments"; "" for a path that is about no object."""
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @classmethod
    def of(cls, path: str) -> "Place":
        """The place of a path, such as /apis/apps/v1/namespaces/a/deployments/b/scale."""
        parts = path.strip("/").split("/")
        rest = parts[3:] if parts[0] == _WITH_GROUP else parts[2:]
        namespace = ""
        if len(rest) > 2 and rest[0] == "namespaces":
            namespace, rest = rest[1], rest[2:]
        resource, name, subresource = (*rest, "", "", "")[:3]
        return cls(resource=resource, namespace=namespace, name=name, subresource=subresource)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request of the operator, as it came in."""

    method: str
    path: str
    target: str
    """Path and query as they were sent."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    number: int = 0
    """Of a mutating request: which one it is since the proxy's count was reset, from 1. Others have 0."""
    arrived: float = 0.0
    """`time.monotonic()` at its arrival."""

    @property
    def place(self) -> Place:
        """What it is about."""
        return Place.of(self.path)

    @property
    def watches(self) -> bool:
        """Whether the answer is a stream of events."""
        return self.method == "GET" and self.query.get("watch", "") in ("1", "true", "True")

    @property
    def lists(self) -> bool:
        """Whether it asks for all objects of a kind."""
        return self.method == "GET" and not self.watches and bool(self.place.resource) and not self.place.name

    @property
    def changes_something(self) -> bool:
        """Whether it changes an object for good: no Event, no Lease, and no question what a change would come to."""
        mutates = self.method in _MUTATING and "dryRun" not in self.query
        return mutates and self.place.resource not in _UNNUMBERED

    def __str__(self) -> str:
        place = "/".join(
            part for part in (self.place.resource, self.place.name, self.place.subresource) if part
        )
        return f"{self.method} {place}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer of the API server."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Frame:
    """One event of a watch."""

    line: bytes
    """As sent, with its line feed."""
    number: int
    """Which one it is of its stream, from 1."""

    @property
    def event(self) -> dict[str, Any]:
        """`type` and `object`. Raises msgspec.DecodeError."""
        found: dict[str, Any] = msgspec.json.decode(self.line, type=dict)
        return found


class Moment(StrEnum):
    """When in the life of a request the operator is killed."""

    UNSENT = "before it is sent"
    STORED = "stored, not answered"
    ANSWERED = "answered"


# --- what may happen to a request ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pass:
    """Nothing: it, or the frame, goes on as it is."""


@dataclass(frozen=True, slots=True)
class Kill:
    """The operator is killed. Of a request that is `ANSWERED` it has read the answer, and sent nothing since."""

    moment: Moment


@dataclass(frozen=True, slots=True)
class Reply:
    """The API server is not asked; the answer is this one."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Delay:
    """It goes on later; with `stored` the API server has it at once, and its answer comes later.

    A frame holds up those that follow it.
    """

    seconds: float = math.inf
    stored: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset: before the API server has the request, or with `stored` instead of the answer."""

    stored: bool = False


Fault = Pass | Kill | Reply | Delay | Reset
"""For a watch, `stored` means: the stream has begun."""


# --- what may happen to a frame -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Drop:
    """It never comes."""


@dataclass(frozen=True, slots=True)
class Double:
    """It comes twice."""


@dataclass(frozen=True, slots=True)
class Truncate:
    """Half of it comes, and then the stream ends."""


@dataclass(frozen=True, slots=True)
class End:
    """The stream ends instead of it."""


@dataclass(frozen=True, slots=True)
class Replace:
    """These lines come instead; none is a drop, several can bring back what was held."""

    lines: tuple[bytes, ...]


FrameFault = Pass | Drop | Double | Delay | Truncate | End | Replace
"""`Delay()` without a number freezes the stream: it stays open, and nothing comes any more."""

PASS: Final = Pass()


class Plan:
    """No fault at all. Subclasses say what happens; all methods are called in the proxy's own thread, one at a time."""

    def counts(self, request: Request) -> bool:
        """Whether a request gets a number."""
        return request.changes_something

    def request(self, request: Request) -> Fault:
        """What happens to a request."""
        del request
        return PASS

    def answer(self, request: Request, answer: Answer) -> Answer:
        """The answer that the operator is to get; not asked about watches."""
        del request
        return answer

    def frame(self, watch: Request, frame: Frame) -> FrameFault:
        """What happens to an event of a watch."""
        del watch, frame
        return PASS


EACH: Final = 0
"""In place of a number: at every mutating request of every life. Before they are sent: at every other one only, or
nothing would ever be done."""


@dataclass(slots=True)
class CrashAt(Plan):
    """Kill the operator at so many a mutating request, once; or at EACH."""

    number: int
    moment: Moment
    struck: Request | None = None
    """The request at which it happened first."""
    kills: int = 0

    def request(self, request: Request) -> Fault:
        """The kill, when its time has come."""
        if not self._is_time(request):
            return PASS
        self.struck = self.struck or request
        self.kills += 1
        return Kill(self.moment)

    def _is_time(self, request: Request) -> bool:
        if self.number != EACH:
            return request.number == self.number and not self.struck
        return request.number % 2 == 1 or (request.number > 0 and self.moment is not Moment.UNSENT)
