"""Faults of the API server: each strikes one request about a model, a read or a write, and only once."""

import threading
from collections.abc import Iterator, Mapping
from typing import Final

from faults.crowd import OfOne
from faults.plan import PASS, Delay, Fault, Plan, Request, Reset
from faults.watch_faults import PAGE, refusal

SLOW_SECONDS: Final = 31.0
"""A little longer than the operator waits for an answer."""
FAULTS: Final[Mapping[str, Fault]] = {
    "409": refusal(409, "Conflict"),
    "422": refusal(422, "Invalid"),
    "429": refusal(429, "TooManyRequests", **{"Retry-After": "2"}),
    "500": refusal(500, "InternalError"),
    "503": refusal(503, "ServiceUnavailable"),
    "401": refusal(401, "Unauthorized"),
    "403": refusal(403, "Forbidden"),
    "HTML with 200": PAGE,
    "reset before it is stored": Reset(),
    "reset after it is stored": Reset(stored=True),
    "slow before it is stored": Delay(SLOW_SECONDS),
    "slow after it is stored": Delay(SLOW_SECONDS, stored=True),
}


class OneRequest(OfOne):
    """One request about the model is struck."""

    def __init__(self, number: int, fault: Fault) -> None:
        """Requests about the model are counted from 1: reads and writes, Events apart."""
        self.number, self.fault = number, fault

    def sooner(self) -> "OneRequest | None":
        """At the last request that came."""
        return OneRequest(self.asked, self.fault) if self.asked else None

    def request(self, request: Request) -> Fault:
        """Strike when its number has come."""
        if request.watches or request.place.resource == "events":
            return PASS
        return super().request(request)

    def of_request(self, request: Request, number: int) -> Fault:
        """Strike when its number has come."""
        if number != self.number:
            return PASS
        self.struck = str(request)
        return self.fault


def request_faults(count: int) -> Iterator[tuple[str, OneRequest]]:
    """Every fault at each of so many requests, with its words."""
    for name, fault in FAULTS.items():
        for number in range(1, count + 1):
            yield f"request {number} {name}", OneRequest(number, fault)


class Away(Plan):
    """Every request is broken off while the API server is away."""

    def __init__(self) -> None:
        self.away = False
        self.tried = 0
        """Requests while it was away."""

    def request(self, request: Request) -> Fault:
        """No answer."""
        del request
        self.tried += self.away
        return Reset() if self.away else PASS

    def leave(self, seconds: float) -> None:
        """Go, and come back by itself."""
        self.away = True
        threading.Timer(seconds, self.back).start()

    def back(self) -> None:
        """Come back."""
        self.away = False
