"""F02, no room for stable, with the real scheduler: fake nodes of 64 GPUs, pods of 40, so that each node takes one."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from devcluster.kwok import node_manifest
from support.kubectl import Kubectl
from support.models import KIND, children, condition, fake_model, status, wait_quiet, wait_ready, wait_reason
from support.waiting import until

pytestmark = pytest.mark.usefixtures("operator")

GPU: Final = "nvidia.com/gpu"
DAY: Final = 86_400
PATIENCE_SECONDS: Final = 120.0
"""A pod that is given up has its grace period, and a scheduler its back-off."""


@pytest.fixture
def nodes(kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """As many nodes as the test asks for, which take pods of this test alone."""
    names = [
        f"{kubectl.namespace}-{request.node.originalname.replace('_', '-')[-20:]}-{n}"
        for n in range(request.param)
    ]
    for name in names:
        manifest = node_manifest(name, tainted=True)
        manifest["metadata"]["labels"]["type"] = names[0]
        kubectl.apply(manifest)
    kubectl("wait", "--for=condition=Ready", *(f"node/{name}" for name in names), "--timeout=60s")
    try:
        yield names
    finally:
        kubectl("delete", KIND, "--all")
        kubectl("delete", "node", *names, "--ignore-not-found")


@pytest.fixture
def classes(kubectl: Kubectl) -> Iterator[dict[str, str]]:
    """A low and a high PriorityClass."""
    names = {kind: f"{kubectl.namespace}-{kind}" for kind in ("low", "high")}
    for value, name in zip((1, 1000), names.values(), strict=True):
        kubectl("create", "priorityclass", name, f"--value={value}")
    try:
        yield names
    finally:
        kubectl("delete", "priorityclass", *names.values())


def large_model(name: str, nodes: list[str], version: str = "1", **more: Any) -> dict[str, Any]:
    """Two pods of 40 GPUs; a change runs at half of the traffic, with two pods of its own, for a day."""
    scheduling = more.pop("scheduling", {})
    made = fake_model(
        name,
        version=version,
        replicas=2,
        resources={"limits": {GPU: "40"}},
        rollout={
            "steps": [{"weightPercent": 50}],
            "stepMinSeconds": DAY,
            "stepMaxSeconds": DAY,
            "keepPreviousSeconds": DAY,
        },
        **more,
    )
    made["spec"]["scheduling"] |= {"nodeSelector": {"type": nodes[0]}, **scheduling}
    return made


def begun(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """Wait until the canary has its traffic; returns the status."""
    return until(
        lambda: (seen := status(kubectl, name)).get("rollout", {}).get("state") == "Analyzing" and seen,
        f"the canary of {name} has traffic",
    )


def lose_nodes(kubectl: Kubectl, model: str, revision: str) -> None:
    """Take the nodes of a revision's pods away, and the pods with them."""
    pods = kubectl.all("pods", f"modelward.dev/model={model},modelward.dev/revision={revision}")
    kubectl("cordon", *(pod["spec"]["nodeName"] for pod in pods))
    kubectl("delete", "pod", *(pod["metadata"]["name"] for pod in pods), "--grace-period=0", "--force")


def says(kubectl: Kubectl, name: str, words: str) -> None:
    """Wait until Ready says so."""
    until(
        lambda: words in condition(kubectl, name).get("message", ""),
        f"Ready says {words!r}; it is {condition(kubectl, name)}",
    )


def whole_again(kubectl: Kubectl, name: str, stable: str) -> None:
    """Wait until stable has both of its pods, and nothing else is there."""
    until(
        lambda: (
            [
                (
                    each["metadata"]["labels"]["modelward.dev/revision"],
                    each.get("status", {}).get("readyReplicas"),
                )
                for each in children(kubectl, "deploy", name)
            ]
            == [(stable, 2)]
        ),
        f"stable is whole: {condition(kubectl, name)}",
        seconds=PATIENCE_SECONDS,
    )
    says(kubectl, name, f"{stable} goes on serving.")


@pytest.mark.parametrize("nodes", [4], indirect=True)
def test_f02_nodes_are_lost_and_the_canary_is_aborted(kubectl: Kubectl, nodes: list[str]) -> None:
    """The canary alone answers, and says so; on the way back it gives its pods up for stable."""
    kubectl.apply(large_model("lost", nodes))
    stable = wait_ready(kubectl, "lost")["stableRevision"]
    kubectl.apply(large_model("lost", nodes, version="2"))
    canary = begun(kubectl, "lost")["canaryRevision"]
    lose_nodes(kubectl, "lost", stable)
    says(kubectl, "lost", f"canary {canary} answers all requests")
    assert f"Stable {stable}: 0 of 2 pods ready; not scheduled: " in condition(kubectl, "lost")["message"]
    assert status(kubectl, "lost")["rollout"]["actualWeightPercent"] == 100
    kubectl("annotate", KIND, "lost", f"modelward.dev/abort={canary}")
    wait_reason(kubectl, "lost", "Aborted")
    whole_again(kubectl, "lost", stable)


@pytest.mark.parametrize("nodes", [2], indirect=True)
def test_f02_a_canary_that_may_preempt_stable(
    kubectl: Kubectl, nodes: list[str], classes: dict[str, str]
) -> None:
    """It waits for an approval; once it has that and preempts stable it is rolled back, and stable is whole again."""
    low, high = ({"priorityClassName": name} for name in classes.values())
    kubectl.apply(large_model("ranked", nodes, scheduling=low))
    stable = wait_ready(kubectl, "ranked")["stableRevision"]
    kubectl.apply(large_model("ranked", nodes, version="2", scheduling=high))
    message = wait_reason(kubectl, "ranked", "PreemptsStable")["message"]
    assert "its priority is 1000, and that of stable 1" in message
    assert f"{stable} goes on serving." in message
    assert len(children(kubectl, "deploy", "ranked")) == 1
    kubectl("annotate", KIND, "ranked", f"modelward.dev/approve={message.rpartition('approve=')[2]}")
    until(lambda: status(kubectl, "ranked").get("rejectedRevisions"), "it is rolled back")
    assert status(kubectl, "ranked")["rejectedRevisions"][0]["reason"] == "PreemptsStable"
    whole_again(kubectl, "ranked", stable)


@pytest.mark.parametrize("nodes", [2], indirect=True)
def test_f02_a_lower_class_asks_nobody(kubectl: Kubectl, nodes: list[str], classes: dict[str, str]) -> None:
    """Its pods wait for room."""
    low, high = ({"priorityClassName": name} for name in classes.values())
    kubectl.apply(large_model("humble", nodes, scheduling=high))
    wait_ready(kubectl, "humble")
    kubectl.apply(large_model("humble", nodes, version="2", scheduling=low))
    says(kubectl, "humble", f"Insufficient {GPU}")
    assert condition(kubectl, "humble")["reason"] == "Deploying"
    kubectl.apply(large_model("humble", nodes, scheduling=high))
    wait_quiet(kubectl, "humble")


@pytest.mark.parametrize("nodes", [4], indirect=True)
def test_f02_a_quota_that_lets_stable_not_come_back(kubectl: Kubectl, nodes: list[str]) -> None:
    """The canary's pods count against the same quota."""
    kubectl.apply(large_model("rationed", nodes))
    stable = wait_ready(kubectl, "rationed")["stableRevision"]
    kubectl.apply(large_model("rationed", nodes, version="2"))
    canary = begun(kubectl, "rationed")["canaryRevision"]
    kubectl("create", "quota", "gpus", f"--hard=requests.{GPU}=80")
    try:
        until(
            lambda: (kubectl.get("quota", "gpus") or {}).get("status", {}).get("used"),
            "the quota is in force",
        )
        lose_nodes(kubectl, "rationed", stable)
        says(kubectl, "rationed", "exceeded quota: gpus")
        kubectl("uncordon", *nodes)
        kubectl("annotate", KIND, "rationed", f"modelward.dev/abort={canary}")
        whole_again(kubectl, "rationed", stable)
    finally:
        kubectl("delete", "quota", "gpus")
