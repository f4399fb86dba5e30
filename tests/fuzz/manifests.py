"""What every object that we write must be, whatever it was made from: valid for Kubernetes, ours, and nothing besides.

Sources: Kubernetes' object names, labels and annotations (https://kubernetes.io/docs/concepts/overview/working-with-objects/);
Pod Security Standard `restricted`; Gateway API v1.
"""

import json
import re
from collections.abc import Collection, Iterator
from typing import Any, Final

from modelward.api.model import Model

Raw = dict[str, Any]

_LABEL_NAME: Final = r"[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_DNS_1035: Final = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_VALUE: Final = re.compile(f"({_LABEL_NAME})?")
_KEY: Final = re.compile(rf"(([a-z0-9]([-a-z0-9.]*[a-z0-9])?)/)?{_LABEL_NAME}")
_ENV_NAME: Final = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_PORT_NAMES: Final = ("http", "grpc", "metrics")
_ANNOTATIONS_LIMIT: Final = 256 * 1024
_SPEC_KEYS: Final = {
    "Deployment": {"replicas", "selector", "revisionHistoryLimit", "strategy", "template"},
    "Service": {"type", "selector", "ports"},
    "HorizontalPodAutoscaler": {"scaleTargetRef", "minReplicas", "maxReplicas", "metrics", "behavior"},
    "PodDisruptionBudget": {"maxUnavailable", "unhealthyPodEvictionPolicy", "selector"},
    "HTTPRoute": {"parentRefs", "hostnames", "rules"},
}
_POD_KEYS: Final = {
    "automountServiceAccountToken",
    "enableServiceLinks",
    "securityContext",
    "terminationGracePeriodSeconds",
    "topologySpreadConstraints",
    "initContainers",
    "containers",
    "volumes",
    "serviceAccountName",
    "imagePullSecrets",
    "nodeSelector",
    "tolerations",
    "priorityClassName",
    "runtimeClassName",
}
"""All that a pod of ours may say. What is not here (host network, host paths, other containers) nobody can ask for."""
_VOLUMES: Final = {
    "tmp": {"emptyDir"},
    "model": {"emptyDir", "persistentVolumeClaim"},
    "model-pin": {"configMap"},
    "model-credentials": {"secret"},
}
"""All volumes that a pod of ours may have, and what they may be; all but the first only where a model is fetched."""
_SEEN_BY_SERVER: Final = {"tmp", "model"}
_FETCHER_KEYS: Final = {"name", "image", "env", "resources", "securityContext", "volumeMounts"}
_CONTAINER_KEYS: Final = {
    "name",
    "image",
    "command",
    "args",
    "env",
    "ports",
    "resources",
    "securityContext",
    "startupProbe",
    "readinessProbe",
    "livenessProbe",
    "lifecycle",
    "volumeMounts",
}


def problems(manifest: Raw, model: Model) -> Iterator[str]:
    """What is wrong with an object of a model, in words."""
    kind, metadata = manifest["kind"], manifest["metadata"]
    yield from _name_problems(kind, metadata["name"])
    yield from label_problems(metadata["labels"])
    yield from annotation_problems(metadata.get("annotations", {}))
    if metadata["namespace"] != model.namespace:
        yield f"it is in the namespace {metadata['namespace']}"
    if [(owner["uid"], owner["controller"]) for owner in metadata["ownerReferences"]] != [(model.uid, True)]:
        yield f"its owners are {metadata['ownerReferences']}"
    if extra := metadata.keys() - {"name", "namespace", "labels", "annotations", "ownerReferences"}:
        yield f"its metadata has {extra}"
    if kind in _SPEC_KEYS and (extra := manifest["spec"].keys() - _SPEC_KEYS[kind]):
        yield f"its spec has {extra}"
    json.dumps(manifest, allow_nan=False).encode()
    check = {
        "Deployment": _deployment_problems,
        "HorizontalPodAutoscaler": _autoscaler_problems,
        "HTTPRoute": _route_problems,
        "Service": _service_problems,
    }.get(kind)
    if check:
        yield from check(manifest["spec"])


def _name_problems(kind: str, name: str) -> Iterator[str]:
    if kind == "Service":
        if not _DNS_1035.fullmatch(name):
            yield f"{name!r} cannot name a Service"
    elif len(name) > 253 or not _SUBDOMAIN.fullmatch(name):
        yield f"{name!r} cannot name a {kind}"
    if kind == "Deployment" and len(name) > 242:
        yield "its ReplicaSets would have names that are too long"


def label_problems(labels: dict[str, str]) -> Iterator[str]:
    """Labels that Kubernetes would not take."""
    for key, value in labels.items():
        if not is_key(key):
            yield f"{key!r} cannot be a label's key"
        if not _LABEL_VALUE.fullmatch(value):
            yield f"{value!r} cannot be a label's value"


def annotation_problems(annotations: dict[str, str]) -> Iterator[str]:
    """Annotations that Kubernetes would not take."""
    for key, value in annotations.items():
        if not is_key(key) or not isinstance(value, str):
            yield f"{key!r} cannot be an annotation's key, or {value!r} its value"
    if (
        sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
        > _ANNOTATIONS_LIMIT
    ):
        yield "its annotations are too large"


def is_key(key: str) -> bool:
    """Whether it may be the key of a label or annotation: a name, and a domain before it."""
    return bool(_KEY.fullmatch(key)) and len(key.rpartition("/")[0]) <= 253


# --- kinds --------------------------------------------------------------------------------------------------


def _deployment_problems(spec: Raw) -> Iterator[str]:
    if spec["replicas"] < 0:
        yield f"it has {spec['replicas']} replicas"
    labels = spec["template"]["metadata"]["labels"]
    if any(labels.get(key) != value for key, value in spec["selector"]["matchLabels"].items()):
        yield "its selector does not select its pods"


def _autoscaler_problems(spec: Raw) -> Iterator[str]:
    if not 1 <= spec["minReplicas"] <= spec["maxReplicas"]:
        yield f"its bounds are {spec['minReplicas']} and {spec['maxReplicas']}"
    if not spec["metrics"]:
        yield "it has no target"


def _route_problems(spec: Raw) -> Iterator[str]:
    for rule in spec["rules"]:
        weights = [ref["weight"] for ref in rule["backendRefs"]]
        if sum(weights) != 100 or not all(0 <= weight <= 100 for weight in weights):
            yield f"its weights are {weights}"
        if len({ref["name"] for ref in rule["backendRefs"]}) < len(weights):
            yield "it names a backend twice"


def _service_problems(spec: Raw) -> Iterator[str]:
    if not spec["selector"]:
        yield "it selects nothing"
    yield from label_problems(spec["selector"])


# --- pods ---------------------------------------------------------------------------------------------------


def template_problems(template: Raw) -> Iterator[str]:
    """What is wrong with a pod template."""
    yield from label_problems(template["metadata"]["labels"])
    yield from annotation_problems(template["metadata"].get("annotations", {}))
    pod = template["spec"]
    if extra := pod.keys() - _POD_KEYS:
        yield f"the pod has {extra}"
    yield from _volume_problems(pod)
    yield from _fetcher_problems(pod.get("initContainers", []))
    security = pod["securityContext"]
    if not (security["runAsNonRoot"] and security["runAsUser"] and security["seccompProfile"]):
        yield f"its security context is {security}"
    if pod["terminationGracePeriodSeconds"] < 5:
        yield "it ends before its pause before the stop is over"
    yield from _container_problems(pod["containers"])


def _volume_problems(pod: Raw) -> Iterator[str]:
    kinds = {volume["name"]: volume.keys() - {"name"} for volume in pod["volumes"]}
    allowed = _VOLUMES if pod.get("initContainers") else {"tmp": _VOLUMES["tmp"]}
    if len(kinds) < len(pod["volumes"]) or any(
        len(kind) != 1 or not kind <= allowed.get(name, set()) for name, kind in kinds.items()
    ):
        yield f"its volumes are {pod['volumes']}"
    mounts = [mount for container in pod["containers"] for mount in container["volumeMounts"]]
    if not {mount["name"] for mount in mounts} <= _SEEN_BY_SERVER:
        yield f"its server sees {mounts}"


def _fetcher_problems(containers: list[Raw]) -> Iterator[str]:
    if len(containers) > 1:
        yield f"it has {len(containers)} init containers"
    for container in containers:
        if container["name"] != "fetch-model" or container.keys() != _FETCHER_KEYS:
            yield f"the init container is {container}"
        yield from _security_problems(container)
        if not container["securityContext"]["readOnlyRootFilesystem"]:
            yield "the init container may write to its image"


def _security_problems(container: Raw) -> Iterator[str]:
    security = container["securityContext"]
    if security["allowPrivilegeEscalation"] or security["capabilities"] != {"drop": ["ALL"]}:
        yield f"its security context is {security}"


def _container_problems(containers: list[Raw]) -> Iterator[str]:
    if len(containers) != 1:
        yield f"it has {len(containers)} containers"
    for container in containers:
        if extra := container.keys() - _CONTAINER_KEYS:
            yield f"the container has {extra}"
        yield from _security_problems(container)
        names = [each["name"] for each in container["env"]]
        if len(set(names)) < len(names) or not all(map(_ENV_NAME.fullmatch, names)):
            yield f"its variables are {names}"
        ports = {each["name"]: each["containerPort"] for each in container["ports"]}
        if not ports.keys() <= set(_PORT_NAMES) or len(set(ports.values())) < len(container["ports"]):
            yield f"its ports are {container['ports']}"
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if probe in container:
                yield from _probe_problems(container[probe]["httpGet"], ports)


def _probe_problems(http_get: Raw, ports: Collection[str]) -> Iterator[str]:
    port = http_get["port"]
    if not (isinstance(port, int) and 1 <= port <= 65_535) and port not in ports:
        yield f"a probe asks the port {port!r}"
    if not http_get["path"].startswith("/"):
        yield f"a probe asks {http_get['path']!r}"
