"""The HTTPRoute of a model: seen, and - if it is the user's own - given its weights.

A route of ours is an object like all others (`modelward.controller.apply`). Of the user's route we may set nothing but the
weights of our two Services, and only while its label allows it. Before the canary gets any, a finalizer on the
ModelDeployment makes sure that they are put back; it goes as soon as they are.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from modelward.api import names
from modelward.api.model import Model
from modelward.api.objects import Manifest
from modelward.cache import convert
from modelward.cache.store import Store, is_ours
from modelward.clients.kube import REQUEST_TIMEOUT_SECONDS, Kube
from modelward.clients.resources import HTTP_ROUTE, MODEL_DEPLOYMENT
from modelward.errors import Conflict, ModelwardError, NotFound, Refused
from modelward.projection.route import UserRoute, user_route_patch
from modelward.rollout.health import compared
from modelward.rollout.observed import Observed, Route
from modelward.traffic_shares import Pair, pair

ATTEMPTS: Final = 3
"""How often a weight is written at once, when somebody else was quicker each time."""
PUT_BACK_SECONDS: Final = 20
"""How long a deletion waits for a route that cannot be written."""
RETRY_SECONDS: Final = 2.0
KEPT_RETRY_SECONDS: Final = 10.0
"""Later, while somebody else's finalizer keeps the model."""
HASTE_SECONDS: Final = 5.0
"""For a write while two revisions have traffic: a webhook may take up to half a minute."""
_UNPROCESSABLE: Final = 422

logger = logging.getLogger(__name__)


async def observe(kube: Kube, store: Store, model: Model) -> Route | None:
    """The route that `spec.traffic` asks for, which says itself if it is missing; None without `spec.traffic`."""
    traffic = model.spec.traffic
    if traffic is None or not model.is_guarded:
        return None
    own = traffic.http_route_ref is None
    name = traffic.http_route_ref.name if traffic.http_route_ref else model.name
    if why := store.absent.get(HTTP_ROUTE.kind):
        message = f"spec.traffic needs the Gateway API, but {why}: have it installed, or remove spec.traffic."
        return _missing(model, name, own=own, message=message)
    held = store.named(HTTP_ROUTE.kind, model.namespace, name)
    if own:
        ours = isinstance(held, Route) and is_ours(held, model)
        return (
            replace(held, own=True) if isinstance(held, Route) and ours else _missing(model, name, own=True)
        )
    return held if isinstance(held, Route) else await _unlabelled(kube, model, name)


@dataclass(slots=True)
class UserRoutes:
    """Writes weights of users' own routes."""

    kube: Kube
    store: Store

    async def follow(self, observed: Observed, wanted: UserRoute | None, decision: int) -> int:
        """Bring the routes to what is projected; returns the number of writes."""
        model, writes = observed.model, 0
        for route in self._given_weight(model):
            if wanted is None or route.name != wanted.name:
                writes += await self._weigh(model, route.name, 0)
        if wanted and self._differs(model, wanted):
            if wanted.weight_percent:
                writes += await self._hold(model)
                await self._confirm(model, decision)
            writes += await self._weigh(model, wanted.name, wanted.weight_percent)
        if not writes and names.ROUTE_FINALIZER in model.finalizers and not any(self._given_weight(model)):
            writes += await self._let_go(model)
        return writes

    async def release(self, model: Model, now: datetime) -> float | None:
        """Put back what a deleted model has changed. Returns seconds until it is tried again, None when done.

        A deletion waits for it for a while only; one that waits for somebody else in any case, for as long as that. If
        somebody took the finalizer off, status shows that the canary has weight.
        """
        rollout, is_kept = model.status.rollout, {*model.finalizers} - {names.ROUTE_FINALIZER}
        if names.ROUTE_FINALIZER not in model.finalizers and not (rollout and rollout.weight_percent):
            return None
        try:
            for route in self._weighed(model):
                await self._weigh(model, route.name, 0)
        except ModelwardError as error:
            if now - (model.deleted or now) < timedelta(seconds=PUT_BACK_SECONDS):
                logger.info("%s/%s: its route is not put back yet: %s", model.namespace, model.name, error)
                return RETRY_SECONDS
            if is_kept:
                return KEPT_RETRY_SECONDS
            logger.warning("%s/%s: its route is not put back: %s", model.namespace, model.name, error)
        await self._let_go(model)
        return None

    def _given_weight(self, model: Model) -> Iterator[Route]:
        """Routes in which the canary has weight by us. Without the finalizer there is none."""
        if names.ROUTE_FINALIZER in model.finalizers:
            yield from self._weighed(model)

    def _weighed(self, model: Model) -> Iterator[Route]:
        for route in self.store.routes(model.namespace):
            if any(each.canary for each in _pairs(model, route)):
                yield route

    def _differs(self, model: Model, wanted: UserRoute) -> bool:
        held = self.store.named(HTTP_ROUTE.kind, model.namespace, wanted.name)
        return isinstance(held, Route) and any(
            each != each.having(wanted.weight_percent) for each in _pairs(model, held)
        )

    async def _confirm(self, model: Model, decision: int) -> None:
        """A user's route cannot carry the number of our decision, so ask whether ours is still the latest.

        Asked after the finalizer was put on: the API server takes one that comes while it deletes the object, and
        deletes it all the same.
        """
        raw = await self.kube.get(MODEL_DEPLOYMENT, model.namespace, model.name)
        self.store.take({**raw, "kind": MODEL_DEPLOYMENT.kind})
        latest = (raw.get("status") or {}).get("decision", 0)
        if raw["metadata"]["uid"] != model.uid or latest != decision:
            raise Conflict(409, "Conflict", f"decision {decision} is not the latest, {latest} is")
        if "deletionTimestamp" in raw["metadata"]:
            raise Conflict(409, "Conflict", "the model is being deleted")

    async def _weigh(self, model: Model, name: str, weight_percent: int) -> int:
        """Set the weights in one route, if they differ and it still allows that; returns the number of writes."""
        for _ in range(ATTEMPTS):
            try:
                raw = await self.kube.get(HTTP_ROUTE, model.namespace, name)
            except NotFound:
                return 0
            if not convert.is_labelled(raw):
                return 0
            self.store.take(raw)
            operations = user_route_patch(raw, model.name, weight_percent)
            if not operations:
                return 0
            patience = HASTE_SECONDS if compared(model.status) else REQUEST_TIMEOUT_SECONDS
            if await self._patched(raw, operations, patience):
                logger.info(
                    "HTTPRoute %s/%s gives the canary of %s %d%%",
                    model.namespace,
                    name,
                    model.name,
                    weight_percent,
                )
                return 1
        raise Conflict(409, "Conflict", f"HTTPRoute {name} is changed again and again")

    async def _patched(self, raw: Manifest, operations: list[Manifest], patience: float) -> bool:
        """False if the route has moved on since it was read: 409, or 422 for a `test` that failed."""
        metadata = raw["metadata"]
        place = HTTP_ROUTE, metadata["namespace"], metadata["name"]
        try:
            guard = convert.child(raw)
            answer = await self.kube.patch(*place, guard=guard, operations=operations, patience=patience)
        except Conflict:
            return False
        except Refused as error:
            if error.status != _UNPROCESSABLE:
                raise
            now = await self.kube.get(*place)
            if now["metadata"]["resourceVersion"] == metadata["resourceVersion"]:
                raise  # admission refuses the weights
            return False
        self.store.put(answer)
        return True

    async def _hold(self, model: Model) -> int:
        """Put the finalizer on the model; returns the number of writes."""
        return await self._finalize(model, held=True)

    async def _let_go(self, model: Model) -> int:
        """Take the finalizer off the model; returns the number of writes."""
        return await self._finalize(model, held=False)

    async def _finalize(self, model: Model, *, held: bool) -> int:
        # Its status has just been written: only the newest view has the resourceVersion that is expected.
        now = self.store.model((model.namespace, model.name)) or model
        if held == (names.ROUTE_FINALIZER in now.finalizers):
            return 0
        others = [each for each in now.finalizers if each != names.ROUTE_FINALIZER]
        finalizers = [*others, names.ROUTE_FINALIZER] if held else others
        answer = await self.kube.patch(
            MODEL_DEPLOYMENT,
            model.namespace,
            model.name,
            guard=now,
            operations=[{"op": "add", "path": "/metadata/finalizers", "value": finalizers}],
        )
        self.store.put(answer)
        return 1


async def _unlabelled(kube: Kube, model: Model, name: str) -> Route:
    """A route that the watch does not show: without the label, or not there."""
    try:
        found = convert.child(await kube.get(HTTP_ROUTE, model.namespace, name))
    except NotFound:
        message = (
            f"HTTPRoute {name} (spec.traffic.httpRouteRef) is not in namespace {model.namespace}: create it, with"
            f" the label {names.WEIGHTS_LABEL}={names.WEIGHTS_MANAGED}."
        )
        return _missing(model, name, own=False, message=message)
    except Refused as error:
        message = f"HTTPRoute {name} (spec.traffic.httpRouteRef) cannot be read: {error.message}"
        return _missing(model, name, own=False, message=message)
    return found if isinstance(found, Route) else _missing(model, name, own=False)


def _missing(model: Model, name: str, *, own: bool, message: str = "") -> Route:
    return Route(
        kind=HTTP_ROUTE.kind,
        namespace=model.namespace,
        name=name,
        uid="",
        resource_version="",
        owner_uid=None,
        own=own,
        exists=False,
        message=message,
    )


def _pairs(model: Model, route: Route) -> list[Pair]:
    services = names.service_name(model.name), names.canary_service_name(model.name)
    return [found for rule in route.rules if (found := pair(rule, *services))]
