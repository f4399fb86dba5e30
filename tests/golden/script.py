"""What a script consists of."""

from dataclasses import dataclass, field, replace
from typing import Any, Final

from modelward.rollout.fleet import Limits
from modelward.simulator.simulation import Act, Disturbance, Simulation, Watch
from modelward.simulator.world import GatewayBehaviour, Version, World

SIGNALS: Final[dict[str, Any]] = {
    "image": "registry.example.com/shop/fraud:1",
    "metrics": {"port": "http", "path": "/metrics"},
    "signals": {
        "errors": {"hits": 'requests_total{code="5xx"}', "total": "requests_total"},
        "latency": {"histogram": "request_seconds"},
    },
}
"""A server that shows what a canary can be judged by."""
QUICK: Final[dict[str, Any]] = {
    "steps": [{"weightPercent": 10}, {"weightPercent": 50}],
    "stepMinSeconds": 30,
    "stepMaxSeconds": 90,
    "keepPreviousSeconds": 60,
}
"""A canary in two minutes and a half, so that a story stays short."""
GATEWAY: Final[dict[str, Any]] = {"gateway": {"parentRefs": [{"name": "public"}]}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One story."""

    title: str
    acts: tuple[Act, ...]
    versions: dict[str, Version] = field(default_factory=dict)
    """How versions behave; all others are good, and load in 5 s."""
    requests_per_second: float = 60.0
    room: int | None = None
    gateway: GatewayBehaviour = field(default_factory=GatewayBehaviour)
    limits: Limits = field(default_factory=Limits)
    without_gateway_api: bool = False
    ends: float = 400.0
    """By then everything is said and done, and nothing may be written for ten minutes."""
    long: bool = False
    """So long that it is disturbed by `make golden-all` only."""
    races: bool = False
    """Somebody acts within seconds of the operator, so that history may show it the one way or the other."""
    may_lose_seconds: float = 0.0
    """For so many seconds' worth of requests may be lost, because pods fail that were ready a moment before."""
    refused: bool = False
    """The API server does not take everything."""
    loses: bool = False
    """Requests are lost, and it is not the operator's fault: nothing was there to take them."""

    def simulation(self, disturbance: Disturbance | None = None, watch: Watch | None = None) -> Simulation:
        """The story, ready to be played."""
        world = World(
            versions=dict(self.versions),
            requests_per_second=self.requests_per_second,
            room=self.room,
            gateway=replace(self.gateway),
        )
        return Simulation(
            self.acts,
            world=world,
            limits=self.limits,
            without_gateway_api=self.without_gateway_api,
            disturbance=disturbance,
            watch=watch,
        )


def judged(**more: Any) -> dict[str, Any]:
    """The spec of a model that goes out as a quick canary, judged by its signals; `more` wins."""
    rollout = {**QUICK, **more.pop("rollout", {})}
    return {"runtime": SIGNALS, "rollout": rollout, **more}


def routed(**more: Any) -> dict[str, Any]:
    """The same with a route of its own."""
    return judged(**{"traffic": GATEWAY, **more})
