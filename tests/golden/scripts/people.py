"""What people say: pause, approve, promote, abort, go back, change their minds - in every phase."""

from typing import Any

from golden.acts import annotate, canary, change, create, delete, first, reapply, rejected, stable
from golden.script import QUICK, Script, judged, routed
from modelward.simulator.simulation import Act
from modelward.simulator.world import Version

APPROVED: dict[str, Any] = {
    "steps": [{"weightPercent": 10}, {"weightPercent": 50, "approval": "Required"}],
}
PLAIN: dict[str, Any] = {"rollout": QUICK}
SLOW = Version(load_seconds=20)
HOUR = 3600.0

_PHASES: dict[str, tuple[dict[str, Any], tuple[Act, ...], float]] = {
    "while it scales up": (routed(), (), 70),
    "at its first step": (routed(), (), 90),
    "between two steps": (routed(replicas=4), (), 120),
    "while it waits for approval": (routed(rollout=APPROVED), (), 150),
    "while it is paused": (routed(), (change(90, rollout=QUICK | {"paused": True}),), 150),
    "while it is promoted": (routed(replicas=4), (), 185),
}
"""What abort meets: the spec, what comes before, and when it is said."""


def _step(number: int) -> Any:
    return lambda sim: f"{canary(sim)}/{number}"


PEOPLE = (
    *(
        Script(
            title=f"aborted {when}",
            acts=(create(0, **spec), change(60, "2"), *before, annotate(second, "abort", canary)),
            versions={"2": SLOW},
        )
        for when, (spec, before, second) in _PHASES.items()
    ),
    Script(
        title="aborted after its promotion",
        acts=(create(0, **routed()), change(60, "2"), annotate(170, "abort", stable)),
    ),
    Script(
        title="aborted twice, and when nothing is on its way",
        acts=(
            create(0, **PLAIN),
            annotate(30, "abort", stable),
            change(60, "2"),
            annotate(80, "abort", canary),
            annotate(100, "abort", rejected),
            annotate(120, "promote", rejected),
        ),
    ),
    Script(
        title="a rejected version is applied again and again, then retried",
        acts=(
            create(0, **routed()),
            change(60, "2"),
            annotate(80, "abort", canary),
            *(reapply(85 + 3 * count) for count in range(5)),
            change(110, "1"),
            change(120, "2"),
            annotate(150, "retry", lambda sim: f"{rejected(sim)}/1"),
        ),
        ends=450,
    ),
    Script(
        title="paused for an hour",
        long=True,
        acts=(
            create(0, **PLAIN),
            change(60, "2"),
            change(90, rollout=QUICK | {"paused": True}),
            change(90 + HOUR, rollout=QUICK),
        ),
        ends=HOUR + 400,
    ),
    Script(
        title="approved, and good",
        acts=(create(0, **routed(rollout=APPROVED)), change(60, "2"), annotate(150, "approve", _step(1))),
    ),
    Script(
        title="approval is never given, and an approval in advance of another step says nothing",
        acts=(
            create(0, rollout=QUICK | APPROVED),
            change(60, "2"),
            annotate(70, "approve", _step(7)),
        ),
    ),
    Script(
        title="promoted by hand from the first step",
        acts=(create(0, **routed(replicas=4)), change(60, "2"), annotate(80, "promote", canary)),
    ),
    Script(
        title="gone back to the previous version while it is warm",
        acts=(create(0, **routed()), change(60, "2"), annotate(170, "rollback", first)),
    ),
    Script(
        title="gone back to a version that was kept, and forward again",
        acts=(
            create(0, **routed()),
            change(60, "2"),
            annotate(250, "rollback", first),
            change(400, "3"),
        ),
        ends=700,
    ),
    Script(
        title="reverted at the first step",
        acts=(create(0, **routed()), change(60, "2"), change(85, "1")),
    ),
    Script(
        title="superseded twice at a step",
        acts=(create(0, **routed()), change(60, "2"), change(85, "3"), change(115, "4")),
        ends=450,
    ),
    Script(
        title="the steps are changed on the way",
        acts=(
            create(0, **routed()),
            change(60, "2"),
            change(
                85,
                rollout=QUICK | {"steps": [{"weightPercent": 5}, {"weightPercent": 30}]},
            ),
        ),
    ),
    Script(
        title="deleted in the middle of a canary",
        acts=(create(0, **judged()), change(60, "2"), delete(80)),
        loses=True,
    ),
)
