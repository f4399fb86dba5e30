"""Models that are fetched: found, missing, moved, overwritten. What the pods report is all that the operator knows."""

from typing import Any

from golden.acts import annotate, change, create, demand, other
from golden.script import QUICK, Script
from modelward.simulator.simulation import Act, Simulation

ONE = "s3://models/fraud/1"
TWO = "s3://models/fraud/2"
CHAMPION = "mlflow://models/fraud@champion"
PLAIN: dict[str, Any] = {"rollout": QUICK}


def _model(uri: str, version: str = "1") -> dict[str, Any]:
    return {"version": version, "uri": uri}


def _first(uri: str = ONE, **more: Any) -> Act:
    return create(0, model=_model(uri), **PLAIN, **more)


def _second(uri: str = TWO) -> Act:
    return change(60, model=_model(uri, "2"))


def stored(second: float, uri: str, words: str, **content: Any) -> Act:
    """What is at an address changes."""

    def do(sim: Simulation) -> None:
        sim.world.store(uri, **content)

    return other(second, f"{uri} {words}", do, actor="cluster")


_WIDE: dict[str, Any] = {"rollout": QUICK | {"steps": [{"weightPercent": 50}]}}
"""The canary begins with several pods, which start at once: none of them has a pin."""
_MISSING: dict[str, Any] = {"failure": "NotFound", "message": f"{TWO} does not exist"}

MODELS = (
    Script(
        title="a model is fetched and the next one is promoted",
        acts=(_first(), _second()),
        may_lose_seconds=2,
    ),
    Script(
        title="a canary whose model cannot be fetched",
        acts=(
            _first(),
            stored(50, TWO, "does not exist", **_MISSING),
            _second(),
        ),
        may_lose_seconds=2,
    ),
    Script(
        title="a first deployment whose model is missing until it is uploaded",
        acts=(
            stored(0, ONE, "does not exist", failure="NotFound", message=f"{ONE} does not exist"),
            _first(),
            stored(40, ONE, "is uploaded", failure=""),
        ),
        loses=True,
    ),
    Script(
        title="the pods of a canary get different models",
        acts=(
            create(0, model=_model(ONE), replicas=4, **_WIDE),
            stored(50, TWO, "is there without versions", versioned=False, drifts=True),
            _second(),
        ),
        may_lose_seconds=2,
    ),
    Script(
        title="a pod that starts after the model was overwritten, and versions are kept",
        acts=(
            _first(autoscaling={"maxReplicas": 6, "cpuUtilizationPercent": 70}),
            stored(40, ONE, "is overwritten", version="2"),
            demand(60, 3),
        ),
        may_lose_seconds=2,
    ),
    Script(
        title="a pod that starts after the model was overwritten, and versions are not kept",
        acts=(
            stored(0, ONE, "is there without versions", versioned=False),
            _first(autoscaling={"maxReplicas": 6, "cpuUtilizationPercent": 70}),
            stored(40, ONE, "is overwritten", version="2"),
            demand(60, 3),
            stored(200, ONE, "is put back", version="1"),
        ),
        may_lose_seconds=2,
        ends=600,
    ),
    Script(
        title="an alias moves, a restart keeps the model and a refresh sends the new one out",
        acts=(
            _first(CHAMPION),
            stored(60, CHAMPION, "names another version", version="2"),
            annotate(100, "restart", "1"),
            annotate(400, "refresh", "1"),
        ),
        may_lose_seconds=2,
        ends=800,
    ),
)
