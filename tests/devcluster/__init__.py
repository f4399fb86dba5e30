"""A real Kubernetes for development and tests, built from source and run as plain processes."""

from devcluster.cluster import Cluster, ensure_up, find, kubeconfig_for
from devcluster.errors import DevclusterError, NotRunningError, PrerequisiteError

__all__ = [
    "Cluster",
    "DevclusterError",
    "NotRunningError",
    "PrerequisiteError",
    "ensure_up",
    "find",
    "kubeconfig_for",
]
