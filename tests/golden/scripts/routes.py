"""How traffic is split: by a route of our own, by the user's, by Gateways that lag or refuse, or all at once."""

from typing import Any

from builders import NAMESPACE
from golden.acts import USER, annotate, becomes, canary, change, create, delete, other
from golden.script import GATEWAY, Script, judged, routed
from modelward.api.objects import Manifest
from modelward.simulator.simulation import Act, Simulation
from modelward.simulator.world import GatewayBehaviour

PLACE = ("HTTPRoute", NAMESPACE, "shop-routes")
USERS: dict[str, Any] = {"httpRouteRef": {"name": "shop-routes"}}
BLUE_GREEN: dict[str, Any] = {"strategy": "BlueGreen", "keepPreviousSeconds": 60}


def _route(second: float, *, labelled: bool = True) -> Act:
    backends = [
        {"name": "fraud", "port": 80, "weight": 100},
        {"name": "fraud-canary", "port": 80, "weight": 0},
    ]
    raw: Manifest = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"namespace": NAMESPACE, "name": "shop-routes"},
        "spec": {
            "parentRefs": [{"name": "public"}],
            "hostnames": ["shop.example.com"],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/about"}}],
                    "backendRefs": [{"name": "about", "port": 80}],
                },
                {"backendRefs": backends},
            ],
        },
    }
    if labelled:
        raw["metadata"]["labels"] = {"modelward.dev/weights": "managed"}
    words = (
        f"creates the HTTPRoute shop-routes{'' if labelled else ', without the label that allows weights'}"
    )
    return other(second, words, lambda sim: sim.server.create(raw, USER))


def _label(second: float) -> Act:
    def edit(raw: Manifest) -> None:
        raw["metadata"]["labels"] = {"modelward.dev/weights": "managed"}

    def do(sim: Simulation) -> None:
        sim.server.change(PLACE, USER, edit)

    return other(second, "labels the HTTPRoute modelward.dev/weights=managed", do)


def _gateway(second: float, words: str, **behaviour: Any) -> Act:
    return other(second, words, lambda sim: sim.world.set_gateway(**behaviour), actor="gateway")


ROUTES = (
    Script(
        title="a user's own route is given weights, and gets them back",
        acts=(_route(0), create(0, **judged(traffic=USERS)), change(60, "2")),
        loses=True,
    ),
    Script(
        title="a bad version on a user's own route",
        acts=(
            _route(0),
            create(0, **judged(traffic=USERS)),
            change(60, "2"),
            becomes(60, "2", error_percent=8),
        ),
        loses=True,
    ),
    Script(
        title="a user's own route allows weights only later",
        acts=(
            _route(0, labelled=False),
            create(0, **judged(traffic=USERS)),
            change(60, "2"),
            _label(120),
        ),
        loses=True,
    ),
    Script(
        title="deleted while a user's own route gives the canary weight",
        acts=(_route(0), create(0, **judged(traffic=USERS)), change(60, "2"), delete(80)),
        loses=True,
    ),
    Script(
        title="a Gateway that lags",
        acts=(create(0, **routed()), change(60, "2")),
        gateway=GatewayBehaviour(delay_seconds=8),
        loses=True,
    ),
    Script(
        title="a Gateway that never reports a later generation",
        acts=(create(0, **routed()), change(60, "2")),
        gateway=GatewayBehaviour(raises_generation=False),
        loses=True,
    ),
    Script(
        title="a Gateway that does not accept the route, until it does",
        acts=(
            create(0, **routed()),
            change(60, "2"),
            _gateway(120, "accepts routes of this namespace from now on", accepts=True),
        ),
        gateway=GatewayBehaviour(accepts=False),
        loses=True,
    ),
    Script(
        title="no Gateway, and the rollout is aborted",
        acts=(create(0, **routed()), change(60, "2"), annotate(180, "abort", canary)),
        gateway=GatewayBehaviour(answers=False),
        loses=True,
    ),
    Script(
        title="a cluster without the Gateway API",
        acts=(create(0, **routed()), change(60, "2"), change(120, traffic=None)),
        without_gateway_api=True,
        loses=True,
    ),
    Script(
        title="traffic moves to a route in the middle of a canary",
        acts=(create(0, **judged()), change(60, "2"), change(80, traffic=GATEWAY)),
        loses=True,
    ),
    Script(
        title="blue and green, with a preview and one switch",
        acts=(create(0, **judged() | {"rollout": BLUE_GREEN}), change(60, "2")),
    ),
    Script(
        title="blue and green, and back after the switch",
        acts=(
            create(0, rollout=BLUE_GREEN, traffic=GATEWAY),
            change(60, "2"),
            becomes(90, "2", crash_after_seconds=0),
        ),
        loses=True,
    ),
    Script(
        title="blue and green, paused before the switch",
        acts=(
            create(0, rollout=BLUE_GREEN | {"paused": True}),
            change(60, "2"),
            change(120, rollout=BLUE_GREEN),
        ),
    ),
)
