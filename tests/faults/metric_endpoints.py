"""What fake pods measure: a Prometheus and a metrics page for each pod, made from what a recorder sees of them.

Nothing runs on a fake node, and nobody answers at the address of a pod there. So the operator of these tests reads the
page of a pod from a server on the loopback, by the address that it would have asked (`redirected`); all the rest is its
own way. Each pod answers so many requests a second since a Service selected it; a version that is called "bad" answers a third
of them with an error. A pod that answered before it has weight would have taught the operator that nobody is a user.
"""

import asyncio
import math
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import yaml
from aiohttp import web
from yarl import URL

from faults.recorder import Raw, Recorder
from faults.story import MODEL_LABEL
from modelward.clients.scrape import Page
from support.little_prometheus import LittlePrometheus, Timeseries

SOURCE: Final = "prometheus"
"""What models call the Prometheus."""
BAD: Final = "bad"
METRIC: Final = "requests_total"
PAGES: Final = "MODELWARD_TEST_PAGES"
"""Environment variable: where pages are read instead; not set, at the pods."""
PROGRAM: Final = ("-m", "faults.metric_endpoints")
"""The `program` of an OperatorProcess that reads pages there."""
_PER_SECOND: Final = 200.0
_BAD_SHARE: Final = 0.3
_SCRAPE_SECONDS: Final = 0.5


def redirected() -> None:
    """Have this process read the pages of pods where the environment says."""
    if base := os.environ.get(PAGES):
        Page.url = property(lambda page: URL(f"{base}/{page.address}{page.path}"))  # type: ignore[method-assign, assignment]


class MetricEndpoints:
    """Serves what the recorder's pods measure. Use as a context manager."""

    def __init__(self, recorder: Recorder) -> None:
        """`recorder` runs as long as this does."""
        self._recorder = recorder
        self._prometheus = LittlePrometheus()
        self._seen: dict[str, tuple[Raw, float]] = {}
        """Pods by uid, those that are gone as well: a Prometheus remembers. With the time at which they went."""
        self._served: dict[str, float] = {}
        """Since when a Service has selected a pod, by the pod's uid."""
        self._asked: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self._runner = web.AppRunner(self._application(), access_log=None)
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def environment(self) -> dict[str, str]:
        """Of an operator that reads pages here."""
        return {PAGES: self.url}

    def settings(self, file: Path) -> str:
        """The flag of an operator that has this as its metric source; `file` is written."""
        source = {"name": SOURCE, "url": self.url, "delaySeconds": 0}
        file.write_text(yaml.safe_dump({"metrics": {"sources": [source]}}), encoding="utf-8")
        return f"--settings={file}"

    def asked(self, model: str) -> int:
        """How often somebody was shown what the pods of a model measure."""
        return self._asked[model]

    # --- the thread -----------------------------------------------------------------------------------------

    async def _start(self) -> None:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    def _application(self) -> web.Application:
        application = web.Application()
        application.add_routes(
            [
                web.post("/api/v1/query", self._query),
                web.post("/api/v1/query_range", self._query),
                web.get("/{address}/metrics", self._page),
            ]
        )
        return application

    async def _query(self, request: web.Request) -> web.Response:
        self._look()
        self._prometheus.series = [
            series for raw, last in self._seen.values() for series in self._counters(raw, last)
        ]
        query = str((await request.post())["query"])
        self._asked.update({_model(raw) for raw, _ in self._seen.values() if _model(raw) in query})
        instant = request.path.endswith("/query")
        return await (self._prometheus.instant(request) if instant else self._prometheus.range(request))

    async def _page(self, request: web.Request) -> web.Response:
        self._look()
        address, now = request.match_info["address"], time.time()
        for raw, last in self._seen.values():
            if (raw.get("status") or {}).get("podIP") == address and last == math.inf:
                self._asked[_model(raw)] += 1
                lines = [
                    f'{METRIC}{{code="{each.labels["code"]}"}} {each.value(now)}'
                    for each in self._counters(raw, last)
                ]
                return web.Response(
                    text=f"# TYPE {METRIC} counter\n" + "".join(f"{line}\n" for line in lines)
                )
        raise web.HTTPNotFound

    def _look(self) -> None:
        """Take in which pods there are now."""
        there = {raw["metadata"]["uid"]: raw for raw in self._recorder.everything("Pod")}
        for uid, (raw, last) in self._seen.items():
            if uid not in there and last == math.inf:
                self._seen[uid] = raw, time.time()
        self._seen |= {
            uid: (raw, math.inf) for uid, raw in there.items() if "podIP" in (raw.get("status") or {})
        }
        services, now = self._recorder.everything("Service"), time.time()
        for uid, raw in there.items():
            if uid not in self._served and any(_selects(service, raw) for service in services):
                self._served[uid] = now

    def _counters(self, pod: Raw, last: float) -> Iterator[Timeseries]:
        """Good and bad answers of a pod since it serves."""
        metadata = pod["metadata"]
        began = self._served.get(metadata["uid"], math.inf)
        bad = _BAD_SHARE if _version(pod) == BAD else 0.0
        own = {
            "namespace": metadata["namespace"],
            "pod": metadata["name"],
            "job": "pods",
            "instance": metadata["uid"],
        }
        for code, share in (("200", 1 - bad), ("500", bad)):
            yield Timeseries(
                labels={"__name__": METRIC, **own, "code": code},
                value=lambda at, share=share: math.floor(max(0.0, at - began) * _PER_SECOND * share),  # type: ignore[misc]
                every=_SCRAPE_SECONDS,
                first=datetime.fromisoformat(metadata["creationTimestamp"]).timestamp(),
                last=last,
            )


def _selects(service: Raw, pod: Raw) -> bool:
    """Whether the Service sends the pod requests."""
    selector = service["spec"].get("selector") or {}
    alike = service["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return alike and bool(selector) and selector.items() <= (pod["metadata"].get("labels") or {}).items()


def _model(pod: Raw) -> str:
    return str((pod["metadata"].get("labels") or {}).get(MODEL_LABEL, ""))


def _version(pod: Raw) -> str:
    variables = pod["spec"]["containers"][0].get("env") or ()
    return next((each["value"] for each in variables if each["name"] == "MODEL_VERSION"), "")


if __name__ == "__main__":
    from modelward_cli import main

    redirected()
    main()
