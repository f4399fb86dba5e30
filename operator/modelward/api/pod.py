"""The curated part of a pod that a user may set: environment, resources, placement, ports, probes.

There is no pod template: what is not here cannot be set through the resource (the reasons stand in
docs/security). Shapes follow core/v1, so that a block can be copied from a Deployment.
"""

from enum import StrEnum
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from modelward.api.fields import (
    ApiStruct,
    LabelValue,
    LocalObjectReference,
    ObjectName,
    Port,
    PortReference,
    QualifiedName,
    Quantity,
    Rule,
    RuleReason,
    UrlPath,
    atomic,
    checked,
    list_map,
    map_of,
)

RESERVED_ENV = ("MODEL_NAME", "MODEL_PATH", "MODEL_REVISION", "MODEL_URI", "MODEL_VERSION")
"""Variables that the operator sets. Others that begin with MODEL_ belong to servers (TensorFlow Serving's
MODEL_BASE_PATH, text-generation-inference's MODEL_ID), so the prefix as a whole is not reserved."""

Argument = Annotated[str, Meta(max_length=4096)]
EnvName = Annotated[
    str,
    Meta(min_length=1, max_length=128, pattern="^[-_.A-Za-z][-_.A-Za-z0-9]*$"),
    checked(
        Rule(
            expression=f"!(self in {sorted(RESERVED_ENV)})",
            message="must not be one of the variables that the operator sets: " + ", ".join(RESERVED_ENV),
            reason=RuleReason.FORBIDDEN,
        )
    ),
]
KeyName = Annotated[str, Meta(min_length=1, max_length=253, pattern="^[-_.A-Za-z0-9]+$")]


class KeySelector(ApiStruct, frozen=True, kw_only=True):
    """One key of a Secret or ConfigMap."""

    MAP_TYPE: ClassVar[str] = "atomic"

    name: Annotated[ObjectName, Meta(description="Name of the object, in the same namespace. Required.")]
    key: Annotated[KeyName, Meta(description="Key whose value is taken. Required.")]
    optional: Annotated[
        bool, Meta(description="Start the pod even if the object or the key is missing. Default false.")
    ] = False


class EnvVarSource(ApiStruct, frozen=True, kw_only=True):
    """Where the value of a variable comes from. The kubelet reads it; the operator never does."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            expression="has(self.secretKeyRef) != has(self.configMapKeyRef)",
            message="must have exactly one of secretKeyRef and configMapKeyRef",
        ),
    )

    secret_key_ref: Annotated[
        KeySelector | None, Meta(description="A key of a Secret, instead of configMapKeyRef. Default: none.")
    ] = None
    config_map_key_ref: Annotated[
        KeySelector | None, Meta(description="A key of a ConfigMap, instead of secretKeyRef. Default: none.")
    ] = None


class EnvVar(ApiStruct, frozen=True, kw_only=True):
    """One environment variable of the server."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            expression="!(has(self.value) && has(self.valueFrom))",
            message="must have value or valueFrom, not both",
        ),
    )

    name: Annotated[
        EnvName,
        Meta(description="Name of the variable. Required; the names that the operator sets are refused."),
    ]
    value: Annotated[
        Argument | None,
        Meta(description="Literal value; $(OTHER) is expanded by Kubernetes. Default: the empty string."),
    ] = None
    value_from: Annotated[
        EnvVarSource | None, Meta(description="Source of the value, instead of value. Default: none.")
    ] = None


_WITHIN_LIMIT = (
    "!has(self.requests) || !has(self.limits) || self.requests.all(k, !(k in self.limits)"
    " || !isQuantity(string(self.requests[k])) || !isQuantity(string(self.limits[k]))"
    " || quantity(string(self.requests[k])).compareTo(quantity(string(self.limits[k]))) <= 0)"
)


class ResourceRequirements(ApiStruct, frozen=True, kw_only=True):
    """Compute resources of the server's container, as in core/v1."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            expression=_WITHIN_LIMIT,
            message="must not be above the limit of the same resource",
            field="requests",
        ),
    )

    requests: Annotated[
        dict[QualifiedName, Quantity],
        map_of(16),
        Meta(description="What is set aside for a pod, by resource name. Default: the runtime's."),
    ] = msgspec.field(default_factory=dict)
    limits: Annotated[
        dict[QualifiedName, Quantity],
        map_of(16),
        Meta(description="What a pod may use at most, by resource name. Default: the runtime's."),
    ] = msgspec.field(default_factory=dict)


class TolerationOperator(StrEnum):
    """How a toleration compares its key with a taint."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """What a taint does to pods without a toleration."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(ApiStruct, frozen=True, kw_only=True):
    """A taint that the pods accept, as in core/v1."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            expression="!(has(self.operator) && self.operator == 'Exists' && has(self.value))",
            message="must have no value with the operator Exists",
            field="value",
            reason=RuleReason.FORBIDDEN,
        ),
        Rule(
            expression="has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            message="must name a key, or use the operator Exists to accept every taint",
        ),
        Rule(
            expression="!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            message="must have the effect NoExecute for tolerationSeconds to mean something",
            field="effect",
        ),
    )

    key: Annotated[
        QualifiedName | None, Meta(description="Key of the taint. Default: every key, with Exists.")
    ] = None
    operator: Annotated[
        TolerationOperator | None, Meta(description="How value is compared. Default Equal.")
    ] = None
    value: Annotated[
        LabelValue | None, Meta(description="Value of the taint, with Equal. Default: the empty string.")
    ] = None
    effect: Annotated[TaintEffect | None, Meta(description="Effect of the taint. Default: every effect.")] = (
        None
    )
    toleration_seconds: Annotated[
        Annotated[int, Meta(ge=0, le=31_536_000)] | None,
        Meta(description="How long a pod stays on a node with a NoExecute taint. Default: for ever."),
    ] = None


class Scheduling(ApiStruct, frozen=True, kw_only=True):
    """Where the pods may run."""

    node_selector: Annotated[
        dict[QualifiedName, LabelValue],
        map_of(32),
        Meta(description="Labels that a node must have. Default: any node."),
    ] = msgspec.field(default_factory=dict)
    tolerations: Annotated[
        tuple[Toleration, ...], atomic(32), Meta(description="Taints that the pods accept. Default: none.")
    ] = ()
    priority_class_name: Annotated[
        ObjectName | None, Meta(description="PriorityClass of the pods. Default: the cluster's default.")
    ] = None
    runtime_class_name: Annotated[
        ObjectName | None, Meta(description="RuntimeClass of the pods. Default: the node's default.")
    ] = None


class Ports(ApiStruct, frozen=True, kw_only=True):
    """Ports on which the server listens; their names serve in probes and metrics."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            expression="!has(self.http) || !has(self.grpc) || self.http != self.grpc",
            message="must not be the same port as http",
            field="grpc",
        ),
    )

    http: Annotated[
        Port | None, Meta(description="HTTP port. Default: none for a runtime, else the runtime's.")
    ] = None
    grpc: Annotated[
        Port | None, Meta(description="gRPC port. Default: none for a runtime, else the runtime's.")
    ] = None
    metrics: Annotated[
        Port | None,
        Meta(description="Port of the metrics page, where it is not http. Default: none, or the runtime's."),
    ] = None


class HTTPProbe(ApiStruct, frozen=True, kw_only=True):
    """An HTTP GET that must answer 200 to 399."""

    port: Annotated[
        PortReference,
        Meta(description="Port to ask: a number, or one of the names http, grpc and metrics. Default http."),
    ] = "http"
    path: Annotated[
        UrlPath,
        Meta(description="Path to ask; $(MODEL_NAME) stands for the name of the model. Required."),
    ]


class MetricsEndpoint(ApiStruct, frozen=True, kw_only=True):
    """Where a pod shows its metrics in the Prometheus text format."""

    port: Annotated[
        PortReference,
        Meta(description="Port: a number, or one of the names http, grpc and metrics. Default metrics."),
    ] = "metrics"
    path: Annotated[UrlPath, Meta(description="Path of the page. Default /metrics.")] = "/metrics"


ImagePullSecrets = Annotated[tuple[LocalObjectReference, ...], list_map(["name"], 16)]
Env = Annotated[tuple[EnvVar, ...], list_map(["name"], 128)]
Arguments = Annotated[tuple[Argument, ...], atomic(128)]
