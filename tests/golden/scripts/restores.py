"""F20: a model that comes back without status, uid and owner references, and finds what served for it before."""

import copy
from typing import Any

from builders import NAME, NAMESPACE
from golden.acts import PLACE, annotate, becomes, change, create, other
from golden.script import Script, judged, routed
from modelward.api.objects import Manifest
from modelward.simulator.simulation import Act, Simulation

_CHILDREN = (
    "ControllerRevision",
    "Deployment",
    "Service",
    "PodDisruptionBudget",
    "HTTPRoute",
    "HorizontalPodAutoscaler",
)


def _orphaned(second: float) -> Act:
    """`kubectl delete --cascade=orphan` and then apply."""

    def do(sim: Simulation) -> None:
        model = copy.deepcopy(sim.server.get(*PLACE))
        children = [at for at in sim.server.objects if at[0] in _CHILDREN and at[1] == NAMESPACE]
        sim.server.delete(PLACE, "kubectl")
        for at in children:
            sim.server.change(at, "kube-controller-manager", _without_owner)
        metadata = {"namespace": NAMESPACE, "name": NAME}
        sim.server.create({**model, "metadata": metadata}, "kubectl")

    return other(second, "deletes fraud with --cascade=orphan and applies it again", do)


def _without_owner(raw: Manifest) -> None:
    raw["metadata"].pop("ownerReferences", None)


def _selected(sim: Simulation) -> str:
    """What the condition Ready says that should be named."""
    ready = next(each for each in sim.server.get(*PLACE)["status"]["conditions"] if each["type"] == "Ready")
    return str(ready["message"]).rpartition("adopt=")[2]


def _rejected_then_orphaned(title: str, spec: dict[str, Any], *, reported: bool = True) -> Script:
    return Script(
        title=title,
        acts=(
            create(0, **spec),
            change(60, "2"),
            becomes(60, "2", error_percent=30),
            _orphaned(200),
            *((annotate(260, "adopt", _selected),) if reported else ()),
        ),
        ends=420,
        loses="traffic" in spec,
    )


RESTORES = (
    _rejected_then_orphaned("F20 a model whose change was rejected is orphaned and applied again", judged()),
    _rejected_then_orphaned("F20 the same through a route of its own", routed()),
    _rejected_then_orphaned(
        "F20 the same and nobody says that it is to be taken back", judged(), reported=False
    ),
)
