"""F22: Deployments that are deleted and kept by a finalizer of somebody else. Their pods run on until it is taken off."""

from golden.acts import annotate, canary, change, create, deployment_of, other, rejected
from golden.script import Script, judged, routed
from modelward.api.objects import Manifest
from modelward.simulator.simulation import Act, Simulation

HOLD = "example.com/hold"


def _hold(second: float) -> Act:
    def do(sim: Simulation) -> None:
        def edit(raw: Manifest) -> None:
            raw["metadata"]["finalizers"] = [HOLD]

        sim.server.change(deployment_of(sim, canary(sim)), "kubectl", edit)

    return other(second, f"puts the finalizer {HOLD} on the canary's Deployment", do)


def _free(second: float) -> Act:
    def do(sim: Simulation) -> None:
        def edit(raw: Manifest) -> None:
            raw["metadata"]["finalizers"] = []

        for raw in [*sim.server.find("Deployment")]:
            if raw["metadata"].get("finalizers"):
                sim.server.change(
                    ("Deployment", raw["metadata"]["namespace"], raw["metadata"]["name"]), "kubectl", edit
                )

    return other(second, f"takes the finalizer {HOLD} off", do)


TERMINATING = (
    Script(
        title="F22 a version is wanted again while its Deployment is deleted and kept",
        acts=(
            create(0, **judged()),
            change(60, "2"),
            _hold(64),
            change(70, "1"),
            change(90, "2"),
            _free(150),
        ),
    ),
    Script(
        title="F22 the same through a route",
        acts=(
            create(0, **routed()),
            change(60, "2"),
            _hold(75),
            change(80, "1"),
            change(120, "2"),
            _free(180),
        ),
    ),
    Script(
        title="F22 a canary waits for the pods of one that was taken back and is kept",
        acts=(
            create(0, **judged()),
            change(60, "2"),
            _hold(75),
            annotate(80, "abort", canary),
            annotate(100, "retry", lambda sim: f"{rejected(sim)}/1"),
            _free(160),
        ),
    ),
)
