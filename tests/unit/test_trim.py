"""The door: what is read of raw objects, and that nothing in them makes it fail."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NAMESPACE, manifest
from modelward import trim
from modelward.api.conditions import Reason
from modelward.api.names import DECISION_ANNOTATION, INTENT_ANNOTATION, REVISION_LABEL
from modelward.rollout.observed import Deployment, Service

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
    child = trim.child(raw)
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
    model = trim.model(raw)
    assert (model.name, model.namespace, model.generation) == ("fraud", NAMESPACE, 3)
    assert model.commands == {"restart": "monday"}
    assert model.changed_by == "kubectl"
    assert set(model.fields) == {"model", "runtime"}
    assert model.problem is None


def test_a_bad_spec_is_a_problem_and_no_exception() -> None:
    """One bad object must not stop the watch."""
    model = trim.model(identified(manifest("1", replicas="many")))
    assert model.problem is not None
    assert model.problem.reason is Reason.INVALID_SPEC
    assert model.problem.message.startswith("spec.replicas:")


def test_a_damaged_status_is_read_as_far_as_it_goes() -> None:
    """Another version wrote it, or a hand."""
    raw = identified(manifest("1"))
    raw["status"] = {"stableRevision": "abc", "decision": "seven"}
    assert trim.model(raw).status.stable_revision == "abc"


def test_a_long_command_is_cut_to_what_status_can_hold() -> None:
    """Or its acknowledgement would be refused, and every later status with it."""
    raw = identified(manifest("1"), annotations={"modelward.dev/restart": "x" * 100_000})
    assert len(trim.model(raw).commands["restart"]) == 256


@pytest.mark.parametrize("key", ["annotations", "labels", "managedFields", "ownerReferences"])
def test_metadata_may_be_null(key: str) -> None:
    """JSON null is as good as nothing."""
    trim.model(identified(manifest("1"), **{key: None}))
    trim.child(deployment(**{key: None}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["model", "runtime", "replicas", "rollout"]), json_values), json_values
)
def test_no_spec_and_no_status_makes_the_door_fail(spec: Raw, status: Any) -> None:
    """Whatever is in it."""
    raw = identified(manifest("1"))
    raw["spec"], raw["status"] = spec, status
    trim.model(raw)


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
    assert trim.replicas_owners(raw) == places
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
    """It tells a foreign edit from the noise of controllers."""
    assert changed(edit) is moves


def test_a_service_tells_what_it_selects() -> None:
    """Or nothing, when it is not ours."""
    raw = deployment()
    raw |= {"kind": "Service", "spec": {"selector": {REVISION_LABEL: "x"}}}
    child = trim.child(raw)
    assert isinstance(child, Service)
    assert child.selects == "x"


# --- pods ---------------------------------------------------------------------------------------------------


def pod(status: Raw, spec: Raw | None = None) -> str:
    """The problem of a pod."""
    raw = {"metadata": {"name": "p", "labels": {REVISION_LABEL: "x"}}, "spec": spec or {}, "status": status}
    return trim.pod(raw).problem


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
