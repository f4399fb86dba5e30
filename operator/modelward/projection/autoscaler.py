"""HorizontalPodAutoscaler `<model>-<revision>`: one for each live revision, so that they scale apart."""

from typing import Any

from modelward.api import names
from modelward.api.model import Model
from modelward.api.objects import Manifest
from modelward.api.scaling_policy import Autoscaling, AutoscalingMetric
from modelward.projection.metadata import metadata
from modelward.runtimes.render import CONTAINER
from modelward.traffic_shares import Size

KIND = "HorizontalPodAutoscaler"


def autoscaler(model: Model, revision: str, policy: Autoscaling, size: Size) -> Manifest:
    """The manifest (autoscaling/v2). During a rollout its bounds and its way down may be narrower than spec's."""
    scale_down: dict[str, Any] = {"stabilizationWindowSeconds": policy.scale_down_stabilization_seconds}
    if not size.shrinks:
        scale_down["selectPolicy"] = "Disabled"
    name = names.child_name(model.name, revision)
    return {
        "apiVersion": "autoscaling/v2",
        "kind": KIND,
        "metadata": metadata(model, name, names.revision_labels(model.name, revision)),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": size.least,
            "maxReplicas": size.most,
            "metrics": _metrics(policy),
            "behavior": {"scaleDown": scale_down},
        },
    }


def held(model: Model, revision: str, count: int) -> Manifest:
    """What is written of one that was deleted and is still there: its controller goes on scaling by it.

    It can have no other opinion than the count that was decided.
    """
    name = names.child_name(model.name, revision)
    return {
        "apiVersion": "autoscaling/v2",
        "kind": KIND,
        "metadata": metadata(model, name, names.revision_labels(model.name, revision)),
        "spec": {"minReplicas": count, "maxReplicas": count},
    }


def _metrics(policy: Autoscaling) -> list[dict[str, Any]]:
    resources = {"cpu": policy.cpu_target_percent, "memory": policy.memory_utilization_percent}
    return [
        *(_resource(name, percent) for name, percent in resources.items() if percent is not None),
        *(_other(metric) for metric in policy.metrics),
    ]


def _resource(name: str, percent: int) -> dict[str, Any]:
    """Of the model's container alone: what an injected sidecar uses or does not request says nothing about load."""
    target = {"type": "Utilization", "averageUtilization": percent}
    return {
        "type": "ContainerResource",
        "containerResource": {"name": name, "container": CONTAINER, "target": target},
    }


def _other(metric: AutoscalingMetric) -> dict[str, Any]:
    target = {"type": "AverageValue", "averageValue": str(metric.average_value)}
    kind = metric.type.value
    return {"type": kind, kind.lower(): {"metric": {"name": metric.name}, "target": target}}
