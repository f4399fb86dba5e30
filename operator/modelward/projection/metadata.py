"""What all children have in common: labels, the owner, and two annotations that say what they were written for."""

import hashlib
import json
from typing import Any

from modelward.api import names
from modelward.api.model import Model
from modelward.api.objects import Manifest


def metadata(model: Model, name: str, labels: dict[str, str]) -> Manifest:
    """Metadata of a child. The owner reference lets the cluster's garbage collector clean up after the model."""
    return {
        "name": name,
        "namespace": model.namespace,
        "labels": labels,
        "ownerReferences": owner_references(model),
    }


def owner_references(model: Model) -> list[dict[str, Any]]:
    """What makes the model the controller of a child."""
    return [
        {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": model.name,
            "uid": model.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def stamped(manifest: Manifest, decision: int) -> Manifest:
    """The manifest with the hash of what it says and the number of the decision that it follows from.

    The replicas of a Deployment are not part of the hash: they change hands, and are a patch of their own.
    """
    annotations = {
        **manifest["metadata"].get("annotations", {}),
        names.INTENT_ANNOTATION: intent_hash(manifest),
        names.DECISION_ANNOTATION: str(decision),
    }
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}}


def intent_hash(manifest: Manifest) -> str:
    """16 hexadecimal digits that change whenever the manifest says something else."""
    spec = manifest.get("spec", {})
    meant = {**manifest, "spec": {key: value for key, value in spec.items() if key != "replicas"}}
    return hashlib.sha256(json.dumps(meant, sort_keys=True).encode()).hexdigest()[:16]


def json_pointer(*keys: str) -> str:
    """The path of a field as JSON Patch writes it (RFC 6901)."""
    return "".join(f"/{key.replace('~', '~0').replace('/', '~1')}" for key in keys)
