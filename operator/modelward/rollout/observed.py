"""What `decide` sees: the world of one ModelDeployment, read once, the time included.

The values here are also what the operator keeps of every watched object: a Deployment of 10 KiB is 67 KiB as
a Python dict and well under 1 KiB like this.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Final

from modelward.analysis.sampled_evidence import Evidence
from modelward.api.fetch_report import FetchReport
from modelward.api.model import Model
from modelward.api.revision import Revision, revision_hash
from modelward.api.rollout_policy import PlannedSteps
from modelward.runtimes.choose import Runtime
from modelward.runtimes.fetching import FETCHES_NOTHING, FetchPolicy
from modelward.traffic_shares import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """An object that we made, or one that has a name we need."""

    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    owner_uid: str | None
    """uid of the controller in ownerReferences."""
    revision: str | None = None
    """Label `modelward.dev/revision`."""
    intent: str = ""
    """Annotation `modelward.dev/intent`: hash of what we meant at our last write."""
    decision: int = 0
    """Annotation `modelward.dev/decision`."""
    digest: int = 0
    """Hash of the parts of the live object that are ours to say: spec, our labels, the owner."""
    model: str = ""
    """Label `modelward.dev/model`."""
    owner_name: str = ""
    """Name of the controller, if that is a ModelDeployment."""
    edited_by: str = ""
    """Somebody else's field manager that owns a part of spec, or an empty string."""
    terminating: str = ""
    """It is deleted, and what keeps it, in words; empty for one that is there to stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment(Child):
    """A Deployment of one revision."""

    replicas: int
    """`spec.replicas`."""
    current: int = 0
    """`status.replicas`: pods that exist."""
    ready: int = 0
    """`status.readyReplicas`, 0 while the controller has not seen the latest spec."""
    owns_replicas: bool = False
    """Our field manager owns `spec.replicas` (it must not while an autoscaler does)."""
    scaled_by: str = ""
    """The field manager that set `spec.replicas` last, if it is a person's tool and not ours."""
    restarted_at: str = ""
    """When `kubectl rollout restart` was run on it."""
    images: tuple[str, ...] = ()
    """Of its containers."""
    failure: str = ""
    """Message of the condition ReplicaFailure: quota, Pod Security, a webhook."""
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoscaler(Child):
    """The HorizontalPodAutoscaler of one revision."""

    problem: str = ""
    """Why it does not scale, in its controller's words; empty while it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Child):
    """The Service of a model."""

    selects: str | None = None
    """The revision that its selector names."""
    steering: tuple[str, ...] = ()
    """JSON pointers of what others set that decides who gets a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Child):
    """The HTTPRoute of a model: our own, or the user's that `spec.traffic.httpRouteRef` names."""

    own: bool = False
    exists: bool = True
    opted_in: bool = False
    """Its label says that we may set weights."""
    generation: int = 0
    rules: tuple[Rule, ...] = ()
    """Of each rule the Services of the namespace that it sends to, with their weights as they are now."""
    answered: bool = False
    """Every Gateway that it names has reported."""
    accepted: bool = False
    """Every one of them takes it."""
    resolved: bool = False
    """Every one of them finds its backends."""
    observed_generation: int = 0
    """The generation that all of them have reported for."""
    message: str = ""
    """Why it is not accepted or resolved, or why it cannot be had: in words; empty when all is well."""
    written: datetime | None = None
    """When we last wrote it, to the second; None if we never did."""

    @property
    def weights(self) -> Mapping[str, int]:
        """Weights by Service, of the first rule that has any."""
        return dict(next((rule for rule in self.rules if rule), ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a container ended."""

    container: str
    code: int
    reason: str
    """The kubelet's reason, such as OOMKilled, Error or Completed."""
    time: datetime | None = None
    overdue_seconds: int = 0
    """The kubelet stopped it, because it was not ready within so many seconds (startupSeconds); 0: nobody did, as far as
    it is known."""

    @property
    def words(self) -> str:
        """What happened, to stand after the container's name."""
        how = f"exit code {self.code} ({self.reason or 'Error'})"
        if self.overdue_seconds:
            return f"was stopped by the kubelet, because it was not ready within startupSeconds {self.overdue_seconds} ({how})"
        return f"ended with {how}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod of a revision. Times are those of the kubelet and of the API server, to the second."""

    name: str
    revision: str
    created: datetime | None = None
    node: str = ""
    ip: str = ""
    """Empty while it has none, and where it must not be asked (see `modelward.cache.pod_address`)."""
    scheduled: datetime | None = None
    started: datetime | None = None
    """Since when its containers run; None while one of them does not."""
    ready: bool = False
    ready_since: datetime | None = None
    """Since when `ready` is what it is."""
    lost_readiness: bool = False
    """It was ready, or has restarted, and its own containers are not ready now."""
    restarts: int = 0
    """Of its containers, since the pod exists."""
    init_restarts: int = 0
    """Of its init containers."""
    ended: Exit | None = None
    """The last end of one of its containers; None if none has ended."""
    crash_looping: str = ""
    """The container that the kubelet holds back because it ends again and again."""
    deleting: bool = False
    failed: str = ""
    """Why the pod is over for good, such as Evicted; empty while it lives."""
    over_storage_limit: bool = False
    """It was evicted because it used more disk than it may, not because the node had too little."""
    problem: str = ""
    """Why it is not ready, in words; without counters, so that it does not change while nothing changes."""
    priority: int = 0
    """`spec.priority`, as it was admitted."""
    preempts: bool = True
    """Whether it may preempt pods of a lower priority."""
    holds: frozenset[str] = frozenset()
    """The resources that it requests, `pods` among them."""
    lacks: frozenset[str] = frozenset()
    """The resources for want of which no node takes it."""
    fetched: FetchReport | None = None
    """What its fetch container said at its last end; None without one, and before it has ended."""
    fetching: bool = False
    """Its fetch container runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorityClass:
    """What a PriorityClass gives the pods that name it, or all that name none."""

    name: str
    value: int
    preempts: bool = True
    is_default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NameConflict:
    """An object with a name that we need, and that is not ours."""

    kind: str
    name: str
    owner: str
    """Who it belongs to, as far as it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Whether a new rollout may set out, by the limits of the fleet."""

    granted: bool = True
    place: int = 0
    """In the queue, from 1; 0 when it need not wait."""
    waiting: int = 0
    """How many wait, this one included."""
    running: int = 0
    limit: int = 0
    """The limit that is reached; 0: none."""
    scope: str = "of the operator"
    """Whose limit it is, in words."""

    @property
    def message(self) -> str:
        """What it waits for."""
        return (
            f"waits for its turn: number {self.place} of {self.waiting} in the queue; {self.running} of"
            f" {self.limit} rollouts are under way (limit {self.scope})"
        )


_NO_QUEUE: Final = Turn()
_NOTHING_MEASURED: Final = Evidence()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What spec asks for, as decisions compare it: computed once of what is observed, and read many times."""

    content: str
    """Hash of the revision fields, whatever the nonce: what was rejected is known by it."""
    revision: str
    """Name of the revision, by the nonce that status has recorded."""
    steps: PlannedSteps
    """On the way to 100 percent."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """The world of one ModelDeployment. Revisions and children are only those that it controls.

    Without slots, so that `asked` has a place: there is one of it at a time, and it is kept by nobody.
    """

    now: datetime
    model: Model
    runtimes: tuple[Runtime, ...] = ()
    """Those of the namespace and those of the cluster."""
    revisions: Mapping[str, Revision] = field(default_factory=dict)
    """By name."""
    deployments: Mapping[str, Deployment] = field(default_factory=dict)
    """By revision."""
    service: Service | None = None
    route: Route | None = None
    """What splits traffic; None without `spec.traffic`. It reports itself if it is missing."""
    children: tuple[Child, ...] = ()
    """All of them, of every kind, Deployments and Service included."""
    orphans: tuple[Child, ...] = ()
    """Objects that are named and labelled for the model, and that nobody controls who is still there."""
    pods: tuple[Pod, ...] = ()
    """Pods of the revisions that are compared with each other, and of those that are not ready for a while; those
    that are being deleted are left out."""
    fetched_pods: tuple[Pod, ...] = ()
    """All pods that fetch their model, or did; those that are being deleted are left out."""
    progress: Mapping[str, str] = field(default_factory=dict)
    """How far the pods are that fetch just now, by their name, in words; a pod that does not report is left out."""
    conflicts: tuple[NameConflict, ...] = ()
    refusals: tuple[str, ...] = ()
    """What the API server refused to take at the last attempt, and why."""
    failures: tuple[str, ...] = ()
    """What could not be written at the last attempts for another reason: conflicts, failures, no answer."""
    lag_seconds: float = 30.0
    """How long a Gateway may go on sending by the weights of before (the setting `gateway.lagSeconds`)."""
    turn: Turn = _NO_QUEUE
    """Whether a change may set out now."""
    evidence: Evidence = _NOTHING_MEASURED
    """What is measured of the canary and of stable."""
    learnt: str = ""
    """The noise of stable's pods as text, once it is known well; empty before that."""
    fetch: FetchPolicy = FETCHES_NOTHING
    """How models are fetched, by the operator's settings."""
    priority_classes: tuple[PriorityClass, ...] | None = None
    """Read only when spec asks for a new revision; None also when they may not be read."""

    def deployment(self, revision: str | None) -> Deployment | None:
        """The Deployment of a revision, if there is one."""
        return self.deployments.get(revision) if revision else None

    @cached_property
    def asked(self) -> Asked:
        """What spec asks for."""
        model, content = self.model, revision_hash(self.model.fields)
        nonce = model.status.revision_nonce
        return Asked(
            content=content,
            revision=revision_hash(model.fields, nonce) if nonce else content,
            steps=model.spec.rollout.planned_steps,
        )

    def asked_under(self, nonce: int) -> str:
        """The revision that spec asks for under a nonce, which a command may have raised in this very reconcile."""
        recorded = nonce == self.model.status.revision_nonce
        return self.asked.revision if recorded else revision_hash(self.model.fields, nonce)
