"""project(model, status, revisions) -> the objects that should exist. Pure; what is not in it is to be deleted."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

from modelward.api import names
from modelward.api.model import Model
from modelward.api.revision import Revision
from modelward.api.status import ModelDeploymentStatus
from modelward.projection import (
    autoscaler,
    controller_revision,
    deployment,
    disruption_budget,
    service,
)
from modelward.projection.metadata import Manifest, stamped
from modelward.projection.route import UserRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One object as it should be."""

    manifest: Manifest
    scale: int | None = None
    """For a Deployment: the replicas it should have; None when an autoscaler owns the count."""

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
    scale: int | None,
    first: Mapping[str, int],
) -> Projection:
    """Everything that should exist of a model with this status.

    `scale` is the number of pods that the user's word asks for, None when an autoscaler owns it; `first` is how
    many each running revision is created with.
    """
    running = [revisions[name] for name in running_revisions(status) if name in revisions]
    intents = (
        *(
            Intent(manifest=deployment.deployment(model, each, first[each.name]), scale=scale)
            for each in running
        ),
        *_autoscalers(model, running),
        *_of_the_model(model, revisions.get(status.stable_revision), scale),
    )
    return Projection(
        intents=tuple(
            Intent(manifest=stamped(each.manifest, status.decision), scale=each.scale) for each in intents
        ),
        kept=frozenset(_kept(model, status, revisions)),
    )


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


def _autoscalers(model: Model, running: Iterable[Revision]) -> Iterator[Intent]:
    if policy := model.spec.autoscaling:
        for revision in running:
            yield Intent(manifest=autoscaler.autoscaler(model, revision.name, policy))


def _of_the_model(model: Model, stable: Revision | None, scale: int | None) -> Iterator[Intent]:
    if stable is None:
        return
    yield Intent(manifest=service.service(model, stable))
    policy = model.spec.autoscaling
    if (policy.max_replicas if policy else scale or 0) > 1:
        yield Intent(manifest=disruption_budget.disruption_budget(model, stable.name))


def _kept(
    model: Model, status: ModelDeploymentStatus, revisions: Mapping[str, Revision]
) -> Iterator[tuple[str, str]]:
    live = {name for name in (*running_revisions(status), status.previous_revision) if name}
    for name in live:
        yield (deployment.KIND, names.child_name(model.name, name))
    if status.stable_revision not in revisions:  # somebody deleted its snapshot: what serves goes on serving
        for kind in (service.KIND, disruption_budget.KIND):
            yield (kind, names.service_name(model.name))
    past = sorted(revisions.values(), key=lambda each: -each.number)
    recent = [each.name for each in past if each.name not in live][
        : model.spec.rollout.revision_history_limit
    ]
    for name in (*live, *recent):
        yield (controller_revision.KIND, names.child_name(model.name, name))
