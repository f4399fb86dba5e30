"""Deployment `<model>-<revision>`: runs the pods of one revision, from its snapshot, for ever the same."""

from modelward.api import names
from modelward.api.model import Model
from modelward.api.objects import Manifest
from modelward.api.revision import Revision
from modelward.projection.metadata import metadata

KIND = "Deployment"


def deployment(model: Model, revision: Revision, replicas: int) -> Manifest:
    """The manifest; `replicas` counts only when the Deployment is created."""
    return {
        "apiVersion": "apps/v1",
        "kind": KIND,
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
