"""The pod template of a revision: the runtime's container with the user's words over it.

It follows Pod Security Standard `restricted` (https://kubernetes.io/docs/concepts/security/pod-security-standards/),
mounts no service account token unless the runtime asks for one, and its probes mean "the model is loaded".
What is rendered here is pinned in the revision's snapshot: a change of this file changes new revisions only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from modelward.api import names
from modelward.api.decode import encode
from modelward.api.model_deployment import PROFILE_ANNOTATION_PREFIXES, ModelDeploymentSpec, RuntimeOverrides
from modelward.api.model_runtime import ModelRuntimeSpec
from modelward.api.objects import Manifest
from modelward.api.pod import RESERVED_ENV, EnvVar, HTTPProbe, Ports
from modelward.runtimes.fetching import FETCHES_NOTHING, FetchPolicy, model_path, pin_name, with_fetched_model

CONTAINER: Final = "model-server"
USER_ID: Final = 65532
"""The numeric UID of the pods ("nonroot" of distroless images): `runAsNonRoot` cannot check a name."""
PRE_STOP_SECONDS: Final = 5
"""A pod goes on serving this long after its deletion: endpoints, kube-proxy and routers need a moment to
learn of it. Without, a rolling change was measured to lose 127 of 15,900 requests."""
DEFAULT_HTTP_PORT: Final = 8080
DEFAULT_REQUESTS: Final = {"cpu": "100m", "memory": "256Mi"}
"""Where neither model nor runtime says: the scheduler and an autoscaler need some request to count with."""
_PROBE_TIMEOUT_SECONDS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whose pods they are."""

    model: str
    revision: str
    spec: ModelDeploymentSpec


def render_template(
    subject: Subject, runtime: ModelRuntimeSpec, fetch: FetchPolicy = FETCHES_NOTHING
) -> Manifest:
    """The pod template (core/v1 PodTemplateSpec) of a revision."""
    spec = subject.spec
    path = model_path(spec, runtime.model_path)
    labels = {**spec.pod_labels, **names.revision_labels(subject.model, subject.revision)}
    metadata: Manifest = {"labels": labels}
    if annotations := _annotations(spec):
        metadata["annotations"] = annotations
    runtime = msgspec.structs.replace(runtime, model_path=path)
    template = {"metadata": metadata, "spec": _pod_spec(subject, runtime)}
    return with_fetched_model(template, spec, path, fetch, pin_name(subject.model, subject.revision))


def served_name(subject: Subject) -> str:
    """The name that requests use: `spec.model.name`, else the name of the ModelDeployment."""
    model = subject.spec.model
    return (model.name if model else None) or subject.model


def _annotations(spec: ModelDeploymentSpec) -> dict[str, str]:
    """The user's, but for those that the CRD refuses and may have let through before it did."""
    return {
        key: value
        for key, value in spec.pod_annotations.items()
        if not key.startswith(PROFILE_ANNOTATION_PREFIXES)
    }


def _pod_spec(subject: Subject, runtime: ModelRuntimeSpec) -> Manifest:
    spec, overrides = subject.spec, subject.spec.runtime or RuntimeOverrides()
    pod: Manifest = {
        "automountServiceAccountToken": runtime.automount_service_account_token,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": overrides.drain_seconds or runtime.container.drain_seconds,
        "topologySpreadConstraints": [_spread(subject)],
        "containers": [_container(subject, runtime, overrides)],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    if spec.service_account_name:
        pod["serviceAccountName"] = spec.service_account_name
    if spec.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": secret.name} for secret in spec.image_pull_secrets]
    if spec.scheduling:
        pod.update(encode(spec.scheduling))
    return pod


def _container(subject: Subject, runtime: ModelRuntimeSpec, overrides: RuntimeOverrides) -> Manifest:
    base = runtime.container
    numbers = port_numbers(base.ports, overrides.ports)
    ports = merged_ports(base.ports, overrides.ports)
    name = served_name(subject)
    readiness = overrides.readiness or base.readiness or HTTPProbe(path="/v2/models/$(MODEL_NAME)/ready")
    liveness = overrides.liveness or base.liveness
    ready = _http_get(readiness, numbers, name)
    container: Manifest = {
        "name": CONTAINER,
        "image": overrides.image or base.image,
        "env": _environment(subject, runtime, overrides),
        "ports": [
            {"name": port, "containerPort": number, "protocol": "TCP"} for port, number in ports.items()
        ],
        "resources": _resources(subject.spec, runtime),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        # The startup probe keeps the liveness probe away while the model loads, and asks every second, so
        # that a pod is ready as soon as its model is.
        "startupProbe": _probe(ready, period=1, failures=overrides.startup_seconds or base.startup_seconds),
        "readinessProbe": _probe(ready, period=5, failures=2),
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - a path in the pod
    }
    if liveness:
        container["livenessProbe"] = _probe(_http_get(liveness, numbers, name), period=10, failures=3)
    if command := overrides.command or base.command:
        container["command"] = list(command)
    if args := overrides.args or base.args:
        container["args"] = list(args)
    return container


def port_numbers(base: Ports, overrides: Ports | None) -> dict[str, int]:
    """Port numbers by name, the user's before the runtime's; `http` is always there."""
    over = overrides or Ports()
    wanted = {
        "http": over.http or base.http or DEFAULT_HTTP_PORT,
        "grpc": over.grpc or base.grpc,
        "metrics": over.metrics or base.metrics,
    }
    return {name: number for name, number in wanted.items() if number}


def merged_ports(base: Ports, overrides: Ports | None) -> dict[str, int]:
    """The same without ports of the same number as an earlier one, which a pod can name only once."""
    ports: dict[str, int] = {}
    for name, number in port_numbers(base, overrides).items():
        if number not in ports.values():
            ports[name] = number
    return ports


def _environment(subject: Subject, runtime: ModelRuntimeSpec, overrides: RuntimeOverrides) -> list[Manifest]:
    """Ours first, so that later values may refer to them as $(MODEL_NAME); then the runtime's and the user's."""
    model = subject.spec.model
    ours = {
        "MODEL_NAME": served_name(subject),
        **({"MODEL_PATH": runtime.model_path} if runtime.model_path else {}),
        "MODEL_VERSION": _literal((model.version if model else None) or ""),
        "MODEL_URI": _literal(_without_signature((model.uri if model else None) or "")),
        "MODEL_REVISION": subject.revision,
    }
    env: dict[str, Manifest] = {name: {"name": name, "value": value} for name, value in ours.items()}
    for variable in (*runtime.container.env, *overrides.env):
        if variable.name not in ours:
            env[variable.name] = _variable(variable)
    # The root file system is read-only and the user has no home: caches go where writing is allowed.
    env.setdefault("HOME", {"name": "HOME", "value": "/tmp"})  # noqa: S108 - a path in the pod
    return list(env.values())


def model_variables(template: Mapping[str, Any]) -> dict[str, str]:
    """Our variables of a pinned template, as its pods have them: what $(MODEL_NAME) stands for in their arguments."""
    containers = template.get("spec", {}).get("containers", ())
    env = next((each.get("env", ()) for each in containers if each.get("name") == CONTAINER), ())
    return {
        each["name"]: str(each.get("value", "")).replace("$$", "$")
        for each in env
        if each.get("name") in RESERVED_ENV
    }


def _without_signature(uri: str) -> str:
    """The address that the server gets: a query of https is for the store, and may be a signature."""
    return uri.partition("?")[0] if uri.startswith("https://") else uri


def _literal(text: str) -> str:
    """Text in which Kubernetes expands nothing: `$(MODEL_NAME)` in a version is part of the version."""
    return text.replace("$", "$$")


def _variable(variable: EnvVar) -> Manifest:
    return (
        {"name": variable.name, "value": "", **encode(variable)}
        if not variable.value_from
        else encode(variable)
    )


def _resources(spec: ModelDeploymentSpec, runtime: ModelRuntimeSpec) -> Manifest:
    chosen = spec.resources or runtime.container.resources
    resources = encode(chosen) if chosen else {}
    # A limit without a request is a request of the same size: Kubernetes fills it in itself.
    limits = resources.get("limits", {})
    requests = {key: value for key, value in DEFAULT_REQUESTS.items() if key not in limits}
    return {**resources, "requests": {**requests, **resources.get("requests", {})}}


def _http_get(probe: HTTPProbe, numbers: Mapping[str, int], name: str) -> Manifest:
    """Kubernetes expands no variables in probes, so the model's name is put in here.

    A port that shares its number with an earlier one goes by the name of that one.
    """
    port = probe.port
    if isinstance(port, str):
        wanted = numbers.get(port, numbers["http"])
        port = next(each for each, number in numbers.items() if number == wanted)
    return {"path": probe.path.replace("$(MODEL_NAME)", name), "port": port}


def _probe(http_get: Manifest, *, period: int, failures: int) -> Manifest:
    return {
        "httpGet": http_get,
        "periodSeconds": period,
        "timeoutSeconds": _PROBE_TIMEOUT_SECONDS,
        "failureThreshold": failures,
    }


def _spread(subject: Subject) -> Manifest:
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": names.revision_selector(subject.model, subject.revision)},
    }
