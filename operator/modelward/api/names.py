"""Names, labels and annotations of everything the operator makes.

Sources: api.md of the documentation, section "Labels, names"; Kubernetes' object names
(https://kubernetes.io/docs/concepts/overview/working-with-objects/names/) and recommended labels
(https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/).
"""

import hashlib
import re
from typing import Final

GROUP: Final = "modelward.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "ModelDeployment"
MANAGER: Final = "modelward"
"""Field manager of every write, and the value of the label `app.kubernetes.io/managed-by`."""

MODEL_LABEL: Final = f"{GROUP}/model"
REVISION_LABEL: Final = f"{GROUP}/revision"
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"

WEIGHTS_LABEL: Final = f"{GROUP}/weights"
"""On an HTTPRoute: the operator may set the weights of its backends, if the value is `managed`."""
WEIGHTS_MANAGED: Final = "managed"
ROUTE_FINALIZER: Final = f"{GROUP}/route"
"""On a ModelDeployment, while weights of a user's own route are set: they are put back before it goes."""

VERDICT_ANNOTATION: Final = f"{GROUP}/verdict"
"""On a ControllerRevision: why its revision was rejected, so that a status that is lost forgets no rejection."""
NOISE_ANNOTATION: Final = f"{GROUP}/noise"
"""On a ControllerRevision: how much the counts of its pods scatter, once that is known well, so that no restart forgets it."""
MOST_NOISE_CHARACTERS: Final = 16_384
"""An annotation that is longer is neither written nor read."""
FETCHED_ANNOTATION: Final = f"{GROUP}/fetched"
"""On a ControllerRevision: which model its first pod fetched. Its presence says that the pin was written, too."""
INTENT_ANNOTATION: Final = f"{GROUP}/intent"
"""Hash of what we meant when we last wrote the object (see `modelward.controller.apply`)."""
DECISION_ANNOTATION: Final = f"{GROUP}/decision"
"""Number of the decision the object was last written for; a higher one is never written over."""

_LABEL_LIMIT: Final = 63
_SUBDOMAIN_LIMIT: Final = 253
_DEPLOYMENT_LIMIT: Final = _SUBDOMAIN_LIMIT - 11
"""A ReplicaSet adds a dash and ten characters to the Deployment's name."""
_DIGEST_LENGTH: Final = 10
_DNS_1035: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def model_label(model: str) -> str:
    """Value of the label `modelward.dev/model` for the ModelDeployment's name (at most 63 characters)."""
    return bounded(model, _LABEL_LIMIT)


def service_name(model: str) -> str:
    """Name of the Service of a model: the model's own name where a Service may have it (RFC 1035 label)."""
    return _service_label(model)


def revision_service_name(model: str, revision: str) -> str:
    """Name of the Service of one revision: `<model>-<revision>` where a Service may have it."""
    return _service_label(f"{model}-{revision}")


def canary_service_name(model: str) -> str:
    """Name of the Service that a user's own route names for the canary: `<model>-canary` where a Service may."""
    return _service_label(f"{model}-canary")


def child_name(model: str, revision: str) -> str:
    """Name of what belongs to one revision: `<model>-<revision>`, cut where a Deployment allows no more."""
    return f"{bounded(model, _DEPLOYMENT_LIMIT - len(revision) - 1)}-{revision}"


def bounded(name: str, limit: int) -> str:
    """`name` itself up to `limit` characters; longer ones are cut and end in a hash of the whole name."""
    return name if len(name) <= limit else _cut(name, limit, _digest(name))


def model_labels(model: str) -> dict[str, str]:
    """Labels that every child of a model carries."""
    return {
        "app.kubernetes.io/name": "model-server",
        "app.kubernetes.io/instance": model_label(model),
        "app.kubernetes.io/component": "serving",
        MANAGED_BY_LABEL: MANAGER,
        "app.kubernetes.io/part-of": MANAGER,
        MODEL_LABEL: model_label(model),
    }


def revision_labels(model: str, revision: str) -> dict[str, str]:
    """Labels of what belongs to one revision: its pods, Deployment, autoscaler and snapshot."""
    return {**model_labels(model), REVISION_LABEL: revision}


def revision_selector(model: str, revision: str) -> dict[str, str]:
    """The labels that distinguish the pods of one revision from all others."""
    return {MODEL_LABEL: model_label(model), REVISION_LABEL: revision}


def model_selector(model: str) -> str:
    """Label selector, in the API's string form, for all pods of a model."""
    return f"{MODEL_LABEL}={model_label(model)}"


def _service_label(name: str) -> str:
    """`name` as an RFC 1035 label: what must be changed for that ends in a hash of the whole name."""
    if len(name) <= _LABEL_LIMIT and _DNS_1035.fullmatch(name):
        return name
    label = re.sub(r"[^a-z0-9-]", "-", name)
    if not label[0].isalpha():
        label = f"m-{label}"
    return _cut(label, _LABEL_LIMIT, _digest(name))


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_LENGTH]


def _cut(name: str, limit: int, digest: str) -> str:
    return f"{name[: limit - len(digest) - 1].rstrip('-.')}-{digest}"
