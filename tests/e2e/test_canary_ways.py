"""Ways a change goes out with real model servers: by hand, blue and green, shared capacity, and back again."""

import json
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest

from demo.traffic import Traffic
from devcluster import Cluster
from support.kubectl import Kubectl
from support.models import KIND, children, condition, status, wait_quiet, wait_ready
from support.object_recorder import ObjectRecorder
from support.served import (
    MODEL,
    PATIENCE_SECONDS,
    address,
    answering,
    command,
    pods_of,
    runtime,
    served,
    wait_answering,
    wait_result,
    wait_state,
)
from support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("operator")]

APPLIED_AGAIN: Final = 6
KINDS: Final = ("deployments", "services", "controllerrevisions", "poddisruptionbudgets")
SHARED_REPLICAS: Final = 2
STEPPED: Final = {
    "steps": [{"weightPercent": 34}, {"weightPercent": 50, "approval": "Required"}],
    "stepMinSeconds": 2,
    "stepMaxSeconds": 600,
    "keepPreviousSeconds": 600,
}
BLUE_GREEN: Final = {"strategy": "BlueGreen", "keepPreviousSeconds": 600}
SHARED: Final = {
    "steps": [{"weightPercent": 50}],
    "stepMinSeconds": 3,
    "stepMaxSeconds": 600,
    "keepPreviousSeconds": 0,
    "capacity": "Shared",
}
MODELS: Final = {
    "by-hand": served("by-hand", "1", STEPPED),
    "blue-green": served("blue-green", "1", BLUE_GREEN),
    "shared": served("shared", "1", SHARED, replicas=SHARED_REPLICAS),
    "again": served("again", "1", STEPPED),
}


@pytest.fixture(scope="module", autouse=True)
def serving(node: Cluster, kubectl: Kubectl, operator: object) -> Iterator[None]:
    """Version 1 of all models serves. Only the pods' health is judged: these tests are about hands and roles."""
    kubectl.apply(runtime(signals=False))
    kubectl.apply(*MODELS.values())
    for name in MODELS:
        wait_ready(kubectl, name)
        wait_quiet(kubectl, name)
        wait_answering(address(kubectl, name), "1")
    yield
    for name in MODELS:
        kubectl("delete", KIND, name, "--wait=false")


def second(name: str, **rollout: Any) -> dict[str, Any]:
    """Version 2 of a model."""
    spec = MODELS[name]["spec"]
    changed = {"model": {"name": MODEL, "version": "2"}, "rollout": {**spec["rollout"], **rollout}}
    return {**MODELS[name], "spec": {**spec, **changed}}


def pause(kubectl: Kubectl, name: str, *, paused: bool) -> None:
    """Stop at the present step, or go on."""
    kubectl.patch(KIND, name, {"spec": {"rollout": {"paused": paused}}})


def test_people_decide(kubectl: Kubectl) -> None:
    """Paused, resumed, approved, promoted; back to the warm version, forth again, and back to one that is gone."""
    name, url = "by-hand", address(kubectl, "by-hand")
    first = status(kubectl, name)["stableRevision"]
    kubectl.apply(second(name, paused=True))
    wait_state(kubectl, name, "Paused", 0)
    assert answering(url) == {"1"}, "paused before its first step, it gets no request"
    pause(kubectl, name, paused=False)
    canary = wait_state(kubectl, name, "AwaitingApproval")["canaryRevision"]
    assert f"modelward.dev/approve={canary}/1" in condition(kubectl, name)["message"], (
        "the command is reported"
    )
    until(lambda: answering(url) == {"1", "2"}, "both versions answer")
    pause(kubectl, name, paused=True)
    wait_state(kubectl, name, "Paused")
    pause(kubectl, name, paused=False)
    command(kubectl, name, approve=f"{canary}/1")
    wait_state(kubectl, name, "Analyzing", 50)
    command(kubectl, name, promote=canary)
    assert wait_result(kubectl, name, "Promoted")["stableRevision"] == canary
    wait_answering(url, "2")
    _back_to_what_is_warm(kubectl, name, first, canary)
    _forth_once_more(kubectl, name, canary)
    _back_to_what_is_gone(kubectl, name, first)


def _back_to_what_is_warm(kubectl: Kubectl, name: str, first: str, promoted: str) -> None:
    """The previous version is one switch away: the same pods serve again."""
    warm = pods_of(kubectl, name, first)
    assert warm, "the previous version is kept warm"
    command(kubectl, name, abort=promoted)
    wait_answering(address(kubectl, name), "1")
    until(lambda: status(kubectl, name).get("stableRevision") == first, "it is stable again")
    wait_quiet(kubectl, name)
    assert pods_of(kubectl, name, first) == warm
    ready = condition(kubectl, name)
    assert (ready["status"], ready["reason"]) == ("False", "Aborted"), "spec still asks for version 2"


def _forth_once_more(kubectl: Kubectl, name: str, rejected: str) -> None:
    """What was rolled back comes only by a retry, under a new name; nothing is kept warm this time."""
    kubectl.patch(KIND, name, {"spec": {"rollout": {"keepPreviousSeconds": 0}}})
    command(kubectl, name, retry=f"{rejected}/1")
    canary = until(lambda: str(status(kubectl, name).get("canaryRevision", "")), "it is tried again")
    assert canary != rejected
    command(kubectl, name, promote=canary)
    wait_result(kubectl, name, "Promoted", entries=4)
    wait_quiet(kubectl, name)
    wait_answering(address(kubectl, name), "2")


def _back_to_what_is_gone(kubectl: Kubectl, name: str, first: str) -> None:
    """A kept revision without a pod is started in full, and gets all traffic when it is ready."""
    assert pods_of(kubectl, name, first) == {}
    command(kubectl, name, rollback=first)
    until(
        lambda: status(kubectl, name).get("stableRevision") == first,
        f"{first} serves; {condition(kubectl, name)}",
        seconds=PATIENCE_SECONDS,
    )
    wait_answering(address(kubectl, name), "1")


def test_blue_green_with_a_preview_and_back_in_the_watch(kubectl: Kubectl) -> None:
    """The preview answers at a Service of its own; one switch brings it to everybody, another one takes it back."""
    name = "blue-green"
    url = address(kubectl, name)
    first = status(kubectl, name)["stableRevision"]
    blue = pods_of(kubectl, name, first)
    kubectl.apply(second(name, paused=True))
    wait_state(kubectl, name, "Paused", 0)
    until(lambda: kubectl.get("service", f"{name}-canary"), "there is a Service for the preview")
    wait_answering(address(kubectl, f"{name}-canary"), "2")
    assert answering(url) == {"1"}
    with Traffic(url, MODEL) as load:
        pause(kubectl, name, paused=False)
        promoted = wait_state(kubectl, name, "Watching")["stableRevision"]
        wait_answering(url, "2")
        assert promoted != first
        command(kubectl, name, rollback=first)
        wait_answering(url, "1")
        found = wait_result(kubectl, name, "RolledBack", entries=3)
    assert load.failures() == []
    assert found["stableRevision"] == first
    assert pods_of(kubectl, name, first) == blue
    assert condition(kubectl, name, "Available")["status"] == "True"


def test_shared_capacity_never_has_a_pod_too_many(cluster: Cluster, kubectl: Kubectl) -> None:
    """Stable's pods go as the canary's come: both together never have more than there are at rest."""
    name, url = "shared", address(kubectl, "shared")
    with (
        ObjectRecorder(cluster, kubectl.namespace, "deployments") as deployments,
        Traffic(url, MODEL) as load,
    ):
        kubectl.apply(second(name))
        promoted = wait_result(kubectl, name, "Promoted")["stableRevision"]
        wait_quiet(kubectl, name)
        wait_answering(url, "2")
        wanted: dict[str, int] = {}
        moments: list[dict[str, int]] = []
        for seen in list(deployments.seen):
            if seen["metadata"]["labels"].get("modelward.dev/model") == name:
                wanted[seen["metadata"]["name"]] = seen["spec"]["replicas"]
                moments.append(dict(wanted))
    assert [each for each in moments if sum(each.values()) > SHARED_REPLICAS] == [], moments
    assert load.failures() == []
    until(
        lambda: len(pods_of(kubectl, name, promoted)) == SHARED_REPLICAS, "the new version has all the room"
    )


def versions(kubectl: Kubectl, name: str) -> dict[str, str]:
    """resourceVersion of each child."""
    return {
        f"{kind}/{child['metadata']['name']}": child["metadata"]["resourceVersion"]
        for kind in KINDS
        for child in children(kubectl, kind, name)
    }


def test_the_same_spec_applied_again_changes_nothing(kubectl: Kubectl) -> None:
    """A tool that applies the spec every second, in the middle of a rollout, meets nobody who fights it."""
    name = "again"
    kubectl.apply(second(name))
    before = wait_state(kubectl, name, "AwaitingApproval")
    children_before = versions(kubectl, name)
    for number in range(APPLIED_AGAIN):
        by = ("--server-side", "--field-manager=gitops", "--force-conflicts") if number % 2 else ()
        kubectl("apply", *by, "-f", "-", stdin=json.dumps(second(name)))
        time.sleep(1)  # as such tools do
    after = status(kubectl, name)
    assert versions(kubectl, name) == children_before
    assert after["decision"] == before["decision"]
    assert after["canaryRevision"] == before["canaryRevision"]
    assert after["rollout"] == before["rollout"]
