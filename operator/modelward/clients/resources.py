"""Where each kind that the operator deals with lives in the API."""

from dataclasses import dataclass
from typing import Final

from modelward.api import names


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind: its group and version, its plural, its scope."""

    kind: str
    group: str
    version: str
    plural: str
    namespaced: bool = True
    ours: bool = False
    """A kind of ours: all objects are watched. Of others only those that carry our label."""
    label: tuple[str, str] = (names.MANAGED_BY_LABEL, names.MANAGER)
    """The label that objects of others' kinds carry if they concern us."""
    optional: bool = False
    """The operator works without it: clusters need not have the kind, or may get it later."""

    @property
    def selector(self) -> str:
        """Label selector for what is watched; empty for all objects."""
        return "" if self.ours else "=".join(self.label)

    @property
    def collection(self) -> str:
        """URL path of all objects in the cluster."""
        return f"/apis/{self.group}/{self.version}/{self.plural}" if self.group else f"/api/v1/{self.plural}"

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """URL path of an object, or of a namespace's objects without `name`. Namespace None: all of them."""
        prefix = self.collection.removesuffix(f"/{self.plural}")
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        tail = "/".join(part for part in (self.plural, name, subresource) if part)
        return f"{prefix}{scope}/{tail}"


MODEL_DEPLOYMENT: Final = Resource(
    kind=names.KIND, group=names.GROUP, version=names.VERSION, plural="modeldeployments", ours=True
)
MODEL_RUNTIME: Final = Resource(
    kind="ModelRuntime", group=names.GROUP, version=names.VERSION, plural="modelruntimes", ours=True
)
CLUSTER_MODEL_RUNTIME: Final = Resource(
    kind="ClusterModelRuntime",
    group=names.GROUP,
    version=names.VERSION,
    plural="clustermodelruntimes",
    namespaced=False,
    ours=True,
)
CONTROLLER_REVISION: Final = Resource(
    kind="ControllerRevision", group="apps", version="v1", plural="controllerrevisions"
)
DEPLOYMENT: Final = Resource(kind="Deployment", group="apps", version="v1", plural="deployments")
SERVICE: Final = Resource(kind="Service", group="", version="v1", plural="services")
AUTOSCALER: Final = Resource(
    kind="HorizontalPodAutoscaler", group="autoscaling", version="v2", plural="horizontalpodautoscalers"
)
DISRUPTION_BUDGET: Final = Resource(
    kind="PodDisruptionBudget", group="policy", version="v1", plural="poddisruptionbudgets"
)
POD: Final = Resource(kind="Pod", group="", version="v1", plural="pods")
LEASE: Final = Resource(kind="Lease", group="coordination.k8s.io", version="v1", plural="leases")
HTTP_ROUTE: Final = Resource(
    kind="HTTPRoute",
    group="gateway.networking.k8s.io",
    version="v1",
    plural="httproutes",
    label=(names.WEIGHTS_LABEL, names.WEIGHTS_MANAGED),
    optional=True,
)
EVENT: Final = Resource(kind="Event", group="events.k8s.io", version="v1", plural="events")

PRIORITY_CLASS: Final = Resource(
    kind="PriorityClass",
    group="scheduling.k8s.io",
    version="v1",
    plural="priorityclasses",
    namespaced=False,
)
"""Read when a change asks for a new revision, and never watched. The operator works without the right to."""

CONFIG_MAP: Final = Resource(kind="ConfigMap", group="", version="v1", plural="configmaps")
"""Created, and never read, watched or changed: pins of fetched models."""

CHILDREN: Final = (CONTROLLER_REVISION, DEPLOYMENT, SERVICE, AUTOSCALER, DISRUPTION_BUDGET)
RUNTIMES: Final = (MODEL_RUNTIME, CLUSTER_MODEL_RUNTIME)
OPTIONAL: Final = (HTTP_ROUTE,)
WATCHED: Final = (MODEL_DEPLOYMENT, *RUNTIMES, *CHILDREN, POD)
BY_KIND: Final = {
    resource.kind: resource for resource in (*WATCHED, *OPTIONAL, EVENT, PRIORITY_CLASS, CONFIG_MAP)
}
