"""The spec of a ModelRuntime and of a ClusterModelRuntime, which are one schema: how a server is run."""

from enum import StrEnum
from typing import Annotated, ClassVar

from msgspec import Meta

from modelward.api.fields import ApiStruct, Day, Identifier, Image, Rule, list_map, schema_extra, worded
from modelward.api.pod import Arguments, Env, HTTPProbe, MetricsEndpoint, Ports, ResourceRequirements
from modelward.api.signals import Signals

DEFAULT_STARTUP_SECONDS = 600
DEFAULT_DRAIN_SECONDS = 30


class Protocol(StrEnum):
    """The protocol that clients speak with the server."""

    OPEN_INFERENCE_V2 = "OpenInferenceV2"
    TENSORFLOW_SERVING = "TensorFlowServing"
    OPENAI = "OpenAI"
    CUSTOM = "Custom"


class SupportedFormat(ApiStruct, frozen=True, kw_only=True):
    """A model format that the server reads."""

    name: Annotated[Identifier, Meta(description="Name of the format, such as onnx. Required.")]
    version: Annotated[
        str,
        # Keys of a list map must be there or have a default. A runtime is not part of a revision's hash.
        schema_extra({"default": ""}),
        Meta(
            max_length=63,
            pattern="^([A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?)?$",
            description="Version of the format. Default: the empty string, any version.",
        ),
    ] = ""
    priority: Annotated[
        Annotated[int, Meta(ge=0, le=1000)],
        Meta(description="Which runtime is chosen where several fit: the highest, then by name. Default 0."),
    ] = 0


def _port_is_there(field: str, default: str, ports: str) -> str:
    """Return the expression that the port of a probe or page is a number, or a name that `ports` has."""
    names = " + ".join(f"(has({ports}.{name}) ? ['{name}'] : [])" for name in Ports.__struct_fields__)
    port = f"(has({field}.port) ? string({field}.port) : '{default}')"
    return (
        f"!has({field}) || (has({field}.port) && type({field}.port) == int)"
        f" || {port} in (has({ports}) ? {names} : ['http'])"
    )


_PORT_IS_THERE = "must be a number, or the name of a port that container.ports has"


class RuntimeContainer(ApiStruct, frozen=True, kw_only=True):
    """The server's container."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            expression=_port_is_there("self.readiness", "http", "self.ports"),
            message=_PORT_IS_THERE,
            field="readiness.port",
        ),
        Rule(
            expression=_port_is_there("self.liveness", "http", "self.ports"),
            message=_PORT_IS_THERE,
            field="liveness.port",
        ),
    )

    image: Annotated[Image, Meta(description="Image of the server. Required.")]
    command: Annotated[Arguments, Meta(description="Entry point. Default: the image's.")] = ()
    args: Annotated[
        Arguments,
        Meta(
            description="Arguments; Kubernetes expands $(MODEL_NAME), $(MODEL_PATH), $(MODEL_VERSION),"
            " $(MODEL_URI) and $(MODEL_REVISION). Default: the image's."
        ),
    ] = ()
    env: Annotated[
        Env, Meta(description="Variables besides those that the operator sets. Default: none.")
    ] = ()
    resources: Annotated[
        ResourceRequirements | None,
        Meta(description="Compute resources where a model asks for none. Default: none."),
    ] = None
    ports: Annotated[Ports, Meta(description="Ports of the server. Default: http on 8080.")] = Ports(
        http=8080
    )
    readiness: Annotated[
        HTTPProbe | None,
        Meta(
            description="When a pod may get requests: the model is loaded. Default: 200 from /v2/models/$(MODEL_NAME)/ready on the http port."
        ),
    ] = None
    liveness: Annotated[
        HTTPProbe | None, Meta(description="When a pod is started anew. Default: never by a probe.")
    ] = None
    startup_seconds: Annotated[
        Day, Meta(description="Time the server has to load the model. Default 600.")
    ] = DEFAULT_STARTUP_SECONDS
    drain_seconds: Annotated[
        Annotated[int, Meta(ge=5, le=3600)],
        Meta(description="Grace period of a pod; a wait of 5 s before the stop is part of it. Default 30."),
    ] = DEFAULT_DRAIN_SECONDS


class ModelRuntimeSpec(ApiStruct, frozen=True, kw_only=True):
    """How a model server is run, and what it reports about itself."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            expression=_port_is_there("self.metrics", "metrics", "self.container.ports"),
            message=_PORT_IS_THERE,
            field="metrics.port",
        ),
    )

    formats: Annotated[
        tuple[SupportedFormat, ...],
        list_map(["name", "version"], 32),
        Meta(description="Formats for which the runtime is chosen. Default: none, only by name."),
    ] = ()
    protocol: Annotated[
        Protocol, Meta(description="Protocol that clients speak. Default OpenInferenceV2.")
    ] = Protocol.OPEN_INFERENCE_V2
    model_path: Annotated[
        str,
        worded(
            "^(/[-_.A-Za-z0-9]*[-_A-Za-z0-9])+$",
            "must be an absolute path of letters, digits, '-', '_' and '.', without .. and without / at its end",
        ),
        Meta(
            min_length=1,
            max_length=256,
            description="Folder in which the server finds the model. Default /mnt/models.",
        ),
    ] = "/mnt/models"
    automount_service_account_token: Annotated[
        bool, Meta(description="Mount the service account's token into the pods. Default false.")
    ] = False
    container: Annotated[RuntimeContainer, Meta(description="The server's container. Required.")]
    metrics: Annotated[
        MetricsEndpoint | None, Meta(description="Where a pod shows its metrics. Default: nowhere.")
    ] = None
    signals: Annotated[
        Signals | None,
        Meta(description="What a canary can be judged by. Default: nothing but its pods' health."),
    ] = None
