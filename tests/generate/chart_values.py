"""The values of the Helm chart: names, types, bounds, defaults, and a sentence for each.

values.yaml, values.schema.json and docs/reference/chart.md are made from this. A default that people replace as a whole
is a string or a list: Helm merges maps, so what a default map holds could not be got rid of.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, field

_NAME: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
_TAG: Final = r"^([A-Za-z0-9_][A-Za-z0-9_.-]*)?$"
_REPOSITORY: Final = r"^[a-z0-9][a-z0-9._:/-]*[a-z0-9]$"

Name = Annotated[str, Meta(max_length=253, pattern=_NAME)]
NameOrNone = Annotated[str, Meta(max_length=253, pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$")]
Texts = dict[str, str]
Manifest = dict[str, Any]


class Image(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Image of the operator."""

    repository: Annotated[str, Meta(max_length=255, pattern=_REPOSITORY)] = "modelward.local/modelward"
    """Registry and name, without a tag. No image is published yet: name the registry that you push yours to."""
    tag: Annotated[str, Meta(max_length=128, pattern=_TAG)] = ""
    """Tag; empty takes the chart's appVersion."""
    digest: Annotated[str, Meta(pattern="^(sha256:[a-f0-9]{64})?$")] = ""
    """Digest, sha256:...; wins over the tag, and is what a production cluster should name."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When nodes pull the image."""
    pull_secrets: tuple[Name, ...] = ()
    """Names of Secrets in the operator's namespace with credentials of the registry."""


class PriorityClass(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Priority of the operator's pods."""

    create: bool = True
    """Whether the chart makes the PriorityClass. One that is there already is named and not made."""
    name: NameOrNone = "modelward"
    """PriorityClass of the operator's pods; empty for none."""
    value: Annotated[int, Meta(ge=-1_000_000_000, le=1_000_000_000)] = 1_000_000
    """Priority of the class that is made, which never evicts other pods. It cannot change: name another class instead."""


class TopologySpread(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How the operator's pods keep apart."""

    topology_keys: tuple[Annotated[str, Meta(min_length=1, max_length=317)], ...] = (
        "kubernetes.io/hostname",
    )
    """Labels of nodes over whose values the pods spread evenly; none for no constraint."""
    when_unsatisfiable: Literal["ScheduleAnyway", "DoNotSchedule"] = "ScheduleAnyway"
    """What happens where they cannot, such as on one node."""


class PodDisruptionBudget(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """Protection of the operator's pods while nodes are drained."""

    enabled: bool = True
    """Whether drains take one operator at a time."""


class NetworkPolicy(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What may reach the operator, and what it may reach. Not run: the test cluster's network enforces no policies."""

    enabled: bool = True
    """Whether there is a NetworkPolicy: in from the scraper; out to DNS, the API server and the models' pods."""
    monitoring_namespace: NameOrNone = "monitoring"
    """Namespace that may scrape the operator's metrics; empty, and without a selector, nobody may."""
    monitoring_namespace_selector: Manifest = field(default_factory=dict)
    """LabelSelector of namespaces that may scrape, instead of the one name."""
    extra_egress: tuple[Manifest, ...] = ()
    """More egress rules as in a NetworkPolicy: the way to a Prometheus that settings.metrics.sources names."""


class ServiceAccount(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Account of the operator."""

    create: bool = True
    """Whether the chart makes the account."""
    name: Name = "modelward"
    """Its name. The rights and the policy `confinement` follow it."""
    annotations: Texts = field(default_factory=dict)
    """Annotations of the account."""


class Rbac(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Rights of the operator: for the whole cluster, or Roles in each of settings.namespaces."""

    create: bool = True
    """Whether the chart makes roles and bindings for the operator. Without them somebody else must."""
    gateway: bool = True
    """Whether it may have HTTPRoutes. Without, models that ask for a route say that the operator has no right to it."""


class UserRoles(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The ClusterRoles modelward-view and modelward-edit, for people."""

    create: bool = True
    """Whether the chart makes the two."""
    aggregate_view: bool = True
    """Whether who has view, edit or admin may read models and runtimes."""
    aggregate_edit: bool = True
    """Whether who has edit or admin may change them."""


class ServiceMonitor(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """For the Prometheus operator. Not run: rendered in tests, applied to no cluster that has the kind."""

    enabled: bool = False
    """Whether there is a ServiceMonitor for the operator's own metrics."""
    interval_seconds: Annotated[int, Meta(ge=1, le=3600)] = 30
    """Time between two scrapes."""
    labels: Texts = field(default_factory=dict)
    """Labels by which your Prometheus selects it."""


class Policies(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Admission policies. Who installs them needs the right to set policy for the whole cluster."""

    service_accounts: bool = False
    """Whether a model may name only a service account that its writer may use. Recommended."""
    confinement: bool = False
    """Whether the operator's account is refused every change that is not its business. Recommended."""
    snapshots: bool = False
    """Whether only the operator, and who may create pods anyway, writes what pods are made of. Recommended."""
    adoption: bool = False
    """Whether only who may change Deployments has objects of an earlier model taken back. Recommended."""


class Crds(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """CustomResourceDefinitions."""

    install: bool = True
    """Whether the chart installs and upgrades the CRDs. They stay at uninstall, and when this is switched off."""


class Values(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """All of them."""

    image: Image = Image()
    replicas: Annotated[int, Meta(ge=0, le=10)] = 2
    """Operators: one works, the others stand by. 0 stops rollouts, and models go on serving."""
    settings: Manifest = field(default_factory=dict)
    """The operator's settings file, see settings.md. `settings.namespaces` also decides where it has rights."""
    resources: Manifest = field(
        default_factory=lambda: {
            "requests": {"cpu": "50m", "memory": "128Mi"},
            "limits": {"memory": "1Gi"},
        }
    )
    """Requests and limits of the operator's container."""
    node_selector: Texts = field(default_factory=dict)
    """Labels of the nodes on which the operator may run."""
    tolerations: tuple[Manifest, ...] = ()
    """Taints that the operator tolerates."""
    affinity: Manifest = field(default_factory=dict)
    """Affinity of the operator's pods."""
    topology_spread: TopologySpread = TopologySpread()
    priority_class: PriorityClass = PriorityClass()
    pod_disruption_budget: PodDisruptionBudget = PodDisruptionBudget()
    network_policy: NetworkPolicy = NetworkPolicy()
    service_account: ServiceAccount = ServiceAccount()
    rbac: Rbac = Rbac()
    user_roles: UserRoles = UserRoles()
    policies: Policies = Policies()
    crds: Crds = Crds()
    service_monitor: ServiceMonitor = ServiceMonitor()
    extra_volumes: tuple[Manifest, ...] = ()
    """More volumes of the operator's pods, such as a Secret with the token of a metric source."""
    extra_volume_mounts: tuple[Manifest, ...] = ()
    """Where the operator's container has them."""
    labels: Texts = field(default_factory=dict)
    """More labels on everything that the chart makes."""
    annotations: Texts = field(default_factory=dict)
    """More annotations on everything that the chart makes."""
    pod_labels: Texts = field(default_factory=dict)
    """More labels on the operator's pods."""
    pod_annotations: Texts = field(default_factory=dict)
    """More annotations on the operator's pods."""
    global_: Manifest = field(default_factory=dict, name="global")
    """Not read: Helm hands it to every chart that is a part of another."""
