"""The simulation: a virtual clock, a cluster in memory, and the operator as it is.

Time stands still while anything is left to do and then jumps to the next moment at which something happens:
an act of the script, a pod that gets ready, an event that arrives, a look that the operator asked for.
"""

import heapq
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from modelward.api.names import MANAGER
from modelward.clients.kube import Kube
from modelward.clients.resources import MODEL_DEPLOYMENT, POD, RUNTIMES, WATCHED
from modelward.errors import ModelwardError
from modelward.gather import NothingMeasured
from modelward.metrics import Metrics
from modelward.reconcile import Reconciler
from modelward.rehearsal.api_server import ApiServer, Connection, Raw, Write
from modelward.rehearsal.controllers import Controllers
from modelward.store import Key, Store
from modelward.trim import is_labelled, owner_uid
from modelward.workqueue import FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS, WorkQueue

START: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
"""When every rehearsal begins, whatever the time is."""
RESTART_SECONDS: Final = 2.0
"""From the end of an operator to the first look of its successor."""
_MOST_ROUNDS: Final = 200
"""More rounds without the clock moving are a loop that never ends."""
_WATCHED: Final = frozenset(resource.kind for resource in (*WATCHED, POD))

T = TypeVar("T")


class Stopped(BaseException):
    """The operator's process ends here, as by a kill."""


class Restless(AssertionError):
    """The operator looks again and again, and the clock does not move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something that a person does."""

    second: float
    words: str
    do: "Callable[[Simulation], None]"


@dataclass(slots=True, kw_only=True)
class Disturbance:
    """What goes wrong: nothing, unless told."""

    delay_seconds: Callable[[], float] = lambda: 0.0
    """How late the next event of a watch arrives."""
    stops: Callable[[int, str], bool] = lambda _number, _stage: False
    """Whether the operator ends at this write of its own (from 0), "before" or "after" it is carried out."""


@dataclass(slots=True)
class _Operator:
    """One process: what it holds is lost when it ends."""

    store: Store
    reconciler: Reconciler
    looks: dict[Key, float] = field(default_factory=dict)
    """When each model is to be looked at, in seconds of the clock."""
    failures: dict[Key, int] = field(default_factory=dict)


class Simulation:
    """Plays a script. What was written is in `writes`, with the second of each."""

    def __init__(
        self,
        acts: Sequence[Act],
        *,
        load_seconds: dict[str, float | None] | None = None,
        disturbance: Disturbance | None = None,
        watch: "Callable[[Simulation, Write], None] | None" = None,
    ) -> None:
        """`watch` is told of every write, once it is carried out."""
        self.second = 0.0
        self.writes: list[tuple[float, Write]] = []
        self.told: list[tuple[float, str]] = []
        """The words of the acts."""
        self.errors: list[tuple[float, ModelwardError]] = []
        """What the operator was refused; it looked again."""
        self._acts = sorted(acts, key=lambda act: act.second)
        self._disturbance = disturbance or Disturbance()
        self._watch = watch
        self._events: list[tuple[float, int, str, Raw]] = []
        self._event_count = 0
        self._operator_writes = 0
        self.server = ApiServer(now=self.now, written=self._written)
        self.controllers = Controllers(server=self.server, now=self.now, load_seconds=load_seconds or {})
        self._operator = self._started()

    def now(self) -> datetime:
        """The time of the virtual clock."""
        return START + timedelta(seconds=self.second)

    def run(self, until: float) -> None:
        """Play until that second."""
        while True:
            self._settle()
            following = self._next_second()
            if following is None or following > until:
                self.second = until
                return
            self.second = max(self.second, following)

    def restart(self) -> None:
        """End the operator, and start it anew with what the cluster tells."""
        self._operator = self._started()

    def model(self) -> Raw:
        """The one ModelDeployment of the script."""
        (only,) = self.server.find(MODEL_DEPLOYMENT.kind)
        return only

    # --- time ---------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Do all that is due now."""
        for _ in range(_MOST_ROUNDS):
            steps = (self._act, self.controllers.act, self._deliver, self._look)
            if not sum(step() for step in steps):  # all of them, so not any()
                return
        raise Restless(f"after {_MOST_ROUNDS} rounds there is still something to do at {self.second} s")

    def _next_second(self) -> float | None:
        pods = self.controllers.next_time()
        times = [
            *(act.second for act in self._acts[:1]),
            *((pods - START).total_seconds() for pods in (pods,) if pods),
            *(event[0] for event in self._events[:1]),
            *self._operator.looks.values(),
        ]
        return min(times, default=None)

    def _act(self) -> bool:
        acted = False
        while self._acts and self._acts[0].second <= self.second:
            act = self._acts.pop(0)
            self.told.append((self.second, act.words))
            act.do(self)
            acted = True
        return acted

    # --- watches --------------------------------------------------------------------------------------------

    def _written(self, write: Write) -> None:
        self.writes.append((self.second, write))
        if self._watch:
            self._watch(self, write)
        if write.place[0] in _WATCHED and write.before != write.after:
            due = self.second + self._disturbance.delay_seconds()
            self._event_count += 1
            kind = "DELETED" if write.after is None else "MODIFIED"
            heapq.heappush(self._events, (due, self._event_count, kind, write.object))

    def _deliver(self) -> bool:
        delivered = False
        while self._events and self._events[0][0] <= self.second:
            _, _, kind, raw = heapq.heappop(self._events)
            self._take(kind, raw)
            delivered = True
        return delivered

    def _take(self, kind: str, raw: Raw) -> None:
        """What the operator's intake does with an event."""
        store, metadata = self._operator.store, raw["metadata"]
        if raw["kind"] != MODEL_DEPLOYMENT.kind and not _is_watched(raw):
            return
        place = metadata.get("namespace", ""), metadata["name"]
        owner = store.owner(owner_uid(metadata)) or store.model_of_pod(*place)
        if kind == "DELETED":
            store.remove(raw["kind"], *place, metadata["uid"])
        elif not store.put(raw):
            return
        if raw["kind"] == MODEL_DEPLOYMENT.kind:
            self._operator.looks[metadata["namespace"], metadata["name"]] = self.second
        elif raw["kind"] in {resource.kind for resource in RUNTIMES}:
            self._operator.looks.update(dict.fromkeys(store.models(), self.second))
        elif raw["kind"] == POD.kind:
            owner = owner or store.model_of_pod(*place)
            if owner and store.is_live(owner):
                self._operator.looks[owner] = self.second
        elif owner:
            self._operator.looks[owner] = self.second

    # --- the operator ---------------------------------------------------------------------------------------

    def _started(self) -> _Operator:
        store = Store()
        for raw in self.server.objects.values():
            if raw["kind"] in _WATCHED and _is_watched(raw):
                store.put(raw)
        self._events.clear()
        queue: WorkQueue[Key] = WorkQueue(clock=lambda: self.second)
        kube = Kube(Connection(self.server, self._interrupt))
        reconciler = Reconciler(
            kube, store, queue, Metrics(store), now=self.now, sampling=NothingMeasured()
        )
        begin = self.second + (RESTART_SECONDS if self.second else 0.0)
        return _Operator(store, reconciler, dict.fromkeys(store.models(), begin))

    def _interrupt(self, stage: str) -> None:
        stops = self._disturbance.stops(self._operator_writes, stage)
        if stage == "after" or stops:
            self._operator_writes += 1
        if stops:
            raise Stopped

    def _look(self) -> bool:
        operator = self._operator
        due = [key for key, second in operator.looks.items() if second <= self.second]
        for key in due:
            del operator.looks[key]
            try:
                again = finished(operator.reconciler.reconcile(key))
            except Stopped:
                self.restart()
                return True
            except ModelwardError as error:
                self.errors.append((self.second, error))
                count = operator.failures[key] = operator.failures.get(key, 0) + 1
                again = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** (count - 1))
            else:
                operator.failures.pop(key, None)
            if again is not None:
                operator.looks[key] = min(self.second + again, operator.looks.get(key, float("inf")))
        return bool(due)


def _is_watched(raw: Raw) -> bool:
    """Of kinds that are not ours the operator watches what carries its label."""
    return raw["kind"] in {each.kind for each in (MODEL_DEPLOYMENT, *RUNTIMES)} or is_labelled(raw)


def by_operator(write: Write) -> bool:
    """Whether the operator made the write."""
    return write.manager == MANAGER


def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that never has to wait: nothing here does."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    raise RuntimeError("a rehearsal must not wait for anything")
