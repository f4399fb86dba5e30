"""The operator as a process: start all parts, run until told to stop or a part fails, stop all parts."""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import kopf

from modelward import __version__
from modelward.clients.connection import connect
from modelward.clients.kube import Kube
from modelward.endpoints import Endpoints
from modelward.errors import ModelwardError, NotFound
from modelward.handlers import Intake, operator_settings, registry
from modelward.metrics import Metrics
from modelward.reconcile import Reconciler
from modelward.resync import Resync
from modelward.settings import Settings
from modelward.store import Key, Store
from modelward.workqueue import WorkQueue

STUCK_AFTER_SECONDS: Final = 60.0
"""An event loop that has not turned, or a queue that has due keys and hands out none, for this long is stuck."""
_HEARTBEAT_SECONDS: Final = 1.0
_RETRY_START_SECONDS: Final = 5.0

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


async def run(settings: Settings, kubeconfig: Path | None = None) -> None:
    """Run the operator until SIGTERM or SIGINT. Raises whatever ended it otherwise."""
    store, queue, pulse = Store(), WorkQueue[Key](clock=time.monotonic), _Pulse()
    metrics = Metrics(store)
    intake = Intake(store, queue)
    kube = Kube(await connect(kubeconfig), count=metrics.count_request)
    resync = Resync(kube, store, settings, metrics, changed=intake.changed, gone=intake.gone)
    endpoints = Endpoints(
        registry=metrics.registry,
        healthy=pulse.problem,
        ready=pulse.unready,
        before_scrape=lambda: metrics.queue_depth.set(queue.depth()),
    )
    reconciler = Reconciler(kube, store, queue, metrics, now=lambda: datetime.now(UTC))
    stop = _stop_on_signals()
    # From the start: waiting for an API server, or for the CRDs, is no reason for the kubelet to restart us.
    heart = asyncio.create_task(pulse.beat())
    try:
        port = await endpoints.start(settings.host, settings.port)
        logger.info("modelward %s listens on port %d", __version__, port)
        await _fill(resync, stop)
        pulse.filled = True
        intake.everything()
        watching = kopf.operator(
            registry=registry(intake, resync.resources(), kubeconfig),
            settings=operator_settings(resync.resources()),
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            standalone=True,
            stop_flag=stop,
        )
        parts = [watching, resync.run(), *(reconciler.work() for _ in range(settings.workers))]
        await _until_stopped(stop, parts)
    finally:
        pulse.stopping = True
        heart.cancel()
        await endpoints.stop()
        await kube.close()
        logger.info("stopped")


async def _fill(resync: Resync, stop: asyncio.Event) -> None:
    """Read everything once; wait for an API server that is not there, or has no CRDs, yet."""
    while not stop.is_set():
        try:
            await resync.fill()
        except NotFound as error:
            logger.warning("a kind is missing; are the CRDs installed (kubectl apply -f crds/)? %s", error)
        except ModelwardError as error:
            logger.warning("cannot read the cluster yet: %s", error)
        else:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _RETRY_START_SECONDS)


def _stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set. Kopf puts its own handlers over these once it runs."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _until_stopped(stop: asyncio.Event, parts: list[Coroutine[Any, Any, None]]) -> None:
    """Run all parts until one ends: Kopf ends on a signal, every other part only by a bug."""
    if stop.is_set():
        for part in parts:
            part.close()
        return
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
