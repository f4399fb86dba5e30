"""Faults of watches: of a single event about a model, and of a whole stream of a kind."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from faults.crowd import OfOne
from faults.plan import (
    PASS,
    Answer,
    Delay,
    Double,
    Drop,
    End,
    Fault,
    Frame,
    FrameFault,
    Plan,
    Replace,
    Reply,
    Request,
    Truncate,
)

LATE_SECONDS: Final = 5.0
KINDS: Final = (
    "modeldeployments",
    "modelruntimes",
    "clustermodelruntimes",
    "controllerrevisions",
    "deployments",
    "services",
    "horizontalpodautoscalers",
    "poddisruptionbudgets",
    "pods",
)
"""All that are watched in a cluster without the Gateway API."""
BUSY: Final = frozenset(KINDS) - {"modelruntimes", "clustermodelruntimes", "horizontalpodautoscalers"}
"""Those of which a canary has events."""


# --- one event ----------------------------------------------------------------------------------------------


class OneEvent(OfOne):
    """One event about the model is struck: at a number."""

    def __init__(self, number: int) -> None:
        """Events about the model are counted from 1, whatever their kind."""
        self.number = number

    def sooner(self) -> "OneEvent | None":
        """At the last event that came."""
        return type(self)(self.frames) if self.frames else None

    def of_frame(self, watch: Request, frame: Frame, number: int) -> FrameFault:
        """Strike when its number has come."""
        if number != self.number:
            return PASS
        event = frame.event
        self.struck = f"{event['type']} {event['object']['kind']} {event['object']['metadata']['name']}"
        return self.strike(watch, frame)

    def strike(self, watch: Request, frame: Frame) -> FrameFault:
        """What happens to it."""
        del watch, frame
        return PASS


class Dropped(OneEvent):
    """It never comes."""

    def strike(self, watch: Request, frame: Frame) -> FrameFault:
        """Drop it."""
        del watch, frame
        return Drop()


class DeletionDropped(Dropped):
    """That the model is gone is never reported; whatever else is notified of it comes as it should."""

    def __init__(self) -> None:
        super().__init__(0)

    def sooner(self) -> None:
        """There is one deletion."""

    def of_frame(self, watch: Request, frame: Frame, number: int) -> FrameFault:
        """Its number is not known: what was changed before the deletion may be reported after the fault was armed."""
        gone = frame.event["type"] == "DELETED" and watch.place.resource == "modeldeployments"
        return super().of_frame(watch, frame, self.number if gone else number)


class Doubled(OneEvent):
    """It comes twice."""

    def strike(self, watch: Request, frame: Frame) -> FrameFault:
        """Send it twice."""
        del watch, frame
        return Double()


class Held(OneEvent):
    """It comes with a later event of the same stream about the model; none that comes, and it is lost."""

    seconds = 0.0

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self._held: tuple[str, bytes, float] | None = None

    def strike(self, watch: Request, frame: Frame) -> FrameFault:
        """Keep it back."""
        self._held = watch.path, frame.line, time.monotonic()
        return Drop()

    def of_frame(self, watch: Request, frame: Frame, number: int) -> FrameFault:
        """After a later one, the one that was kept back."""
        if self._held and self._held[0] == watch.path and time.monotonic() - self._held[2] >= self.seconds:
            line, self._held = self._held[1], None
            return Replace((frame.line, line))
        return super().of_frame(watch, frame, number)


class Reordered(Held):
    """It comes after the next one."""


class Late(Held):
    """It comes some seconds after its time, and after those that happened meanwhile."""

    seconds = LATE_SECONDS


EVENT_FAULTS: Final[Mapping[str, type[OneEvent]]] = {
    "dropped": Dropped,
    "doubled": Doubled,
    "reordered": Reordered,
    f"{LATE_SECONDS:.0f} s late": Late,
}


# --- a whole stream -----------------------------------------------------------------------------------------


def _error(code: int, reason: str) -> bytes:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
    return json.dumps({"type": "ERROR", "object": {**status, "message": "by plan"}}).encode() + b"\n"


def refusal(code: int, reason: str, message: str = "by plan", **headers: str) -> Reply:
    """An answer of the API server that refuses a request."""
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code}
    body = json.dumps({**status, "reason": reason, "message": message}).encode()
    return Reply(Answer(status=code, headers={"Content-Type": "application/json", **headers}, body=body))


PAGE: Final = Reply(Answer(status=200, headers={"Content-Type": "text/html"}, body=b"<html>sign in</html>"))
"""What a proxy on the way says."""


@dataclass(slots=True)
class Stream(Plan):
    """The streams of some kinds fail: each once, at its first event, or when it is connected."""

    kinds: frozenset[str]
    at_event: Callable[[Frame], FrameFault] | None = None
    at_connect: Fault | None = None
    for_good: bool = False
    """Whether what comes after the first event of a stream fails as well, as long as it lives."""
    struck: set[str] = field(default_factory=set)
    _old: set[int] = field(default_factory=set)

    def request(self, request: Request) -> Fault:
        """The first connection of each kind."""
        kind = request.place.resource
        if self.at_connect and request.watches and kind in self.kinds - self.struck:
            self.struck.add(kind)
            return self.at_connect
        return PASS

    def frame(self, watch: Request, frame: Frame) -> FrameFault:
        """The first event of each kind, and with `for_good` all that follow in that stream."""
        kind = watch.place.resource
        if self.at_event is None or kind not in self.kinds:
            return PASS
        if kind not in self.struck or (self.for_good and id(watch) in self._old):
            self.struck.add(kind)
            self._old.add(id(watch))
            return self.at_event(frame)
        return PASS


STREAM_FAULTS: Final[Mapping[str, Callable[[frozenset[str]], Stream]]] = {
    "frozen": lambda kinds: Stream(kinds, at_event=lambda _: Delay()),
    "cut in half a line": lambda kinds: Stream(kinds, at_event=lambda _: Truncate()),
    "ended": lambda kinds: Stream(kinds, at_event=lambda _: End()),
    "ERROR 410": lambda kinds: Stream(kinds, at_event=lambda _: Replace((_error(410, "Expired"),))),
    "ERROR 500": lambda kinds: Stream(kinds, at_event=lambda _: Replace((_error(500, "InternalError"),))),
    "no JSON": lambda kinds: Stream(kinds, at_event=lambda _: Replace((b"<html>\n",))),
    "no object": lambda kinds: Stream(
        kinds, at_event=lambda _: Replace((b'{"type":"ADDED","object":{}}\n',))
    ),
    "410 at connect": lambda kinds: Stream(kinds, at_connect=refusal(410, "Expired")),
    "401 at connect": lambda kinds: Stream(kinds, at_connect=refusal(401, "Unauthorized")),
    "403 at connect": lambda kinds: Stream(kinds, at_connect=refusal(403, "Forbidden")),
    "500 at connect": lambda kinds: Stream(kinds, at_connect=refusal(500, "InternalError")),
    "429 with a date": lambda kinds: Stream(
        kinds,
        at_connect=refusal(429, "TooManyRequests", **{"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
    ),
    "HTML with 200": lambda kinds: Stream(kinds, at_connect=PAGE),
}


class Mixed(Plan):
    """Every kind's stream fails in another way."""

    def __init__(self, plans: Mapping[str, Stream]) -> None:
        """By kind."""
        self.plans = plans

    @property
    def struck(self) -> set[str]:
        """The kinds whose streams have failed."""
        return {kind for plan in self.plans.values() for kind in plan.struck}

    def request(self, request: Request) -> Fault:
        """As the kind's own plan says."""
        plan = self.plans.get(request.place.resource)
        return plan.request(request) if plan else PASS

    def frame(self, watch: Request, frame: Frame) -> FrameFault:
        """As the kind's own plan says."""
        plan = self.plans.get(watch.place.resource)
        return plan.frame(watch, frame) if plan else PASS


def mixed(number: int) -> Mixed:
    """In as many of these as there are faults every kind meets every fault; what happens at connect comes later."""
    names = list(STREAM_FAULTS)
    return Mixed(
        {
            kind: STREAM_FAULTS[names[(number + at) % len(names)]](frozenset({kind}))
            for at, kind in enumerate(KINDS)
        }
    )


def event_faults(count: int) -> Iterator[tuple[str, OneEvent]]:
    """Every fault at each of so many events, with its words."""
    for name, fault in EVENT_FAULTS.items():
        for number in range(1, count + 1):
            yield f"event {number} {name}", fault(number)
