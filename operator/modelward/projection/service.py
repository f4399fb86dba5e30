"""Services: `<model>` for clients in the cluster, and the backends of a route.

Their selectors alone move: pods are never relabelled. Target ports go by name, so that a revision with another
port number needs no change.
"""

from collections.abc import Mapping
from typing import Any, Final

from modelward.api import names
from modelward.api.model import Model
from modelward.api.objects import Manifest
from modelward.api.revision import Revision
from modelward.projection.metadata import json_pointer, metadata

KIND = "Service"
HTTP_PORT: Final = 80
GRPC_PORT: Final = 9000

STEERING: Final[Mapping[str, Any]] = {
    "externalName": None,
    "externalTrafficPolicy": "Cluster",
    "internalTrafficPolicy": "Cluster",
    "publishNotReadyAddresses": False,
    "sessionAffinity": "None",
    "sessionAffinityConfig": None,
    "trafficDistribution": None,
}
"""Fields of spec that decide, beside selector and ports, who gets a request; and what they are when nobody sets them.

They are ours: a client that sticks to a pod, or a node that prefers its own, has another share than was decided."""
OF_USERS: Final = frozenset(
    {
        "allocateLoadBalancerNodePorts",
        "externalIPs",
        "loadBalancerClass",
        "loadBalancerIP",
        "loadBalancerSourceRanges",
        "type",
    }
)
"""How a Service is reached from outside, by whom and at which address: it says nothing of who answers. Node ports, too."""
OF_CLUSTER: Final = frozenset(
    {"clusterIP", "clusterIPs", "healthCheckNodePort", "ipFamilies", "ipFamilyPolicy"}
)
"""What the API server fills in."""
SOURCE_RANGES_ANNOTATION: Final = "service.beta.kubernetes.io/load-balancer-source-ranges"
"""Refused on a Service of another type, as `loadBalancerSourceRanges` is."""
_TOPOLOGY_ANNOTATIONS: Final = (
    "service.kubernetes.io/topology-aware-hints",
    "service.kubernetes.io/topology-mode",
)
"""Kubernetes' own annotations that keep requests in their zone, as `trafficDistribution` does."""


def service(model: Model, stable: Revision, *, shared: bool = False) -> Manifest:
    """Service `<model>`, which selects the stable revision; `shared`: the pods of all revisions that there are."""
    selector = (
        {names.MODEL_LABEL: names.model_label(model.name)}
        if shared
        else names.revision_selector(model.name, stable.name)
    )
    return _manifest(model, names.service_name(model.name), names.model_labels(model.name), selector, stable)


def revision_service(model: Model, revision: Revision, behind: Revision | None = None) -> Manifest:
    """Service `<model>-<revision>`: a backend of our own route. It selects the revision that it is named for.

    Unless another one is to be `behind` it: then whatever is still sent to the revision comes there.
    """
    behind = behind or revision
    return _manifest(
        model,
        names.revision_service_name(model.name, revision.name),
        names.revision_labels(model.name, revision.name),
        names.revision_selector(model.name, behind.name),
        behind,
    )


def canary_service(model: Model, revision: Revision) -> Manifest:
    """Service `<model>-canary`, which the user's own route names: the canary, or stable while there is none."""
    return _manifest(
        model,
        names.canary_service_name(model.name),
        names.model_labels(model.name),
        names.revision_selector(model.name, revision.name),
        revision,
    )


def url(model: Model) -> str:
    """Address of the model for clients in the cluster."""
    return f"http://{names.service_name(model.name)}.{model.namespace}.svc"


def steering(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What others have set in a Service that decides who gets a request, by the path in it."""
    spec, annotations = raw.get("spec") or {}, raw["metadata"].get("annotations") or {}
    found: dict[tuple[str, ...], Any] = {
        ("spec", key): spec[key] for key, usual in STEERING.items() if spec.get(key, usual) != usual
    }
    if spec.get("type") == "ExternalName":  # another host answers, none of our pods
        found["spec", "type"] = spec["type"]
    hints = {key: annotations[key] for key in _TOPOLOGY_ANNOTATIONS if key in annotations}
    found |= {("metadata", "annotations", key): hint for key, hint in hints.items() if hint != "Disabled"}
    return {json_pointer(*path): value for path, value in found.items()}


def stated(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What a Service, or its manifest, says of who gets a request."""
    spec = raw.get("spec") or {}
    ports = [{key: port[key] for key in port if key != "nodePort"} for port in spec.get("ports") or ()]
    return {"selector": spec.get("selector"), "ports": ports, **steering(raw)}


def _manifest(
    model: Model, name: str, labels: dict[str, str], selector: dict[str, str], revision: Revision
) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": KIND,
        "metadata": metadata(model, name, labels),
        "spec": {"type": "ClusterIP", "selector": selector, "ports": _ports(revision)},
    }


def _ports(revision: Revision) -> list[dict[str, Any]]:
    ports = [{"name": "http", "port": HTTP_PORT, "targetPort": "http", "protocol": "TCP"}]
    if "grpc" in _port_names(revision):
        ports.append({"name": "grpc", "port": GRPC_PORT, "targetPort": "grpc", "protocol": "TCP"})
    return ports


def _port_names(revision: Revision) -> set[str]:
    containers = revision.template["spec"]["containers"]
    return {port["name"] for container in containers for port in container.get("ports", [])}
