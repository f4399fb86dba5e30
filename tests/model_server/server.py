"""The server: protocol routes, metrics, faults, and an orderly end.

Live means the process answers. Ready means the model is loaded and nobody has asked the process to end.
"""

import asyncio
import json
import logging
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from model_server import pages
from model_server.faults import Faults, parse_faults
from model_server.metrics import Metrics
from model_server.model import Model, ModelError, load, scores, shift_scores
from model_server.protocol import RequestError, decode, encode
from model_server.settings import Settings

LOG = logging.getLogger("model_server")
BODY_BYTES = 16 * 2**20
ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - a pod's; one family, so that port 0 gives one port
HANG_SECONDS = 60.0
FINISH_SECONDS = 30.0  # for requests in flight once nothing new is accepted
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def failure(status: int, message: str) -> web.Response:
    """An error as the protocol words it."""
    return web.json_response({"error": message}, status=status)


class Server:
    """State of one server process and its request handlers."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.faults = settings.faults
        self.metrics = Metrics(settings.model_name, settings.model_version)
        self.model: Model | None = None
        self.not_ready = "the model is loading"
        self.draining = False
        self.stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._answered = 0
        self._readings = 0
        self._loading: asyncio.Task[None] | None = None
        self._random = random.Random()

    def start_loading(self) -> None:
        """Loads the model (anew) in the background: not ready until it is done."""
        if self._loading:
            self._loading.cancel()
        self.model, self.not_ready = None, "the model is loading"
        self._loading = asyncio.create_task(self._load(self.faults))

    async def _load(self, faults: Faults) -> None:
        await asyncio.sleep(faults.load_seconds)
        settings = self.settings
        corrupt = bool(faults.corrupt_model)
        try:
            model = await asyncio.to_thread(
                load, settings.model_path, settings.model_version, corrupt=corrupt
            )
        except ModelError as error:
            LOG.error("the model cannot be loaded: %s", error)  # noqa: TRY400 - its message says all
            self.not_ready = f"the model cannot be loaded: {error}"
            if faults.corrupt_model != "unready":
                self.stop(1)
            return
        self.model = model
        LOG.info("ready: model %s version %s", settings.model_name, model.version)

    def stop(self, exit_code: int) -> None:
        """Asks the process to end; the first reason wins."""
        if not self.stopped.done():
            self.stopped.set_result(exit_code)

    # --- health and metadata ---------------------------------------------------------------------------

    async def live(self, _: web.Request) -> web.Response:
        """The process answers."""
        return web.json_response({"live": True})

    async def ready(self, request: web.Request) -> web.Response:
        """The model can be used, and new requests are welcome."""
        if refusal := self._unknown(request):
            return refusal
        if self.draining:
            return failure(503, "the server is shutting down")
        if self.model is None:
            return failure(503, self.not_ready)
        return web.json_response({"ready": True})

    async def about_server(self, _: web.Request) -> web.Response:
        """Server metadata."""
        return web.json_response({"name": "modelward-test-server", "version": "1", "extensions": []})

    async def about_model(self, request: web.Request) -> web.Response:
        """Model metadata."""
        if refusal := self._unknown(request):
            return refusal
        if self.model is None:
            return failure(503, self.not_ready)
        return web.json_response(
            {
                "name": self.settings.model_name,
                "versions": [self.model.version],
                "platform": "onnx_onnxv1",
                "inputs": [asdict(info) for info in self.model.inputs],
                "outputs": [asdict(info) for info in self.model.outputs],
            }
        )

    def _unknown(self, request: web.Request) -> web.Response | None:
        name = request.match_info.get("model", self.settings.model_name)
        if name != self.settings.model_name:
            return failure(404, f"no model is called {name!r}; this server has {self.settings.model_name!r}")
        version = request.match_info.get("version")
        if version is not None and self.model is not None and version != self.model.version:
            return failure(404, f"model {name!r} has version {self.model.version!r}, not {version!r}")
        return None

    # --- inference -------------------------------------------------------------------------------------

    async def infer(self, request: web.Request) -> web.Response:
        """Inference; every answer, good or bad, is counted and timed."""
        if refusal := self._unknown(request):
            return refusal
        started = time.monotonic()
        try:
            response = await self._answer(request)
        except web.HTTPException:  # the body is too long, for one: said by the middleware
            raise
        except Exception:
            LOG.exception("inference failed")
            response = failure(500, "inference failed; the server's log says why")
        self._answered += 1
        self.metrics.requests.inc()
        if response.status >= 500:
            self.metrics.errors.inc()
        elif response.status >= 400:
            self.metrics.refused.inc()
        self.metrics.latency.observe(time.monotonic() - started)
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        faults = self.faults
        if 0 < faults.crash_after_requests <= self._answered:
            LOG.error("crash_after_requests: ending as asked")
            os._exit(1)  # as a crash does: no answer, no clean-up
        body = await request.text()
        if self._random.random() < faults.latency_share:
            await asyncio.sleep(self._wait(faults))
        if self._random.random() < faults.error_rate:
            return failure(500, "error_rate: failing as reported")
        if self.model is None:
            return failure(503, self.not_ready)
        try:
            return self._predict(self.model, json.loads(body), faults.score_shift)
        except RequestError as error:
            return failure(400, str(error))
        except ValueError as error:
            return failure(400, f"the request is not JSON: {error}")

    def _wait(self, faults: Faults) -> float:
        """Seconds before an answer."""
        scatter = self._random.lognormvariate(0, faults.latency_sigma) if faults.latency_sigma else 1.0
        return faults.added_latency_seconds * scatter

    def _predict(self, model: Model, body: Any, shift: float) -> web.Response:
        # In the event loop on purpose: these models take microseconds, a thread's hand-over takes longer.
        outputs = model.infer(decode(body, model.inputs))
        if shift:
            shift_scores(outputs, shift)
        predicted = scores(outputs)
        for score in [] if predicted is None else predicted.ravel():
            self.metrics.predictions.observe(float(score))
        answer = {"model_name": self.settings.model_name, "model_version": model.version}
        if "id" in body:
            answer["id"] = body["id"]
        return web.json_response({**answer, "outputs": encode(outputs)})

    # --- metrics and faults ----------------------------------------------------------------------------

    async def show_metrics(self, request: web.Request) -> web.StreamResponse:
        """Metrics in Prometheus' text format, or what a fault makes of them."""
        mode = self.faults.metrics_page
        if mode == pages.HANGING:
            await asyncio.sleep(HANG_SECONDS)
        if mode == pages.FLOODING:
            return await self._flood(request)
        self._readings += 1
        text = pages.lied(generate_latest(self.metrics.registry).decode(), mode, self._readings)
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _flood(self, request: web.Request) -> web.StreamResponse:
        """Comments without end, until the reader has had enough."""
        response = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE_LATEST})
        await response.prepare(request)
        while not self.draining:
            await response.write(pages.FLOOD)
        return response

    async def show_faults(self, _: web.Request) -> web.Response:
        """The faults in force."""
        return web.json_response(asdict(self.faults))

    async def set_faults(self, request: web.Request) -> web.Response:
        """Replaces the whole set: `{}` recovers. A change to loading loads the model anew."""
        try:
            new = parse_faults(await request.json())
        except ValueError as error:
            return failure(400, str(error))
        if new.crash_on_start:
            return failure(400, "crash_on_start works at the start only: set FAULT_CRASH_ON_START")
        old, self.faults = self.faults, new
        if new.crash_after_requests != old.crash_after_requests:
            self._answered = 0
        if (new.load_seconds, new.corrupt_model) != (old.load_seconds, old.corrupt_model):
            self.start_loading()
        return await self.show_faults(request)

    # --- process ---------------------------------------------------------------------------------------

    @web.middleware
    async def identify(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Says who answered, and asks clients to leave a server that is about to end."""
        try:
            response = await handler(request)
        except web.HTTPException as error:  # no such route or method
            response = failure(error.status, error.reason)
        response.headers["X-Pod-Name"] = self.settings.pod_name
        response.headers["X-Model-Revision"] = self.settings.model_revision
        if self.draining:
            response.force_close()
        return response

    def application(self) -> web.Application:
        """The protocol's routes and the faults."""
        application = web.Application(client_max_size=BODY_BYTES, middlewares=[self.identify])
        router = application.router
        router.add_get("/v2", self.about_server)
        router.add_get("/v2/health/live", self.live)
        router.add_get("/v2/health/ready", self.ready)
        for model in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
            router.add_get(model, self.about_model)
            router.add_get(f"{model}/ready", self.ready)
            router.add_post(f"{model}/infer", self.infer)
        router.add_get("/faults", self.show_faults)
        router.add_put("/faults", self.set_faults)
        return application


async def serve(settings: Settings) -> int:
    """Serves until asked to stop; returns the exit code."""
    server = Server(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.stop, 0)
    main = server.application()
    shared = settings.metrics_port == settings.http_port != 0
    other = main if shared else web.Application()
    other.router.add_get("/metrics", server.show_metrics)
    runners = [await _listen(main, settings.http_port, "http")]
    if not shared:
        runners.append(await _listen(other, settings.metrics_port, "metrics"))
    server.start_loading()
    exit_code = await server.stopped
    if exit_code == 0:
        await _drain(server)
    for runner in runners:
        await runner.cleanup()  # stops accepting, then waits for requests in flight
    LOG.info("stopped")
    return exit_code


async def _drain(server: Server) -> None:
    """Not ready, but serving: those who route requests here need a moment to notice."""
    server.draining = True
    LOG.info("draining for %s s", server.settings.drain_seconds)
    await asyncio.sleep(server.settings.drain_seconds)


async def _listen(application: web.Application, port: int, name: str) -> web.AppRunner:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=FINISH_SECONDS)
    await runner.setup()
    await web.TCPSite(runner, ANY_ADDRESS, port).start()
    LOG.info("listening: %s port %d", name, runner.addresses[0][1])
    return runner
