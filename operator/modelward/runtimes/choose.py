"""Which runtime serves a model: by name, or by the format that it reads, or none when the image is one's own."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from modelward.api.conditions import Blocked, Reason
from modelward.api.decode import decode_runtime
from modelward.api.model_deployment import ModelDeploymentSpec, ModelSource
from modelward.api.model_runtime import ModelRuntimeSpec, RuntimeContainer, SupportedFormat
from modelward.errors import InvalidSpec

NAMESPACED_KIND = "ModelRuntime"
CLUSTER_KIND = "ClusterModelRuntime"


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A ModelRuntime or ClusterModelRuntime as it is in the cluster.

    `spec` stays raw: it is pinned in the snapshot of a revision as it is.
    """

    kind: str
    name: str
    spec: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A runtime, decoded; `pinned` is what the snapshot of a revision keeps of it."""

    spec: ModelRuntimeSpec
    pinned: Mapping[str, Any]


def choose(spec: ModelDeploymentSpec, runtimes: Iterable[Runtime]) -> Choice | Blocked:
    """The runtime for a model, or why there is none.

    A name is looked up in the namespace first, then in the cluster. By format the order is: namespace before
    cluster, higher priority, name.
    """
    named = spec.runtime.name if spec.runtime else None
    if named:
        return _by_name(named, runtimes)
    if spec.runtime and spec.runtime.image:
        return own_image(spec.runtime.image)
    if spec.model and spec.model.format:
        return _by_format(spec.model, runtimes)
    return Blocked(
        reason=Reason.INVALID_SPEC,
        message="spec must say what serves the model: model.format, runtime.name or runtime.image.",
    )


def own_image(image: str) -> Choice:
    """What is assumed of a server that is given as an image alone: Open Inference Protocol v2 on port 8080.

    No model path: the image carries its model, and knows where.
    """
    spec = ModelRuntimeSpec(container=RuntimeContainer(image=image), model_path="")
    return Choice(spec=spec, pinned={"image": image})


def pinned(record: Mapping[str, Any]) -> Choice:
    """The runtime that an earlier revision pinned. Raises InvalidSpec if it cannot be read any more."""
    if "spec" not in record:
        return own_image(record["image"])
    return Choice(spec=decode_runtime(record["spec"]), pinned=record)


def _by_name(name: str, runtimes: Iterable[Runtime]) -> Choice | Blocked:
    found = sorted((each for each in runtimes if each.name == name), key=_namespace_first)
    if not found:
        return Blocked(
            reason=Reason.NO_RUNTIME,
            message=f"spec.runtime.name: there is no ModelRuntime {name!r} in this namespace and no"
            f" ClusterModelRuntime of that name. `kubectl get modelruntimes,clustermodelruntimes` lists them.",
        )
    return _decoded(found[0])


def _by_format(model: ModelSource, runtimes: Iterable[Runtime]) -> Choice | Blocked:
    fitting: list[tuple[bool, int, str, Runtime]] = []
    for runtime in runtimes:
        try:
            supported = decode_runtime(runtime.spec).formats
        except InvalidSpec:
            continue  # a broken runtime serves nobody; a model that names it is blocked
        priorities = [each.priority for each in supported if _reads(each, model)]
        if priorities:
            fitting.append((_namespace_first(runtime), -max(priorities), runtime.name, runtime))
    if not fitting:
        version = f" {model.format_version}" if model.format_version else ""
        return Blocked(
            reason=Reason.NO_RUNTIME,
            message=f"spec.model.format: no runtime reads {model.format}{version}. Install one that does"
            " (`kubectl get clustermodelruntimes`), name one in spec.runtime.name, or give"
            " spec.runtime.image.",
        )
    return _decoded(min(fitting, key=lambda each: each[:3])[3])


def _reads(supported: SupportedFormat, model: ModelSource) -> bool:
    if supported.name != model.format:
        return False
    return not model.format_version or supported.version in ("", model.format_version)


def _namespace_first(runtime: Runtime) -> bool:
    """Sorts runtimes of the namespace before those of the cluster."""
    return runtime.kind != NAMESPACED_KIND


def _decoded(runtime: Runtime) -> Choice | Blocked:
    record = {"kind": runtime.kind, "name": runtime.name, "spec": runtime.spec}
    try:
        return Choice(spec=decode_runtime(runtime.spec), pinned=record)
    except InvalidSpec as error:
        return Blocked(
            reason=Reason.NO_RUNTIME, message=f"{runtime.kind} {runtime.name} cannot be used: {error}"
        )
