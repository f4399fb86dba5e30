"""The simulation: a virtual clock, a cluster in memory, and the operator as it is.

Time stands still while anything is left to do and then jumps to the next moment at which something happens:
an act of the script, a pod that gets ready or crashes, a report of a Gateway, a poll of metrics, an event that
arrives, a requeue that the operator asked for.
"""

import heapq
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol, TypeVar

from modelward.api.names import MANAGER
from modelward.api.objects import Key, Manifest
from modelward.cache.convert import is_labelled, owner_uid
from modelward.cache.store import Store
from modelward.clients.kube import Kube
from modelward.clients.resources import HTTP_ROUTE, MODEL_DEPLOYMENT, POD, RUNTIMES, WATCHED
from modelward.controller.metrics import Metrics
from modelward.controller.reconcile import Reconciler
from modelward.controller.workqueue import FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS, WorkQueue
from modelward.errors import ModelwardError
from modelward.rollout.fleet import Limits
from modelward.runtimes.fetching import FetchPolicy
from modelward.simulator.api_server import ApiServer, Write
from modelward.simulator.connection import Connection
from modelward.simulator.controllers import Controllers
from modelward.simulator.gateway import Gateway
from modelward.simulator.meter import Meter
from modelward.simulator.nodes import Nodes
from modelward.simulator.traffic import Traffic
from modelward.simulator.world import World

START: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
"""When every rehearsal begins, whatever the time is."""
FETCH: Final = FetchPolicy(image="ghcr.io/modelward/modelward-fetch@sha256:" + "0" * 64)
"""Of every rehearsal: what would be fetched is not asked for."""
RESTART_SECONDS: Final = 2.0
"""From the end of an operator to the first reconcile of its successor."""
_MOST_ROUNDS: Final = 200
"""More rounds without the clock moving are a loop that never ends."""
_WATCHED: Final = frozenset(resource.kind for resource in (*WATCHED, HTTP_ROUTE))
_RUNTIMES: Final = frozenset(resource.kind for resource in RUNTIMES)

T = TypeVar("T")


class Stopped(BaseException):
    """The operator's process ends here, as by a kill."""


class Restless(AssertionError):
    """The operator reconciles again and again, and the clock does not move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something that a person does, or that happens to the cluster."""

    second: float
    words: str
    """Empty if `do` writes the line itself."""
    do: "Callable[[Simulation], None]"
    actor: str = "user"


@dataclass(slots=True, kw_only=True)
class Disturbance:
    """What goes wrong: nothing by default."""

    delay_seconds: Callable[[], float] = lambda: 0.0
    """How late the next event of a watch arrives."""
    stops: Callable[[int, str], bool] = lambda _number, _stage: False
    """Whether the operator ends at this write of its own (from 0), "before" or "after" it is carried out."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened: a write, or anything else in words."""

    second: float
    actor: str
    what: Write | str


class Watch(Protocol):
    """An observer."""

    def written(self, simulation: "Simulation", write: Write, /) -> None:
        """A write was carried out."""

    def settled(self, simulation: "Simulation", until: float, /) -> None:
        """All that was due is done; nothing will happen until that second."""


@dataclass(slots=True)
class _Operator:
    """One process: what it holds is lost when it ends."""

    store: Store
    reconciler: Reconciler
    meter: Meter
    reconciles: dict[Key, float] = field(default_factory=dict)
    """When each model is to be reconciled, in seconds of the clock."""
    failures: dict[Key, int] = field(default_factory=dict)


class Simulation:
    """Plays a script. What happened is in `happened`."""

    def __init__(
        self,
        acts: Sequence[Act],
        *,
        world: World | None = None,
        limits: Limits | None = None,
        without_gateway_api: bool = False,
        disturbance: Disturbance | None = None,
        watch: "Watch | None" = None,
    ) -> None:
        """`watch` is called for every write, and for every moment before time moves on."""
        self.second = 0.0
        self.happened: list[Happening] = []
        self.errors: list[tuple[float, ModelwardError]] = []
        """What the operator was refused; it reconciled again."""
        self.reconciles = 0
        """How often the operator has reconciled."""
        self.world = world or World()
        self._limits = limits or Limits()
        self._without_gateway_api = without_gateway_api
        self._acts = sorted(acts, key=lambda act: act.second)
        self._disturbance = disturbance or Disturbance()
        self._watch = watch
        self._events: list[tuple[float, int, str, Manifest]] = []
        self._event_count = 0
        self._operator_writes = 0
        self.server = ApiServer(now=self.now, written=self._written)
        self.nodes = Nodes(
            server=self.server, world=self.world, start=START, second=self._second, note=self._note_of_cluster
        )
        self.gateway = Gateway(server=self.server, world=self.world, now=self.now, second=self._second)
        self.traffic = Traffic(server=self.server, world=self.world, nodes=self.nodes, gateway=self.gateway)
        self.controllers = Controllers(
            server=self.server, nodes=self.nodes, world=self.world, share=self.traffic.share
        )
        self._operator = self._started()

    def now(self) -> datetime:
        """The time of the virtual clock."""
        return START + timedelta(seconds=self.second)

    def run(self, until: float) -> None:
        """Play until that second."""
        while True:
            self._run_until_quiet()
            upcoming = self._next_second()
            if upcoming is None or upcoming > until:
                self._pass(until)
                return
            self._pass(max(self.second, upcoming))

    def restart(self) -> None:
        """End the operator, and start it anew with what the cluster holds."""
        self._operator = self._started()

    def plan(self, act: Act) -> None:
        """Add an act to the script, while it is played."""
        self._acts = sorted([*self._acts, act], key=lambda each: each.second)

    def model(self) -> Manifest:
        """The one ModelDeployment of the script; of several the first."""
        return next(self.server.find(MODEL_DEPLOYMENT.kind))

    def note(self, actor: str, words: str) -> None:
        """Note what a reader of the story should know."""
        self.happened.append(Happening(self.second, actor, words))

    @property
    def writes(self) -> list[tuple[float, Write]]:
        """All writes, with the second of each."""
        return [(each.second, each.what) for each in self.happened if isinstance(each.what, Write)]

    # --- time -----------------------------------------------------------------------------------------------

    def _second(self) -> float:
        return self.second

    def _pass(self, second: float) -> None:
        """Nothing but requests happens until then."""
        if self._watch and second > self.second:
            self._watch.settled(self, second)
        self.traffic.advance(second - self.second)
        self.second = second

    def _run_until_quiet(self) -> None:
        """Do all that is due now."""
        for _ in range(_MOST_ROUNDS):
            steps = (self._act, self._move_cluster, self._deliver, self._measure, self._reconcile)
            if not sum(step() for step in steps):  # all of them, so not any()
                return
        raise Restless(f"after {_MOST_ROUNDS} rounds there is still something to do at {self.second} s")

    def _next_second(self) -> float | None:
        times = [
            *(act.second for act in self._acts[:1]),
            self.nodes.next_second(),
            self.gateway.next_second(),
            *(event[0] for event in self._events[:1]),
            self._operator.meter.next_second(),
            *self._operator.reconciles.values(),
        ]
        return min((time for time in times if time is not None), default=None)

    def _act(self) -> bool:
        acted = False
        while self._acts and self._acts[0].second <= self.second:
            act = self._acts.pop(0)
            if act.words:
                self.note(act.actor, act.words)
            act.do(self)
            acted = True
        return acted

    def _move_cluster(self) -> bool:
        before = self.server.version
        self.controllers.act()
        self.nodes.act()
        self.controllers.report()
        self.gateway.act()
        return before != self.server.version

    def _note_of_cluster(self, words: str) -> None:
        self.note("cluster", words)

    # --- watches --------------------------------------------------------------------------------------------

    def _written(self, write: Write) -> None:
        self.happened.append(Happening(self.second, write.manager, write))
        if self._watch:
            self._watch.written(self, write)
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

    def _take(self, kind: str, raw: Manifest) -> None:
        """What the operator's intake does with an event."""
        store, metadata = self._operator.store, raw["metadata"]
        place = metadata.get("namespace", ""), metadata["name"]
        if not _is_watched(raw):
            if store.named(raw["kind"], *place):  # it lost the label by which it was watched
                store.remove(raw["kind"], *place, metadata["uid"], version=int(metadata["resourceVersion"]))
                self._wake(raw)
            return
        pod_of = store.model_of_pod(*place)
        if kind == "DELETED":
            store.remove(raw["kind"], *place, metadata["uid"])
        elif not store.put(raw):
            return
        self._wake(raw, pod_of)

    def _wake(self, raw: Mapping[str, Any], pod_of: Key | None = None) -> None:
        """Requeue the models that an object concerns."""
        store, metadata = self._operator.store, raw["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        keys: list[Key] = []
        if raw["kind"] == MODEL_DEPLOYMENT.kind:
            keys = [(namespace, name)]
        elif raw["kind"] in _RUNTIMES:
            keys = list(store.models())
        elif raw["kind"] == POD.kind:
            owner = pod_of or store.model_of_pod(namespace, name)
            keys = [owner] if owner and store.follows_pods(owner) else []
        elif owner := store.owner(owner_uid(metadata), namespace):
            keys = [owner]
        elif raw["kind"] == HTTP_ROUTE.kind:
            keys = list(store.referring(namespace, name))
        self._operator.reconciles.update(dict.fromkeys(keys, self.second))

    # --- the operator ---------------------------------------------------------------------------------------

    def _started(self) -> _Operator:
        store = Store(newer=self._wake)
        if self._without_gateway_api:
            store.absent = {HTTP_ROUTE.kind: "this cluster does not have the kind"}
        for raw in self.server.objects.values():
            if raw["kind"] in _WATCHED and _is_watched(raw):
                store.put(raw)
        self._events.clear()
        queue: WorkQueue[Key] = WorkQueue(clock=self._second)
        kube = Kube(Connection(self.server, self._interrupt, self.world.refused))
        meter = Meter(
            server=self.server,
            world=self.world,
            nodes=self.nodes,
            traffic=self.traffic,
            start=START,
            second=self._second,
        )
        reconciler = Reconciler(
            kube,
            store,
            queue,
            Metrics(store),
            now=self.now,
            sampling=meter,
            limits=self._limits,
            fetch=FETCH,
        )
        begin = self.second + (RESTART_SECONDS if self.second else 0.0)
        return _Operator(store, reconciler, meter, dict.fromkeys(store.models(), begin))

    def _interrupt(self, stage: str) -> None:
        stops = self._disturbance.stops(self._operator_writes, stage)
        if stage == "after" or stops:
            self._operator_writes += 1
        if stops:
            raise Stopped

    def _measure(self) -> bool:
        """Metrics are read in the background; what is new requeues the model."""
        news = list(self._operator.meter.act())
        self._operator.reconciles.update(dict.fromkeys(news, self.second))
        return bool(news)

    def _reconcile(self) -> bool:
        operator = self._operator
        due = [key for key, second in operator.reconciles.items() if second <= self.second]
        for key in due:
            del operator.reconciles[key]
            self.reconciles += 1
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
                operator.reconciles[key] = min(
                    self.second + again, operator.reconciles.get(key, float("inf"))
                )
            for waiting in operator.reconciler.admitted_after(key):
                operator.reconciles[waiting] = self.second
        return bool(due)


def _is_watched(raw: Manifest) -> bool:
    """Of kinds that are not ours the operator watches what carries its label."""
    return raw["kind"] == MODEL_DEPLOYMENT.kind or raw["kind"] in _RUNTIMES or is_labelled(raw)


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
