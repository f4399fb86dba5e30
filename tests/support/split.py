"""Two versions of a model that serve, and the operator's own hands for their route - without its decisions."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from devcluster import Cluster
from modelward.api.model import Model
from modelward.api.names import ROUTE_FINALIZER
from modelward.api.objects import Manifest
from modelward.api.revision import Revision, revision_fields, revision_hash
from modelward.cache import convert
from modelward.cache.store import Store
from modelward.clients.connection import connect
from modelward.clients.kube import Kube
from modelward.clients.resources import HTTP_ROUTE, MODEL_DEPLOYMENT
from modelward.controller.apply import Applied, Applier
from modelward.controller.observe import gather
from modelward.controller.user_routes import UserRoutes
from modelward.projection import route, service, workload
from modelward.projection.metadata import stamped
from modelward.projection.project import Intent, Projection
from modelward.projection.route import UserRoute
from modelward.rollout.observed import Observed
from modelward.rollout.routing import Reached, reached
from modelward.runtimes.choose import Choice, choose
from modelward.runtimes.render import Subject, render_template
from support.kubectl import Kubectl
from support.sampled import NothingMeasured


@dataclasses.dataclass(slots=True)
class Hands:
    """They apply what a decision would, from a fresh check the cluster each time."""

    kube: Kube
    kubectl: Kubectl
    name: str
    runtime: dict[str, Any]
    store: Store = dataclasses.field(default_factory=Store)
    decision: int = 0

    async def reconcile_once(self) -> Observed:
        """The world of the model. There are no watches here, so what they would show is asked for."""
        for resource in (MODEL_DEPLOYMENT, HTTP_ROUTE):
            async for page in self.kube.list(resource, self.kubectl.namespace, labels=resource.selector):
                for raw in page.items:
                    self.store.put({**raw, "kind": resource.kind})
        return await gather(
            self.kube, self.store, self.model(), now=datetime.now(UTC), sampling=NothingMeasured()
        )

    def model(self) -> Model:
        """The ModelDeployment, with the two revisions recorded as stable and canary."""
        held = self.store.model((self.kubectl.namespace, self.name))
        assert held is not None
        stable, canary = (self.revision(held, version).name for version in "12")
        status = msgspec.structs.replace(
            held.status, stable_revision=stable, canary_revision=canary, decision=self.decision
        )
        return dataclasses.replace(held, status=status)

    def revision(self, model: Model, version: str) -> Revision:
        """A snapshot of the model with another version."""
        words = {**model.fields, "model": {**model.fields["model"], "version": version}}
        assert model.spec.model is not None
        source = msgspec.structs.replace(model.spec.model, version=version)
        spec = msgspec.structs.replace(model.spec, model=source)
        name = revision_hash(revision_fields(words))
        choice = choose(spec, [convert.runtime(self.runtime)])
        assert isinstance(choice, Choice)
        template = render_template(Subject(model=model.name, revision=name, spec=spec), choice.spec)
        return Revision(
            name=name,
            number=int(version),
            content=name,
            nonce=0,
            spec=words,
            runtime=choice.pinned,
            template=template,
            cause="",
        )

    async def apply(self, *manifests: Manifest, user_route: UserRoute | None = None) -> Applied:
        """Write objects as the next decision."""
        observed = await self.reconcile_once()
        self.decision += 1
        self.kubectl(
            *("patch", "modeldeployment", self.name, "--subresource=status", "--type=merge"),
            *("-p", f'{{"status":{{"decision":{self.decision}}}}}'),
        )
        observed = await self.reconcile_once()
        intents = tuple(
            Intent(manifest=stamped(each, self.decision), scale=1 if each["kind"] == "Deployment" else None)
            for each in manifests
        )
        kept = frozenset((child.kind, child.name) for child in observed.children)
        projection = Projection(intents=intents, kept=kept, user_route=user_route)
        applied = await Applier(self.kube, self.store).apply(observed, projection, self.decision)
        assert applied.refused == []
        assert applied.name_conflicts == set()
        return applied

    async def offer(self) -> None:
        """Make all Services that a route may name."""
        model = (await self.reconcile_once()).model
        stable, canary = (self.revision(model, version) for version in "12")
        await self.apply(
            service.service(model, stable),
            service.canary_service(model, canary),
            *(service.revision_service(model, each) for each in (stable, canary)),
        )

    async def serve(self) -> None:
        """Run one pod of each version."""
        model = (await self.reconcile_once()).model
        stable, canary = (self.revision(model, version) for version in "12")
        await self.apply(*(workload.deployment(model, each, 1) for each in (stable, canary)))
        for each in (stable, canary):
            self.kubectl("rollout", "status", f"deployment/{self.name}-{each.name}", "--timeout=90s")

    async def weigh(self, percent: int) -> Applied:
        """Write our own route."""
        model = (await self.reconcile_once()).model
        stable, canary = model.status.stable_revision, model.status.canary_revision
        return await self.apply(route.http_route(model, stable, canary, percent))

    async def release(self) -> None:
        """What is done for a model that is being deleted."""
        model = (await self.reconcile_once()).model
        if ROUTE_FINALIZER in model.finalizers:
            assert model.deleting
            assert await UserRoutes(self.kube, self.store).release(model, datetime.now(UTC)) is None

    async def reached(self, percent: int) -> Reached:
        """Whether the weight is in effect."""
        return reached(await self.reconcile_once(), percent)


@contextlib.asynccontextmanager
async def hands(
    cluster: Cluster, kubectl: Kubectl, manifest: dict[str, Any], runtime: dict[str, Any]
) -> AsyncIterator[Hands]:
    """Hands for a model that is applied now and deleted at the end; the administrator's rights."""
    kubectl.apply(manifest)
    name = manifest["metadata"]["name"]
    kube = Kube(await connect(cluster.kubeconfig))
    found = Hands(kube, kubectl, name, {**runtime, "kind": "ClusterModelRuntime"})
    try:
        yield found
    finally:
        kubectl("delete", "modeldeployment", name, "--cascade=foreground", "--wait=false")
        await found.release()
        await kube.close()
        kubectl("wait", "--for=delete", f"modeldeployment/{name}", "--timeout=60s")
