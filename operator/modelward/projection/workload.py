"""What keeps the pods of a revision: its Deployment, what scales it, and what limits how many a drain may take.

A Deployment `<model>-<revision>` runs the pods from the revision's snapshot, for ever the same. A HorizontalPodAutoscaler of
that name is there for each live revision, so that they scale apart. A PodDisruptionBudget `<model>` lets drains of nodes
take one pod of the stable revision at a time.
"""

from typing import Any, Final

from modelward.api import names
from modelward.api.model import Model
from modelward.api.objects import Manifest
from modelward.api.revision import Revision
from modelward.api.scaling_policy import Autoscaling, AutoscalingMetric
from modelward.projection.metadata import metadata
from modelward.runtimes.render import CONTAINER
from modelward.traffic_shares import Size

DEPLOYMENT: Final = "Deployment"
AUTOSCALER: Final = "HorizontalPodAutoscaler"
DISRUPTION_BUDGET: Final = "PodDisruptionBudget"


def deployment(model: Model, revision: Revision, replicas: int) -> Manifest:
    """The Deployment; `replicas` counts only when it is created."""
    return {
        "apiVersion": "apps/v1",
        "kind": DEPLOYMENT,
        "metadata": metadata(
            model,
            names.child_name(model.name, revision.name),
            names.revision_labels(model.name, revision.name),
        ),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": names.revision_selector(model.name, revision.name)},
            # Its template never changes, so it never has more than one ReplicaSet to keep.
            "revisionHistoryLimit": 0,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            "template": revision.template,
        },
    }


def disruption_budget(model: Model, stable: str) -> Manifest:
    """The budget. Pods that are not ready may always be evicted: they serve nobody, and would block a drain."""
    return {
        "apiVersion": "policy/v1",
        "kind": DISRUPTION_BUDGET,
        "metadata": metadata(model, names.service_name(model.name), names.model_labels(model.name)),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": names.revision_selector(model.name, stable)},
        },
    }


def autoscaler(model: Model, revision: str, policy: Autoscaling, size: Size) -> Manifest:
    """The autoscaler. During a rollout its bounds and its way down may be narrower than spec's."""
    scale_down: dict[str, Any] = {"stabilizationWindowSeconds": policy.scale_down_stabilization_seconds}
    if not size.shrinks:
        scale_down["selectPolicy"] = "Disabled"
    name = names.child_name(model.name, revision)
    return {
        "apiVersion": "autoscaling/v2",
        "kind": AUTOSCALER,
        "metadata": metadata(model, name, names.revision_labels(model.name, revision)),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": DEPLOYMENT, "name": name},
            "minReplicas": size.least,
            "maxReplicas": size.most,
            "metrics": _metrics(policy),
            "behavior": {"scaleDown": scale_down},
        },
    }


def held_autoscaler(model: Model, revision: str, count: int) -> Manifest:
    """What is written of one that was deleted and is still there: its controller goes on scaling by it.

    It can have no other opinion than the count that was decided.
    """
    name = names.child_name(model.name, revision)
    return {
        "apiVersion": "autoscaling/v2",
        "kind": AUTOSCALER,
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
