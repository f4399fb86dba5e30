"""What pods show, without a single request: they load, crash, run out of memory, lose their probe, find no node."""

from typing import Any

from golden.acts import becomes, canary, change, create, evict, room, stable
from golden.script import QUICK, Script, judged, routed
from modelward.simulator.simulation import Act
from modelward.simulator.world import Version

PLAIN: dict[str, Any] = {"rollout": QUICK}
"""A server that shows no metrics: the health of its pods is all there is."""


def _changed(spec: dict[str, Any], *more: Act) -> tuple[Act, ...]:
    return create(0, **spec), change(60, "2"), *more


_OUT_OF_MEMORY: dict[str, Any] = {"crash_after_seconds": 25, "out_of_memory": True}


def _alike(spec: dict[str, Any]) -> tuple[Act, ...]:
    """Both versions run out of memory from the first step on, and do not any more after two minutes."""
    return _changed(
        spec,
        *(becomes(70, version, **_OUT_OF_MEMORY) for version in "12"),
        *(becomes(190, version, crash_after_seconds=None) for version in "12"),
    )


PODS = (
    Script(
        title="a version that loads slowly",
        long=True,
        acts=_changed(PLAIN),
        versions={"2": Version(load_seconds=400)},
        ends=1400,
    ),
    Script(
        title="a version that never gets ready",
        acts=_changed({"rollout": QUICK | {"progressDeadlineSeconds": 120}}),
        versions={"2": Version(load_seconds=None)},
    ),
    Script(
        title="a version that crashes at its start",
        acts=_changed(PLAIN),
        versions={"2": Version(crash_after_seconds=1)},
    ),
    Script(
        title="a version that runs out of memory under load",
        acts=_changed(PLAIN),
        versions={"2": Version(crash_after_seconds=30, out_of_memory=True)},
    ),
    Script(
        title="both versions run out of memory for a while: the canary is held and then goes on",
        acts=_alike(routed()),
        loses=True,
        ends=900,
    ),
    Script(
        title="the same without signals",
        acts=_alike(PLAIN),
        loses=True,
        ends=900,
    ),
    Script(
        title="a minority of pods crashes",
        acts=_changed(routed(replicas=6)),
        versions={"2": Version(crash_after_seconds=10, crashes_one_in=3)},
    ),
    Script(
        title="a version that crashes at the second step",
        may_lose_seconds=1,
        acts=_changed(routed(), becomes(115, "2", crash_after_seconds=1)),
    ),
    Script(
        title="a version that crashes while it is promoted",
        races=True,
        may_lose_seconds=1,
        acts=_changed(routed(replicas=6), becomes(138, "2", crash_after_seconds=1)),
        versions={"2": Version(load_seconds=20)},
    ),
    Script(
        title="a version that crashes after its promotion",
        may_lose_seconds=2,
        acts=_changed(routed(), becomes(160, "2", crash_after_seconds=1)),
    ),
    Script(
        title="a version that loses its readiness",
        may_lose_seconds=1,
        acts=_changed(routed(), becomes(85, "2", passes_probe=False)),
    ),
    Script(
        title="the only pod of the canary is evicted",
        may_lose_seconds=1,
        acts=_changed(routed(), evict(80, canary)),
    ),
    Script(
        title="a pod of stable is evicted",
        acts=_changed(routed(), evict(80, stable)),
    ),
    Script(
        title="the canary finds no node for a while",
        acts=_changed(judged(), room(200, 6)),
        room=2,
        ends=500,
    ),
    Script(
        title="stable crashes, and a new good version goes out",
        acts=(create(0, **PLAIN), becomes(30, "1", crash_after_seconds=0), change(60, "2")),
        loses=True,
    ),
    Script(
        title="stable is gone in the middle, and the canary is good",
        acts=_changed(PLAIN, becomes(80, "1", passes_probe=False)),
        loses=True,
    ),
)
