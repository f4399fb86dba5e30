"""A reconciler on a cluster in memory: every event, reconcile and fault happens when the test says so.

The operator's own client, store and reconciler run unchanged; what is not the operator's is the API server, at the
level of HTTP, the cluster's controllers and its nodes (`modelward.simulator`).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import aiohttp

from builders import NAME, NAMESPACE
from modelward.api.names import MANAGER, child_name
from modelward.api.objects import Key, Manifest
from modelward.cache.convert import is_labelled
from modelward.cache.store import Store
from modelward.clients.kube import Kube
from modelward.clients.resources import BY_KIND, HTTP_ROUTE, MODEL_DEPLOYMENT, POD, RUNTIMES, WATCHED
from modelward.controller.metrics import Metrics
from modelward.controller.reconcile import Reconciler
from modelward.controller.workqueue import WorkQueue
from modelward.rollout.fleet import NO_LIMITS, Limits
from modelward.simulator.api_server import ApiServer, Write, place
from modelward.simulator.connection import Answer, Connection
from modelward.simulator.controllers import Controllers
from modelward.simulator.gateway import Gateway
from modelward.simulator.nodes import Nodes
from modelward.simulator.simulation import START
from modelward.simulator.world import Version, World
from support.sampled import NothingMeasured

KEY: Final = (NAMESPACE, NAME)
USER: Final = "kubectl"
_HELD: Final = (*WATCHED, HTTP_ROUTE)
_UNLABELLED: Final = frozenset(resource.kind for resource in (MODEL_DEPLOYMENT, *RUNTIMES))
"""Kinds of ours: watched without a label."""
_MOST_ROUNDS: Final = 50
_KINDS: Final = {resource.plural: kind for kind, resource in BY_KIND.items()}

Forward = Callable[[], Awaitable[Answer]]
Behaviour = Callable[[Forward], Awaitable[Answer]]


# --- what a request may come to -----------------------------------------------------------------------------


def refused(code: int, reason: str, message: str = "so it is", **headers: str) -> Behaviour:
    """The API server says no, and stores nothing."""

    async def behave(_: Forward) -> Answer:
        body = {"kind": "Status", "reason": reason, "message": message}
        return Answer(code, body, {key.replace("_", "-"): value for key, value in headers.items()})

    return behave


async def lost(forward: Forward) -> Answer:
    """The request is carried out, and the connection ends before the answer."""
    await forward()
    raise aiohttp.ServerDisconnectedError


async def unsent(_: Forward) -> Answer:
    """There is no connection."""
    raise aiohttp.ClientConnectionError("refused")


def overtaken(act: Callable[[], object]) -> Behaviour:
    """Somebody else acts just before the request arrives."""

    async def behave(forward: Forward) -> Answer:
        act()
        return await forward()

    return behave


def answered(body: Mapping[str, Any], *, code: int = 200) -> Behaviour:
    """Another answer than one that the API server gives."""

    async def behave(_: Forward) -> Answer:
        return Answer(code, body)

    return behave


@dataclass(slots=True)
class Fault:
    """Requests of one kind that come to something else; `struck` counts them."""

    method: str
    kind: str
    name: str
    behave: Behaviour
    times: int
    struck: int = 0

    def concerns(self, method: str, path: str) -> bool:
        """Whether a request is one of them."""
        parts = path.partition("?")[0].split("/")
        kinds = {_KINDS[part] for part in parts if part in _KINDS}
        named = not self.name or self.name in parts
        return self.struck < self.times and method == self.method and self.kind in kinds and named


@dataclass(slots=True)
class FaultyConnection:
    """What `Kube` needs of an API client, with the faults that a test asks for."""

    connection: Connection
    faults: list[Fault] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of every request."""
    patience: float = 0.0
    """Seconds that the present request is given."""

    @property
    def configuration(self) -> Any:
        """Where the server is: here."""
        return self.connection.configuration

    @property
    def rest_client(self) -> "FaultyConnection":
        """Where requests are sent: here."""
        return self

    async def update_params_for_auth(self, *_: Any) -> None:
        """Nobody is asked for credentials."""

    async def request(self, method: str, url: str, **options: Any) -> Answer:
        """Carry one request out, or have it come to something else."""
        self.asked.append((method, url))
        self.patience = options.get("_request_timeout", 0.0)
        fault = next((each for each in self.faults if each.concerns(method, url)), None)
        if fault is None:
            return await self.connection.request(method, url, **options)
        fault.struck += 1
        return await fault.behave(lambda: self.connection.request(method, url, **options))


# --- the cluster --------------------------------------------------------------------------------------------


class MemoryCluster:
    """One API server, one operator, and a clock that stands still until a test moves it."""

    def __init__(self, *, limits: Limits = NO_LIMITS, clock: Callable[[], float] | None = None) -> None:
        """`clock` is the queue's, if that is not the test's own."""
        self.second = 0.0
        self.all_writes: list[Write] = []
        self.world = World(others=Version(load_seconds=0.0))
        self.server = ApiServer(now=self.now, written=self.all_writes.append)
        self._nodes = Nodes(
            server=self.server,
            world=self.world,
            start=START,
            second=lambda: self.second,
            note=lambda _: None,
        )
        self._controllers = Controllers(
            server=self.server, nodes=self._nodes, world=self.world, share=lambda *_: 1.0
        )
        self._gateway = Gateway(
            server=self.server, world=self.world, now=self.now, second=lambda: self.second
        )
        self.connection = FaultyConnection(Connection(self.server, lambda _: None))
        self.queue: WorkQueue[Key] = WorkQueue(clock=clock or (lambda: self.second))
        self._limits = limits
        self.start()

    def start(self) -> None:
        """Begin with a new operator, which has read everything once."""
        self.store = Store()
        self.sampling = NothingMeasured()
        self.metrics = Metrics(self.store)
        self.kube = Kube(self.connection)
        self.watch()
        self.reconciler = Reconciler(
            self.kube,
            self.store,
            self.queue,
            self.metrics,
            now=self.now,
            sampling=self.sampling,
            limits=self._limits,
        )

    def now(self) -> datetime:
        """The time, which the operator and the API server agree on."""
        return START + timedelta(seconds=self.second)

    # --- people and other programs --------------------------------------------------------------------------

    def create(self, raw: Manifest, by: str = USER) -> Manifest:
        """Create an object."""
        return self.server.create(raw, by)

    def edit(
        self,
        kind: str,
        name: str,
        change: Callable[[Manifest], object],
        *,
        by: str = USER,
        subresource: str = "",
    ) -> Manifest:
        """Change an object in place."""

        def edited(raw: Manifest) -> None:
            change(raw)

        return self.server.change((kind, NAMESPACE, name), by, edited, subresource=subresource)

    def spec(self, name: str = NAME, /, **fields: Any) -> None:
        """Change fields of a model's spec; None removes one."""

        def change(raw: Manifest) -> None:
            for key, value in fields.items():
                raw["spec"].pop(key, None) if value is None else raw["spec"].update({key: value})

        self.edit(MODEL_DEPLOYMENT.kind, name, change)

    def delete(self, kind: str, name: str) -> None:
        """Delete an object."""
        self.server.delete((kind, NAMESPACE, name), USER)

    def fail(self, method: str, kind: str, behave: Behaviour, *, name: str = "", times: int = 1_000) -> Fault:
        """From now on so many requests of this kind come to something else."""
        fault = Fault(method, kind, name, behave, times)
        self.connection.faults.append(fault)
        return fault

    def unanswered(self) -> Behaviour:
        """Nobody answers for as long as the operator waits."""

        async def behave(_: Forward) -> Answer:
            self.second += self.connection.patience
            raise TimeoutError

        return behave

    def reconnect(self) -> None:
        """No request fails any more."""
        self.connection.faults.clear()

    # --- the cluster's own doing ----------------------------------------------------------------------------

    def move(self) -> None:
        """Controllers, nodes and Gateway do all there is for them to do now."""
        for _ in range(_MOST_ROUNDS):
            before = self.server.version
            self._controllers.act()
            self._nodes.act()
            self._controllers.report()
            self._gateway.act()
            if before == self.server.version:
                return
        raise AssertionError("the cluster does not come to rest")

    def watch(self) -> None:
        """All events that the watches owe arrive."""
        for resource in _HELD:
            shown = {
                (raw["metadata"].get("namespace", ""), raw["metadata"]["name"]): raw
                for raw in self.server.find(resource.kind)
                if resource.kind in _UNLABELLED | {POD.kind} or is_labelled(raw)
            }
            for key, (uid, _) in self.store.versions(resource.kind).items():
                there = self.server.objects.get((resource.kind, *key))
                if there is None or there["metadata"]["uid"] != uid:
                    self.store.remove(resource.kind, *key, uid)
                elif key not in shown:  # it lost the label by which it is watched
                    version = int(there["metadata"]["resourceVersion"])
                    self.store.remove(resource.kind, *key, uid, version=version)
            for raw in shown.values():
                self.store.put(raw)

    # --- the operator ---------------------------------------------------------------------------------------

    async def reconcile(self, key: Key = KEY) -> float | None:
        """Reconcile once, by what the operator holds; returns the seconds until the next time."""
        return await self.reconciler.reconcile(key)

    async def run_until_quiet(self, key: Key = KEY) -> float | None:
        """Events arrive, the cluster moves and the operator reconciles until nothing is left to do now."""
        for _ in range(_MOST_ROUNDS):
            self.move()
            self.watch()
            before = self.server.version
            again = await self.reconcile(key)
            self.move()
            if again != 0.0 and before == self.server.version:
                return again
        raise AssertionError("the operator does not come to rest")

    async def after(self, seconds: float, key: Key = KEY) -> float | None:
        """Time passes; then `run_until_quiet`."""
        self.second += seconds
        return await self.run_until_quiet(key)

    # --- what can be seen -----------------------------------------------------------------------------------

    def writes(self) -> list[tuple[str, str, str]]:
        """Verb, kind and name of the operator's writes since this was last asked; the status of a model is `status`."""
        made = [
            (write.verb, write.subresource or write.place[0], write.place[2])
            for write in self.all_writes
            if write.manager == MANAGER
        ]
        self.all_writes.clear()
        return made

    def get(self, kind: str, name: str) -> Manifest:
        """An object, as it is stored."""
        return self.server.get(kind, NAMESPACE, name)

    def has(self, kind: str, name: str) -> bool:
        """Whether there is an object."""
        return (kind, NAMESPACE, name) in self.server.objects

    def names(self, kind: str) -> list[str]:
        """Names of all objects of a kind."""
        return [place(raw)[2] for raw in self.server.find(kind)]

    def status(self, name: str = NAME) -> Manifest:
        """The status of a model, as far as the operator has written one: without the default of the CRD."""
        found = dict(self.get(MODEL_DEPLOYMENT.kind, name).get("status") or {})
        return {} if found == {"observedGeneration": 0} else found

    def condition(self, kind: str = "Ready", name: str = NAME) -> tuple[str, str, str]:
        """Status, reason and message of a condition; empty if there is none."""
        for each in self.status(name).get("conditions", ()):
            if each["type"] == kind:
                return each["status"], each["reason"], each["message"]
        return "", "", ""

    def child(self, role: str = "stable", name: str = NAME) -> str:
        """Name of the Deployment and the snapshot of the stable or the canary revision."""
        return child_name(name, self.status(name)[f"{role}Revision"])
