"""Requests by the Open Inference Protocol v2: one at a time, or as a constant load that counts what fails."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

MODELS = Path(__file__).parents[1] / "model_server" / "models"
REQUEST: dict[str, Any] = json.loads((MODELS / "request.json").read_text())
TIMEOUT_SECONDS = 10.0
ATTEMPTS_SECONDS = (1.0, 2.0, 3.0, 5.0, 10.0)
"""How long each attempt at a first answer may take."""
PAUSE_SECONDS = 0.02
"""Between two requests of a client: some 40 a second from each, which leaves a small machine its processors."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model server said."""

    version: str
    scores: tuple[float, ...]
    pod: str
    seconds: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One request of the load: the version that answered, or what went wrong."""

    time: float
    seconds: float
    kept: bool
    """On the connection that is kept, rather than on a new one."""
    version: str = ""
    failure: str = ""


def expected_scores(version: str) -> tuple[float, ...]:
    """The scores that the model card promises for the sample request."""
    card = json.loads((MODELS / "metadata.json").read_text())
    return tuple(card["versions"][version]["sampleScores"])


def client(*, keep_alive: bool = True, timeout_seconds: float = TIMEOUT_SECONDS) -> httpx.Client:
    """A client that ignores proxies; without `keep_alive` every request opens a connection of its own."""
    limits = httpx.Limits() if keep_alive else httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(
        transport=httpx.HTTPTransport(limits=limits), timeout=timeout_seconds, trust_env=False
    )


def ask(caller: httpx.Client, url: str, model: str) -> Answer:
    """The answer to the sample request. Raises httpx.HTTPError."""
    started = time.monotonic()
    response = caller.post(f"{url}/v2/models/{model}/infer", json=REQUEST).raise_for_status()
    seconds = time.monotonic() - started
    body = response.json()
    data = next(tensor["data"] for tensor in body["outputs"] if tensor["name"] == "probabilities")
    return Answer(
        version=body["model_version"],
        scores=tuple(data[1::2]),  # two numbers a row; the score is the second
        pod=response.headers.get("X-Pod-Name", ""),
        seconds=seconds,
    )


def first_answer(url: str, model: str) -> Answer:
    """The answer of a model that has just become Ready. Raises httpx.HTTPError when none comes.

    The first packet may leave before kube-proxy knows the new Service. Linux then keeps that connection on the
    wrong way for ever, so each attempt is short and begins with a connection of its own.
    """
    for patience in ATTEMPTS_SECONDS[:-1]:
        with contextlib.suppress(httpx.HTTPError), client(timeout_seconds=patience) as caller:
            ask(caller, url, model)  # also opens the connection, whose time is not the model's
            return ask(caller, url, model)
        time.sleep(0.5)
    with client(timeout_seconds=ATTEMPTS_SECONDS[-1]) as caller:
        ask(caller, url, model)
        return ask(caller, url, model)


class Traffic:
    """A constant load while a `with` block runs: one client keeps its connection, one opens a new one each time."""

    def __init__(self, url: str, model: str, *, host: str = "") -> None:
        """`url` is the Service's address, without a path of the protocol; a gateway needs the `host` of a route."""
        self._headers = {"Host": host} if host else {}
        self._url = url
        self._model = model
        self._stop = threading.Event()
        self._samples: list[Sample] = []  # append and copy are atomic
        self._threads = [
            threading.Thread(target=self._send, args=(keep_alive,), daemon=True)
            for keep_alive in (True, False)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def samples(self, since: float = 0.0) -> list[Sample]:
        """All requests that ended after a moment of the monotonic clock."""
        return [sample for sample in list(self._samples) if sample.time >= since]

    def versions(self, since: float = 0.0) -> Counter[str]:
        """How often each version has answered."""
        return Counter(sample.version for sample in self.samples(since) if not sample.failure)

    def failures(self) -> list[str]:
        """What went wrong, in order."""
        return [sample.failure for sample in self.samples() if sample.failure]

    def _send(self, keep_alive: bool) -> None:  # noqa: FBT001 - an argument of a thread
        with client(keep_alive=keep_alive) as caller:
            caller.headers.update(self._headers)
            while not self._stop.wait(PAUSE_SECONDS):
                self._samples.append(self._one(caller, kept=keep_alive))

    def _one(self, caller: httpx.Client, *, kept: bool) -> Sample:
        started = time.monotonic()
        try:
            answer = ask(caller, self._url, self._model)
        except (httpx.HTTPError, ValueError, LookupError) as error:
            failure = f"{type(error).__name__}: {error}"
            now = time.monotonic()
            return Sample(time=now, seconds=now - started, kept=kept, failure=failure)
        return Sample(time=time.monotonic(), seconds=answer.seconds, kept=kept, version=answer.version)


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of the values do not exceed; 0 when there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
