"""Kopf's side: how it asks, and which models an event concerns."""

from itertools import islice
from typing import Any

import pytest

from builders import NAME, NAMESPACE, make_status, manifest
from modelward.api.decode import encode
from modelward.api.names import MODEL_LABEL
from modelward.api.objects import Key
from modelward.api.status import ModelDeploymentStatus, RolloutStatus
from modelward.cache.store import Store
from modelward.clients.resources import HTTP_ROUTE, MODEL_DEPLOYMENT, SERVICE
from modelward.controller.handlers import Intake, operator_settings
from modelward.controller.workqueue import WorkQueue


def intake(status: ModelDeploymentStatus) -> Intake:
    """An intake that knows one model."""
    store = Store()
    raw = manifest("1")
    raw["metadata"] |= {"uid": "m", "resourceVersion": "1"}
    store.put({**raw, "status": encode(status)})
    return Intake(store, WorkQueue[Key](clock=lambda: 0.0))


def pod_event(kind: str, version: int) -> dict[str, Any]:
    """An event of a pod of that model."""
    metadata = {"namespace": NAMESPACE, "name": "p", "uid": "p", "resourceVersion": str(version)}
    return {"type": kind, "object": {"kind": "Pod", "metadata": {**metadata, "labels": {MODEL_LABEL: NAME}}}}


def test_a_child_that_goes_marks_its_model_possibly_deleted() -> None:
    """It may be the garbage collector, after a model that is gone."""
    taken = intake(make_status("a"))
    owner = {"apiVersion": "modelward.dev/v1alpha1", "kind": "ModelDeployment", "name": NAME, "uid": "m"}
    metadata: dict[str, Any] = {"namespace": NAMESPACE, "name": "s", "uid": "s", "resourceVersion": "2"}
    metadata |= {"ownerReferences": [{**owner, "controller": True}], "labels": {}, "annotations": {}}
    service = {"kind": "Service", "metadata": metadata, "spec": {}}
    taken.event({"type": "ADDED", "object": service})
    assert not taken.store.is_possibly_deleted((NAMESPACE, NAME))
    taken.event({"type": "DELETED", "object": service})
    assert taken.store.is_possibly_deleted((NAMESPACE, NAME))
    taken.store.clear_possibly_deleted((NAMESPACE, NAME))
    assert not taken.store.is_possibly_deleted((NAMESPACE, NAME))


@pytest.mark.parametrize(
    ("status", "reconciles"),
    [
        pytest.param(
            make_status("a", canary_revision="b", rollout=RolloutStatus(state="ScalingUp")), 1, id="a canary"
        ),
        pytest.param(
            make_status("b", previous_revision="a", rollout=RolloutStatus(state="Watching")),
            1,
            id="the watch after a promotion",
        ),
        pytest.param(make_status("a"), 0, id="at rest"),
    ],
)
def test_an_event_of_a_pod_is_urgent_while_revisions_are_compared(
    status: ModelDeploymentStatus, reconciles: int
) -> None:
    """At rest its Deployment shows all that is of interest, and 1,000 starting models stay cheap."""
    taken = intake(status)
    for version, kind in enumerate(("ADDED", "MODIFIED", "DELETED"), start=2):
        taken.event(pod_event(kind, version))
        assert taken.queue.depth() == reconciles
    assert taken.store.model_of_pod(NAMESPACE, "p") is None


def test_a_users_route_wakes_the_models_that_name_it() -> None:
    """Whether it comes, changes or goes."""
    store, queue = Store(), WorkQueue[Key](clock=lambda: 0.0)
    intake = Intake(store, queue)
    raw = manifest("1", traffic={"httpRouteRef": {"name": "shop"}})
    raw["metadata"] |= {"uid": "m", "resourceVersion": "1"}
    store.put(raw)
    route = {
        "kind": "HTTPRoute",
        "metadata": {
            "namespace": NAMESPACE,
            "name": "shop",
            "uid": "r",
            "resourceVersion": "2",
            "labels": {"modelward.dev/weights": "managed"},
        },
        "spec": {},
    }
    for kind in ("ADDED", "DELETED"):
        assert queue.depth() == 0
        intake.event({"type": kind, "object": route})
        assert queue.depth() == 1
        queue.clear()


def test_each_kind_is_watched_by_its_own_label() -> None:
    """A user's route is not ours to label as ours; of our own kinds all are watched."""
    labels = {resource.plural: resource.selector for resource in (SERVICE, HTTP_ROUTE, MODEL_DEPLOYMENT)}
    assert labels == {
        "services": "app.kubernetes.io/managed-by=modelward",
        "httproutes": "modelward.dev/weights=managed",
        "modeldeployments": "",
    }


def test_kopf_asks_again_without_end() -> None:
    """It would end with its last attempt, and with it the operator."""
    pauses = list(islice(iter(operator_settings().networking.error_backoffs), 8))  # type: ignore[arg-type]
    assert pauses == [0.5, 1.0, 2.0, 3.0, 5.0, 5.0, 5.0, 5.0]
