"""How many pods: autoscalers that act in every phase, scarce GPUs, scaling on the way, the limits of the fleet."""

from typing import Any

from golden.acts import annotate, becomes, canary, change, create, demand, room
from golden.script import QUICK, Script, judged, routed
from modelward.rollout.fleet import Limits
from modelward.simulator.world import Version

AUTOSCALING: dict[str, Any] = {"minReplicas": 2, "maxReplicas": 10}
SHARED = QUICK | {"capacity": "Shared"}

CAPACITY = (
    Script(
        title="an autoscaler goes up and down in every phase",
        acts=(
            create(0, **routed(autoscaling=AUTOSCALING)),
            demand(30, 6),
            change(60, "2"),
            demand(63, 4),
            demand(80, 8),
            demand(90, 3),
            demand(120, 9),
            demand(170, 5),
        ),
    ),
    Script(
        title="an autoscaler cannot revive what was rolled back",
        acts=(
            create(0, **routed(autoscaling=AUTOSCALING)),
            demand(30, 6),
            change(60, "2"),
            becomes(70, "2", error_percent=10),
            demand(81, 10),
            demand(120, 4),
        ),
    ),
    Script(
        title="an autoscaler, and no router",
        acts=(create(0, **judged(autoscaling=AUTOSCALING)), demand(30, 5), change(60, "2"), demand(85, 8)),
    ),
    Script(
        title="shared capacity: no pod more than there is room for",
        acts=(create(0, **routed(replicas=4) | {"rollout": SHARED}), change(60, "2")),
        room=4,
    ),
    Script(
        title="shared capacity: a bad version, and stable grows back",
        acts=(
            create(0, **routed(replicas=4) | {"rollout": SHARED}),
            change(60, "2"),
            becomes(150, "2", error_percent=10),
        ),
        room=4,
    ),
    Script(
        title="shared capacity without a router: a version that never gets ready",
        acts=(
            create(0, replicas=3, rollout=SHARED | {"progressDeadlineSeconds": 60}),
            change(60, "2"),
        ),
        versions={"2": Version(load_seconds=None)},
        room=3,
    ),
    Script(
        title="surge, and no room for the canary's pods at the second step",
        acts=(create(0, **routed(replicas=4)), change(60, "2"), room(200, 8)),
        room=5,
        ends=500,
    ),
    Script(
        title="scaled up and down by hand in the middle of a canary",
        acts=(
            create(0, **routed()),
            change(60, "2"),
            change(75, replicas=4),
            change(115, replicas=3),
            change(180, replicas=2),
        ),
    ),
    Script(
        title="scaled to zero in the middle of a canary, and up again",
        acts=(create(0, **routed()), change(60, "2"), change(80, replicas=0), change(200, replicas=2)),
        loses=True,
    ),
    Script(
        title="one rollout at a time: the second model waits for its turn",
        acts=(
            create(0, **judged()),
            create(0, name="churn", **judged()),
            change(60, "2"),
            change(61, "2", name="churn"),
            annotate(90, "abort", canary),
        ),
        limits=Limits(fleet=1),
    ),
)
