"""F01: writes on the way back that the API server does not take, whichever they are. F03: Gateways that send late."""

from golden.acts import annotate, becomes, canary, change, create, other
from golden.script import GATEWAY, QUICK, Script, judged, routed
from golden.scripts.routes import USERS, _route
from modelward.simulator.simulation import Act
from modelward.simulator.world import GatewayBehaviour

HALF = {"rollout": {"steps": [{"weightPercent": 50}]}}
"""One step, at which half of the requests go to the canary."""


def _freeze(second: float, *denied: str, reason: str = "Invalid") -> Act:
    """A change freeze begins."""
    return other(
        second,
        f"denies: {', '.join(denied)} ({reason})",
        lambda sim: sim.world.refused.update(dict.fromkeys(denied, reason)),
        actor="freeze",
    )


def _thaw(second: float) -> Act:
    """It ends."""
    return other(second, "denies nothing any more", lambda sim: sim.world.refused.clear(), actor="freeze")


def _frozen(title: str, *denied: str, reason: str = "Invalid", ends: float = 300, **spec: object) -> Script:
    """A canary turns bad while something may not be written."""
    route = (_route(0),) if spec.get("traffic") == USERS else ()
    return Script(
        title=title,
        acts=(
            *route,
            create(0, **judged(**{**HALF, **spec})),
            change(60, "2"),
            _freeze(75, *denied, reason=reason),
            becomes(80, "2", error_percent=20),
            _thaw(200),
        ),
        ends=ends,
        refused=True,
        loses=bool(spec.get("traffic")),
    )


FROZEN = (
    _frozen("F01 a bad version while no Service may be changed", "patch Service"),
    _frozen("F01 a bad version while every write of a Service conflicts", "patch Service", reason="Conflict"),
    _frozen(
        "F01 a bad version while the API server fails on Services", "patch Service", reason="InternalError"
    ),
    _frozen("F01 a bad version while the route may not be changed", "patch HTTPRoute", traffic=GATEWAY),
    _frozen(
        "F01 a bad version while a route of the users may not be changed", "patch HTTPRoute", traffic=USERS
    ),
    _frozen(
        "F01 a bad version while neither route nor Services may be changed",
        "patch HTTPRoute",
        "patch Service",
        traffic=GATEWAY,
    ),
    _frozen("F01 a bad version while no Deployment may be deleted", "delete Deployment", "patch Service"),
    _frozen(
        "F01 a bad version while no budget and no Deployment may be changed",
        "patch PodDisruptionBudget",
        "patch Deployment",
        "patch ControllerRevision",
        replicas=3,
    ),
)
SLOW = GatewayBehaviour(throttle_seconds=25)
LATE = (
    Script(
        title="F03 a good version behind a Gateway that sends late",
        acts=(create(0, **routed(**HALF)), change(60, "2")),
        gateway=SLOW,
        loses=True,
    ),
    Script(
        title="F03 a bad version behind a Gateway that sends late",
        acts=(create(0, **routed(**HALF)), change(60, "2"), becomes(60, "2", error_percent=8)),
        gateway=SLOW,
        loses=True,
    ),
    Script(
        title="F03 a good canary is superseded behind a Gateway that sends late",
        acts=(create(0, **routed(**HALF)), change(60, "2"), change(100, "3")),
        gateway=SLOW,
        loses=True,
    ),
    Script(
        title="F03 a good canary without counters is aborted behind a Gateway that sends late",
        acts=(
            create(0, traffic=GATEWAY, rollout={**QUICK, **HALF["rollout"]}),
            change(60, "2"),
            annotate(90, "abort", canary),
        ),
        gateway=SLOW,
        loses=True,
    ),
    Script(
        title="F03 changed again right after a promotion behind a Gateway that sends late",
        acts=(
            create(0, **routed(rollout={"steps": [{"weightPercent": 50}], "keepPreviousSeconds": 0})),
            change(60, "2"),
            change(115, "3"),
        ),
        gateway=SLOW,
        loses=True,
    ),
    Script(
        title="F03 a users route behind a Gateway that sends late",
        acts=(
            _route(0),
            create(0, **judged(traffic=USERS, **HALF)),
            change(60, "2"),
            annotate(110, "abort", canary),
        ),
        gateway=SLOW,
        loses=True,
    ),
)
REFUSALS = (*FROZEN, *LATE)
