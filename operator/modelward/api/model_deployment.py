"""The spec of a ModelDeployment: what runs, how much of it, how traffic reaches it, how a change goes out."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from modelward.api.analysis_policy import (
    AnalysisPolicy,
    Direction,
    Metric,
    MetricAction,
    MetricKind,
    SignalName,
)
from modelward.api.fields import (
    ApiStruct,
    Day,
    FreeText,
    Identifier,
    Image,
    LabelValue,
    LocalObjectReference,
    ObjectName,
    QualifiedName,
    Replicas,
    Rule,
    RuleReason,
    checked,
    map_of,
    schema_extra,
    worded,
)
from modelward.api.pod import (
    Arguments,
    Env,
    EnvVar,
    EnvVarSource,
    HTTPProbe,
    ImagePullSecrets,
    MetricsEndpoint,
    Ports,
    ResourceRequirements,
    Scheduling,
    Toleration,
)
from modelward.api.rollout_policy import (
    Approval,
    Capacity,
    OnDeadline,
    OnInconclusive,
    OnMetricsUnavailable,
    RolloutPolicy,
    Step,
    Strategy,
)
from modelward.api.scaling_policy import Autoscaling, AutoscalingMetric, AutoscalingMetricType
from modelward.api.signals import Signals
from modelward.api.traffic_policy import GatewayTraffic, ParentReference, Traffic

__all__ = [
    "REVISION_FIELDS",
    "URI_SCHEMES",
    "AnalysisPolicy",
    "Approval",
    "Autoscaling",
    "AutoscalingMetric",
    "AutoscalingMetricType",
    "Capacity",
    "Direction",
    "EnvVar",
    "EnvVarSource",
    "GatewayTraffic",
    "HTTPProbe",
    "LocalObjectReference",
    "Metric",
    "MetricAction",
    "MetricKind",
    "MetricsEndpoint",
    "ModelDeploymentSpec",
    "ModelSource",
    "OnDeadline",
    "OnInconclusive",
    "OnMetricsUnavailable",
    "ParentReference",
    "Ports",
    "ResourceRequirements",
    "RolloutPolicy",
    "RuntimeOverrides",
    "Scheduling",
    "SignalName",
    "Signals",
    "Step",
    "Strategy",
    "Toleration",
    "Traffic",
]

REVISION_FIELDS = (
    "model",
    "runtime",
    "resources",
    "scheduling",
    "serviceAccountName",
    "imagePullSecrets",
    "podLabels",
    "podAnnotations",
)
"""Fields of the spec whose content, as the user wrote it, is a revision. None of them may have a `default:`
in the CRD: a later default would change the hash of every revision."""

URI_SCHEMES = ("s3", "gs", "az", "https", "hf", "pvc", "oci", "mlflow")
_SCHEMES = "|".join(URI_SCHEMES)

RESERVED_LABEL_PREFIXES = ("modelward.dev/", "app.kubernetes.io/")
RESERVED_LABELS = ("pod-template-hash",)
PROFILE_ANNOTATION_PREFIXES = (
    "container.apparmor.security.beta.kubernetes.io/",
    "container.seccomp.security.alpha.kubernetes.io/",
    "seccomp.security.alpha.kubernetes.io/",
)
"""Annotations of pods by which the API server, or an older one, takes a container out of its security profile."""

ModelUri = Annotated[
    str,
    Meta(min_length=1, max_length=2048),
    worded("^[!-~]+$", "must have no spaces or control characters; percent-encode what is not ASCII"),
    checked(
        Rule(
            expression=f"self.matches('^({_SCHEMES})://[^/]')",
            message="must begin with one of " + ", ".join(f"{scheme}://" for scheme in URI_SCHEMES),
        ),
        # hf://model@revision has no host, so an @ there names no user.
        Rule(
            expression="!self.matches('^[a-z0-9]+://[^/?#]*@')"
            " || (self.startsWith('hf://') && !self.matches('^hf://[^/?#]*:[^/?#]*@'))",
            message="must not carry a user name or password; give credentials by secretRef",
            reason=RuleReason.FORBIDDEN,
        ),
        # However it is written: percent-encoded, with a backslash, before a query.
        Rule(
            expression=r"!self.matches(r'(?i)(/|\\|%2f|%5c)(\.|%2e){2}([/?#\\]|%2f|%5c|$)')",
            message="must not have .. as a segment of the path",
        ),
    ),
]
ServedName = Annotated[
    str,
    # Segments as in Hugging Face's organisation/model; each begins and ends with a letter or digit.
    Meta(
        min_length=1,
        max_length=253,
        pattern="^[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?(/[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?)*$",
    ),
]
Sha256 = Annotated[str, Meta(max_length=64), worded("^[0-9A-Fa-f]{64}$", "must be 64 hexadecimal digits")]
PodAnnotations = Annotated[
    dict[QualifiedName, Annotated[str, Meta(max_length=4096)]],
    # Kubernetes takes 256 KiB of annotations for an object, keys included.
    map_of(32),
    checked(
        Rule(
            expression="self.all(k, !k.startsWith('modelward.dev/'))",
            message="must not have keys that begin with modelward.dev/, which the operator sets",
            reason=RuleReason.FORBIDDEN,
        ),
        Rule(
            expression="self.all(k, "
            + " && ".join(f"!k.startsWith('{prefix}')" for prefix in PROFILE_ANNOTATION_PREFIXES)
            + ")",
            message="must not have keys that set a security profile (AppArmor, seccomp): pods are restricted",
            reason=RuleReason.FORBIDDEN,
        ),
    ),
]
PodLabels = Annotated[
    dict[QualifiedName, LabelValue],
    map_of(32),
    checked(
        Rule(
            expression="self.all(k, "
            + " && ".join(f"!k.startsWith('{prefix}')" for prefix in RESERVED_LABEL_PREFIXES)
            + f" && !(k in {list(RESERVED_LABELS)}))",
            message="must not have keys that the operator or Kubernetes sets: modelward.dev/...,"
            " app.kubernetes.io/..., pod-template-hash",
            reason=RuleReason.FORBIDDEN,
        )
    ),
]


class ModelSource(ApiStruct, frozen=True, kw_only=True):
    """The model: its format, where its files are, and the name it is served under."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            expression="!has(self.secretRef) || has(self.uri)",
            message="must only be given with uri: it holds the credentials for fetching",
            field="secretRef",
            reason=RuleReason.FORBIDDEN,
        ),
        Rule(
            expression="!has(self.sha256) || has(self.uri)",
            message="must only be given with uri: it checks what was fetched",
            field="sha256",
            reason=RuleReason.FORBIDDEN,
        ),
        Rule(
            expression="!has(self.formatVersion) || has(self.format)",
            message="must only be given with format",
            field="formatVersion",
            reason=RuleReason.FORBIDDEN,
        ),
    )

    format: Annotated[
        Identifier | None,
        Meta(
            description="Format of the model, such as onnx or sklearn; it picks a runtime. Required unless"
            " runtime.name or runtime.image is given."
        ),
    ] = None
    format_version: Annotated[
        Identifier | None, Meta(description="Version of the format. Default: any that a runtime supports.")
    ] = None
    uri: Annotated[
        ModelUri | None,
        Meta(
            description="Where the files are: an address with the scheme s3, gs, az, https, hf, pvc, oci or"
            " mlflow. Default: the image carries the model."
        ),
    ] = None
    name: Annotated[
        ServedName | None, Meta(description="Name the model is served under. Default: metadata.name.")
    ] = None
    version: Annotated[
        FreeText | None,
        Meta(description="Version in words for people; MODEL_VERSION in the pod. Default: empty."),
    ] = None
    sha256: Annotated[
        Sha256 | None,
        Meta(
            description="SHA-256 that the fetched bytes must have, 64 hexadecimal digits. Default: not checked."
        ),
    ] = None
    secret_ref: Annotated[
        LocalObjectReference | None,
        Meta(
            description="Secret with credentials for fetching; only the fetch container sees it. Default: none."
        ),
    ] = None


class RuntimeOverrides(ApiStruct, frozen=True, kw_only=True):
    """The runtime by name, and what is different from it here; or a server of one's own by image."""

    name: Annotated[
        ObjectName | None,
        Meta(
            description="A ModelRuntime of this namespace, else a ClusterModelRuntime. Default: chosen by"
            " model.format, or none if only an image is given."
        ),
    ] = None
    image: Annotated[Image | None, Meta(description="Image of the server. Default: the runtime's.")] = None
    command: Annotated[
        Arguments, Meta(description="Entry point of the container. Default: the runtime's.")
    ] = ()
    args: Annotated[
        Arguments,
        Meta(description="Arguments, with $(MODEL_NAME) and the like expanded. Default: the runtime's."),
    ] = ()
    env: Annotated[
        Env,
        Meta(
            description="Variables besides the runtime's, or instead of those of the same name. Default: none."
        ),
    ] = ()
    ports: Annotated[Ports | None, Meta(description="Ports of the server. Default: the runtime's.")] = None
    readiness: Annotated[
        HTTPProbe | None, Meta(description="When a pod may get requests. Default: the runtime's.")
    ] = None
    liveness: Annotated[
        HTTPProbe | None, Meta(description="When a pod is started anew. Default: the runtime's.")
    ] = None
    startup_seconds: Annotated[
        Day | None, Meta(description="Time the server has to load the model. Default: the runtime's, 600.")
    ] = None
    drain_seconds: Annotated[
        Annotated[int, Meta(ge=5, le=3600)] | None,
        Meta(description="Time for open requests when a pod ends. Default: the runtime's, 30."),
    ] = None
    metrics: Annotated[
        MetricsEndpoint | None,
        Meta(description="Where the server shows its metrics. Default: the runtime's."),
    ] = None
    signals: Annotated[
        Signals | None, Meta(description="By what a canary is judged. Default: the runtime's.")
    ] = None


_HAS_RUNTIME = (
    "has(self.model) && has(self.model.format)"
    " || has(self.runtime) && (has(self.runtime.name) || has(self.runtime.image))"
)
_SHARED_HAS_TWO = (
    "!has(self.rollout) || !has(self.rollout.capacity) || self.rollout.capacity != 'Shared'"
    " || (has(self.autoscaling)"
    " ? has(self.autoscaling.minReplicas) && self.autoscaling.minReplicas >= 2 : self.replicas >= 2)"
)
# Only what is given is compared: a default must not refuse what the user wrote elsewhere.
_POLLS_WITHIN_A_STEP = (
    "!has(self.analysis) || !has(self.analysis.intervalSeconds) || self.analysis.intervalSeconds"
    " <= (has(self.rollout) && has(self.rollout.stepMinSeconds) ? self.rollout.stepMinSeconds : 120)"
)
_STARTS_BEFORE_DEADLINE = (
    "!has(self.runtime) || !has(self.runtime.startupSeconds) || self.runtime.startupSeconds"
    " <= (has(self.rollout) && has(self.rollout.progressDeadlineSeconds)"
    " ? self.rollout.progressDeadlineSeconds : 1800)"
)


class ModelDeploymentSpec(ApiStruct, frozen=True, kw_only=True):
    """What a user asks for."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            expression=_HAS_RUNTIME,
            message="must say what serves the model: model.format, runtime.name or runtime.image",
            reason=RuleReason.REQUIRED,
        ),
        Rule(
            expression=_SHARED_HAS_TWO,
            message="must be Surge unless there are at least 2 replicas (autoscaling.minReplicas or replicas)",
            field="rollout.capacity",
        ),
        Rule(
            expression=_POLLS_WITHIN_A_STEP,
            message="must not be longer than rollout.stepMinSeconds (120 if left out): each step needs a poll",
            field="analysis.intervalSeconds",
        ),
        Rule(
            expression=_STARTS_BEFORE_DEADLINE,
            message="must be at least runtime.startupSeconds; 1800 if left out itself",
            field="rollout.progressDeadlineSeconds",
        ),
    )

    # What runs: a change here is a new revision (REVISION_FIELDS).
    model: Annotated[ModelSource | None, Meta(description="The model. Default: the image carries it.")] = None
    runtime: Annotated[
        RuntimeOverrides | None, Meta(description="The server. Default: a runtime chosen by model.format.")
    ] = None
    resources: Annotated[
        ResourceRequirements | None,
        Meta(description="Compute resources of the server. Default: the runtime's."),
    ] = None
    scheduling: Annotated[
        Scheduling | None, Meta(description="Where the pods may run. Default: anywhere.")
    ] = None
    service_account_name: Annotated[
        ObjectName | None,
        Meta(
            description="ServiceAccount of the pods; its token is mounted only if the runtime asks for it."
            " Default: the namespace's default."
        ),
    ] = None
    image_pull_secrets: Annotated[
        ImagePullSecrets, Meta(description="Secrets for pulling images. Default: none.")
    ] = ()
    pod_labels: Annotated[PodLabels, Meta(description="Further labels of the pods. Default: none.")] = (
        msgspec.field(default_factory=dict)
    )
    pod_annotations: Annotated[
        PodAnnotations, Meta(description="Further annotations of the pods. Default: none.")
    ] = msgspec.field(default_factory=dict)

    # How much of it: never a new revision.
    replicas: Annotated[
        Replicas,
        # /scale and `kubectl scale` need a value to be there; this field is not part of a revision.
        schema_extra({"default": 1}),
        Meta(description="Number of pods; 0 is allowed. Ignored while autoscaling is set. Default 1."),
    ] = 1
    autoscaling: Annotated[
        Autoscaling | None, Meta(description="An autoscaler instead of replicas. Default: none.")
    ] = None

    # How traffic reaches it, and how a change goes out.
    traffic: Annotated[
        Traffic | None,
        Meta(
            description="A router that splits traffic exactly. Default: the Service alone, where the canary's"
            " share is its share of the pods."
        ),
    ] = None
    rollout: Annotated[RolloutPolicy, Meta(description="How a change goes out. Default: a canary.")] = (
        RolloutPolicy()
    )
    analysis: Annotated[
        AnalysisPolicy,
        Meta(description="How a canary is judged. Default: by the signals that the runtime declares."),
    ] = AnalysisPolicy()
