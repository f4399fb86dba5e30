"""PodDisruptionBudget `<model>`: drains of nodes take one pod of the stable revision at a time."""

from modelward.api import names
from modelward.api.model import Model
from modelward.api.objects import Manifest
from modelward.projection.metadata import metadata

KIND = "PodDisruptionBudget"


def disruption_budget(model: Model, stable: str) -> Manifest:
    """The manifest. Pods that are not ready may always be evicted: they serve nobody, and would block a drain."""
    return {
        "apiVersion": "policy/v1",
        "kind": KIND,
        "metadata": metadata(model, names.service_name(model.name), names.model_labels(model.name)),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": names.revision_selector(model.name, stable)},
        },
    }
