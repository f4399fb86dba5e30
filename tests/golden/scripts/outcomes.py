"""F15: changes that do not go out. Nothing in status may say that they did."""

from typing import Any

from golden.acts import annotate, becomes, change, create, other, rejected
from golden.script import Script, judged
from modelward.rollout.fleet import Limits
from modelward.simulator.simulation import Act

_PINNED: dict[str, Any] = {"model": {"format": "onnx"}, "runtime": {"name": "onnx"}}


def _runtime(second: float) -> Act:
    raw = {
        "apiVersion": "modelward.dev/v1alpha1",
        "kind": "ClusterModelRuntime",
        "metadata": {"name": "onnx"},
        "spec": {
            "formats": [{"name": "onnx"}],
            "container": {"image": "registry.example.com/onnx:1", "ports": {"http": 8080}},
        },
    }
    return other(second, "creates the runtime onnx", lambda sim: sim.server.create(raw, "kubectl"))


def _no_runtime(second: float) -> Act:
    place = ("ClusterModelRuntime", "", "onnx")
    return other(second, "deletes the runtime onnx", lambda sim: sim.server.delete(place, "kubectl"))


OUTCOMES = (
    Script(
        title="F15 a change names no runtime and another number of pods and is taken back",
        acts=(
            create(0),
            change(60, runtime={"name": "missing"}, replicas=3),
            change(120, runtime={"image": "registry.example.com/shop/fraud:1"}),
        ),
    ),
    Script(
        title="F15 the runtime is deleted together with a change",
        acts=(
            _runtime(0),
            create(0, **_PINNED),
            _no_runtime(60),
            change(60, scheduling={"nodeSelector": {"a": "b"}}, replicas=1),
        ),
    ),
    Script(
        title="F15 a quota takes no snapshot of the new version",
        acts=(
            create(0),
            other(
                50,
                "takes no more ControllerRevisions",
                lambda sim: sim.world.refused.update({"create ControllerRevision": "Forbidden"}),
                actor="quota",
            ),
            change(60, "2", replicas=3),
            other(150, "takes them again", lambda sim: sim.world.refused.clear(), actor="quota"),
        ),
        refused=True,
    ),
    Script(
        title="F15 a rejected version is applied again and waits for its turn once it is retried",
        acts=(
            create(0, **judged()),
            create(0, name="churn", **judged()),
            change(60, "2"),
            becomes(60, "2", error_percent=30),
            change(150, "1"),
            change(180, "2"),
            change(200, "3", name="churn"),
            annotate(210, "retry", lambda sim: f"{rejected(sim)}/1"),
        ),
        limits=Limits(fleet=1),
        ends=600,
    ),
)
