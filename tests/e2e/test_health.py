"""Canaries whose pods are ill, with real model servers on a real node: no metric is needed to take them back."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from demo.traffic import Traffic, first_answer
from devcluster import Cluster
from modelward.api.times import parse
from support import served
from support.kubectl import Kubectl
from support.models import KIND, children, condition, status, wait_ready
from support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("operator")]

MODEL = "breast-cancer"
PATIENCE_SECONDS = 120.0


@pytest.fixture(scope="module", autouse=True)
def runtime(node: Cluster, kubectl: Kubectl) -> None:
    """A runtime of the namespace; it shows no signal, so the judge has nothing to say."""
    kubectl.apply(served.runtime(signals=False, startup_seconds=60))


def model(name: str, version: str = "1", *, keep: int = 0, **faults: str) -> dict[str, Any]:
    """Two pods of the test server; `faults` are its knobs."""
    rollout = {
        "steps": [{"weightPercent": 50}],
        "stepMinSeconds": 1 if keep else 60,
        "stepMaxSeconds": 600,
        "onInconclusive": "Promote" if keep else "Pause",
        "onMetricsUnavailable": "Pause",
        "keepPreviousSeconds": keep,
        "progressDeadlineSeconds": 300,
    }
    return served.served(name, version, rollout, faults=faults, replicas=2)


@pytest.fixture
def serving(kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Name and address of a model whose version 1 serves. Deleted afterwards."""
    name = "h-" + str(abs(hash(request.node.name)))[:8]
    kubectl.apply(model(name))
    wait_ready(kubectl, name)
    url = "http://" + kubectl("get", "service", name, "-o", "jsonpath={.spec.clusterIP}")
    first_answer(url, MODEL)
    yield name, url
    kubectl("delete", KIND, name, "--wait=false")


def canary_pods(kubectl: Kubectl, name: str, revision: str) -> list[dict[str, Any]]:
    """The pods of a revision."""
    pods = children(kubectl, "pods", name)
    return [pod for pod in pods if pod["metadata"]["labels"]["modelward.dev/revision"] == revision]


def has_weight(kubectl: Kubectl, name: str) -> str:
    """The canary, once requests reach it; empty before."""
    now = status(kubectl, name)
    return str(now["canaryRevision"]) if (now.get("rollout") or {}).get("weightPercent", 0) > 0 else ""


def taken_back(kubectl: Kubectl, name: str, event: datetime | None = None) -> tuple[str, str]:
    """Wait until the canary has no weight and is rejected: reason and message. Prints the time since `event`."""

    def weightless() -> bool:
        weight: int = (status(kubectl, name).get("rollout") or {}).get("weightPercent", 0)
        return weight == 0

    def rejected() -> dict[str, Any]:
        found: list[dict[str, Any]] = status(kubectl, name).get("rejectedRevisions", [])
        return found[0] if found else {}

    entry = until(rejected, f"it is rejected; {condition(kubectl, name)}", seconds=PATIENCE_SECONDS)
    until(weightless, "no request is meant to reach it")
    if event:
        print(f"{name}: {(datetime.now(UTC) - event).total_seconds():.1f} s from event to weight 0")
    print(f"{name}: {entry['reason']}: {entry['message']}")
    return entry["reason"], entry["message"]


def last_end(kubectl: Kubectl, name: str, revision: str) -> datetime | None:
    """When a container of the revision ended last, as far as its pods still show."""
    ends = [
        ended["finishedAt"]
        for pod in canary_pods(kubectl, name, revision)
        for container in pod["status"].get("containerStatuses", [])
        for ended in [(container[state] or {}).get("terminated") for state in ("state", "lastState")]
        if ended
    ]
    return parse(max(ends)) if ends else None


def still_serves(kubectl: Kubectl, name: str, stable: str) -> None:
    """The version before serves, and the condition says what happened."""
    assert status(kubectl, name)["stableRevision"] == stable
    assert condition(kubectl, name, "Available")["status"] == "True"


def test_version_that_ends_at_its_start(kubectl: Kubectl, serving: tuple[str, str]) -> None:
    """It is taken back while it warms up, long before its deadline."""
    name, _ = serving
    stable = status(kubectl, name)["stableRevision"]
    kubectl.apply(model(name, "2", crash_on_start="true"))
    reason, message = taken_back(kubectl, name)
    assert reason == "CrashLooping"
    assert "ended with exit code 1" in message
    still_serves(kubectl, name, stable)


def test_version_that_needs_too_much_memory(kubectl: Kubectl, serving: tuple[str, str]) -> None:
    """Once is enough: it will again."""
    name, _ = serving
    stable = status(kubectl, name)["stableRevision"]
    changed = model(name, "2")
    changed["spec"]["resources"] = {"requests": {"memory": "24Mi"}, "limits": {"memory": "24Mi"}}
    kubectl.apply(changed)
    reason, message = taken_back(kubectl, name)
    assert reason == "OutOfMemory"
    assert "OOMKilled" in message
    still_serves(kubectl, name, stable)


def test_version_that_crashes_under_load(kubectl: Kubectl, serving: tuple[str, str]) -> None:
    """It gets ready and its share of the requests, and then it ends after every few answers."""
    name, url = serving
    stable = status(kubectl, name)["stableRevision"]
    with Traffic(url, MODEL):
        kubectl.apply(model(name, "2", crash_after_requests="40"))
        canary = until(lambda: has_weight(kubectl, name), "it has weight", seconds=PATIENCE_SECONDS)
        event = until(lambda: last_end(kubectl, name, canary), "it has crashed", seconds=PATIENCE_SECONDS)
        reason, _ = taken_back(kubectl, name, event)
    assert reason in {"CrashLooping", "Restarting", "NotReady"}, "whichever of them is seen first"
    still_serves(kubectl, name, stable)


def crash(pod: dict[str, Any]) -> None:
    """Have the server of a pod end with its next answer."""
    address = f"http://{pod['status']['podIP']}:8080/faults"
    with contextlib.suppress(httpx.TransportError):  # it has just ended
        httpx.put(address, json={"crash_after_requests": 1}, trust_env=False)


def test_minority_that_crashes_after_the_promotion(kubectl: Kubectl, serving: tuple[str, str]) -> None:
    """One of two pods, in the watch: the previous version, kept warm, serves again."""
    name, url = serving
    stable = status(kubectl, name)["stableRevision"]
    with Traffic(url, MODEL):
        kubectl.apply(model(name, "2", keep=120))
        promoted = until(
            lambda: (
                (now := status(kubectl, name)).get("previousRevision") == stable and now["stableRevision"]
            ),
            f"it is promoted; {condition(kubectl, name)}",
            seconds=PATIENCE_SECONDS,
        )
        victim = canary_pods(kubectl, name, promoted)[0]["metadata"]["name"]
        ends: list[datetime | None] = []

        def rejected() -> bool:
            """Whenever the kubelet has started the server again it is made to crash."""
            for pod in canary_pods(kubectl, name, promoted):
                if pod["metadata"]["name"] == victim and pod["status"]["containerStatuses"][0]["ready"]:
                    crash(pod)
            ends.append(last_end(kubectl, name, promoted))
            return "rejectedRevisions" in status(kubectl, name)

        until(rejected, f"it is taken back; {condition(kubectl, name)}", seconds=PATIENCE_SECONDS)
        reason, message = taken_back(kubectl, name, next((end for end in reversed(ends) if end), None))
    assert reason == "CrashLooping"
    assert victim in message
    assert "1 of its 2 pods" in message
    still_serves(kubectl, name, stable)
