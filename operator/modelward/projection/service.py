"""Services: `<model>` for clients in the cluster, and the backends of a route.

Their selectors alone move: pods are never relabelled. Target ports go by name, so that a revision with another
port number needs no change.
"""

from typing import Any, Final

from modelward.api import names
from modelward.api.model import Model
from modelward.api.revision import Revision
from modelward.projection.metadata import Manifest, metadata

KIND = "Service"
HTTP_PORT: Final = 80
GRPC_PORT: Final = 9000


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
