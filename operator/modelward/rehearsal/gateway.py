"""The Gateway: it takes routes, splits traffic by their weights, and reports on them, after a while.

As `status.parents` of the Gateway API has it (https://gateway-api.sigs.k8s.io/reference/spec/#routeparentstatus).
"""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from modelward.api.times import format_seconds
from modelward.api.weights import Rule
from modelward.projection.route import rules
from modelward.rehearsal.api_server import ApiServer, Place, Raw, place
from modelward.rehearsal.world import World

GATEWAY: Final = "gateway"
_CONTROLLER: Final = "example.com/gateway"


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

    def next_second(self) -> float | None:
        """When a route is taken by time alone."""
        if not self.world.gateway.answers:
            return None
        waiting = (at for at, (generation, _) in self._seen.items() if not self._has(at, generation))
        return min((self._due(at) for at in waiting if at in self.server.objects), default=None)

    def weights(self, at: Place, services: Container[str]) -> Mapping[str, int]:
        """Weights of the first rule of a route that sends to one of these Services, as they are in effect."""
        taken = self._taken.get(at)
        found = (rule for rule in (taken.rules if taken else ()) if any(name in services for name, _ in rule))
        return dict(next(found, ()))

    def _due(self, at: Place) -> float:
        return self._seen[at][1] + self.world.gateway.delay_seconds

    def _has(self, at: Place, generation: int) -> bool:
        taken = self._taken.get(at)
        return taken is not None and taken.generation == generation

    def _take(self, raw: Raw) -> None:
        at, generation = place(raw), raw["metadata"]["generation"]
        accepts = self.world.gateway.accepts
        if self._taken.get(at) != (taken := _Taken(generation, rules(raw) if accepts else ())):
            self._taken[at] = taken
            self.changes += 1
        self._first.setdefault(at, generation)
        reported = generation if self.world.gateway.raises_generation else self._first[at]
        status = {"parents": [self._report(parent, raw, reported) for parent in raw["spec"]["parentRefs"]]}
        if (raw.get("status") or {}) != status:

            def edit(draft: Raw) -> None:
                draft["status"] = status

            self.server.change(at, GATEWAY, edit, subresource="status")

    def _report(self, parent: Raw, raw: Raw, generation: int) -> Raw:
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
