"""The scripts of the stories: what people do and how long models load. The rest follows."""

from dataclasses import dataclass, field
from typing import Any

from builders import NAME, NAMESPACE, runtime_manifest
from golden.acts import (
    USER,
    annotate,
    canary,
    change,
    create,
    delete,
    deployment_of,
    lose_status,
    other,
    stable,
)
from modelward.rehearsal.api_server import Raw
from modelward.rehearsal.simulation import Act, Simulation

PAUSE = {"strategy": "Direct", "progressDeadlineSeconds": 120, "onDeadline": "Pause"}
ROLL_BACK = {"strategy": "Direct", "progressDeadlineSeconds": 120}
AUTOSCALING = {"minReplicas": 2, "maxReplicas": 10}


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One story."""

    title: str
    acts: tuple[Act, ...]
    load_seconds: dict[str, float | None] = field(default_factory=dict)
    """By version; 5 where nothing is said."""
    ends: float = 600.0
    """By then everything is said and done, and nothing may be written for ten minutes."""
    races: bool = False
    """A person acts within seconds of the operator, so that history may tell it the one way or the other."""


def _demand(count: int | None) -> Any:
    def do(sim: Simulation) -> None:
        sim.controllers.demand = count

    return do


def _edit_deployment(sim: Simulation, edit: Any) -> None:
    sim.server.change(deployment_of(sim, stable(sim)), USER, edit)


def _add_sidecar(raw: Raw) -> None:
    raw["spec"]["template"]["spec"]["containers"].append({"name": "debug", "image": "busybox"})


def _set_runtime(image: str) -> Any:
    def do(sim: Simulation) -> None:
        def edit(raw: Raw) -> None:
            raw["spec"]["container"]["image"] = image

        sim.server.change(("ClusterModelRuntime", "", "onnx"), USER, edit)

    return do


def _foreign_service(sim: Simulation) -> None:
    sim.server.create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"namespace": NAMESPACE, "name": NAME},
            "spec": {"selector": {"app": "legacy"}, "ports": [{"port": 80}]},
        },
        "helm",
    )


def _delete_snapshot_and_deployment(sim: Simulation) -> None:
    revision = stable(sim)
    sim.server.delete(("ControllerRevision", NAMESPACE, f"{NAME}-{revision}"), USER)
    sim.server.delete(deployment_of(sim, revision), USER)


BY_FORMAT: dict[str, Any] = {"model": {"format": "onnx", "version": "1"}, "runtime": None}
CREATE_RUNTIME = other(
    0, "creates the runtime onnx", lambda sim: sim.server.create(runtime_manifest("onnx"), USER)
)

SCRIPTS = (
    Script(title="first deployment", acts=(create(0),)),
    Script(title="a good change", acts=(create(0), change(60, "2"))),
    Script(
        title="a model that loads slowly",
        acts=(create(0), change(60, "2")),
        load_seconds={"2": 400},
        ends=900,
    ),
    Script(
        title="never ready and rolled back",
        acts=(create(0, rollout=ROLL_BACK), change(60, "2")),
        load_seconds={"2": None},
    ),
    Script(
        title="never ready and paused",
        acts=(create(0, rollout=PAUSE), change(60, "2")),
        load_seconds={"2": None},
    ),
    Script(
        title="the first revision never gets ready and a change heals it",
        acts=(create(0, rollout=ROLL_BACK), change(300, "2")),
        load_seconds={"1": None},
        ends=900,
    ),
    Script(
        title="superseded twice",
        acts=(create(0), change(60, "2"), change(100, "3"), change(140, "4")),
        load_seconds={"2": 120, "3": 120, "4": 120},
    ),
    Script(
        title="reverted while warming",
        acts=(create(0), change(60, "2"), change(100, "1")),
        load_seconds={"2": 120},
    ),
    Script(
        title="changed again while draining",
        acts=(create(0), change(60, "2"), change(67, "3")),
        races=True,
    ),
    Script(
        title="reverted while draining",
        acts=(create(0), change(60, "2"), change(67, "1")),
        races=True,
    ),
    Script(
        title="aborted",
        acts=(create(0), change(60, "2"), annotate(100, "abort", canary)),
        load_seconds={"2": 120},
    ),
    Script(
        title="rejected, applied again, retried",
        acts=(
            create(0, rollout=ROLL_BACK),
            change(60, "2"),
            change(300, "1"),
            change(360, "2"),
            other(
                400, "mends what kept version 2", lambda sim: sim.controllers.load_seconds.update({"2": 5})
            ),
            annotate(420, "retry", lambda sim: f"{_rejected(sim)}/1"),
        ),
        load_seconds={"2": None},
        ends=900,
    ),
    Script(
        title="a retry that fails too, and back",
        acts=(
            create(0, rollout=ROLL_BACK),
            change(60, "2"),
            annotate(300, "retry", lambda sim: f"{_rejected(sim)}/1"),
            change(600, "1"),
        ),
        load_seconds={"2": None},
        ends=900,
    ),
    Script(
        title="a retry of what spec does not ask for does nothing",
        acts=(
            create(0, rollout=ROLL_BACK),
            change(60, "2"),
            change(300, "1"),
            annotate(360, "retry", lambda sim: f"{_rejected(sim)}/1"),
        ),
        load_seconds={"2": None},
    ),
    Script(title="restarted", acts=(create(0), annotate(60, "restart", "1"))),
    Script(
        title="refreshed after the runtime changed",
        acts=(
            CREATE_RUNTIME,
            create(0, **BY_FORMAT),
            other(60, "gives the runtime another image", _set_runtime("registry.example.com/onnx:2")),
            annotate(120, "refresh", "1"),
        ),
    ),
    Script(
        title="refreshed to a broken runtime, and again once it is mended",
        acts=(
            CREATE_RUNTIME,
            create(0, **(BY_FORMAT | {"rollout": ROLL_BACK})),
            other(
                60,
                "gives the runtime an image that does not start",
                lambda sim: (
                    _set_runtime("registry.example.com/onnx:broken")(sim),
                    sim.controllers.load_seconds.update({"1": None}),
                ),
            ),
            annotate(70, "refresh", "1"),
            other(
                300,
                "gives the runtime a good image",
                lambda sim: (
                    _set_runtime("registry.example.com/onnx:3")(sim),
                    sim.controllers.load_seconds.update({"1": 5}),
                ),
            ),
            annotate(310, "refresh", "2"),
        ),
    ),
    Script(
        title="a runtime that is missing comes later",
        acts=(
            create(0, **BY_FORMAT),
            other(
                60, "creates the runtime onnx", lambda sim: sim.server.create(runtime_manifest("onnx"), USER)
            ),
        ),
    ),
    Script(
        title="scaled in every phase",
        acts=(
            create(0),
            change(3, replicas=3),
            change(60, replicas=1),
            change(120, "2"),
            change(130, replicas=4),
            change(145, replicas=2),
            change(160, "3"),
            change(167, replicas=3),
        ),
        load_seconds={"2": 30},
        races=True,
    ),
    Script(
        title="scaled to zero and back, with a change between",
        acts=(create(0), change(60, replicas=0), change(120, "2"), change(180, replicas=2)),
    ),
    Script(
        title="autoscaling on and off",
        acts=(
            create(0),
            change(60, autoscaling=AUTOSCALING),
            other(120, "sends more requests: 6 pods are needed", _demand(6)),
            change(180, "2"),
            change(240, autoscaling=None),
            change(300, replicas=3),
        ),
    ),
    Script(
        title="autoscaling of a model that is scaled to zero",
        acts=(create(0, replicas=0), change(60, autoscaling=AUTOSCALING)),
    ),
    Script(
        title="a child is edited, another deleted",
        acts=(
            create(0),
            other(60, "adds a sidecar to the Deployment", lambda sim: _edit_deployment(sim, _add_sidecar)),
            other(
                120,
                "deletes the Service",
                lambda sim: sim.server.delete(("Service", NAMESPACE, NAME), USER),
            ),
            other(
                180,
                "deletes the Deployment",
                lambda sim: sim.server.delete(deployment_of(sim, stable(sim)), USER),
            ),
        ),
    ),
    Script(
        title="the snapshot of what runs is deleted",
        acts=(
            create(0),
            other(
                60,
                "deletes the ControllerRevision",
                lambda sim: sim.server.delete(
                    ("ControllerRevision", NAMESPACE, f"{NAME}-{stable(sim)}"), USER
                ),
            ),
        ),
    ),
    Script(
        title="the snapshot and the Deployment are deleted",
        acts=(
            create(0),
            other(
                60,
                "deletes the ControllerRevision and the Deployment",
                _delete_snapshot_and_deployment,
            ),
        ),
    ),
    Script(
        title="a name is taken, and set free",
        acts=(
            other(0, "has a Service fraud of another kind", _foreign_service),
            create(10),
            other(
                120,
                "deletes that Service",
                lambda sim: sim.server.delete(("Service", NAMESPACE, NAME), USER),
            ),
        ),
    ),
    Script(
        title="status is lost in the middle of a rollout",
        acts=(create(0), change(60, "2"), lose_status(100)),
        load_seconds={"2": 120},
    ),
    Script(
        title="status is lost, with an old command still there",
        acts=(create(0), annotate(60, "restart", "1"), lose_status(120)),
    ),
    Script(
        title="a bad spec, then a good one",
        acts=(create(0), change(60, replicas=-1), change(120, "2", replicas=2)),
    ),
    Script(
        title="a spec without a runtime while draining",
        acts=(
            create(0),
            change(60, "2"),
            change(66, runtime=None),
            change(120, runtime={"image": "registry.example.com/shop/fraud:1"}),
        ),
        races=True,
    ),
    Script(
        title="deleted in the middle",
        acts=(create(0), change(60, "2"), delete(100)),
        load_seconds={"2": 120},
    ),
    Script(
        title="deleted and made again under the same name",
        acts=(create(0), delete(60), create(61, "2")),
    ),
)


def _rejected(sim: Simulation) -> str:
    return str(sim.model()["status"]["rejectedRevisions"][0]["revision"])
