"""Builders of the values that tests need: complete, unremarkable, and different only in what a test says.

Models are built as manifests and go through the same door as in the operator (`modelward.cache.convert`), so that a
test never holds a value that could not come from a cluster.
"""

from builders.manifests import NAME, NAMESPACE, UID, manifest, runtime_manifest
from builders.observed import (
    NOW,
    before,
    make_autoscaler,
    make_deployment,
    make_model,
    make_observed,
    make_pod,
    make_revision,
    make_runtime,
    make_service,
    make_status,
    revision_name,
)

__all__ = [
    "NAME",
    "NAMESPACE",
    "NOW",
    "UID",
    "before",
    "make_autoscaler",
    "make_deployment",
    "make_model",
    "make_observed",
    "make_pod",
    "make_revision",
    "make_runtime",
    "make_service",
    "make_status",
    "manifest",
    "revision_name",
    "runtime_manifest",
]
