"""Models on the real node whose steps are short: their runtime, their manifests, and who answers for them."""

import threading
import time
from collections import Counter
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, Self

import httpx

from demo.traffic import ask, client
from devcluster.images import REFERENCES
from modelward.api.names import REVISION_LABEL
from support.kubectl import Kubectl
from support.models import KIND, children, condition, status
from support.waiting import until

MODEL: Final = "breast-cancer"
PATIENCE_SECONDS: Final = 150.0
_RUNTIME: Final = "onnx-server"
_SIGNALS: Final = {
    "errors": {"hits": "model_request_errors_total", "total": "model_requests_total"},
    "latency": {"histogram": "model_request_duration_seconds"},
}


def runtime(*, signals: bool, startup_seconds: int = 30) -> dict[str, Any]:
    """The test server's runtime for a namespace; without signals nothing but the pods' health is judged."""
    container = {
        "image": REFERENCES["model-server"],
        "resources": {"requests": {"cpu": "20m", "memory": "96Mi"}},
        "ports": {"http": 8080, "metrics": 8082},
        "readiness": {"path": "/v2/models/$(MODEL_NAME)/ready"},
        "liveness": {"path": "/v2/health/live"},
        "startupSeconds": startup_seconds,
        "drainSeconds": 10,
    }
    measured = {"metrics": {"port": "metrics"}, "signals": _SIGNALS} if signals else {}
    return {
        "apiVersion": "modelward.dev/v1alpha1",
        "kind": "ModelRuntime",
        "metadata": {"name": _RUNTIME},
        "spec": {"modelPath": f"/models/{MODEL}", "container": container, **measured},
    }


def served(
    name: str,
    version: str,
    rollout: dict[str, Any],
    *,
    faults: dict[str, str] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """A ModelDeployment of the test server; `faults` are its knobs."""
    env = [{"name": f"FAULT_{knob.upper()}", "value": value} for knob, value in (faults or {}).items()]
    return {
        "apiVersion": "modelward.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {
            "model": {"name": MODEL, "version": version},
            "runtime": {"name": _RUNTIME, **({"env": env} if env else {})},
            "rollout": rollout,
            **spec,
        },
    }


def address(kubectl: Kubectl, service: str) -> str:
    """Address of a Service, as the host reaches it."""
    return "http://" + kubectl("get", "service", service, "-o", "jsonpath={.spec.clusterIP}")


def answering(url: str, requests: int = 20) -> set[str]:
    """The versions that answer so many requests, each on a new connection. Raises httpx.HTTPError."""
    with client(keep_alive=False) as caller:
        return {ask(caller, url, MODEL).version for _ in range(requests)}


def wait_answering(url: str, version: str) -> None:
    """Wait until nobody but this version answers: proxies need a moment for a new Service."""

    def only() -> bool:
        try:
            return answering(url) == {version}
        except httpx.HTTPError:
            return False

    until(only, f"only version {version} answers at {url}")


def pods_of(kubectl: Kubectl, name: str, revision: str) -> dict[str, str]:
    """Uids by address of a revision's pods that are not ending."""
    return {
        pod["status"]["podIP"]: pod["metadata"]["uid"]
        for pod in children(kubectl, "pods", name)
        if pod["metadata"]["labels"][REVISION_LABEL] == revision
        and "deletionTimestamp" not in pod["metadata"]
        and "podIP" in pod["status"]
    }


def set_faults(pods: Iterable[str], **faults: Any) -> None:
    """Replace the faults of running servers, by their addresses."""
    for pod in pods:
        httpx.put(f"http://{pod}:8080/faults", json=faults, trust_env=False).raise_for_status()


def rollout_of(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """`status.rollout`; empty when nothing is under way."""
    return dict(status(kubectl, name).get("rollout") or {})


def wait_state(kubectl: Kubectl, name: str, state: str, weight: int | None = None) -> dict[str, Any]:
    """Wait until a rollout is in that state, and has that weight; returns the status."""

    def found() -> dict[str, Any]:
        now = status(kubectl, name)
        rollout = now.get("rollout") or {}
        there = rollout.get("state") == state and weight in {None, rollout.get("weightPercent", 0)}
        return now if there else {}

    what = f"{name} is {state} at {weight}; {rollout_of(kubectl, name)}; {condition(kubectl, name)}"
    return until(found, what, seconds=PATIENCE_SECONDS)


def wait_result(kubectl: Kubectl, name: str, result: str, entries: int = 2) -> dict[str, Any]:
    """Wait until the latest of so many rollouts has ended so; returns the status."""

    def found() -> dict[str, Any]:
        now = status(kubectl, name)
        history = now.get("history", [])
        return now if len(history) >= entries and history[0]["result"] == result else {}

    return until(found, f"{name} is {result}; {condition(kubectl, name)}", seconds=PATIENCE_SECONDS)


def command(kubectl: Kubectl, name: str, **commands: str) -> None:
    """Annotate a model with commands."""
    words = [f"modelward.dev/{name}={value}" for name, value in commands.items()]
    kubectl("annotate", "--overwrite", KIND, name, *words)


class Trickle:
    """A request to each of several models in turn, all the time, while a `with` block runs; new connections only."""

    def __init__(self, urls: Iterable[str], pause: float = 0.01) -> None:
        """`pause` in seconds lies between two requests."""
        self.answered: Counter[str] = Counter()
        """Good answers by URL."""
        self._urls = list(urls)
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _send(self) -> None:
        with client(keep_alive=False) as caller:
            while not self._stop.is_set():
                for url in self._urls:
                    try:
                        ask(caller, url, MODEL)
                        self.answered[url] += 1
                    except httpx.HTTPError:
                        continue
                    finally:
                        time.sleep(self._pause)
