"""Service `<model>`: the address inside the cluster. Its selector names the stable revision; nothing else moves."""

from typing import Final

from modelward.api import names
from modelward.api.model import Model
from modelward.api.revision import Revision
from modelward.projection.metadata import Manifest, metadata

KIND = "Service"
HTTP_PORT: Final = 80
GRPC_PORT: Final = 9000


def service(model: Model, stable: Revision) -> Manifest:
    """The manifest. Target ports go by name, so that a revision with another port number needs no change."""
    ports = [{"name": "http", "port": HTTP_PORT, "targetPort": "http", "protocol": "TCP"}]
    if "grpc" in _port_names(stable):
        ports.append({"name": "grpc", "port": GRPC_PORT, "targetPort": "grpc", "protocol": "TCP"})
    return {
        "apiVersion": "v1",
        "kind": KIND,
        "metadata": metadata(model, names.service_name(model.name), names.model_labels(model.name)),
        "spec": {
            "type": "ClusterIP",
            "selector": names.revision_selector(model.name, stable.name),
            "ports": ports,
        },
    }


def url(model: Model) -> str:
    """Address of the model for clients in the cluster."""
    return f"http://{names.service_name(model.name)}.{model.namespace}.svc"


def _port_names(revision: Revision) -> set[str]:
    containers = revision.template["spec"]["containers"]
    return {port["name"] for container in containers for port in container.get("ports", [])}
