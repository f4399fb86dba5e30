"""F02, no room for stable: nodes are lost, a canary preempts, stable grows; and the way back when all room is taken."""

from typing import Any, Final

from golden.acts import (
    annotate,
    awaited,
    canary,
    change,
    create,
    lose_node,
    priority_classes,
    room,
    stable,
)
from golden.script import QUICK, Script, judged, routed

LOW: Final[dict[str, Any]] = {"scheduling": {"priorityClassName": "low"}}
HIGH: Final[dict[str, Any]] = {"scheduling": {"priorityClassName": "high"}}
HALF: Final[dict[str, Any]] = QUICK | {
    "steps": [{"weightPercent": 50}],
    "stepMinSeconds": 300,
    "stepMaxSeconds": 600,
}
"""A canary as large as stable, that stays at its first step."""
PREEMPTING: Final = (priority_classes(0, low=1, high=1000), create(0, rollout=HALF, **LOW))

ROOM: Final = (
    Script(
        title="F02 a canary that may preempt stable does not start, and the change is taken back",
        acts=(*PREEMPTING, change(60, "2", **HIGH), change(90, "1", **LOW)),
        room=2,
    ),
    Script(
        title="F02 a canary that may preempt stable is approved, preempts it, and gives it back its room",
        acts=(*PREEMPTING, change(60, "2", **HIGH), annotate(90, "approve", awaited)),
        room=2,
        loses=True,
    ),
    Script(
        title="F02 a canary that may preempt stable is approved, and there is room for both",
        acts=(*PREEMPTING, change(60, "2", **HIGH), annotate(90, "approve", awaited)),
        room=8,
        ends=600,
    ),
    Script(
        title="F02 a canary of a lower priority waits for room, and nobody is asked",
        acts=(priority_classes(0, low=1, high=1000), create(0, rollout=HALF, **HIGH), change(60, "2", **LOW)),
        room=2,
    ),
    Script(
        title="F02 all nodes of stable are lost, the canary alone answers, and is aborted",
        acts=(
            create(0, rollout=HALF),
            change(60, "2"),
            lose_node(100, stable, 2),
            annotate(130, "abort", canary),
        ),
        room=4,
        loses=True,
    ),
    Script(
        title="F02 all nodes of stable are lost beside a canary on a route, which is aborted",
        acts=(
            create(0, **routed(rollout=HALF)),
            change(60, "2"),
            lose_node(100, stable, 2),
            annotate(130, "abort", canary),
        ),
        room=4,
        loses=True,
    ),
    Script(
        title="F02 all nodes of stable are lost beside a canary on a route, which takes over",
        acts=(create(0, **routed(rollout=QUICK)), change(60, "2"), lose_node(80, stable, 2)),
        room=3,
        loses=True,
    ),
    Script(
        title="F02 all nodes of stable are lost, and spec goes back to stable",
        acts=(create(0, rollout=HALF), change(60, "2"), lose_node(100, stable, 2), change(130, "1")),
        room=4,
        loses=True,
    ),
    Script(
        title="F02 shared capacity: the nodes of stable are lost, and the canary is aborted",
        acts=(
            create(0, **judged(rollout=HALF | {"capacity": "Shared"})),
            change(60, "2"),
            lose_node(100, stable, 1),
            annotate(130, "abort", canary),
        ),
        room=2,
        loses=True,
    ),
    Script(
        title="F02 the only pod of a canary is given up last, for the only pod of stable",
        acts=(
            create(0, rollout=HALF, replicas=1),
            change(60, "2"),
            lose_node(100, stable, 1),
            annotate(130, "abort", canary),
        ),
        room=2,
        loses=True,
    ),
    Script(
        title="F02 the previous version has lost its nodes when the promotion is aborted",
        acts=(
            create(0, rollout=QUICK),
            change(60, "2"),
            lose_node(150, lambda sim: sim.model()["status"]["previousRevision"], 2),
            annotate(160, "abort", stable),
        ),
        room=4,
        loses=True,
    ),
    Script(
        title="F02 stable is scaled up, and the canary holds the room",
        acts=(
            create(0, **routed(rollout=HALF)),
            change(60, "2"),
            change(100, replicas=3),
            annotate(160, "abort", canary),
        ),
        room=4,
    ),
    Script(
        title="F02 a node of stable is lost, and comes back",
        acts=(create(0, **routed(rollout=HALF)), change(60, "2"), lose_node(100, stable, 1), room(150, 4)),
        room=4,
        ends=700,
    ),
)
