"""Gather: the world of one ModelDeployment, read once. Mostly from what the watches hold."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from modelward.analysis.sampled_evidence import Evidence
from modelward.api import names
from modelward.api.model import Model
from modelward.api.revision import JsonMap, Revision, revision_hash
from modelward.cache import convert
from modelward.cache.store import Snapshot, Store, is_named_for_its_revision
from modelward.clients.kube import Kube
from modelward.clients.resources import BY_KIND, DEPLOYMENT, PRIORITY_CLASS
from modelward.controller import user_routes
from modelward.errors import ApiError, NotFound, Refused, Unreachable
from modelward.rollout.health import compared
from modelward.rollout.judging import counted_arms
from modelward.rollout.observed import Deployment, NameConflict, Observed, Pod, PriorityClass, Service
from modelward.rollout.readiness import unready_revisions
from modelward.rollout.room import asks_for_new_revision
from modelward.rollout.snapshot_validation import flaw_of_restored
from modelward.runtimes.choose import Choice, Runtime, choose
from modelward.runtimes.fetching import fetches
from modelward.sampling.sampler_task import Follower

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blockers:
    """What blocked the last reconcile. No watch shows it, so it is polled."""

    name_conflicts: frozenset[tuple[str, str]] = frozenset()
    """(kind, name) of objects with a name that we need: whether they are there still is asked."""
    refusals: tuple[str, ...] = ()
    """What the API server refused to take, and why: whether it still does shows the next attempt."""
    failed: tuple[str, ...] = ()
    """What could not be written for another reason: a conflict, a failure of the API server, no answer."""
    persisting: tuple[str, ...] = ()
    """What of `failed` had failed before, too: a single conflict is no news."""


async def gather(
    kube: Kube,
    store: Store,
    model: Model,
    *,
    now: datetime,
    sampling: Follower,
    blockers: Blockers | None = None,
) -> Observed:
    """The world of `model`. Raises ApiError or Unreachable when something cannot be read: no decision then."""
    children = store.children(model.uid)
    deployments = {
        child.revision: child
        for child in children
        if isinstance(child, Deployment) and child.revision and is_named_for_its_revision(child, model)
    }
    stored = store.snapshots(model.uid)
    snapshots = tuple(each for each in stored if is_named_for_its_revision(each.child, model))
    service_name = names.service_name(model.name)
    service = next(
        (each for each in children if isinstance(each, Service) and each.name == service_name), None
    )
    runtimes = store.runtimes(model.namespace)
    observed = Observed(
        now=now,
        model=model,
        runtimes=runtimes,
        revisions=await _revisions(kube, model, snapshots, deployments, runtimes),
        deployments=deployments,
        service=service,
        route=await user_routes.observe(kube, store, model),
        children=(*children, *(snapshot.child for snapshot in stored)),
        orphans=tuple(each.child if isinstance(each, Snapshot) else each for each in store.orphans(model)),
        conflicts=await _conflicts(kube, model, blockers.name_conflicts if blockers else frozenset()),
        refusals=blockers.refusals if blockers else (),
        failures=blockers.persisting if blockers else (),
    )
    return replace(
        observed,
        pods=_pods(store, observed),
        fetched_pods=_fetched_pods(store, observed),
        evidence=_evidence(sampling, observed),
        learnt=sampling.learnt((model.namespace, model.name), model.status.stable_revision),
        priority_classes=await _priority_classes(kube, observed) if asks_for_new_revision(observed) else None,
    )


async def _priority_classes(kube: Kube, observed: Observed) -> tuple[PriorityClass, ...] | None:
    """All of them; None where they cannot be read, as with rights in single namespaces only. No decision waits for them."""
    try:
        return tuple(
            [convert.priority_class(raw) async for page in kube.list(PRIORITY_CLASS) for raw in page.items]
        )
    except (ApiError, Unreachable) as error:
        logger.info("%s: PriorityClasses cannot be read: %s", observed.model.name, error)
        return None


def _evidence(sampling: Follower, observed: Observed) -> Evidence:
    """What is measured of a canary that has weight or has just lost it, or of a promoted revision that is watched."""
    model = observed.model
    arms = counted_arms(model)
    if arms is None:
        sampling.forget((model.namespace, model.name))
        return Evidence()
    return sampling.follow(
        model,
        observed.revisions,
        canary=arms[0],
        stable=arms[1],
        weight_percent=model.status.rollout.weight_percent if model.status.rollout else 0,
    )


async def _revisions(
    kube: Kube,
    model: Model,
    snapshots: tuple[Snapshot, ...],
    deployments: Mapping[str, Deployment],
    runtimes: Iterable[Runtime],
) -> dict[str, Revision]:
    read = (snapshot.read() for snapshot in snapshots)
    revisions = {revision.name: revision for revision in read if revision}
    for name in (model.status.stable_revision, model.status.canary_revision):
        if name in deployments and name not in revisions:
            restored = await _restored(kube, model, deployments[name])
            if not flaw_of_restored(restored, _named_by(model, runtimes)):
                revisions[name] = restored
    return revisions


def _named_by(model: Model, runtimes: Iterable[Runtime]) -> tuple[JsonMap, ...]:
    """What may name what pods are given: the live spec, and the runtime that it asks for."""
    choice = choose(model.spec, runtimes)
    return (model.fields, choice.pinned) if isinstance(choice, Choice) else (model.fields,)


async def _restored(kube: Kube, model: Model, deployment: Deployment) -> Revision:
    """Somebody deleted the snapshot of a running revision: its Deployment still has the template, exactly."""
    raw = await kube.get(DEPLOYMENT, deployment.namespace, deployment.name)
    name = deployment.revision or ""
    nonce = model.status.revision_nonce
    known = revision_hash(model.fields, nonce) == name
    return Revision(
        name=name,
        number=0,
        content=revision_hash(model.fields) if known else name,
        nonce=nonce,
        spec=model.fields if known else {},
        runtime={},
        template=raw["spec"]["template"],
        cause="restored from the Deployment",
    )


def _pods(store: Store, observed: Observed) -> tuple[Pod, ...]:
    """Pods of the revisions that are compared, and of those that are not ready for a while.

    And of stable's before another one starts beside them. All others' are left out: a model that starts in the usual
    time has nothing to show about its pods.
    """
    status = observed.model.status
    revisions = {*compared(status), *unready_revisions(observed)}
    if asks_for_new_revision(observed):
        revisions.add(status.stable_revision)
    if not revisions:
        return ()
    pods = store.pods(observed.model)
    return tuple(pod for pod in pods if pod.revision in revisions and not pod.deleting)


def _fetched_pods(store: Store, observed: Observed) -> tuple[Pod, ...]:
    """Pods that fetch their model or did, of a model that has such pods: also those that an autoscaler has added."""
    model = observed.model
    if not (fetches(model.spec) or model.status.fetched):
        return ()
    return tuple(pod for pod in store.pods(model) if (pod.fetched or pod.fetching) and not pod.deleting)


async def _conflicts(
    kube: Kube, model: Model, name_conflicts: frozenset[tuple[str, str]]
) -> tuple[NameConflict, ...]:
    found = []
    for kind, name in sorted(name_conflicts):
        try:
            raw = await kube.get(BY_KIND[kind], model.namespace, name)
        except NotFound:
            continue
        except Refused as error:
            found.append(NameConflict(kind=kind, name=name, owner=f"unknown: {error.message}"))
            continue
        if convert.owner_uid(raw["metadata"]) != model.uid:
            deleted = convert.terminating(raw)
            owner = f"{_owner(raw)} (deleted, {deleted})" if deleted else _owner(raw)
            found.append(NameConflict(kind=kind, name=name, owner=owner))
    return tuple(found)


def _owner(raw: Mapping[str, Any]) -> str:
    metadata = raw["metadata"]
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller"):
            return f"{owner.get('kind')} {owner.get('name')} (uid {owner.get('uid')})"
    managers = [entry.get("manager") for entry in metadata.get("managedFields") or ()]
    return f"somebody else (made by {managers[0]})" if managers else "somebody else"
