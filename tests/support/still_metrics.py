"""A Prometheus in a thread of its own, whose counters stand still: metrics can be had, and say nothing."""

import asyncio
import queue
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from support.little_prometheus import LittlePrometheus, Timeseries, little_prometheus

STARTS_WITHIN_SECONDS = 30


@contextmanager
def still_metrics() -> Iterator[LittlePrometheus]:
    """Yield the server; it knows no series yet."""
    loop, ended = asyncio.new_event_loop(), asyncio.Event()
    started: queue.Queue[LittlePrometheus] = queue.Queue()

    async def serve() -> None:
        async with little_prometheus() as server:
            started.put(server)
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    try:
        yield started.get(timeout=STARTS_WITHIN_SECONDS)
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


def counters(pods: Iterable[Mapping[str, Any]], *names: str) -> list[Timeseries]:
    """One series of each name for each pod."""
    return [
        Timeseries(
            labels={
                "__name__": name,
                "pod": pod["metadata"]["name"],
                "namespace": pod["metadata"]["namespace"],
            },
            value=lambda _: 100.0,
        )
        for pod in pods
        for name in names
    ]
