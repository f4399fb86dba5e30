"""Settings of the operator: one YAML file and flags over it, checked at start."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml
from msgspec import Meta

from modelward.errors import InvalidSettings

_NAMESPACE = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_NAMESPACE_OR_NONE = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$"
_LABEL = "^[a-zA-Z_][a-zA-Z0-9_]*$"
_LEASE = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How the operator logs."""

    level: Annotated[str, Meta(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    """Records below this level are left out."""
    format: Annotated[str, Meta(pattern="^(json|text)$")] = "json"
    """One JSON object a line, or text for people."""


class LeaderElectionSettings(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """How several operators agree on the one that works."""

    enabled: bool = True
    """Whether a Lease decides who works. Without it this must be the only operator of its models."""
    name: Annotated[str, Meta(max_length=253, pattern=_LEASE)] = "modelward"
    """Name of the Lease. Operators of different namespaces need Leases of different names, or in different places."""
    namespace: Annotated[str, Meta(max_length=63, pattern=_NAMESPACE_OR_NONE)] = ""
    """Namespace of the Lease; empty takes the pod's own, outside of a cluster modelward-system."""
    lease_seconds: Annotated[int, Meta(ge=1, le=3600)] = 15
    """How long the others wait for a leader that is silent."""
    renew_deadline_seconds: Annotated[float, Meta(gt=0, le=3600)] = 10.0
    """A leader that has not renewed for so long stops; less than leaseSeconds."""
    retry_seconds: Annotated[float, Meta(gt=0, le=3600)] = 2.0
    """Pause between two renewals; less than half of renewDeadlineSeconds."""

    def __post_init__(self) -> None:
        """Refuse durations with which two could lead at once, or one not keep the Lease."""
        if not self.retry_seconds * 2 < self.renew_deadline_seconds < self.lease_seconds:
            raise ValueError("must be 2 x retrySeconds < renewDeadlineSeconds < leaseSeconds")


class MetricSource(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A server with Prometheus' HTTP API, which models name in `spec.analysis.source`."""

    name: Annotated[str, Meta(max_length=63, pattern=_NAMESPACE)]
    """What models call it. `Pods` is none: it is always there."""
    url: Annotated[str, Meta(max_length=512, pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$")]
    """Address, with the path in front of /api/v1 if there is one. No user and password: see `tokenFile`."""
    token_file: Annotated[str, Meta(max_length=512)] = ""
    """File with a bearer token, read at every request. None for no token."""
    ca_file: Annotated[str, Meta(max_length=512)] = ""
    """File with the authorities (PEM) that may have signed the server's certificate. None: those of the image."""
    timeout_seconds: Annotated[float, Meta(ge=0.5, le=30)] = 5.0
    """Time for a whole answer."""
    delay_seconds: Annotated[float, Meta(ge=0, le=120)] = 5.0
    """How long after a moment it is asked about: its scrapes must be stored by then."""
    pod_label: Annotated[str, Meta(max_length=63, pattern=_LABEL)] = "pod"
    """Label with the name of the pod."""
    namespace_label: Annotated[str, Meta(max_length=63, pattern=_LABEL)] = "namespace"
    """Label with the namespace of the pod."""


class MetricsSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How the metrics of models are read."""

    sources: tuple[MetricSource, ...] = ()
    """Servers that models may name; their names must differ."""
    scrape_timeout_seconds: Annotated[float, Meta(ge=0.1, le=10)] = 2.0
    """Time for the whole page of a pod."""
    scrapes_per_second: Annotated[float, Meta(ge=0, le=1000)] = 20.0
    """Budget of the whole fleet for reading pods while nothing is rolled out; 0 for never."""

    def __post_init__(self) -> None:
        """Refuse two sources of one name."""
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError("sources must have different names")


class RolloutSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How many rollouts run at once. What waits, waits with reason Queued; rollbacks never wait."""

    max_concurrent: Annotated[int, Meta(ge=0, le=100_000)] = 0
    """Canaries at once in all; 0 for any number. First deployments and the watch after a promotion do not count."""
    max_concurrent_per_namespace: Annotated[int, Meta(ge=0, le=100_000)] = 0
    """Canaries at once in one namespace; 0 for any number."""


_Server = Annotated[str, Meta(max_length=512, pattern=r"^(https?://[^?#@\s]+)?$")]


class MlflowSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Of models at mlflow://."""

    tracking_uri: _Server = ""
    """Tracking server, where a model's Secret names none."""


class HuggingFaceSettings(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """Of models at hf://."""

    endpoint: _Server = ""
    """Hub, where a model's Secret names none; empty: huggingface.co."""


class FetchSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How models with `spec.model.uri` get their files: by a container of this image in their pods."""

    image: Annotated[str, Meta(max_length=512, pattern=r"^([A-Za-z0-9][A-Za-z0-9._:/@-]*)?$")] = ""
    """Image of `modelward fetch`, best by digest. Pinned in each revision; none: models with a uri are refused."""
    max_bytes: Annotated[int, Meta(ge=1, le=2**50)] = 1024**4
    """The largest model, unpacked files included."""
    max_files: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    """The most files of a model."""
    cpu_request: Annotated[str, Meta(max_length=32)] = "100m"
    """CPU that the container requests; it has no limit."""
    memory_request: Annotated[str, Meta(max_length=32)] = "128Mi"
    """Memory that it requests. It needs less than 200 MiB for any model."""
    memory_limit: Annotated[str, Meta(max_length=32)] = "512Mi"
    """Memory that it may use, the page cache of the files it writes included, which the kernel takes back."""
    plain_http_hosts: tuple[Annotated[str, Meta(max_length=253, pattern=r"^[A-Za-z0-9.-]+$")], ...] = ()
    """Hosts of stores that may be asked by plain http; all others by https alone."""
    mlflow: MlflowSettings = MlflowSettings()
    hugging_face: HuggingFaceSettings = HuggingFaceSettings()


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What is to be expected of the Gateways that routes name."""

    lag_seconds: Annotated[float, Meta(ge=0, le=600)] = 30.0
    """How long a Gateway may go on sending by the weights of before after it has reported a route. What lost its
    weight stays for so long, or until its own counters show that no request comes any more."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """All of them. Flags of `modelward run` win over the file."""

    namespaces: tuple[Annotated[str, Meta(max_length=63, pattern=_NAMESPACE)], ...] = ()
    """Namespaces to serve; none means all of the cluster."""
    cluster_runtimes: bool = True
    """Whether ClusterModelRuntimes are read; needs a small ClusterRole even when namespaces are named."""
    workers: Annotated[int, Meta(ge=1, le=256)] = 16
    """How many models are worked on at once."""
    resync_seconds: Annotated[float, Meta(ge=1, le=3600)] = 60.0
    """Pause between two sweeps for lost events, for up to 1,000 objects; longer beyond, at most 300 s."""
    host: str = "0.0.0.0"  # noqa: S104 - the kubelet and Prometheus come from outside the pod
    """Address of the endpoints /metrics, /healthz and /readyz."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    """Port of the endpoints; 0 takes a free one and logs it."""
    leader_election: LeaderElectionSettings = LeaderElectionSettings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    rollouts: RolloutSettings = RolloutSettings()
    gateway: GatewaySettings = GatewaySettings()
    fetch: FetchSettings = FetchSettings()


def load(file: Path | None, flags: dict[str, Any]) -> Settings:
    """The settings of `file`, with `flags` (camelCase, None for not given) over it. Raises InvalidSettings."""
    given = _read(file) if file else {}
    for name, value in flags.items():
        if value is None:
            continue
        if isinstance(value, dict):
            before = given.get(name) or {}
            if isinstance(before, dict):  # else it is refused below, flags or not
                given[name] = before | {key: each for key, each in value.items() if each is not None}
        else:
            given[name] = value
    try:
        return msgspec.convert(given, Settings)
    except msgspec.ValidationError as error:
        source = f"{file} and flags" if file else "flags"
        raise InvalidSettings(f"{source}: {_explained(str(error))}") from error


def _explained(error: str) -> str:
    """What msgspec says, with the setting's name in front and, for an unknown one, the names there are."""
    problem, _, path = error.replace("`", "'").partition(" - at '$.")
    if "unknown field" in problem:
        problem += f"; there are {', '.join(Settings.__struct_encode_fields__)}"
    return f"{path.rstrip(chr(39))}: {problem}" if path else problem


def _line(error: Exception) -> str:
    """Where it is wrong. Not in what words: YAML's errors quote the line, and that may have a password in it."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return f": see line {mark.line + 1}" if mark else ""


def _read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidSettings(f"{file}: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError, LookupError) as error:  # of a date or a number that is none, too
        raise InvalidSettings(f"{file}: not YAML{_line(error)}") from error
    except RecursionError as error:
        raise InvalidSettings(f"{file}: nested too deeply, or in itself") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InvalidSettings(f"{file}: must be a map of settings, such as `workers: 16`")
    return content
