"""The store: the newest view wins, whatever order views come in."""

import dataclasses
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NAMESPACE, make_model, make_revision, manifest, runtime_manifest
from modelward.api.names import (
    MANAGED_BY_LABEL,
    MANAGER,
    MODEL_LABEL,
    REVISION_LABEL,
    WEIGHTS_LABEL,
    model_label,
)
from modelward.cache.store import Store, is_ours
from modelward.projection.controller_revision import controller_revision
from modelward.rollout.observed import Deployment, Service

Raw = dict[str, Any]


def model(version: int = 1, uid: str = "m", name: str = "fraud") -> Raw:
    """A view of a ModelDeployment."""
    raw = manifest("1", name=name)
    raw["metadata"] |= {"uid": uid, "resourceVersion": str(version)}
    return raw


def child(
    version: int = 1, uid: str = "s", owner: str = "m", kind: str = "Service", revision: str = "x"
) -> Raw:
    """A view of a child."""
    return {
        "kind": kind,
        "metadata": {
            "namespace": NAMESPACE,
            "name": "fraud",
            "uid": uid,
            "resourceVersion": str(version),
            "labels": {MANAGED_BY_LABEL: MANAGER, REVISION_LABEL: revision},
            "ownerReferences": [{"uid": owner, "controller": True}],
        },
        "spec": {"selector": {REVISION_LABEL: revision}},
    }


def removed(store: Store, raw: Raw) -> None:
    """Report the store that an object is gone."""
    metadata = raw["metadata"]
    store.remove(raw["kind"], metadata.get("namespace", ""), metadata["name"], metadata["uid"])


def selected(store: Store) -> list[str | None]:
    """What the Services of the model select."""
    return [each.selects for each in store.children("m") if isinstance(each, Service)]


@pytest.mark.parametrize(
    ("versions", "taken"),
    [
        pytest.param([1, 2], True, id="a newer view"),
        pytest.param([2, 1], False, id="an older view"),
        pytest.param([2, 2], False, id="the same view once more"),
        pytest.param([9, 10], True, id="versions are numbers"),
    ],
)
def test_the_newest_view_wins(versions: list[int], taken: bool) -> None:  # noqa: FBT001 - a parametrized case
    """A late event never undoes what an answer has shown."""
    store = Store()
    store.put(child(versions[0], revision="first"))
    assert store.put(child(versions[1], revision="second")) is taken
    assert selected(store) == ["second" if taken else "first"]


def test_what_is_gone_does_not_come_back_by_a_late_event() -> None:
    """Its uid is remembered for a while."""
    store = Store()
    store.put(child(1))
    removed(store, child(1))
    assert store.put(child(5)) is False
    assert selected(store) == []


def test_an_object_that_was_made_again_stays_when_the_first_is_reported_gone() -> None:
    """The deletion names a uid."""
    store = Store()
    store.put(child(1, uid="old", revision="old"))
    store.put(child(9, uid="new", revision="new"))
    removed(store, child(1, uid="old"))
    assert selected(store) == ["new"]


def test_children_are_found_by_the_uid_of_their_owner() -> None:
    """Not by name or label, and before their owner is known, too."""
    store = Store()
    store.put(child(1, owner="stranger"))
    assert store.children("m") == ()
    store.put(child(2, owner="m"))
    assert store.children("stranger") == ()
    assert store.owner("m", NAMESPACE) is None
    store.put(model())
    assert store.owner("m", NAMESPACE) == (NAMESPACE, "fraud")
    assert store.owner(None, NAMESPACE) is None


@pytest.mark.parametrize("kind", ["Service", "Deployment", "ControllerRevision", "HTTPRoute"])
def test_an_object_of_another_namespace_belongs_to_nobody(kind: str) -> None:
    """A uid is no secret: whoever may make Deployments elsewhere could have theirs pass for a revision of ours."""
    store = Store()
    store.put(model())
    planted = child(owner="m", kind=kind)
    planted["metadata"]["namespace"] = "elsewhere"
    store.put(planted)
    assert store.children("m") == ()
    assert store.snapshots("m") == ()
    assert store.owner("m", "elsewhere") is None
    held, victim = store.named(kind, "elsewhere", "fraud"), store.model((NAMESPACE, "fraud"))
    assert held is not None
    assert victim is not None
    assert not is_ours(held, victim)


def test_an_object_of_another_owner_is_foreign() -> None:
    """It stands in the way of a name."""
    store = Store()
    store.put(model())
    held = store.model((NAMESPACE, "fraud"))
    assert held is not None
    assert store.foreign(held, "Service", "fraud") is False
    store.put(child(1, owner="stranger"))
    assert store.foreign(held, "Service", "fraud") is True


def test_runtimes_are_those_of_the_namespace_and_of_the_cluster() -> None:
    """Another namespace's are not for us."""
    store = Store()
    for number, (kind, namespace) in enumerate(
        [("ModelRuntime", NAMESPACE), ("ModelRuntime", "elsewhere"), ("ClusterModelRuntime", "")]
    ):
        raw = runtime_manifest(f"r{number}", kind)
        raw["metadata"] |= {"uid": str(number), "resourceVersion": "1"}
        if namespace:
            raw["metadata"]["namespace"] = namespace
        store.put(raw)
    assert [each.name for each in store.runtimes(NAMESPACE)] == ["r0", "r2"]


def test_a_snapshot_that_is_not_ours_reads_as_none() -> None:
    """Somebody else's data under our label."""
    store = Store()
    store.put(child(kind="ControllerRevision") | {"revision": 1, "data": {"some": "thing"}})
    (snapshot,) = store.snapshots("m")
    assert snapshot.read() is None
    assert store.children("m") == ()


def test_a_kind_that_nobody_watches_is_a_bug() -> None:
    """It must not be dropped silently."""
    with pytest.raises(ValueError, match="Gadget"):
        Store().put(child(kind="Gadget"))


def a_route(name: str = "shop", uid: str = "r", owner: str = "") -> Raw:
    """A view of an HTTPRoute that opts in."""
    raw = child(3, uid=uid, owner=owner, kind="HTTPRoute")
    raw["metadata"] |= {"name": name, "labels": {WEIGHTS_LABEL: "managed"}}
    return {**raw, "spec": {"rules": []}}


def test_models_are_found_by_the_route_that_they_name() -> None:
    """A user's own route has no owner among the models."""
    store = Store()
    raw = model()
    raw["spec"]["traffic"] = {"httpRouteRef": {"name": "shop"}}
    store.put(raw)
    store.put(model(name="other", uid="o"))
    assert list(store.referring(NAMESPACE, "shop")) == [(NAMESPACE, "fraud")]
    assert list(store.referring("elsewhere", "shop")) == []
    assert list(store.referring(NAMESPACE, "another")) == []


def test_a_kind_that_goes_takes_all_its_objects_along() -> None:
    """They are seen again when it comes back."""
    store = Store()
    store.put(a_route(owner="m"))
    store.put(child())
    assert [route.name for route in store.routes(NAMESPACE)] == ["shop"]
    assert store.routes("elsewhere") == ()
    assert len(store.children("m")) == 2
    store.drop("HTTPRoute")
    assert store.routes(NAMESPACE) == ()
    assert [each.kind for each in store.children("m")] == ["Service"]
    assert store.put(a_route(owner="m"))


def history(lives: int, changes: int) -> list[tuple[str, Raw]]:
    """Every event of an object that lives several times under one name, and of its owner; the last life stays."""
    events: list[tuple[str, Raw]] = [("put", model(1)), ("put", model(2))]
    version = 2
    for life in range(lives):
        for _ in range(changes):
            version += 1
            events.append(("put", child(version, uid=f"s{life}", revision=f"r{version}")))
        if life < lives - 1:
            events.append(("remove", child(version, uid=f"s{life}")))
    return events


@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 10_000))
def test_any_order_of_events_ends_in_the_same_store(lives: int, changes: int, seed: int) -> None:
    """Late, doubled and reordered: the end is the same."""
    straight, shuffled = Store(), Store()
    events = history(lives, changes)
    mixed = [*events, *events[::2]]
    random.Random(seed).shuffle(mixed)
    for store, order in ((straight, events), (shuffled, mixed)):
        for verb, raw in order:
            store.put(raw) if verb == "put" else removed(store, raw)
    assert shuffled.children("m") == straight.children("m")
    assert shuffled.model((NAMESPACE, "fraud")) == straight.model((NAMESPACE, "fraud"))
    assert shuffled.count() == straight.count() == 2


def pod(name: str = "p", version: int = 1, model: str = "fraud", namespace: str = NAMESPACE) -> Raw:
    """A view of a pod of a model."""
    labels = {MODEL_LABEL: model_label(model), REVISION_LABEL: "x"}
    metadata = {"namespace": namespace, "name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {
        "kind": "Pod",
        "metadata": {**metadata, "labels": labels},
        "status": {"podIP": f"10.0.0.{version}"},
    }


def test_pods_are_found_by_the_labels_of_their_model() -> None:
    """They belong to a ReplicaSet, which nobody watches. Another namespace's model is another one."""
    store = Store()
    store.put(model())
    held = store.model((NAMESPACE, "fraud"))
    assert held is not None
    for each in (pod("a"), pod("b"), pod("c", model="other"), pod("d", namespace="elsewhere")):
        store.put(each)
    assert [each.name for each in store.pods(held)] == ["a", "b"]
    assert store.model_of_pod(NAMESPACE, "a") == (NAMESPACE, "fraud")
    assert store.model_of_pod(NAMESPACE, "c") is None
    assert store.model_of_pod(NAMESPACE, "nobody") is None


def test_the_newest_view_of_a_pod_counts_and_a_gone_one_stays_gone() -> None:
    """As for every other kind."""
    store = Store()
    store.put(model())
    held = store.model((NAMESPACE, "fraud"))
    assert held is not None
    for version in (1, 3, 2):
        store.put({**pod(version=version), "spec": {"nodeName": f"node-{version}"}})
    assert [each.node for each in store.pods(held)] == ["node-3"]
    removed(store, pod())
    assert store.pods(held) == ()
    assert store.put(pod(version=4)) is False


def test_a_model_with_a_long_name_has_its_pods() -> None:
    """Labels take 63 characters; what is longer ends in a hash."""
    store, name = Store(), "m" * 100
    store.put(model(name=name))
    store.put(pod(model=name))
    assert store.model_of_pod(NAMESPACE, "p") == (NAMESPACE, name)


def test_pods_do_not_slow_the_sweeps() -> None:
    """Their number says nothing about how many models there are."""
    store = Store()
    store.put(model())
    store.put(pod())
    assert store.count() == 1


def a_snapshot(change: Raw | None = None, data: Any = None) -> Raw:
    """A ControllerRevision of the model, with something changed in its data."""
    revision = make_revision("1")
    raw = child(uid="c", kind="ControllerRevision", revision=revision.name)
    raw["metadata"]["name"] = f"fraud-{revision.name}"
    stored = controller_revision(make_model("1"), revision)["data"]
    return {**raw, "revision": 1, "data": {**stored, **(change or {})} if data is None else data}


def test_a_snapshot_is_read_again_and_again() -> None:
    """It is what was stored."""
    store = Store()
    store.put(a_snapshot())
    (snapshot,) = store.snapshots("m")
    assert snapshot.read() == snapshot.read() == dataclasses.replace(make_revision("1"), number=1)
    assert store.forged("m") == ()


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(
            a_snapshot({"template": {"spec": {"hostNetwork": True}}}), id="pods on the node's network"
        ),
        pytest.param(a_snapshot({"spec": {"model": {"version": "9"}}}), id="other words under this name"),
        pytest.param(a_snapshot({"nonce": "1"}), id="a nonce that is no number"),
        pytest.param(a_snapshot({"spec": {}}), id="F27, no words at all"),
        pytest.param(
            a_snapshot({"spec": {}, "runtime": {}, "template": {"spec": {"serviceAccountName": "admin"}}}),
            id="F27, no words and another service account",
        ),
        pytest.param(a_snapshot(data=[1, 2]), id="a list"),
        pytest.param(a_snapshot(data="text"), id="a string"),
    ],
)
def test_a_forged_snapshot_is_not_read(raw: Raw) -> None:
    """Who writes ControllerRevisions has no pods made by us; that one is there is known, so that it can go."""
    store = Store()
    store.put(raw)
    (snapshot,) = store.forged("m")
    assert snapshot.read() is None
    assert snapshot.flaw


def test_a_snapshot_without_bottom_is_not_read() -> None:
    """The API server takes data that is nested as deep as one likes."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    store = Store()
    store.put(a_snapshot(data={"template": deep}))
    assert [each.flaw for each in store.forged("m")] == ["it is not written as one"]


def test_f24_what_scale_answers_is_kept_until_the_watch_is_as_new() -> None:
    """Views that are older than the answer do not bring the old count back; a newer one wins."""
    store = Store()
    store.put(model())
    store.put(scaled_child(5, 2))
    (seen,) = store.children("m")
    assert isinstance(seen, Deployment)
    store.scaled(seen, "8", 4)
    store.put(scaled_child(6, 2))
    (now,) = store.children("m")
    assert isinstance(now, Deployment)
    assert (now.replicas, now.resource_version, now.owns_replicas) == (4, "8", True)
    store.scaled(seen, "7", 3)  # a late answer
    assert store.put(scaled_child(9, 5))
    (later,) = store.children("m")
    assert isinstance(later, Deployment)
    assert later.replicas == 5


def scaled_child(version: int, replicas: int) -> Raw:
    """A view of a Deployment."""
    raw = child(version, kind="Deployment")
    return {**raw, "spec": {"replicas": replicas}}
