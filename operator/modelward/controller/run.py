"""The operator as a process: start all parts, run until asked to stop or a part fails, stop all parts."""

import asyncio
import functools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import kopf

from modelward import __version__
from modelward.api.names import MANAGER
from modelward.api.objects import Key
from modelward.cache.discovery import Discovery
from modelward.cache.store import Store
from modelward.clients.connection import connect, own_namespace
from modelward.clients.kopf_session import kopf_session
from modelward.clients.kube import Kube
from modelward.clients.write_gate import Gate
from modelward.controller.endpoints import Endpoints
from modelward.controller.handlers import Intake, operator_settings, registry
from modelward.controller.metrics import Metrics
from modelward.controller.reconcile import Reconciler
from modelward.controller.resync import Resync
from modelward.controller.watch import Watching, report_broken
from modelward.controller.workqueue import WorkQueue
from modelward.errors import ModelwardError, NotFound
from modelward.leader.identity import own_identity
from modelward.leader.leader import Leader, Pace, Term
from modelward.leader.lease import Lease
from modelward.rollout.fleet import Limits
from modelward.runtimes.fetching import FetchPolicy
from modelward.sampling.fetch_progress import fetch_progress
from modelward.sampling.models import sampling, steady_clock
from modelward.sampling.supervisor import Supervisor
from modelward.settings import FetchSettings, LeaderElectionSettings, Settings

STUCK_AFTER_SECONDS: Final = 60.0
"""An event loop that has not turned, or a queue that has due keys and hands out none, for this long is stuck."""
_HEARTBEAT_SECONDS: Final = 1.0
_RETRY_START_SECONDS: Final = 5.0
_RETRY_TAKE_OVER_SECONDS: Final = 1.0

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Pulse:
    """When the event loop last turned, and whether the start is over."""

    last: float = field(default_factory=time.monotonic)
    filled: bool = False
    stopping: bool = False

    async def beat(self) -> None:
        while True:
            self.last = time.monotonic()
            await asyncio.sleep(_HEARTBEAT_SECONDS)

    def problem(self) -> str:
        silent = time.monotonic() - self.last
        return f"the event loop has not turned for {silent:.0f} s" if silent > STUCK_AFTER_SECONDS else ""

    def unready(self) -> str:
        if self.stopping:
            return "stopping"
        return "" if self.filled else "the first list of all objects is not complete"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Core:
    """What all parts share: what is held, what is due, and the way to the API server."""

    settings: Settings
    kubeconfig: Path | None
    kube: Kube
    store: Store
    queue: WorkQueue[Key]
    metrics: Metrics
    intake: Intake
    resync: Resync
    discovery: Discovery
    sampling: Supervisor


async def run(settings: Settings, kubeconfig: Path | None = None) -> None:
    """Run the operator until SIGTERM or SIGINT. Raises whatever ended it otherwise."""
    pulse, gate, identity = _Pulse(), Gate(), own_identity()
    agent = f"{MANAGER}/{__version__} ({identity})"
    core = await _core(settings, kubeconfig, gate, agent)
    lease_kube = Kube(await connect(kubeconfig), agent=agent)
    leader = _leader(
        settings.leader_election,
        lease_kube,
        gate,
        identity=identity,
        namespace=settings.leader_election.namespace or own_namespace(kubeconfig),
    )
    # From the start: waiting for an API server, or for the CRDs, is no reason for the kubelet to restart us.
    heart = asyncio.create_task(pulse.beat())
    parts = _Parts(
        core=core, pulse=pulse, gate=gate, leader=leader, endpoints=_endpoints(core, pulse, gate, leader)
    )
    try:
        await _run_kopf(core, parts)
        parts.check()
    finally:
        heart.cancel()
        await core.kube.close()
        await lease_kube.close()
        logger.info("stopped")


@dataclass(slots=True, kw_only=True)
class _Parts:
    """What runs beside Kopf's watches: Kopf starts it before them, and stops it after them."""

    core: _Core
    pulse: _Pulse
    gate: Gate
    leader: Leader
    endpoints: Endpoints
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Is set when a part has ended, which by itself only a bug can do: then all end."""
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self, **_: Any) -> None:
        """Read the whole cluster, then start all parts."""
        settings = self.core.settings
        try:
            port = await self.endpoints.start(settings.host, settings.port)
            logger.info("modelward %s listens on port %d", __version__, port)
            await _fill(self.core.discovery, self.core.resync)
        except BaseException:
            await self.stop()  # Kopf stops only what it has started as a whole
            raise
        self.pulse.filled = True
        term = functools.partial(_work, self.core)
        leading = self.leader.run(term) if settings.leader_election.enabled else _alone(term, self.gate)
        for part in (leading, _watching(self.core).run(), self.core.discovery.run(), self.core.resync.run()):
            task = asyncio.create_task(part)
            task.add_done_callback(lambda _: self.ended.set())
            self.tasks.append(task)

    async def stop(self, **_: Any) -> None:
        """Stop all parts; the Lease is given back."""
        self.pulse.stopping = True
        self.ended.set()  # Kopf waits for whoever waits for it
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.endpoints.stop()

    def check(self) -> None:
        """Raise what has ended a part."""
        for task in self.tasks:
            if not task.cancelled():
                task.result()


async def _run_kopf(core: _Core, parts: _Parts) -> None:
    """The one Kopf of the process: it takes the signals, starts and stops all parts, and watches our own kinds."""
    ours = {each.plural: each for each in core.resync.resources() if each.ours}

    async def log_in() -> kopf.AiohttpSession:
        api = await connect(core.kubeconfig)
        return kopf.AiohttpSession(server=api.configuration.host, aiohttp_session=kopf_session(api, failed))

    def failed(plural: str, why: str) -> None:
        report_broken(core.metrics, ours[plural].kind, plural, why)

    handlers = registry(core.intake.event, ours.values(), log_in)
    kopf.on.startup(registry=handlers, id="start", errors=kopf.ErrorsMode.PERMANENT)(parts.start)
    kopf.on.cleanup(registry=handlers, id="stop", errors=kopf.ErrorsMode.PERMANENT)(parts.stop)
    await kopf.operator(
        registry=handlers,
        settings=operator_settings(),
        standalone=True,
        clusterwide=not core.settings.namespaces,
        namespaces=core.settings.namespaces,
        stop_flag=parts.ended,
    )


async def _core(settings: Settings, kubeconfig: Path | None, gate: Gate, agent: str) -> _Core:
    store = Store()
    queue = WorkQueue[Key](clock=time.monotonic, is_urgent=store.is_live)
    metrics, intake = Metrics(store), Intake(store, queue)
    kube = Kube(await connect(kubeconfig, may_write=gate.check), count=metrics.count_request, agent=agent)
    resync = Resync(kube, store, settings, metrics, gone=intake.gone, events=intake.events)
    return _Core(
        settings=settings,
        kubeconfig=kubeconfig,
        kube=kube,
        store=store,
        queue=queue,
        metrics=metrics,
        intake=intake,
        resync=resync,
        discovery=Discovery(kube, store, settings.namespaces),
        sampling=_supervisor(metrics),
    )


def _supervisor(metrics: Metrics) -> Supervisor:
    """Of the tasks that read metrics; it is there before the first and after the last of them, and so are its figures."""
    supervisor = Supervisor(begun_again=metrics.sampling_restarts.inc)
    metrics.sampling_age_seconds.set_function(supervisor.age_seconds)
    return supervisor


def _endpoints(core: _Core, pulse: _Pulse, gate: Gate, leader: Leader) -> Endpoints:
    queue, depth = core.queue, core.metrics.queue_depth
    return Endpoints(
        registry=core.metrics.registry,
        healthy=(pulse.problem, leader.stuck, core.resync.dead),
        ready=(pulse.unready, leader.trouble, core.resync.old, core.sampling.silent),
        before_scrape=lambda: depth.set(queue.depth() if gate.left() > 0 else 0),
    )


def _watching(core: _Core) -> Watching:
    """The watches of all kinds that are not ours."""
    return Watching(
        kube=core.kube,
        resync=core.resync,
        discovery=core.discovery,
        event=core.intake.event,
        everything=core.intake.everything,
    )


def _fetch_policy(settings: FetchSettings) -> FetchPolicy:
    return FetchPolicy(
        image=settings.image,
        max_bytes=settings.max_bytes,
        max_files=settings.max_files,
        resources={
            "requests": {"cpu": settings.cpu_request, "memory": settings.memory_request},
            "limits": {"memory": settings.memory_limit},
        },
        plain_http_hosts=settings.plain_http_hosts,
        mlflow_tracking_uri=settings.mlflow.tracking_uri,
        hugging_face_endpoint=settings.hugging_face.endpoint,
    )


async def _work(core: _Core) -> None:
    """What a leader does, and nobody else."""
    core.store.forget_applied()
    core.queue.clear()
    core.intake.everything()
    urgent, counted = functools.partial(core.queue.add, urgent=True), core.metrics.count_page_read
    with core.metrics.leading():
        await _freshen(core.resync)
        async with (
            sampling(core.store, core.settings.metrics, urgent, core.sampling, counted) as (sampler, rest),
            fetch_progress() as progress,
        ):
            reconciler = Reconciler(
                core.kube,
                core.store,
                core.queue,
                core.metrics,
                now=_steady_now(),
                sampling=sampler,
                limits=_limits(core.settings),
                lag_seconds=core.settings.gateway.lag_seconds,
                fetch=_fetch_policy(core.settings.fetch),
                progress=progress,
            )
            workers = (reconciler.work() for _ in range(core.settings.workers))
            await asyncio.gather(rest.run(), *workers)


def _steady_now() -> Callable[[], datetime]:
    """The time of day, which never goes back or jumps: the clock on the wall as it was, and what has passed since."""
    clock = steady_clock()
    return lambda: datetime.fromtimestamp(clock(), UTC)


def _limits(settings: Settings) -> Limits:
    rollouts = settings.rollouts
    return Limits(
        fleet=rollouts.max_concurrent or None, namespace=rollouts.max_concurrent_per_namespace or None
    )


def _leader(
    settings: LeaderElectionSettings,
    kube: Kube,
    gate: Gate,
    *,
    identity: str,
    namespace: str,
) -> Leader:
    lease = Lease(
        kube=kube, namespace=namespace, name=settings.name, identity=identity, seconds=settings.lease_seconds
    )
    pace = Pace(renew_deadline=settings.renew_deadline_seconds, retry=settings.retry_seconds)
    return Leader(lease=lease, gate=gate, pace=pace)


async def _alone(work: Term, gate: Gate) -> None:
    """Work without a Lease: somebody has promised that there is no other operator."""
    logger.warning("leader election is off: this must be the only operator of its models")
    gate.open()
    try:
        await work()
    finally:
        gate.shut()


async def _freshen(resync: Resync) -> None:
    """Make sure that what is held is true as of now, whatever another leader did last."""
    while True:
        try:
            await resync.freshen()
        except ModelwardError as error:
            logger.warning("cannot take over yet: %s", error)
            await asyncio.sleep(_RETRY_TAKE_OVER_SECONDS)
        else:
            return


async def _fill(discovery: Discovery, resync: Resync) -> None:
    """Read everything once; wait for an API server that is not there, or has no CRDs, yet."""
    while True:
        try:
            await discovery.poll()
            await resync.fill()
        except NotFound as error:
            logger.warning("a kind is missing; are the CRDs installed (kubectl apply -f crds/)? %s", error)
        except ModelwardError as error:
            logger.warning("cannot read the cluster yet: %s", error)
        else:
            return
        await asyncio.sleep(_RETRY_START_SECONDS)
