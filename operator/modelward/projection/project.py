"""project(model, status, revisions) -> the objects that should exist. Pure; what is not in it is to be deleted."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from modelward.api import names
from modelward.api.model import Model
from modelward.api.model_deployment import ModelDeploymentSpec
from modelward.api.objects import Manifest
from modelward.api.revision import Revision
from modelward.api.rollout_policy import Strategy
from modelward.api.status import ModelDeploymentStatus, RejectedRevision
from modelward.projection import controller_revision, route, service, workload
from modelward.projection.metadata import stamped
from modelward.projection.route import UserRoute
from modelward.traffic_shares import Router, Size, Split, is_shared_service, router


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One object as it should be."""

    manifest: Manifest
    scale: int | None = None
    """For a Deployment: the replicas it should have; None when an autoscaler owns the count."""
    replaceable: bool = False
    """Whether it is deleted and made anew where it may not be changed: traffic that only a route sends to it must
    leave a revision."""

    @property
    def kind(self) -> str:
        """Kind of the object."""
        return str(self.manifest["kind"])

    @property
    def name(self) -> str:
        """Name of the object."""
        return str(self.manifest["metadata"]["name"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """All objects of a model."""

    intents: tuple[Intent, ...]
    """In the order in which they are written: what others refer to comes first."""
    kept: frozenset[tuple[str, str]]
    """(kind, name) of objects that stay as they are: snapshots, and what a previous revision still runs."""
    user_route: UserRoute | None = None
    """The user's own route that is to have a weight; None when there is none, or it is to be left alone."""


def project(
    model: Model,
    status: ModelDeploymentStatus,
    revisions: Mapping[str, Revision],
    *,
    sizes: Mapping[str, Size],
    split: Split,
    left_behind: Iterable[str] = (),
    lingering: Container[str] = (),
    learnt: str = "",
    unpinned: Container[str] = (),
) -> Projection:
    """Everything that should exist of a model with this status. `sizes` has the revisions that run.

    `left_behind`: revisions that are gone and that our route still sends to. `lingering`: revisions whose autoscaler is
    deleted and still there. `learnt`: the noise of stable's pods, once it is known well. `unpinned`: revisions whose model is
    not noted yet, because its pin could not be written.

    In the order in which objects are written: what a route or a Service sends to comes before it, and weight
    goes before the size of stable, so that a pod that is given up has no share left.
    """
    running = {name: (revisions[name], size) for name, size in sizes.items() if name in revisions}
    intents = (
        *_traffic(model, status, revisions, split, left_behind),
        *(
            Intent(manifest=workload.deployment(model, revision, size.first), scale=size.scale)
            for revision, size in running.values()
        ),
        *_autoscalers(model, running.values(), lingering),
        *_disruption_budget(model, status, sizes),
        *_notes(model, status, revisions, learnt, unpinned),
    )
    return Projection(
        intents=tuple(replace(each, manifest=stamped(each.manifest, status.decision)) for each in intents),
        kept=frozenset(_kept(model, status, revisions)),
        user_route=_user_route(model, split),
    )


def verdict(entry: RejectedRevision) -> str:
    """What a snapshot is annotated with: reason, time and message of a rejection."""
    return f"{entry.reason} {entry.time or '-'} {entry.message}"


def snapshots(
    model: Model,
    status: ModelDeploymentStatus,
    revisions: Mapping[str, Revision],
    stored: Container[str | None],
) -> tuple[Manifest, ...]:
    """Snapshots that a decision needs and that are not `stored`: new ones, and those that somebody deleted.

    They are stored before the decision is recorded, because a recorded decision must find the revision that it
    names. One that is stored and then not decided for does no harm: its content is in its name.
    """
    needed = (*running_revisions(status), status.previous_revision)
    new = [revisions[name] for name in needed if name in revisions and name not in stored]
    return tuple(controller_revision.controller_revision(model, revision) for revision in new)


def running_revisions(status: ModelDeploymentStatus) -> tuple[str, ...]:
    """The revisions whose objects are kept as projected: stable, and the one that is awaited."""
    return tuple(name for name in (status.stable_revision, status.canary_revision) if name)


def _traffic(
    model: Model,
    status: ModelDeploymentStatus,
    revisions: Mapping[str, Revision],
    split: Split,
    left_behind: Iterable[str],
) -> Iterator[Intent]:
    """The Services, and the route of our own: after those that it sends to, and before the one that it leaves."""
    stable = revisions.get(status.stable_revision)
    if stable is None:
        return
    spec, other = model.spec, revisions.get(split.other)
    yield Intent(manifest=service.service(model, stable, shared=is_shared_service(spec, split)))
    if router(spec) is Router.OWN:
        yield Intent(manifest=service.revision_service(model, stable))
        if other and not split.leaves:
            yield Intent(manifest=service.revision_service(model, other))
        weight = split.weight_percent if other else 0
        yield Intent(manifest=route.http_route(model, stable.name, other.name if other else None, weight))
        left = (revisions.get(each) for each in (split.other if split.leaves else "", *left_behind))
        for each in filter(None, left):
            yield Intent(manifest=service.revision_service(model, each, stable), replaceable=True)
    elif _has_canary_service(spec):
        canary = revisions.get(status.canary_revision)
        canary = stable if canary is None or split.leaves else canary
        yield Intent(manifest=service.canary_service(model, canary), replaceable=split.leaves)


def _has_canary_service(spec: ModelDeploymentSpec) -> bool:
    """A user's route names it, and with BlueGreen it leads to the preview."""
    return router(spec) is Router.USERS or spec.rollout.strategy is Strategy.BLUE_GREEN


def _user_route(model: Model, split: Split) -> UserRoute | None:
    ref = model.spec.traffic.http_route_ref if model.spec.traffic else None
    if ref is None:
        return None
    return UserRoute(name=ref.name, weight_percent=split.weight_percent)


def _autoscalers(
    model: Model, running: Iterable[tuple[Revision, Size]], lingering: Container[str]
) -> Iterator[Intent]:
    """One for each revision that scales; one that is deleted and kept by somebody is held to the count meanwhile."""
    policy = model.spec.autoscaling
    for revision, size in running:
        if policy and size.scale is None:
            yield Intent(manifest=workload.autoscaler(model, revision.name, policy, size))
        elif size.scale and revision.name in lingering:
            yield Intent(manifest=workload.held_autoscaler(model, revision.name, size.scale))


def _disruption_budget(
    model: Model, status: ModelDeploymentStatus, sizes: Mapping[str, Size]
) -> Iterator[Intent]:
    if (
        status.stable_revision in sizes
        and sum(max(each.scale or 0, each.most) for each in sizes.values()) > 1
    ):
        yield Intent(manifest=workload.disruption_budget(model, status.stable_revision))


def _notes(
    model: Model,
    status: ModelDeploymentStatus,
    revisions: Mapping[str, Revision],
    learnt: str,
    unpinned: Container[str],
) -> Iterator[Intent]:
    """Snapshots whose notes differ: why they were rejected, which model they have, how much their pods scatter."""
    rejected = {entry.revision: verdict(entry) for entry in status.rejected_revisions}
    fetched = {each.revision: each for each in status.fetched if each.revision not in unpinned}
    kept = {name for kind, name in _kept(model, status, revisions) if kind == controller_revision.KIND}
    for revision in revisions.values():
        if names.child_name(model.name, revision.name) not in kept:
            continue
        wanted = rejected.get(revision.name, "")
        new = learnt if revision.name == status.stable_revision and not revision.noise else ""
        entry = fetched.get(revision.name)
        found = controller_revision.recorded(entry) if entry else revision.noted
        if new or (wanted, found) != (revision.verdict, revision.noted):
            noted = replace(revision, noise=revision.noise or new)
            yield Intent(manifest=controller_revision.controller_revision(model, noted, wanted, found))


def pins(
    model: Model, status: ModelDeploymentStatus, revisions: Mapping[str, Revision], owners: Mapping[str, str]
) -> dict[str, Manifest]:
    """ConfigMaps, by revision, that pin what has become known and is not noted yet. `owners`: uids of the snapshots.

    The note is written after the pin: what is noted has been pinned, and is not asked for again.
    """
    found = {}
    for entry in status.fetched:
        revision = revisions.get(entry.revision)
        is_new = revision is not None and revision.noted != controller_revision.recorded(entry)
        if (
            is_new
            and entry.revision in owners
            and (manifest := controller_revision.pin(model, entry, owners[entry.revision]))
        ):
            found[entry.revision] = manifest
    return found


def _kept(
    model: Model, status: ModelDeploymentStatus, revisions: Mapping[str, Revision]
) -> Iterator[tuple[str, str]]:
    live = {name for name in (*running_revisions(status), status.previous_revision) if name}
    for name in live:
        yield (workload.DEPLOYMENT, names.child_name(model.name, name))
    if status.stable_revision not in revisions:  # somebody deleted its snapshot: what serves goes on serving
        for kind in (service.KIND, workload.DISRUPTION_BUDGET):
            yield (kind, names.service_name(model.name))
    past = sorted(revisions.values(), key=lambda each: -each.number)
    recent = [each.name for each in past if each.name not in live][
        : model.spec.rollout.revision_history_limit
    ]
    for name in (*live, *recent):
        yield (controller_revision.KIND, names.child_name(model.name, name))
