"""The Gateway: it takes routes, splits traffic by their weights, and reports on them, after a while.

As `status.parents` of the Gateway API has it (https://gateway-api.sigs.k8s.io/reference/spec/#routeparentstatus).
"""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from modelward.api.objects import Manifest
from modelward.api.times import format_seconds
from modelward.projection.route import rules
from modelward.simulator.api_server import ApiServer, Place, place
from modelward.simulator.world import World
from modelward.traffic_shares import Rule

GATEWAY: Final = "gateway"
_CONTROLLER: Final = "example.com/gateway"
_NOWHERE: Final = {"no": "pod"}


Backend = tuple[str, Mapping[str, str], int]
"""Name and selector of a Service, and its weight."""


@dataclass(frozen=True, slots=True)
class _Taken:
    generation: int
    rules: tuple[Rule, ...]


@dataclass(slots=True, kw_only=True)
class Gateway:
    """It is asked to act whenever the clock or the cluster moves."""

    server: ApiServer
    world: World
    now: Callable[[], datetime]
    second: Callable[[], float]
    changes: int = 0
    """Rises whenever traffic is split in another way."""
    _seen: dict[Place, tuple[int, float]] = field(default_factory=dict)
    """Generation of each route and when it was seen first."""
    _taken: dict[Place, _Taken] = field(default_factory=dict)
    _sent_by: dict[Place, tuple[tuple[Backend, ...], ...]] = field(default_factory=dict)
    """Of each route the rules that requests go by."""
    _sent_since: float = float("-inf")
    _first: dict[Place, int] = field(default_factory=dict)
    """The generation that was reported first."""

    def act(self) -> None:
        """Do what is due now."""
        routes = list(self.server.find("HTTPRoute"))
        for at in self._taken.keys() - {place(raw) for raw in routes}:
            del self._taken[at], self._seen[at]
            self.changes += 1
        for raw in routes:
            at, generation = place(raw), raw["metadata"]["generation"]
            if self._seen.get(at, (0, 0.0))[0] != generation:
                self._seen[at] = (generation, self.second())
            if self.world.gateway.answers and self._due(at) <= self.second():
                self._take(raw)
        if self._is_behind() and self._next_change() <= self.second():
            self._sent_by = {at: self._backends(at) for at in self._taken}
            self._sent_since = self.second()
            self.changes += 1

    def next_second(self) -> float | None:
        """When a route is taken by time alone."""
        if not self.world.gateway.answers:
            return None
        waiting = (at for at, (generation, _) in self._seen.items() if not self._has(at, generation))
        due = [self._due(at) for at in waiting if at in self.server.objects]
        return min([*due, *([self._next_change()] if self._is_behind() else [])], default=None)

    def backends(self, at: Place, services: Container[str]) -> tuple[Backend, ...]:
        """The first rule of a route that sends to one of these Services, as it is in effect."""
        found = (rule for rule in self._sent_by.get(at, ()) if any(name in services for name, _, _ in rule))
        return next(found, ())

    def _backends(self, at: Place) -> tuple[tuple[Backend, ...], ...]:
        """Rules as they are to be sent by. A Service that is not there leads to no pod."""
        held = self.server.objects
        return tuple(
            tuple(
                (name, held[place_]["spec"]["selector"] if place_ in held else _NOWHERE, weight)
                for name, weight in rule
                for place_ in [("Service", at[1], name)]
            )
            for rule in self._taken[at].rules
        )

    def _is_behind(self) -> bool:
        return self._sent_by != {at: self._backends(at) for at in self._taken}

    def _next_change(self) -> float:
        return self._sent_since + self.world.gateway.throttle_seconds

    def _due(self, at: Place) -> float:
        return self._seen[at][1] + self.world.gateway.delay_seconds

    def _has(self, at: Place, generation: int) -> bool:
        taken = self._taken.get(at)
        return taken is not None and taken.generation == generation

    def _take(self, raw: Manifest) -> None:
        at, generation = place(raw), raw["metadata"]["generation"]
        accepts = self.world.gateway.accepts
        if self._taken.get(at) != (taken := _Taken(generation, rules(raw) if accepts else ())):
            self._taken[at] = taken
            self.changes += 1
        self._first.setdefault(at, generation)
        reported = generation if self.world.gateway.raises_generation else self._first[at]
        status = {"parents": [self._report(parent, raw, reported) for parent in raw["spec"]["parentRefs"]]}
        if (raw.get("status") or {}) != status:

            def edit(draft: Manifest) -> None:
                draft["status"] = status

            self.server.change(at, GATEWAY, edit, subresource="status")

    def _report(self, parent: Manifest, raw: Manifest, generation: int) -> Manifest:
        accepts = self.world.gateway.accepts
        found = [
            ("Accepted", accepts, "Accepted" if accepts else "NotAllowedByListeners"),
            ("ResolvedRefs", True, "ResolvedRefs"),
        ]
        before = {
            each["type"]: each
            for report in (raw.get("status") or {}).get("parents") or ()
            if report["parentRef"] == parent
            for each in report["conditions"]
        }
        conditions = [
            {
                "type": kind,
                "status": "True" if true else "False",
                "reason": reason,
                "observedGeneration": generation,
                "lastTransitionTime": before[kind]["lastTransitionTime"]
                if kind in before and before[kind]["status"] == ("True" if true else "False")
                else format_seconds(self.now()),
            }
            for kind, true, reason in found
        ]
        return {"parentRef": parent, "controllerName": _CONTROLLER, "conditions": conditions}
