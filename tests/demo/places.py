"""Where it happens: in a cluster of the demonstration's own, or in the one that KUBECONFIG names."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

from demo.console import Console
from demo.errors import NotPossibleError, RefusedError
from demo.kubectl import Kubectl
from devcluster import Cluster, DevclusterError, PrerequisiteError, ensure_up, find, node, report, versions
from devcluster import plan as plans
from devcluster.binaries import ensure_binaries
from devcluster.object_store import ObjectStore
from devcluster.paths import cluster_directory

OWN = "demo"
"""Name of the demonstration's own development cluster."""
ATTEMPTS = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A cluster that answers."""

    kubectl: Kubectl
    name: str
    cluster: Cluster | None
    """The development cluster that it is: images go into its node, ClusterIPs are reached from here."""
    own: bool
    """Made by the demonstration, for nothing else: no questions, and `down` removes it as a whole."""
    store: ObjectStore | None = None
    """Where the models lie; None: the server's image carries them."""


def is_own() -> bool:
    """Whether the user named no other cluster than the demonstration's own."""
    chosen = os.environ.get("KUBECONFIG", "")
    return not chosen or Path(chosen).absolute() == cluster_directory(OWN) / "kubeconfig"


def reach(console: Console) -> Place:
    """The cluster, made first if it is our own. Raises NotPossibleError, RefusedError."""
    return _own(console) if is_own() else _chosen(console)


def _own(console: Console) -> Place:
    blocker = node.blocker()
    if blocker:
        raise NotPossibleError(
            f"this machine cannot run a Kubernetes node: {blocker}. Without one no model server can run, so"
            " there is no request to show. Run it as root (or with sudo without a password) on Debian or"
            " Ubuntu, or set KUBECONFIG to a cluster that you have. What needs no node: `make cluster` runs"
            " the operator against a real API server with fake nodes"
        )
    cluster = _own_cluster(console)
    kubectl = Kubectl(cluster.binaries / "kubectl", str(cluster.kubeconfig))
    return Place(kubectl=kubectl, name=f"cluster {OWN}", cluster=cluster, own=True)


def _own_cluster(console: Console) -> Cluster:
    """The own cluster, running. An interrupted `down` may still be ending parts that were seen running: then again."""
    with console.taking_over():  # it builds the image of the pods' sandboxes
        for _ in range(ATTEMPTS - 1):
            try:
                return ensure_up(OWN, node=True, audit=False, say=console.say)
            except PrerequisiteError:
                raise
            except DevclusterError as error:
                console.say(f"{error}; once more")
        return ensure_up(OWN, node=True, audit=False, say=console.say)


def _chosen(console: Console) -> Place:
    program = shutil.which("kubectl")
    path = Path(program) if program else ensure_binaries(versions.chosen(), console.say) / "kubectl"
    kubectl = Kubectl(path, os.environ["KUBECONFIG"])
    problem = kubectl.answers()
    if problem:
        raise RefusedError(
            f"the cluster that KUBECONFIG names does not answer: {problem}. Fix it, or `unset KUBECONFIG` for"
            " a cluster of the demonstration's own"
        )
    server = kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
    context = kubectl("config", "current-context").strip()
    cluster = _development_cluster(server)
    if cluster and not cluster.has_node:
        raise NotPossibleError(
            f"the development cluster {cluster.name} has no real node to run a model server"
        )
    console.say(f"{server} answers (context {context})")
    return Place(kubectl=kubectl, name=f"{server} (context {context})", cluster=cluster, own=False)


def _development_cluster(server: str) -> Cluster | None:
    """The running development cluster of this user at that address."""
    for name in plans.names():
        plan, cluster = plans.load(name), find(name)
        if plan and cluster and cluster.api_url == server and report.status(plan).ready:
            return cluster
    return None
