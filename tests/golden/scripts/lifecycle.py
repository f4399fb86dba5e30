"""A model as an object: deployed, changed, scaled, edited by others, deleted. Changes go out directly."""

from collections.abc import Callable
from typing import Any

from builders import NAME, NAMESPACE, runtime_manifest
from golden.acts import (
    USER,
    annotate,
    becomes,
    canary,
    change,
    create,
    delete,
    demand,
    deployment_of,
    lose_status,
    other,
    rejected,
    stable,
)
from golden.script import QUICK, Script
from modelward.api.objects import Manifest
from modelward.simulator.simulation import Simulation
from modelward.simulator.world import Version

PAUSE = {"strategy": "Direct", "progressDeadlineSeconds": 120, "onDeadline": "Pause"}
ROLL_BACK = {"strategy": "Direct", "progressDeadlineSeconds": 120}
AUTOSCALING = {"minReplicas": 2, "maxReplicas": 10}
BY_FORMAT: dict[str, Any] = {"model": {"format": "onnx", "version": "1"}, "runtime": None}
NEVER = Version(load_seconds=None)
SLOW = Version(load_seconds=120)


def _add_sidecar(sim: Simulation) -> None:
    def edit(raw: Manifest) -> None:
        raw["spec"]["template"]["spec"]["containers"].append({"name": "debug", "image": "busybox"})

    sim.server.change(deployment_of(sim, stable(sim)), USER, edit)


def _remove(kind: str) -> Callable[[Simulation], None]:
    def do(sim: Simulation) -> None:
        name = NAME if kind == "Service" else f"{NAME}-{stable(sim)}"
        sim.server.delete((kind, NAMESPACE, name), USER)

    return do


def _remove_snapshot_and_deployment(sim: Simulation) -> None:
    revision = stable(sim)
    sim.server.delete(("ControllerRevision", NAMESPACE, f"{NAME}-{revision}"), USER)
    sim.server.delete(deployment_of(sim, revision), USER)


def _create_runtime(sim: Simulation) -> None:
    sim.server.create(runtime_manifest("onnx"), USER)


def _set_image(image: str) -> Callable[[Simulation], Manifest]:
    def edit(raw: Manifest) -> None:
        raw["spec"]["container"]["image"] = image

    return lambda sim: sim.server.change(("ClusterModelRuntime", "", "onnx"), USER, edit)


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


LIFECYCLE = (
    Script(title="first deployment", acts=(create(0),)),
    Script(title="a change that goes out directly", acts=(create(0), change(60, "2"))),
    Script(
        title="never ready and paused",
        acts=(create(0, rollout=PAUSE), change(60, "2")),
        versions={"2": NEVER},
    ),
    Script(
        title="the first revision never gets ready and a change repairs it",
        acts=(create(0, rollout=ROLL_BACK), change(300, "2")),
        versions={"1": NEVER},
        ends=600,
        loses=True,
    ),
    Script(
        title="superseded twice, then reverted while scaling up",
        acts=(create(0), change(60, "2"), change(100, "3"), change(140, "4"), change(180, "1")),
        versions={"2": SLOW, "3": SLOW, "4": SLOW},
    ),
    Script(
        title="changed again and reverted while draining",
        acts=(create(0), change(60, "2"), change(67, "3"), change(120, "4"), change(127, "3")),
        races=True,
    ),
    Script(
        title="rejected, applied again, retried in vain, and retried once it is fixed",
        acts=(
            create(0, rollout=ROLL_BACK),
            change(60, "2"),
            change(240, "1"),
            change(260, "2"),
            annotate(280, "retry", lambda sim: f"{rejected(sim)}/1"),
            becomes(480, "2", load_seconds=5),
            annotate(490, "retry", lambda sim: f"{rejected(sim)}/2"),
        ),
        versions={"2": NEVER},
        ends=600,
    ),
    Script(
        title="restarted, then refreshed after its runtime changed",
        acts=(
            other(0, "creates the runtime onnx", _create_runtime),
            create(0, **BY_FORMAT),
            annotate(60, "restart", "1"),
            other(120, "gives the runtime another image", _set_image("registry.example.com/onnx:2")),
            annotate(180, "refresh", "1"),
        ),
    ),
    Script(
        title="refreshed to a broken runtime, and again once it is fixed",
        acts=(
            other(0, "creates the runtime onnx", _create_runtime),
            create(0, **(BY_FORMAT | {"rollout": ROLL_BACK})),
            other(60, "gives the runtime a bad image", _set_image("registry.example.com/onnx:broken")),
            becomes(65, "1", load_seconds=None),
            annotate(70, "refresh", "1"),
            other(300, "gives the runtime a good image", _set_image("registry.example.com/onnx:3")),
            becomes(305, "1", load_seconds=5),
            annotate(310, "refresh", "2"),
        ),
        ends=500,
    ),
    Script(
        title="a runtime that is missing comes later",
        acts=(create(0, **BY_FORMAT), other(60, "creates the runtime onnx", _create_runtime)),
        loses=True,
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
        versions={"2": Version(load_seconds=30)},
        races=True,
    ),
    Script(
        title="scaled to zero and back, with a change between",
        acts=(create(0), change(60, replicas=0), change(120, "2"), change(180, replicas=2)),
        loses=True,
    ),
    Script(
        title="autoscaling on and off",
        acts=(
            create(0),
            change(60, autoscaling=AUTOSCALING),
            demand(120, 6),
            change(180, "2"),
            change(240, autoscaling=None),
            change(300, replicas=3),
        ),
    ),
    Script(
        title="autoscaling of a model that is scaled to zero",
        acts=(create(0, replicas=0), change(60, autoscaling=AUTOSCALING)),
        loses=True,
    ),
    Script(
        title="foreign hands edit and delete what belongs to it",
        acts=(
            create(0),
            other(60, "adds a sidecar to the Deployment", _add_sidecar),
            other(120, "deletes the Service", _remove("Service")),
            other(180, "deletes the Deployment", _remove("Deployment")),
            other(240, "deletes the ControllerRevision", _remove("ControllerRevision")),
            other(300, "deletes ControllerRevision and Deployment", _remove_snapshot_and_deployment),
        ),
        loses=True,
    ),
    Script(
        title="the snapshot of what serves is lost while another version goes out",
        acts=(
            create(0, rollout=QUICK),
            change(60, "2", rollout=QUICK),
            other(75, "deletes the ControllerRevision", _remove("ControllerRevision")),
            annotate(100, "abort", canary),
        ),
    ),
    Script(
        title="a name is taken, and set free",
        acts=(
            other(0, "has a Service fraud of another kind", _foreign_service),
            create(10),
            other(120, "deletes that Service", _remove("Service")),
        ),
        loses=True,
    ),
    Script(
        title="status is lost in the middle of a rollout",
        acts=(create(0), change(60, "2"), lose_status(100)),
        versions={"2": SLOW},
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
        versions={"2": SLOW},
        loses=True,
    ),
    Script(
        title="deleted and made again under the same name",
        acts=(create(0), delete(60), create(61, "2")),
        loses=True,
    ),
)
