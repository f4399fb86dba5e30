"""conversion: what is read of raw objects, and that nothing in them makes it fail."""

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NAMESPACE, manifest
from modelward.api.conditions import Reason
from modelward.api.names import DECISION_ANNOTATION, INTENT_ANNOTATION, REVISION_LABEL
from modelward.cache import convert
from modelward.rollout.observed import Autoscaler, Deployment, Exit, Pod, Service

Raw = dict[str, Any]


def identified(raw: Raw, **metadata: Any) -> Raw:
    """The object with what the API server adds."""
    raw = copy.deepcopy(raw)
    raw["metadata"] |= {"uid": "u", "resourceVersion": "7", "generation": 3, **metadata}
    return raw


def managed(manager: str, *fields: str, **words: Any) -> Raw:
    """An entry of managedFields for keys of spec."""
    return {"manager": manager, "fieldsV1": {"f:spec": {f"f:{field}": {} for field in fields}}, **words}


def deployment(**metadata: Any) -> Raw:
    """A Deployment as the API server shows it."""
    raw = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "fraud-x",
            "namespace": NAMESPACE,
            "creationTimestamp": "2026-11-22T12:00:00Z",
            "labels": {REVISION_LABEL: "x"},
            "ownerReferences": [{"uid": "other"}, {"uid": "owner", "controller": True}],
        },
        "spec": {"replicas": 3, "template": {}},
        "status": {"replicas": 2, "readyReplicas": 1},
    }
    return identified(raw, **metadata)


def seen(raw: Raw) -> Deployment:
    """What is read of it."""
    child = convert.child(raw)
    assert isinstance(child, Deployment)
    return child


# --- the model ----------------------------------------------------------------------------------------------


def test_a_model_is_read_once() -> None:
    """Spec, commands, who changed it, and the fields of its revision."""
    raw = identified(
        manifest("1"),
        annotations={"modelward.dev/restart": "monday", "other.dev/x": "1"},
        managedFields=[
            managed("argocd", "model", time="2026-11-22T12:00:00Z"),
            managed("kubectl", "replicas", time="2026-11-22T12:01:00Z"),
        ],
    )
    model = convert.model(raw)
    assert (model.name, model.namespace, model.generation) == ("fraud", NAMESPACE, 3)
    assert model.commands == {"restart": "monday"}
    assert model.changed_by == "kubectl"
    assert set(model.fields) == {"model", "runtime"}
    assert model.problem is None


def test_a_bad_spec_is_a_problem_and_no_exception() -> None:
    """One bad object must not stop the watch."""
    model = convert.model(identified(manifest("1", replicas="many")))
    assert model.problem is not None
    assert model.problem.reason is Reason.INVALID_SPEC
    assert model.problem.message.startswith("spec.replicas:")
    assert not model.is_guarded


@pytest.mark.parametrize(
    ("words", "unreadable", "guarded"),
    [
        pytest.param({"analysis": {"intervalSeconds": "often"}}, {"analysis"}, True, id="how it is judged"),
        pytest.param({"scheduling": 5, "podLabels": 7}, {"scheduling", "podLabels"}, True, id="its pods"),
        pytest.param({"rollout": {"steps": [{"weightPercent": "x"}]}}, {"rollout"}, False, id="its steps"),
        pytest.param({"traffic": [], "analysis": 1}, {"traffic", "analysis"}, False, id="its traffic"),
    ],
)
def test_a_bad_spec_is_read_as_far_as_it_goes(
    words: dict[str, Any], unreadable: set[str], *, guarded: bool
) -> None:
    """What could be read serves to end a rollout under way, if it says all about the objects."""
    model = convert.model(identified(manifest("1", replicas=3, **words)))
    assert model.problem is not None
    assert set(model.unreadable) == unreadable
    assert model.is_guarded is guarded
    assert model.spec.replicas == 3


def test_a_damaged_status_is_read_as_far_as_it_goes() -> None:
    """Another version wrote it, or a hand."""
    raw = identified(manifest("1"))
    raw["status"] = {"stableRevision": "abc", "decision": "seven"}
    assert convert.model(raw).status.stable_revision == "abc"


def test_a_long_command_is_cut_to_what_status_can_hold() -> None:
    """Or its acknowledgement would be refused, and every later status with it."""
    raw = identified(manifest("1"), annotations={"modelward.dev/restart": "x" * 100_000})
    assert len(convert.model(raw).commands["restart"]) == 256


@pytest.mark.parametrize("key", ["annotations", "labels", "managedFields", "ownerReferences"])
def test_metadata_may_be_null(key: str) -> None:
    """JSON null is as good as nothing."""
    convert.model(identified(manifest("1"), **{key: None}))
    convert.child(deployment(**{key: None}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["model", "runtime", "replicas", "rollout"]), json_values), json_values
)
def test_no_spec_and_no_status_makes_decoding_fail(spec: Raw, status: Any) -> None:
    """Whatever is in it."""
    raw = identified(manifest("1"))
    raw["spec"], raw["status"] = spec, status
    convert.model(raw)


# --- children -----------------------------------------------------------------------------------------------


def test_a_deployment() -> None:
    """Counts, owner, revision, age."""
    child = seen(deployment(annotations={INTENT_ANNOTATION: "abc", DECISION_ANNOTATION: "12"}))
    assert (child.replicas, child.current, child.ready) == (3, 2, 1)
    assert (child.owner_uid, child.revision, child.intent, child.decision) == ("owner", "x", "abc", 12)


@pytest.mark.parametrize("number", ["", "-1", "x", "²", "9" * 30, "1.5"])
def test_a_decision_number_that_is_none_counts_as_none(number: str) -> None:
    """Anybody may write an annotation."""
    assert seen(deployment(annotations={DECISION_ANNOTATION: number})).decision == 0


def test_a_deployment_whose_pods_cannot_be_created_says_why() -> None:
    """Quota, Pod Security, a webhook."""
    raw = deployment()
    raw["status"]["conditions"] = [
        {"type": "Available", "status": "False", "message": "no"},
        {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"},
    ]
    assert seen(raw).failure == "exceeded quota"


@pytest.mark.parametrize(
    ("entries", "editor"),
    [
        pytest.param([managed("modelward", "template")], "", id="we alone"),
        pytest.param([managed("kubectl-edit", "template")], "kubectl-edit", id="somebody else"),
        pytest.param([managed("hpa", "replicas", subresource="scale")], "", id="who scales edits nothing"),
        pytest.param([managed("kubectl", "replicas")], "", id="not even without the subresource"),
        pytest.param([managed("k8s", "template", subresource="status")], "", id="who writes status neither"),
        pytest.param([{"manager": "k8s", "fieldsV1": {"f:metadata": {}}}], "", id="metadata are free"),
        pytest.param([{"manager": "old"}], "", id="an entry without fields"),
    ],
)
def test_foreign_editor(entries: list[Raw], editor: str) -> None:
    """After a restart it is the only trace of an edit."""
    assert seen(deployment(managedFields=entries)).edited_by == editor


@pytest.mark.parametrize(
    ("entries", "places"),
    [
        pytest.param([managed("modelward", "replicas", "template")], [0], id="we own them"),
        pytest.param(
            [managed("x", "replicas"), managed("modelward", "replicas", subresource="scale")],
            [1],
            id="through /scale, too",
        ),
        pytest.param([managed("hpa", "replicas")], [], id="the autoscaler does"),
        pytest.param([managed("modelward", "template")], [], id="nobody does"),
    ],
)
def test_replicas_owners(entries: list[Raw], places: list[int]) -> None:
    """Where they are to be given up when an autoscaler takes over."""
    raw = deployment(managedFields=entries)
    assert convert.replicas_owners(raw) == places
    assert seen(raw).owns_replicas is bool(places)


def changed(edit: Any) -> bool:
    """Whether an edit moves the digest."""
    raw = deployment()
    edit(raw)
    return seen(raw).digest != seen(deployment()).digest


@pytest.mark.parametrize(
    ("edit", "moves"),
    [
        pytest.param(lambda raw: raw["spec"].update(template={"x": 1}), True, id="spec"),
        pytest.param(
            lambda raw: raw["metadata"]["labels"].update({REVISION_LABEL: "y"}), True, id="our labels"
        ),
        pytest.param(lambda raw: raw["metadata"].update(ownerReferences=[]), True, id="the owner"),
        pytest.param(lambda raw: raw["spec"].update(replicas=9), False, id="not replicas"),
        pytest.param(lambda raw: raw["metadata"]["labels"].update(team="x"), False, id="not others' labels"),
        pytest.param(lambda raw: raw.update(status={}), False, id="not status"),
    ],
)
def test_the_digest_is_of_what_is_ours_to_say(edit: Any, moves: bool) -> None:  # noqa: FBT001
    """It shows a foreign edit from the noise of controllers."""
    assert changed(edit) is moves


def test_a_service_shows_what_it_selects() -> None:
    """Or nothing, when it is not ours."""
    raw = deployment()
    raw |= {"kind": "Service", "spec": {"selector": {REVISION_LABEL: "x"}}}
    child = convert.child(raw)
    assert isinstance(child, Service)
    assert child.selects == "x"


# --- pods ---------------------------------------------------------------------------------------------------


def pod(status: Raw, spec: Raw | None = None) -> str:
    """The problem of a pod."""
    raw = {"metadata": {"name": "p", "labels": {REVISION_LABEL: "x"}}, "spec": spec or {}, "status": status}
    return convert.pod(raw).problem


def container(**words: Any) -> Raw:
    """The status of a pod with one container."""
    return {"containerStatuses": [{"name": "server", "image": "i:1", "ready": False, **words}]}


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        pytest.param({}, "", id="nothing is known"),
        pytest.param(
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}]},
            "not scheduled: 0/3 nodes",
            id="no node",
        ),
        pytest.param({"reason": "Evicted", "message": "disk"}, "evicted: disk", id="evicted"),
        pytest.param(
            container(state={"waiting": {"reason": "ErrImagePull"}}),
            "server: image i:1 cannot be pulled",
            id="an image that cannot be pulled",
        ),
        pytest.param(
            container(state={"waiting": {"reason": "ImagePullBackOff"}}),
            "server: image i:1 cannot be pulled",
            id="the same in the other words of the kubelet",
        ),
        pytest.param(container(state={"waiting": {"reason": "ContainerCreating"}}), "", id="a normal start"),
        pytest.param(
            container(
                state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
                lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
            ),
            "server: CrashLoopBackOff; ended with exit code 137 (OOMKilled)",
            id="a crash, without the counter in its message",
        ),
        pytest.param(
            container(state={"waiting": {"reason": "CreateContainerConfigError", "message": "no secret"}}),
            "server: CreateContainerConfigError: no secret",
            id="a missing secret",
        ),
    ],
)
def test_pod_problems(status: Raw, problem: str) -> None:
    """In words that stay the same while it stays the same."""
    assert pod(status) == problem


def test_a_running_pod_that_is_not_ready_names_its_probe() -> None:
    """So that one can ask it oneself."""
    spec = {
        "containers": [{"name": "server", "readinessProbe": {"httpGet": {"port": "http", "path": "/ready"}}}]
    }
    assert "GET :http/ready" in pod(container(state={"running": {"startedAt": "now"}}), spec)


def full_pod(**status: Any) -> Raw:
    """A ready pod as the kubelet shows it."""
    conditions = {"PodScheduled": "True", "ContainersReady": "True", "Ready": "True"}
    return {
        "metadata": {
            "name": "p",
            "labels": {REVISION_LABEL: "x", "pod-template-hash": "5d4f"},
            "creationTimestamp": "2026-11-22T12:00:00Z",
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "fraud-x-5d4f", "controller": True}
            ],
        },
        "spec": {"nodeName": "node-1"},
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.7",
            "conditions": [
                {"type": kind, "status": value, "lastTransitionTime": "2026-11-22T12:00:05Z"}
                for kind, value in conditions.items()
            ],
            "containerStatuses": [
                {
                    "name": "server",
                    "ready": True,
                    "restartCount": 0,
                    "state": {"running": {"startedAt": "2026-11-22T12:00:02Z"}},
                }
            ],
            **status,
        },
    }


def at(second: int) -> datetime:
    """A second of the minute in which the pod was made."""
    return datetime(2026, 11, 22, 12, 0, second, tzinfo=UTC)


def conditions(ready: str, *, containers: str, changed: int) -> list[Raw]:
    """The two conditions about readiness; `changed` is when Ready did."""
    return [
        {"type": "Ready", "status": ready, "lastTransitionTime": f"2026-11-22T12:00:{changed:02}Z"},
        {"type": "ContainersReady", "status": containers},
    ]


def test_a_ready_pod() -> None:
    """Where it is, since when, and that nothing has happened to it."""
    pod = convert.pod(full_pod())
    assert pod == Pod(
        name="p",
        revision="x",
        created=at(0),
        node="node-1",
        ip="10.0.0.7",
        scheduled=at(5),
        started=at(2),
        ready=True,
        ready_since=at(5),
        holds=frozenset({"pods"}),
    )


@pytest.mark.parametrize(
    ("ready", "containers", "changed", "restarts", "lost"),
    [
        pytest.param(
            "False", "False", 1, 0, False, id="it has never been ready: Ready is older than its start"
        ),
        pytest.param("False", "False", 2, 0, False, id="nor within the second of its start"),
        pytest.param("False", "False", 30, 0, True, id="its probe fails"),
        pytest.param("False", "False", 1, 1, True, id="it was restarted and is not ready again"),
        pytest.param("False", "True", 30, 0, False, id="its node is lost, or a readiness gate is closed"),
        pytest.param("True", "True", 30, 4, False, id="it is ready"),
    ],
)
def test_lost_readiness(ready: str, containers: str, changed: int, restarts: int, lost: bool) -> None:  # noqa: FBT001 - a parametrized case
    """A pod that still loads has not lost what it never had."""
    raw = full_pod(conditions=conditions(ready, containers=containers, changed=changed))
    raw["status"]["containerStatuses"][0]["restartCount"] = restarts
    assert convert.pod(raw).lost_readiness is lost


def test_the_last_end_of_a_container() -> None:
    """The latest of all containers, the running state before the one before."""
    crashed = {"exitCode": 1, "reason": "Error", "finishedAt": "2026-11-22T12:00:40Z"}
    killed = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-11-22T12:00:50Z"}
    old = {"exitCode": 2, "reason": "Error", "finishedAt": "2026-11-22T12:00:10Z"}
    pod = convert.pod(
        full_pod(
            containerStatuses=[
                {"name": "proxy", "restartCount": 1, "lastState": {"terminated": crashed}},
                {
                    "name": "server",
                    "restartCount": 2,
                    "state": {"terminated": killed},
                    "lastState": {"terminated": old},
                },
            ]
        )
    )
    assert pod.ended == Exit(container="server", code=137, reason="OOMKilled", time=at(50))
    assert (pod.restarts, pod.started) == (3, None)


def test_an_init_container_that_has_done_its_work_has_not_failed() -> None:
    """One that fails again and again is distinguished from the server."""
    done = {"exitCode": 0, "reason": "Completed", "finishedAt": "2026-11-22T12:00:03Z"}
    failed = {**done, "exitCode": 3, "reason": "Error"}
    assert convert.pod(full_pod(initContainerStatuses=[{"state": {"terminated": done}}])).ended is None
    looping = {
        "name": "fetch",
        "restartCount": 4,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": failed},
    }
    pod = convert.pod(full_pod(initContainerStatuses=[looping]))
    assert (pod.crash_looping, pod.restarts, pod.init_restarts) == ("fetch", 0, 4)
    assert pod.ended == Exit(container="fetch", code=3, reason="Error", time=at(3))


@pytest.mark.parametrize(
    ("condition", "own_fault"),
    [
        pytest.param([], True, id="over its own limit"),
        pytest.param([{"type": "DisruptionTarget", "status": "True"}], False, id="for the node's sake"),
    ],
)
def test_an_evicted_pod(condition: list[Raw], own_fault: bool) -> None:  # noqa: FBT001 - a parametrized case
    """The kubelet marks those that it evicts for the node's sake."""
    pod = convert.pod(full_pod(phase="Failed", reason="Evicted", message="disk", conditions=condition))
    assert (pod.failed, pod.over_storage_limit) == ("Evicted", own_fault)


def test_a_pod_that_is_over_without_a_reason_has_failed() -> None:
    """Nobody may take it for a live one."""
    assert convert.pod(full_pod(phase="Failed")).failed == "Failed"


def test_a_pod_that_is_being_deleted() -> None:
    """It is drained, replaced or scaled away."""
    raw = full_pod()
    raw["metadata"]["deletionTimestamp"] = "2026-11-22T12:01:00Z"
    assert convert.pod(raw).deleting


@pytest.mark.parametrize(
    ("first", "looping"),
    [
        pytest.param("2026-11-22T12:00:30Z", "server", id="for the second time in ten seconds"),
        pytest.param("2026-11-22T11:50:40Z", "server", id="for the second time in ten minutes"),
        pytest.param("2026-11-22T11:50:39Z", "", id="the first time is forgotten"),
        pytest.param(None, "", id="for the first time"),
    ],
)
def test_a_container_that_has_ended_twice_is_looping(first: str | None, looping: str) -> None:
    """The kubelet holds it back already, and says so only later."""
    before = {"lastState": {"terminated": {"exitCode": 1, "finishedAt": first}}} if first else {}
    now = {"state": {"terminated": {"exitCode": 1, "finishedAt": "2026-11-22T12:00:40Z"}}}
    server = {"name": "server", "ready": False, **now, **before}
    assert convert.pod(full_pod(containerStatuses=[server])).crash_looping == looping


def test_an_init_container_that_succeeds_at_the_second_try_is_not_looping() -> None:
    """It keeps both ends for as long as the pod lives."""
    fetch = {
        "name": "fetch",
        "ready": True,
        "restartCount": 1,
        "state": {"terminated": {"exitCode": 0, "finishedAt": "2026-11-22T12:00:40Z"}},
        "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-11-22T12:00:30Z"}},
    }
    assert convert.pod(full_pod(initContainerStatuses=[fetch])).crash_looping == ""


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        pytest.param(("ScalingActive", "True", "ValidMetricFound", "ok"), "", id="it works"),
        pytest.param(
            ("ScalingActive", "False", "FailedGetContainerResourceMetric", "no metrics"),
            "FailedGetContainerResourceMetric: no metrics",
            id="no metrics",
        ),
        pytest.param(
            ("AbleToScale", "False", "FailedGetScale", "not found"),
            "FailedGetScale: not found",
            id="no scale",
        ),
        pytest.param(("ScalingActive", "False", "ScalingDisabled", "zero"), "", id="at zero, as asked"),
        pytest.param(("ScalingLimited", "True", "TooManyReplicas", "more"), "", id="at its bounds"),
    ],
)
def test_f24_an_autoscaler_that_does_not_scale_says_why(
    condition: tuple[str, str, str, str], problem: str
) -> None:
    """In the words of its controller."""
    keys = ("type", "status", "reason", "message")
    raw = {**deployment(), "kind": "HorizontalPodAutoscaler"}
    raw["status"] = {"conditions": [dict(zip(keys, condition, strict=True))]}
    child = convert.child(raw)
    assert isinstance(child, Autoscaler)
    assert child.problem == problem
