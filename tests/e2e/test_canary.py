"""Whole canaries with real model servers under load: a good version is promoted, bad ones come back by themselves."""

from collections.abc import Iterator
from typing import Any

import pytest

from demo.traffic import Traffic, first_answer
from devcluster import Cluster
from support import served
from support.kubectl import Kubectl
from support.models import KIND, children, condition, status, wait_ready
from support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("operator")]

MODEL = "breast-cancer"
PATIENCE_SECONDS = 150.0
ROLLOUT = {
    "steps": [{"weightPercent": 25}, {"weightPercent": 50}],
    "stepMinSeconds": 6,
    "stepMaxSeconds": 60,
    "keepPreviousSeconds": 8,
    "progressDeadlineSeconds": 120,
}


@pytest.fixture(scope="module", autouse=True)
def runtime(node: Cluster, kubectl: Kubectl) -> None:
    """A runtime of the namespace, which shows its signals."""
    kubectl.apply(served.runtime(signals=True, startup_seconds=60))


def model(
    name: str, version: str = "1", *, faults: dict[str, str] | None = None, **rollout: Any
) -> dict[str, Any]:
    """Three pods of the test server, reconciled every two seconds; `faults` are its knobs."""
    asked = {"replicas": 3, "analysis": {"intervalSeconds": 2}}
    return served.served(name, version, ROLLOUT | rollout, faults=faults, **asked)


@pytest.fixture
def serving(kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Name and address of a model whose version 1 serves. Deleted afterwards."""
    name = "c-" + str(abs(hash(request.node.name)))[:8]
    kubectl.apply(model(name))
    wait_ready(kubectl, name)
    address = kubectl("get", "service", name, "-o", "jsonpath={.spec.clusterIP}")
    first_answer(f"http://{address}", MODEL)
    yield name, f"http://{address}"
    kubectl("delete", KIND, name, "--wait=false")


def latest(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """The newest entry of history."""
    return dict(status(kubectl, name).get("history", [{}])[0])


def ended(kubectl: Kubectl, name: str, result: str) -> dict[str, Any]:
    """Wait until the latest rollout has ended so; its entry in history."""

    def found() -> dict[str, Any]:
        now = status(kubectl, name)
        entry: dict[str, Any] = now.get("history", [{}])[0]
        return entry if entry.get("result") == result and len(now["history"]) > 1 else {}

    return until(found, f"{name} is {result}; {condition(kubectl, name)}", seconds=PATIENCE_SECONDS)


def pods_of(kubectl: Kubectl, name: str, revision: str) -> dict[str, int]:
    """Restarts by uid of a revision's pods."""
    return {
        pod["metadata"]["uid"]: pod["status"]["containerStatuses"][0]["restartCount"]
        for pod in children(kubectl, "pods", name)
        if pod["metadata"]["labels"]["modelward.dev/revision"] == revision
        and "deletionTimestamp" not in pod["metadata"]
        and pod["status"].get("containerStatuses")
    }


@pytest.mark.integrations
def test_good_version_is_promoted_without_a_restart(kubectl: Kubectl, serving: tuple[str, str]) -> None:
    """It walks its steps under load; its running pods become stable, and not one request fails."""
    name, url = serving
    with Traffic(url, MODEL) as load:
        kubectl.apply(model(name, "2"))
        canary = str(until(lambda: status(kubectl, name).get("canaryRevision"), "there is a canary"))
        until(
            lambda: status(kubectl, name)["rollout"].get("weightPercent") == 50,
            "it has its second step",
            seconds=PATIENCE_SECONDS,
        )
        pods = until(lambda: pods_of(kubectl, name, canary), "its pods run")
        ended(kubectl, name, "Promoted")
        wait_ready(kubectl, name)
        until(
            lambda: status(kubectl, name).get("rollout") is None,
            "the watch is over",
            seconds=PATIENCE_SECONDS,
        )
    now = pods_of(kubectl, name, canary)
    assert load.failures() == []
    assert status(kubectl, name)["stableRevision"] == canary
    assert pods.items() <= now.items()
    assert set(now.values()) == {0}


PATIENT = {**ROLLOUT, "steps": [{"weightPercent": 25}], "stepMinSeconds": 75, "stepMaxSeconds": 150}
"""Latency is judged once pods have been ready for a minute: a shorter step would be over before."""
BAD = {
    "5% errors": ({"error_rate": "0.05"}, ROLLOUT, "errors"),
    "slower": ({"added_latency_seconds": "0.03"}, PATIENT, "took over"),
}


@pytest.mark.parametrize(
    ("faults", "rollout", "words"),
    [
        pytest.param(*BAD["5% errors"], id="5% errors"),
        pytest.param(*BAD["slower"], id="slower", marks=pytest.mark.integrations),  # its step takes 75 s
    ],
)
def test_worse_version_comes_back_by_itself(
    kubectl: Kubectl,
    serving: tuple[str, str],
    faults: dict[str, str],
    rollout: dict[str, Any],
    words: str,
) -> None:
    """The judge finds it worse by the pods' own metrics; one sentence says why."""
    name, url = serving
    stable = status(kubectl, name)["stableRevision"]
    with Traffic(url, MODEL):
        kubectl.apply(model(name, "2", faults=faults, **rollout))
        entry = ended(kubectl, name, "RolledBack")
    print(entry)
    assert words in entry["message"]
    assert "odds against chance" in entry["message"]
    assert status(kubectl, name)["stableRevision"] == stable
    assert condition(kubectl, name)["reason"] == "RolledBack"
    assert condition(kubectl, name, "Available")["status"] == "True"
