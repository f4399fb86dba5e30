"""reconcile(key): observe, decide, record, project, apply, report - in this order, and nothing else.

The decision is written to status, with the resourceVersion it was made from, before any object follows it; a
crash between any two writes loses nothing, because the next reconcile starts from what was recorded.
"""

import asyncio
import logging
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from modelward.api.decode import encode
from modelward.api.model import Model
from modelward.api.names import child_name
from modelward.api.objects import Key, Manifest
from modelward.api.status import ModelDeploymentStatus
from modelward.api.status_size import within_limit
from modelward.cache.store import Store, is_named_for_its_revision, is_ours
from modelward.clients.kube import Kube
from modelward.clients.resources import MODEL_DEPLOYMENT
from modelward.controller import events
from modelward.controller.apply import Applied, Applier
from modelward.controller.metrics import Metrics
from modelward.controller.observe import Blockers, gather
from modelward.controller.rollout_slots import Fleet
from modelward.controller.workqueue import WorkQueue
from modelward.errors import ApiError, Conflict, NamespaceTerminating, NotFound, Unreachable
from modelward.projection.controller_revision import KIND as CONTROLLER_REVISION
from modelward.projection.project import Projection, project, snapshots
from modelward.projection.project import pins as project_pins
from modelward.rollout import conditions, routing
from modelward.rollout.adoption import adopted
from modelward.rollout.decide import decide, held
from modelward.rollout.decision import Announcement, Decision
from modelward.rollout.fleet import NO_LIMITS, Limits
from modelward.rollout.observed import Autoscaler, Child, Observed
from modelward.rollout.phases import Phase
from modelward.rollout.snapshot_validation import flaw
from modelward.rollout.traffic import split
from modelward.runtimes.fetching import FETCHES_NOTHING, FetchPolicy
from modelward.sampling.fetch_progress import NO_PROGRESS, Progress
from modelward.sampling.sampler_task import Follower
from modelward.settings import GatewaySettings

BLOCKER_POLL_SECONDS: Final = 5.0
"""What stands in our way (somebody else's object, a quota) is outside the watches; it is tried again at this pace."""
ROUTE_POLL_SECONDS: Final = 30.0
"""A user's route that does not carry the label is not watched; with the label it is seen at once."""
COUNTS_AFTER_SECONDS: Final = 5.0
"""How old a count of pods in status may get. Pods of a new revision come up in many small steps; each would be
a write of its own."""
EVIDENCE_AFTER_SECONDS: Final = 15.0
"""How old the evidence in status may get: so much is measured again after a crash."""

_NONE: Final = Blockers()

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Reconciler:
    """Works on keys, one at a time each. Holds no memory but what can be read from the cluster again."""

    kube: Kube
    store: Store
    queue: WorkQueue[Key]
    metrics: Metrics
    now: Callable[[], datetime]
    sampling: Follower
    limits: Limits = NO_LIMITS
    lag_seconds: float = GatewaySettings().lag_seconds
    fetch: FetchPolicy = FETCHES_NOTHING
    progress: Progress = NO_PROGRESS
    _fleet: Fleet = field(init=False)
    _applier: Applier = field(init=False)
    _blockers: dict[Key, Blockers] = field(default_factory=dict)
    _uncounted_since: dict[Key, float] = field(default_factory=dict)
    """Since when a status is kept back that only counts pods anew."""

    def __post_init__(self) -> None:
        self._applier = Applier(self.kube, self.store)
        self._fleet = Fleet(self.store, self.limits)

    async def work(self) -> None:
        """Take keys from the queue for ever. No error of one key ends this or delays the others."""
        while True:
            key, waited = await self.queue.get()
            self.metrics.queue_wait_seconds.observe(waited)
            try:
                with self.metrics.reconcile_seconds.time():
                    again = await self.reconcile(key)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - the last line of defence, see _failed
                self._failed(key, error)
            else:
                self.queue.succeed(key)
                if again is not None:
                    self.queue.add(key, delay=again)
            finally:
                self.queue.done(key)
                for waiting in self.admitted_after(key):
                    self.queue.add(waiting)

    def admitted_after(self, key: Key) -> Iterator[Key]:
        """Models whose turn it is now that the reconcile of this one is over."""
        self._fleet.finished(key)
        return self._fleet.next()

    async def reconcile(self, key: Key) -> float | None:
        """One reconcile of one model. Returns after how many seconds to requeue, None to wait for an event."""
        model = self.store.model(key)
        if model is None or model.deleting:
            return await self._let_go(key, model)
        if not await self._is_true(key, model):
            return 0.0
        observed = await self._observed(key, model)
        if orphans := adopted(observed):
            return await self._take_back(key, observed, orphans)
        decision = decide(observed)
        self._fleet.decided(key, decision)
        kept = await self._applier.keep_snapshots(model, _snapshots(observed, decision))
        if kept.errors and not _is_under_way(model, decision):
            raise kept.errors[0]  # no status may name a revision whose snapshot may not be stored
        if (kept.name_conflicts or kept.refused) and not _is_under_way(model, decision):
            return await self._held_up(key, observed, kept)
        complete = within_limit(conditions.complete(observed, decision))
        counts_in = self._counts_in(key, observed, complete)
        if counts_in is None:
            await self._record(model, complete)
        if model.problem and not model.is_guarded:
            return counts_in  # spec says nothing that could be acted upon: all stays as it is
        again = await self._carried_out(key, observed, decision, kept)
        return min((wait for wait in (again, counts_in) if wait is not None), default=None)

    async def _observed(self, key: Key, model: Model) -> Observed:
        """All that a decision about the model is made of."""
        observed = await gather(
            self.kube,
            self.store,
            model,
            now=self.now(),
            sampling=self.sampling,
            blockers=self._blockers.get(key),
        )
        return replace(
            observed,
            turn=self._fleet.turn(key),
            lag_seconds=self.lag_seconds,
            fetch=self.fetch,
            progress=self.progress.of(observed.fetched_pods),
        )

    async def _carried_out(
        self, key: Key, observed: Observed, decision: Decision, kept: Applied
    ) -> float | None:
        """Project, apply and report what is decided and recorded. Returns after how many seconds to requeue."""
        pins = self._pins(observed, decision)
        pinned = await self._applier.keep_pins(() if _is_leaving(decision) else pins.values())
        unpinned = {name for name, pin in pins.items() if _is_leaving(decision) or _is_unwritten(pin, pinned)}
        try:
            applied = await self._applier.apply(
                observed, _projection(observed, decision, unpinned), decision.status.decision
            )
        finally:  # the decision is recorded, and will not be announced by the next reconcile
            await self._report(observed, decision)
        await events.publish(
            self.kube, observed.model, decision.status.decision, tuple(applied.corrections), observed.now
        )
        applied.name_conflicts |= kept.name_conflicts
        applied.refused += kept.refused
        applied.add(pinned)
        await self._report_blockers(key, observed, decision, applied)
        if applied.errors and not (_is_leaving(decision) or self._blockers.get(key, _NONE).failed):
            raise applied.errors[0]
        return self._requeue_after(key, observed, decision, applied)

    def _pins(self, observed: Observed, decision: Decision) -> dict[str, Manifest]:
        """Pins to be written, by revision; their owners are snapshots, which may have been stored just now."""
        model = observed.model
        names_of = {name: child_name(model.name, name) for name in decision.revisions}
        found = {
            name: self.store.named(CONTROLLER_REVISION, model.namespace, child)
            for name, child in names_of.items()
        }
        owners = {name: child.uid for name, child in found.items() if child and is_ours(child, model)}
        return project_pins(model, decision.status, decision.revisions, owners)

    async def _take_back(self, key: Key, observed: Observed, orphans: Iterable[Child]) -> float:
        """Make what an earlier model of the name left our own, before anything is decided: half of it is no world."""
        applied = await self._applier.adopt(observed.model, orphans)
        if applied.errors:
            raise applied.errors[0]
        if applied.refused:
            return await self._held_up(key, observed, applied)
        self._blockers.pop(key, None)
        return 0.0

    async def _held_up(self, key: Key, observed: Observed, applied: Applied) -> float:
        """Nothing is decided while what must be there first is refused, or its name is taken: that is all that is reported."""
        if applied.refused:
            decision = held(observed, conditions.refusal(applied.refused))
            await self._record(observed.model, conditions.complete(observed, decision))
        return self._requeue_while_blocked(key, applied)

    async def _let_go(self, key: Key, model: Model | None) -> float | None:
        """Forget a model that goes. The garbage collector takes the children; a user's own route is put back first."""
        self._blockers.pop(key, None)
        self._uncounted_since.pop(key, None)
        self.sampling.forget(key)
        self._fleet.forget(key)
        return None if model is None else await self._applier.routes.release(model, self.now())

    async def _is_true(self, key: Key, model: Model) -> bool:
        """Whether what is held of a model can be worked with; if not it is repaired."""
        forged = [each for each in self.store.forged(model.uid) if not each.child.terminating]
        if forged and await self._applier.discard(forged):
            return False
        return not self.store.is_possibly_deleted(key) or await self._is_there(key, model)

    async def _is_there(self, key: Key, model: Model) -> bool:
        """Whether a model is still there, by the API server's own word.

        The garbage collector removes what a deleted model leaves behind. If the event of the deletion is late or
        lost, all of that would be made again and again until a sweep finds out. If the answer is newer than what
        is held, the reconcile begins anew with it.
        """
        try:
            raw = await self.kube.get(MODEL_DEPLOYMENT, model.namespace, model.name)
        except NotFound:
            raw = None
        self.store.clear_possibly_deleted(key)
        if raw is None or raw["metadata"]["uid"] != model.uid:
            self.store.remove(MODEL_DEPLOYMENT.kind, model.namespace, model.name, model.uid)
        is_newer = raw is not None and self.store.take({**raw, "kind": MODEL_DEPLOYMENT.kind})
        return raw is not None and raw["metadata"]["uid"] == model.uid and not is_newer

    def _counts_in(self, key: Key, observed: Observed, complete: ModelDeploymentStatus) -> float | None:
        """Seconds until a status that only counts pods anew is written; None for one that is written now.

        Once pods have been listed, what keeps them from being ready is reported at once.
        """
        before = observed.model.status
        if complete == before or not conditions.only_counts_differ(before, complete):
            self._uncounted_since.pop(key, None)
            return None
        now = self.queue.clock()
        counted = complete.ready_replicas != before.ready_replicas or complete.analysis == before.analysis
        age = COUNTS_AFTER_SECONDS if counted else EVIDENCE_AFTER_SECONDS
        left = self._uncounted_since.setdefault(key, now) + age - now
        if left > 0:
            return left
        del self._uncounted_since[key]
        return None

    async def _record(self, model: Model, complete: ModelDeploymentStatus) -> None:
        """Make the decision durable. The answer is the newest view of the object."""
        if complete == model.status:
            return
        operation = {"op": "add", "path": "/status", "value": encode(complete)}
        answer = await self.kube.patch(
            MODEL_DEPLOYMENT,
            model.namespace,
            model.name,
            subresource="status",
            guard=model,
            operations=[operation],
        )
        self.store.put(answer)

    async def _report(self, observed: Observed, decision: Decision) -> None:
        events.count_rollout(self.metrics, observed.model.status, decision.status)
        await events.publish(
            self.kube, observed.model, decision.status.decision, decision.announcements, observed.now
        )

    async def _report_blockers(
        self, key: Key, observed: Observed, decision: Decision, applied: Applied
    ) -> None:
        """Report once what is not taken or cannot be written; how it goes on is in status."""
        refused = _not_yet_reported(applied.refused, observed.refusals)
        failed = _not_yet_reported(self._persisting(key, applied), observed.failures)
        reported = tuple(
            Announcement(reason=each.reason, message=each.message, warning=True)
            for each in conditions.blockers(refused, failed)
        )
        await events.publish(self.kube, observed.model, decision.status.decision, reported, observed.now)

    def _persisting(self, key: Key, applied: Applied) -> tuple[str, ...]:
        """What could not be written, and could not the last time."""
        return tuple(_of_same_objects(applied.failed, self._blockers.get(key, _NONE).failed))

    def _requeue_after(
        self, key: Key, observed: Observed, decision: Decision, applied: Applied
    ) -> float | None:
        if applied.errors:
            logger.warning("%s: not everything could be written: %s", "/".join(key), applied.errors[0])
        if applied.name_conflicts or applied.refused or applied.failed or key in self._blockers:
            again = self._requeue_while_blocked(key, applied, observed)
            return again if decision.wake_after is None else min(again, decision.wake_after)
        if applied.writes:
            return 0.0  # our own writes are no events to us: check whether all is quiet
        route = observed.route
        waits = [
            decision.wake_after,
            conditions.wake_after(observed, decision.status),
            applied.wait,
            ROUTE_POLL_SECONDS if route and not (route.own or route.opted_in) else None,
            routing.wake_after(observed),
        ]
        return min((wait for wait in waits if wait is not None), default=None)

    def _requeue_while_blocked(self, key: Key, applied: Applied, observed: Observed | None = None) -> float:
        """Remember what stands in our way until it is gone; say so at once when it is new."""
        before = self._blockers.get(key, _NONE)
        still = {(each.kind, each.name) for each in observed.conflicts} if observed else set()
        name_conflicts = frozenset(still | applied.name_conflicts)
        now = Blockers(
            name_conflicts=name_conflicts,
            refusals=tuple(applied.refused),
            failed=tuple(applied.failed),
            persisting=self._persisting(key, applied),
        )
        if now == _NONE:
            self._blockers.pop(key, None)
            return 0.0
        self._blockers[key] = now
        # Words that change with every attempt (a webhook's clock, say) are no reason to try at once.
        known = now.name_conflicts == before.name_conflicts and _amounts(now) == _amounts(before)
        return BLOCKER_POLL_SECONDS if known else 0.0

    def _failed(self, key: Key, error: Exception) -> None:
        """One place turns every error into a later attempt."""
        name = "/".join(key)
        after = 0.0
        match error:
            case NamespaceTerminating():  # nothing is created there any more; the model's own deletion is an event
                reason, after = type(error).__name__, BLOCKER_POLL_SECONDS
                logger.debug("%s: %s", name, error)
            case Conflict() | NotFound():
                reason = type(error).__name__
                logger.debug("%s: %s; reconciling again", name, error)
            case ApiError():
                reason, after = f"Api{error.status}", error.retry_after or 0.0
                logger.warning("%s: the API server refused: %s", name, error)
            case Unreachable():
                reason = "Unreachable"
                logger.warning("%s: %s", name, error)
            case _:
                reason = "Unexpected"
                logger.error("%s: unexpected error, please report it", name, exc_info=error)
        self.metrics.reconcile_errors.labels(reason).inc()
        if reason != Conflict.__name__:
            self._fleet.forget(key)
        self.queue.fail(key, at_least=after)


def _is_leaving(decision: Decision) -> bool:
    """Whether traffic leaves a canary: what cannot be written has a time for it, which no back-off may pass over."""
    return decision.phase is Phase.ROLLING_BACK


def _is_under_way(model: Model, decision: Decision) -> bool:
    """Whether a decision names no revision that is new.

    That the lost snapshot of a known one cannot be made again is no reason to leave traffic where it is.
    """
    before, after = model.status, decision.status
    known = (before.stable_revision, before.canary_revision, before.previous_revision, "")
    return bool(before.stable_revision) and {after.stable_revision, after.canary_revision} <= {*known}


def _snapshots(observed: Observed, decision: Decision) -> tuple[Manifest, ...]:
    """Snapshots to be stored: of what was restored from a Deployment only those that will be read again."""
    stored = {
        child.revision
        for child in observed.children
        if child.kind == CONTROLLER_REVISION
        and is_named_for_its_revision(child, observed.model)
        and child.revision in observed.revisions  # what is forged and kept by a finalizer is not
    }
    readable = {
        name: revision
        for name, revision in decision.revisions.items()
        if name not in stored and not flaw(revision)  # what is stored was validated when it was converted
    }
    return snapshots(observed.model, decision.status, readable, stored)


def _is_unwritten(pin: Manifest, pinned: Applied) -> bool:
    return ("ConfigMap", pin["metadata"]["name"]) in pinned.unwritten


def _projection(observed: Observed, decision: Decision, unpinned: Container[str]) -> Projection:
    status = decision.status
    return project(
        observed.model,
        status,
        decision.revisions,
        sizes=decision.sizes,
        split=split(status),
        left_behind=routing.left_behind(observed, status),
        lingering={
            child.revision or ""
            for child in observed.children
            if isinstance(child, Autoscaler) and child.terminating
        },
        learnt=observed.learnt,
        unpinned=unpinned,
    )


def _not_yet_reported(now: Sequence[str], before: Iterable[str]) -> list[str]:
    """Blockers of objects that had none before. Messages that change with every attempt are no news."""
    known = _of_same_objects(now, before)
    return [each for each in now if each not in known]


def _of_same_objects(now: Iterable[str], before: Iterable[str]) -> list[str]:
    """Blockers of objects that had one before; each begins with kind and name."""
    known = {each.partition(":")[0] for each in before}
    return [each for each in now if each.partition(":")[0] in known]


def _amounts(blockers: Blockers) -> tuple[bool, bool]:
    """Whether there are refusals, and failures that last."""
    return bool(blockers.refusals), bool(blockers.persisting)
