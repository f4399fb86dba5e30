"""Worlds in which a rollout is under way: one for every phase, in which nothing happens unless a test says so.

A is version 1 and stable, B is version 2 and on its way, by steps of 5, 25 and 50 %. What a phase does not
fix is as a healthy rollout leaves it: all pods ready, the Service or the route as decided.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from builders.manifests import NAME, NAMESPACE, UID
from builders.observed import (
    before,
    make_deployment,
    make_model,
    make_observed,
    make_revision,
    make_status,
    revision_name,
)
from modelward.analysis.sampled_evidence import Evidence
from modelward.api import names
from modelward.api.status import ModelDeploymentStatus, RejectedRevision, RolloutStatus
from modelward.api.times import format_micro
from modelward.rollout import traffic
from modelward.rollout.capacity import sizes
from modelward.rollout.decide import decide
from modelward.rollout.decision import Decision
from modelward.rollout.observed import Deployment, Observed, Pod, Route
from modelward.rollout.phases import Phase

A, B, C = revision_name("1"), revision_name("2"), revision_name("3")
"""Versions 1, 2 and 3."""
REVISIONS: Final = tuple(make_revision(version, number=int(version)) for version in "123")
STEPS: Final = ({"weightPercent": 5}, {"weightPercent": 25}, {"weightPercent": 50, "approval": "Required"})
GATEWAY: Final = {"gateway": {"parentRefs": [{"name": "public"}]}}
ROUTE_REF: Final = {"httpRouteRef": {"name": "routes"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """What a phase looks like."""

    stable: str = A
    canary: str = B
    previous: str = ""
    step: int = 1
    weight: int = 25
    version: str = "2"
    rollout: Mapping[str, Any] | None = None
    began: float | None = 700
    """Seconds since the present step began; None: its clock does not run."""


_STAGES: Final = {
    Phase.SERVING: _Stage(canary="", version="1", weight=0),
    Phase.DEPLOYING: _Stage(canary="", version="1", weight=0, began=None),
    Phase.SCALING_UP: _Stage(step=0, weight=0, began=None),
    Phase.ANALYZING: _Stage(),
    Phase.AWAITING_APPROVAL: _Stage(rollout={"steps": STEPS}),
    Phase.PAUSED: _Stage(rollout={"paused": True}),
    Phase.INCONCLUSIVE: _Stage(),
    Phase.METRICS_UNAVAILABLE: _Stage(),
    Phase.PROMOTING: _Stage(step=3, weight=50),
    Phase.WATCHING: _Stage(stable=B, canary="", previous=A, step=3, weight=100, began=30),
    Phase.DRAINING: _Stage(stable=B, canary="", previous=A, step=3, weight=100, began=2),
    Phase.ROLLING_BACK: _Stage(weight=0, began=2),
}
AWAITED: Final = {Phase.DEPLOYING: 0, Phase.SCALING_UP: 0, Phase.PROMOTING: 2}
"""Phases that wait for pods, and how many of them are ready."""


def rolling(
    phase: Phase,
    version: str | None = None,
    /,
    *,
    step: int | None = None,
    weight: int | None = None,
    began: float | str | None = "as usual",
    ready: Mapping[str, int] | None = None,
    pods: Sequence[Pod] = (),
    commands: Mapping[str, str] | None = None,
    evidence: Evidence | None = None,
    status: Mapping[str, Any] | None = None,
    rollout_status: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Observed:
    """The world in `phase`; `version` is what spec asks for if that is not what the phase is about.

    `ready` gives numbers of ready pods by revision, `status` and `rollout_status` fields that differ.
    """
    stage = _STAGES[phase]
    policy = {"strategy": "Canary", **(stage.rollout or {}), **spec.pop("rollout", {})}
    at = stage.began if began == "as usual" else began
    rollout = RolloutStatus(
        state=phase,
        step=stage.step if step is None else step,
        weight_percent=stage.weight if weight is None else weight,
        start_time=format_micro(before(300)),
        step_start_time=None if at is None else format_micro(before(float(at))),
    )
    if policy.get("capacity") == "Shared" and stage.canary:
        rollout = msgspec.structs.replace(rollout, shared_replicas=spec.get("replicas", 4))
    rollout = msgspec.structs.replace(rollout, **(rollout_status or {}))
    made = make_status(
        stage.stable,
        canary_revision=stage.canary,
        previous_revision=stage.previous,
        rollout=None if phase is Phase.SERVING else rollout,
        decision=7,
    )
    if phase is Phase.ROLLING_BACK:
        made = msgspec.structs.replace(made, rejected_revisions=(rejection_of("2"),))
    made = msgspec.structs.replace(made, **(status or {}))
    model = make_model(
        version or stage.version,
        status=made,
        commands=commands,
        generation=3,
        rollout=policy,
        **{"replicas": 4, **spec},
    )
    observed = replace(make_observed(model, revisions=REVISIONS, pods=pods), evidence=evidence or Evidence())
    missing = {stage.canary or stage.stable: AWAITED[phase]} if phase in AWAITED else {}
    if phase is Phase.ROLLING_BACK:  # its pods are those that it had
        observed = replace(observed, deployments={stage.canary: make_deployment(stage.canary, replicas=1)})
    return follow(observed, model.status, {**missing, **(ready or {})})


def follow(
    observed: Observed, status: ModelDeploymentStatus, ready: Mapping[str, int] | None = None
) -> Observed:
    """The same world once the cluster has done what was decided: pods by size, Service and route by split."""
    ready = ready or {}
    live = sizes(observed, status)
    kept = {status.previous_revision} - {""} - live.keys()
    deployments = {
        name: _deployment(observed, name, size.first if size.scale is None else size.scale, ready)
        for name, size in live.items()
    } | {name: observed.deployment(name) or _deployment(observed, name, 4, ready) for name in kept}
    made = make_observed(
        replace(observed.model, status=status),
        *deployments.values(),
        selects=status.stable_revision,
        revisions=tuple(observed.revisions.values()),
        pods=observed.pods,
        runtimes=observed.runtimes,
        now=observed.now,
    )
    shared = made.service is not None and _shares_service(observed, status)
    service = replace(made.service, selects=None) if shared and made.service else made.service
    return replace(
        made,
        service=service,
        route=_route(observed, status),
        evidence=observed.evidence,
        turn=observed.turn,
        lag_seconds=observed.lag_seconds,
        conflicts=observed.conflicts,
    )


def recorded(observed: Observed, decision: Decision) -> Observed:
    """The world in which the decision is recorded, and nothing else has happened."""
    return replace(
        observed, model=replace(observed.model, status=decision.status), revisions=decision.revisions
    )


def left(observed: Observed, decision: Decision) -> Decision:
    """What is decided next, once the cluster has done what was decided: no request comes to the canary any more."""
    return decide(follow(recorded(observed, decision), decision.status))


def phase_of(decision: Decision) -> Phase:
    """The phase that is decided."""
    return Phase(decision.status.rollout.state) if decision.status.rollout else Phase.SERVING


def weight_of(decision: Decision) -> int:
    """The canary's weight that is decided."""
    return decision.status.rollout.weight_percent if decision.status.rollout else 0


def reported(decision: Decision) -> list[str]:
    """Reasons of the Events."""
    return [each.reason for each in decision.announcements]


def rejection_of(
    version: str, reason: str = "CrashLooping", message: str = "It crashed."
) -> RejectedRevision:
    """The record that a version was rejected."""
    name = revision_name(version)
    return RejectedRevision(revision=name, content=name, reason=reason, message=message)


def own_route(weights: Mapping[str, int], **facts: Any) -> Route:
    """Our own HTTPRoute with these weights by revision, taken by its Gateway."""
    named = tuple(
        (names.revision_service_name(NAME, revision), weight) for revision, weight in weights.items()
    )
    return Route(
        **{
            "kind": "HTTPRoute",
            "namespace": NAMESPACE,
            "name": NAME,
            "uid": "uid-route",
            "resource_version": "1",
            "owner_uid": UID,
            "own": True,
            "opted_in": True,
            "generation": 3,
            "rules": (named,),
            "answered": True,
            "accepted": True,
            "resolved": True,
            "observed_generation": 3,
            **facts,
        }
    )


def _route(observed: Observed, status: ModelDeploymentStatus) -> Route | None:
    given = observed.model.spec.traffic
    if given is None:
        return None
    split = traffic.split(status)
    weights = {split.stable: 100 - split.weight_percent, split.other: split.weight_percent}
    if given.gateway:
        return own_route({name: weight for name, weight in weights.items() if name})
    services = (names.service_name(NAME), names.canary_service_name(NAME))
    pair = tuple(zip(services, (100 - split.weight_percent, split.weight_percent), strict=True))
    return own_route({}, own=False, rules=(pair,), owner_uid=None, name="routes")


def _deployment(observed: Observed, name: str, count: int, ready: Mapping[str, int]) -> Deployment:
    known = observed.deployment(name)
    age = 600 if name == A else 300
    made = make_deployment(name, replicas=count, ready=min(count, ready.get(name, count)), age=age)
    return made if known is None else replace(made, created=known.created)


def _shares_service(observed: Observed, status: ModelDeploymentStatus) -> bool:
    return observed.model.spec.traffic is None and traffic.split(status).weight_percent > 0
