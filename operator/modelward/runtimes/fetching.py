"""What a pod has so that its model is there when the server starts: an init container of another image, and volumes.

The credentials are mounted into that container and no other. The server sees the finished folder, read-only. Nothing of
the operator's is in there, and the operator sees neither credentials nor bytes (docs/fetch.md, docs/design/0021).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from modelward.api import names
from modelward.api.fetch_report import CONTAINER
from modelward.api.model_deployment import ModelDeploymentSpec, ModelSource
from modelward.api.objects import Manifest

PROGRESS_PORT: Final = 8089
DEFAULT_MODEL_PATH: Final = "/mnt/models"
"""Where the model is for a server that is given as an image alone."""
_CLAIM_SCHEME: Final = "pvc://"
_VOLUME: Final = "model"
_FOLDER: Final = "model"
"""In the volume: a mount point cannot appear whole, a folder below it can."""
_CREDENTIALS: Final = "model-credentials"
_PIN: Final = "model-pin"
_VOLUME_PATH: Final = "/mnt/volume"
_CREDENTIALS_PATH: Final = "/mnt/credentials"
_PIN_PATH: Final = "/mnt/pin"
_SHARE_OF_DEADLINE: Final = 0.9
"""Of spec.rollout.progressDeadlineSeconds: the container says why it gives up before the rollout does."""
_SHORTEST_SECONDS: Final = 60
EKS_SKIPPED: Final = "eks.amazonaws.com/skip-containers"
"""Annotation for EKS' webhook: these containers get no token of the pod's role."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPolicy:
    """How models are fetched, by the operator's settings. Without an image none are."""

    image: str = ""
    max_bytes: int = 1024**4
    max_files: int = 10_000
    resources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    plain_http_hosts: tuple[str, ...] = ()
    mlflow_tracking_uri: str = ""
    hugging_face_endpoint: str = ""


FETCHES_NOTHING: Final = FetchPolicy()


def fetches(spec: ModelDeploymentSpec) -> bool:
    """Whether the pods get their model from somewhere."""
    return spec.model is not None and bool(spec.model.uri)


def has_fetch_container(template: Mapping[str, Any]) -> bool:
    """Whether pods of this (pinned) template fetch their model."""
    containers = template.get("spec", {}).get("initContainers") or ()
    return any(each.get("name") == CONTAINER for each in containers)


def with_fetched_model(
    template: Manifest, spec: ModelDeploymentSpec, path: str, policy: FetchPolicy, pin: str
) -> Manifest:
    """The pod template with what fetches the model to `path`; the ConfigMap `pin` may pin its version."""
    source = spec.model
    if source is None or not source.uri:
        return template
    pod = template["spec"]
    server, *others = pod["containers"]
    fetched = {
        **pod,
        "initContainers": [_fetcher(spec, source, policy)],
        "containers": [_with_mount(server, source, path), *others],
        "volumes": [*pod["volumes"], *_volumes(source, pin)],
    }
    return {**template, "metadata": _metadata(template["metadata"], spec, server["name"]), "spec": fetched}


def model_path(spec: ModelDeploymentSpec, of_runtime: str) -> str:
    """Where the server finds the model; empty if the image carries it and nobody says where."""
    return of_runtime or (DEFAULT_MODEL_PATH if fetches(spec) else "")


def pin_name(model: str, revision: str) -> str:
    """Name of the ConfigMap that pins what a revision's model is."""
    return names.child_name(model, revision)


def _metadata(metadata: Manifest, spec: ModelDeploymentSpec, server: str) -> Manifest:
    if not _as_workload(spec):
        return metadata
    return {**metadata, "annotations": {EKS_SKIPPED: server, **metadata.get("annotations", {})}}


def _as_workload(spec: ModelDeploymentSpec) -> bool:
    """A service account that is named, and no Secret: its identity is what the store is asked with."""
    return bool(spec.service_account_name and spec.model and not spec.model.secret_ref)


def _fetcher(spec: ModelDeploymentSpec, source: ModelSource, policy: FetchPolicy) -> Manifest:
    mounts = [{"name": _PIN, "mountPath": _PIN_PATH, "readOnly": True}]
    if _claim(source):
        mounts.append({"name": _VOLUME, "mountPath": _VOLUME_PATH, "readOnly": True})
    else:
        mounts.append({"name": _VOLUME, "mountPath": _VOLUME_PATH})
    if source.secret_ref:
        mounts.append({"name": _CREDENTIALS, "mountPath": _CREDENTIALS_PATH, "readOnly": True})
    variables = _variables(spec, source, policy)
    return {
        "name": CONTAINER,
        "image": policy.image,
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "resources": {key: dict(value) for key, value in policy.resources.items()},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": mounts,
    }


def _variables(spec: ModelDeploymentSpec, source: ModelSource, policy: FetchPolicy) -> dict[str, str]:
    """Each option of the program as a variable: nothing goes to a shell, and nothing into a list of processes."""
    deadline = int(spec.rollout.progress_deadline_seconds * _SHARE_OF_DEADLINE)
    options = {
        "URI": (source.uri or "").replace("$", "$$"),  # Kubernetes expands $(NAME) in values, too
        "DIR": f"{_VOLUME_PATH}/{_FOLDER}",
        "CLAIM": _VOLUME_PATH if _claim(source) else "",
        "CREDENTIALS": _CREDENTIALS_PATH if source.secret_ref else "",
        "IDENTITY": "workload" if _as_workload(spec) else "none",
        "SHA256": (source.sha256 or "").lower(),
        "PIN": _PIN_PATH,
        "MAX_BYTES": str(policy.max_bytes),
        "MAX_FILES": str(policy.max_files),
        "TIMEOUT_SECONDS": str(max(_SHORTEST_SECONDS, deadline)),
        "PLAIN_HTTP_HOST": " ".join(policy.plain_http_hosts),
        "MLFLOW_TRACKING_URI": policy.mlflow_tracking_uri,
        "HF_ENDPOINT": policy.hugging_face_endpoint,
        "REPORT": "/dev/termination-log",
        "PROGRESS_ADDRESS": f":{PROGRESS_PORT}",
        "LOG_FORMAT": "json",
    }
    return {f"MODELWARD_FETCH_{name}": value for name, value in options.items() if value}


def _with_mount(server: Manifest, source: ModelSource, path: str) -> Manifest:
    mount: Manifest = {"name": _VOLUME, "mountPath": path, "readOnly": True}
    claim = _claim(source)
    if folder := (claim[1] if claim else _FOLDER):
        mount["subPath"] = folder
    return {**server, "volumeMounts": [*server["volumeMounts"], mount]}


def _volumes(source: ModelSource, pin: str) -> list[Manifest]:
    """The pin may not be there yet, and a Secret not (any more): the program says so, the kubelet would say nothing."""
    if claim := _claim(source):
        volume: Manifest = {"persistentVolumeClaim": {"claimName": claim[0], "readOnly": True}}
    else:
        volume = {"emptyDir": {}}
    volumes = [
        {"name": _VOLUME, **volume},
        {"name": _PIN, "configMap": {"name": pin, "optional": True}},
    ]
    if source.secret_ref:
        secret = {"secretName": source.secret_ref.name, "optional": True, "defaultMode": 0o440}
        volumes.append({"name": _CREDENTIALS, "secret": secret})
    return volumes


def _claim(source: ModelSource) -> tuple[str, str] | None:
    """Claim and folder in it; None for what is fetched."""
    uri = source.uri or ""
    if not uri.startswith(_CLAIM_SCHEME):
        return None
    claim, _, path = uri.removeprefix(_CLAIM_SCHEME).partition("/")
    return claim, unquote(path).strip("/")
