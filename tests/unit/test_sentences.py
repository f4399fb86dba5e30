"""F18: every sentence that claims something is true of what was observed."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NAME, NAMESPACE
from builders.rollouts import A, B, rolling
from golden.acts import create, other, stable
from golden.script import judged
from modelward import status, trim
from modelward.api.names import REVISION_LABEL
from modelward.rehearsal.api_server import Raw
from modelward.rehearsal.simulation import Simulation
from modelward.rollout.decide import decide
from modelward.rollout.observed import Observed, Pod
from modelward.rollout.phases import Phase

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


# --- a model that needs longer than startupSeconds ----------------------------------------------------------


def at(second: float) -> str:
    """A time of the kubelet."""
    return (START + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")


def ended(ran: float, *, ready_changed: float = 0, reason: str = "Completed", **words: Any) -> Pod:
    """A pod whose server was started at 2 s and ended after `ran`; it has 60 s to get ready."""
    over = {"exitCode": 0, "reason": reason, "startedAt": at(2), "finishedAt": at(2 + ran), **words}
    return trim.pod(
        {
            "metadata": {"name": "p", "labels": {REVISION_LABEL: B}},
            "spec": {
                "containers": [
                    {"name": "server", "startupProbe": {"failureThreshold": 60, "periodSeconds": 1}}
                ]
            },
            "status": {
                "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": at(ready_changed)}],
                "containerStatuses": [
                    {"name": "server", "ready": False, "restartCount": 1, "lastState": {"terminated": over}}
                ],
            },
        }
    )


STOPPED = "was stopped by the kubelet, because it was not ready within startupSeconds 60"


@pytest.mark.parametrize("ran", [59, 60, 61, 95])
def test_f18_who_is_stopped_because_it_is_not_ready_is_told_so(ran: float) -> None:
    """The exit code alone reads as if the server had ended by itself."""
    pod = ended(ran)
    assert pod.problem == f"server: {STOPPED} (exit code 0 (Completed))"
    assert pod.ended is not None
    assert pod.ended.overdue_seconds == 60


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(ended(5), id="it ended by itself, earlier"),
        pytest.param(ended(300, ready_changed=200), id="it was ready, and lost it"),
        pytest.param(ended(61, reason="OOMKilled", exitCode=137), id="the kernel killed it"),
    ],
)
def test_f18_who_ended_by_itself_is_not_said_to_be_stopped(pod: Pod) -> None:
    """Nothing is claimed that was not seen."""
    assert "ended with exit code" in pod.problem
    assert STOPPED not in pod.problem


# --- edits of children --------------------------------------------------------------------------------------


def edited(edit: Any, *, subresource: str = "") -> list[Raw]:
    """The Events about edits by hand, after one of the stable Deployment."""

    def do(sim: Simulation) -> None:
        sim.server.change(
            ("Deployment", NAMESPACE, f"{NAME}-{stable(sim)}"), "kubectl", edit, subresource=subresource
        )

    sim = Simulation((create(0, **judged(replicas=2)), other(30, "edits a Deployment", do)))
    sim.run(60)
    return [each for each in sim.server.find("Event") if each["reason"] == "DriftCorrected"]


def restart(raw: Raw) -> None:
    """`kubectl rollout restart`."""
    raw["spec"]["template"]["metadata"].setdefault("annotations", {})["kubectl.kubernetes.io/restartedAt"] = (
        at(0)
    )


def set_image(raw: Raw) -> None:
    """`kubectl set image`."""
    raw["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example.com/other:2"


def scale(raw: Raw) -> None:
    """`kubectl scale`."""
    raw["spec"]["replicas"] = 5


@pytest.mark.parametrize(
    ("edit", "subresource", "command"),
    [
        pytest.param(
            restart,
            "",
            f"kubectl annotate mwd {NAME} -n {NAMESPACE} --overwrite modelward.dev/restart=",
            id="restart",
        ),
        pytest.param(set_image, "", f"kubectl edit mwd {NAME} -n {NAMESPACE}", id="image"),
        pytest.param(scale, "scale", f"kubectl scale mwd {NAME} -n {NAMESPACE} --replicas=5", id="scale"),
    ],
)
def test_f18_whoever_edits_a_child_is_told_what_to_do_instead(
    edit: Any, subresource: str, command: str
) -> None:
    """One Event, with the command."""
    (event,) = edited(edit, subresource=subresource)
    assert command in event["note"]
    assert "kubectl" in event["note"].partition(" and ")[0]


# --- every phase --------------------------------------------------------------------------------------------


def sentences(observed: Observed) -> list[str]:
    """All that is told of a decision."""
    decision = decide(observed)
    made = status.complete(observed, decision)
    told = [each.message for each in made.conditions] + [each.message for each in decision.announcements]
    return [*told, made.rollout.message if made.rollout else ""]


@pytest.mark.parametrize("phase", Phase)
@given(
    ready=st.fixed_dictionaries({A: st.integers(0, 4), B: st.integers(0, 4)}),
    weight=st.sampled_from([0, 5, 25]),
)
def test_f18_what_is_said_of_pods_and_shares_is_so(phase: Phase, ready: dict[str, int], weight: int) -> None:
    """Who goes on serving has a ready pod, who has none does not, and without weight nobody has a share."""
    observed = rolling(phase, ready=ready, weight=weight if phase is not Phase.SERVING else None)
    made = status.complete(observed, decide(observed))
    for text in sentences(observed):
        for revision in re.findall(r"(\w{10}) goes on serving", text):
            assert observed.deployments[revision].ready > 0
        for revision in re.findall(r"(\w{10}) has no ready pod", text):
            assert revision not in observed.deployments or observed.deployments[revision].ready == 0
        if "Its share is about" in text:
            assert made.rollout is not None
            assert made.rollout.weight_percent > 0
