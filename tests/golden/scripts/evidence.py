"""What requests show: good and bad versions at each step, too little evidence, none at all."""

from typing import Any

from golden.acts import annotate, becomes, canary, change, create, other
from golden.script import SIGNALS, Script, judged, routed
from modelward.simulator.simulation import Act, Simulation
from modelward.simulator.world import Version

THREE_STEPS: dict[str, Any] = {
    "steps": [{"weightPercent": 5}, {"weightPercent": 25}, {"weightPercent": 50}],
}
FEW = 0.05
"""Requests per second that shows nothing within a step."""
GUARDED: dict[str, Any] = {
    "metrics": [
        {"name": "errors", "signal": "errors"},
        {"name": "slo", "kind": "Guard", "signal": "errors", "limitPercent": "2"},
    ]
}


def _requests(second: float, per_second: float) -> Act:
    def do(sim: Simulation) -> None:
        sim.world.requests_per_second = per_second

    return other(second, f"sends {per_second:g} requests a second", do)


def _bad_at(second: float) -> tuple[Act, ...]:
    spec = routed(replicas=4, rollout=THREE_STEPS)
    return create(0, **spec), change(60, "2"), becomes(second, "2", error_percent=5)


def _too_little(policy: str) -> tuple[Act, ...]:
    return create(0, **judged(rollout={"onInconclusive": policy})), change(60, "2")


EVIDENCE = (
    Script(
        title="a good version, by the defaults",
        long=True,
        acts=(create(0, runtime=SIGNALS, rollout={}), change(60, "2")),
        ends=1200,
    ),
    Script(
        title="a good version through a route of its own",
        acts=(create(0, **routed(replicas=4)), change(60, "2")),
    ),
    Script(title="a bad version", acts=_bad_at(60), ends=300),
    Script(title="a version that gets bad at the second step", acts=_bad_at(105), ends=300),
    Script(title="a version that gets bad at the last step", acts=_bad_at(145), ends=300),
    Script(
        title="a version that is slower",
        acts=(create(0, **routed(replicas=4)), change(60, "2")),
        versions={"2": Version(latency_milliseconds=180)},
        ends=300,
    ),
    Script(
        title="a guard is broken after the promotion",
        acts=(
            create(0, **routed(analysis=GUARDED, rollout={"keepPreviousSeconds": 120})),
            change(60, "2"),
            becomes(160, "2", error_percent=10),
        ),
    ),
    Script(
        title="both versions fail alike: the canary is not to blame, and a person aborts",
        acts=(
            create(0, **routed()),
            change(60, "2"),
            becomes(75, "1", error_percent=20),
            becomes(75, "2", error_percent=20),
            annotate(180, "abort", canary),
        ),
    ),
    Script(
        title="no metrics from the start, then they come",
        acts=(create(0, **judged()), change(60, "2"), becomes(150, "2", shows_metrics=True)),
        versions={"2": Version(shows_metrics=False)},
    ),
    Script(
        title="metrics are lost and come back",
        acts=(
            create(0, **routed()),
            change(60, "2"),
            becomes(110, "2", shows_metrics=False),
            becomes(200, "2", shows_metrics=True),
        ),
    ),
    Script(
        title="metrics are lost, and the policy is to roll back",
        acts=(
            create(0, **routed(rollout={"onMetricsUnavailable": "RollBack"})),
            change(60, "2"),
            becomes(80, "2", shows_metrics=False),
        ),
        ends=200,
    ),
    Script(
        title="too little evidence: it waits, and goes on when requests come",
        acts=(*_too_little("Pause"), _requests(200, 60)),
        requests_per_second=FEW,
        ends=500,
    ),
    Script(
        title="only probes reach the canary: they are no evidence, and it goes on when users come",
        acts=(*_too_little("Pause"), _requests(400, 60)),
        versions={"1": Version(probes_per_second=0.4), "2": Version(probes_per_second=0.4)},
        requests_per_second=0,
        ends=700,
    ),
    Script(
        title="F10 fewer users than probes, which the server does not count: it is learned, and the canary goes on",
        acts=(*_too_little("Pause"), _requests(400, 60)),
        requests_per_second=0.3,
        ends=700,
    ),
    Script(
        title="each poll is answered by another worker: nothing is judged by that, and a version that shares goes on",
        acts=(create(0, **judged()), change(60, "2"), change(200, "3")),
        versions={"2": Version(workers=2)},
        ends=500,
    ),
    Script(
        title="too little evidence: it waits, and a person promotes it",
        acts=(*_too_little("Pause"), annotate(200, "promote", canary)),
        requests_per_second=FEW,
    ),
    Script(
        title="too little evidence: promoted, as the policy says",
        acts=_too_little("Promote"),
        requests_per_second=FEW,
    ),
    Script(
        title="too little evidence: rolled back, as the policy says",
        acts=_too_little("RollBack"),
        requests_per_second=FEW,
    ),
)
