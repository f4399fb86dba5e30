"""What `decide` sees: models, children and pods, seen at a fixed time."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from builders.manifests import NAME, NAMESPACE, UID, manifest, runtime_manifest
from modelward.api import names
from modelward.api.decode import encode
from modelward.api.model import Model
from modelward.api.revision import Revision, revision_fields, revision_hash
from modelward.api.status import ModelDeploymentStatus
from modelward.cache import convert
from modelward.rollout.observed import Autoscaler, Deployment, NameConflict, Observed, Pod, Service
from modelward.runtimes import choose as choosing
from modelward.runtimes.choose import Runtime
from modelward.runtimes.render import Subject, render_template

NOW: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
"""When every test checks the world."""


def before(seconds: float) -> datetime:
    """So many seconds before the reconcile."""
    return NOW - timedelta(seconds=seconds)


def make_model(
    version: str = "1",
    /,
    *,
    name: str = NAME,
    generation: int = 1,
    commands: Mapping[str, str] | None = None,
    status: ModelDeploymentStatus | None = None,
    **spec: Any,
) -> Model:
    """A ModelDeployment with `manifest`'s spec, as it comes through conversion."""
    raw = manifest(version, name=name, **spec)
    raw["metadata"] |= {
        "uid": UID,
        "resourceVersion": "100",
        "generation": generation,
        "annotations": {f"{names.GROUP}/{key}": value for key, value in (commands or {}).items()},
    }
    if status is not None:
        raw["status"] = encode(status)
    return convert.model(raw)


def revision_name(version: str = "1", /, *, nonce: int = 0, **spec: Any) -> str:
    """Name of the revision that `make_model` with the same words asks for."""
    return revision_hash(revision_fields(manifest(version, **spec)["spec"]), nonce)


def make_revision(version: str = "1", /, *, number: int = 1, nonce: int = 0, **spec: Any) -> Revision:
    """The snapshot of the revision that `make_model` with the same words asks for."""
    model = make_model(version, **spec)
    name = revision_name(version, nonce=nonce, **spec)
    choice = choosing.choose(model.spec, [make_runtime()])
    assert isinstance(choice, choosing.Choice)
    return Revision(
        name=name,
        number=number,
        content=revision_hash(model.fields),
        nonce=nonce,
        spec=model.fields,
        runtime=choice.pinned,
        template=render_template(Subject(model=NAME, revision=name, spec=model.spec), choice.spec),
    )


def make_runtime(name: str = "onnx", kind: str = "ClusterModelRuntime", **container: Any) -> Runtime:
    """A runtime as it comes through conversion."""
    return convert.runtime(runtime_manifest(name, kind, **container))


def make_status(stable: str = "", **fields: Any) -> ModelDeploymentStatus:
    """A status with this stable revision."""
    return msgspec.structs.replace(ModelDeploymentStatus(stable_revision=stable), **fields)


def make_deployment(
    revision: str,
    *,
    replicas: int = 2,
    ready: int | None = None,
    age: float = 600.0,
    decision: int = 1,
    **fields: Any,
) -> Deployment:
    """The Deployment of a revision, all pods ready unless it is set, made `age` seconds ago."""
    return Deployment(
        kind="Deployment",
        namespace=NAMESPACE,
        name=names.child_name(NAME, revision),
        uid=f"uid-{revision}",
        resource_version="1",
        owner_uid=UID,
        revision=revision,
        decision=decision,
        replicas=replicas,
        current=replicas,
        ready=replicas if ready is None else ready,
        created=before(age),
        **fields,
    )


def make_autoscaler(revision: str, *, problem: str = "") -> Autoscaler:
    """The autoscaler of a revision."""
    return Autoscaler(
        kind="HorizontalPodAutoscaler",
        namespace=NAMESPACE,
        name=names.child_name(NAME, revision),
        uid=f"uid-hpa-{revision}",
        resource_version="1",
        owner_uid=UID,
        revision=revision,
        problem=problem,
    )


def make_service(selects: str, *, decision: int = 1) -> Service:
    """The Service, which selects a revision."""
    return Service(
        kind="Service",
        namespace=NAMESPACE,
        name=NAME,
        uid="uid-service",
        resource_version="1",
        owner_uid=UID,
        decision=decision,
        selects=selects,
    )


def make_pod(
    revision: str,
    *,
    scheduled: float | None = 60.0,
    ready: bool = False,
    problem: str = "",
    name: str = "p",
    **facts: Any,
) -> Pod:
    """A pod that was scheduled so many seconds ago (None: not yet)."""
    return Pod(
        name=name,
        revision=revision,
        scheduled=None if scheduled is None else before(scheduled),
        ready=ready,
        problem=problem,
        **facts,
    )


def make_observed(
    model: Model,
    *deployments: Deployment,
    selects: str = "",
    revisions: Sequence[Revision] = (),
    pods: Sequence[Pod] = (),
    runtimes: Sequence[Runtime] = (),
    conflicts: Sequence[NameConflict] = (),
    now: datetime = NOW,
) -> Observed:
    """The world of a model: its Deployments, its Service if it selects anything, snapshots and pods."""
    service = make_service(selects) if selects else None
    return Observed(
        now=now,
        model=model,
        runtimes=tuple(runtimes),
        revisions={each.name: each for each in revisions},
        deployments={each.revision: each for each in deployments if each.revision},
        service=service,
        children=(*deployments, *((service,) if service else ())),
        pods=tuple(pods),
        conflicts=tuple(conflicts),
    )
