"""F20: what may be taken back, by whose word, and what stands in the way until then."""

from dataclasses import replace
from typing import Any

import pytest

from builders import (
    NAME,
    NAMESPACE,
    UID,
    make_deployment,
    make_model,
    make_observed,
    make_revision,
    make_service,
    manifest,
    revision_name,
)
from modelward.api import names
from modelward.cache.store import Store
from modelward.projection.controller_revision import controller_revision
from modelward.projection.service import service
from modelward.projection.workload import deployment
from modelward.rollout.adoption import adoptable, adopted, blocker, candidate
from modelward.rollout.decide import decide
from modelward.rollout.observed import Child, Observed

A, B = revision_name("1"), revision_name("2")


def snapshot(revision: str) -> Child:
    """A ControllerRevision that nobody controls."""
    found = make_deployment(revision)
    fields = {key: getattr(found, key) for key in Child.__dataclass_fields__}
    return Child(**{**fields, "kind": "ControllerRevision", "owner_uid": None})


def left(*orphans: Child, version: str = "2", **words: Any) -> Observed:
    """A model without status, and what an earlier one has left."""
    return replace(make_observed(make_model(version, **words)), orphans=orphans)


SERVING = (
    snapshot(A),
    snapshot(B),
    replace(make_deployment(A), owner_uid=None),
    replace(make_service(A), owner_uid=None),
)


def test_f20_nothing_starts_beside_what_serves_and_the_message_has_the_command() -> None:
    """Spec asks for what was rejected: it would serve at once, with nothing to compare it with."""
    decision = decide(left(*SERVING))
    assert decision.status.stable_revision == ""
    assert decision.blocked is not None
    assert decision.blocked.reason == "NameConflict"
    assert decision.blocked.message.endswith(
        f"kubectl annotate mwd {NAME} -n {NAMESPACE} --overwrite modelward.dev/adopt={A}"
    )


def test_f20_only_the_revision_that_serves_is_adopted() -> None:
    """Whatever else a person may name."""
    assert adopted(left(*SERVING)) == ()
    assert adopted(left(*SERVING, commands={"adopt": B})) == ()
    assert set(adopted(left(*SERVING, commands={"adopt": A}))) == set(SERVING)


def test_f20_without_its_snapshot_no_deployment_is_taken() -> None:
    """It could not be reported what it runs."""
    observed = left(*SERVING[1:], commands={"adopt": A})
    assert [each.revision for each in adoptable(observed) if each.kind == "Deployment"] == []
    assert candidate(observed) in ("", B)
    assert blocker(observed) is not None


def test_f20_without_a_service_the_oldest_serves() -> None:
    """A backup tool may restore the Service last."""
    older = replace(make_deployment(A, age=900), owner_uid=None)
    newer = replace(make_deployment(B, age=60), owner_uid=None)
    assert candidate(left(snapshot(A), snapshot(B), newer, older)) == A


def test_f20_a_model_that_remembers_is_blocked_only_by_names_that_it_needs() -> None:
    """An old snapshot that somebody has freed of its owner is nobody's blocker."""
    observed = left(snapshot(A), version="1")
    status = replace(observed, deployments={B: make_deployment(B)})
    assert blocker(status) is None


# --- what counts as left behind: by the store ---------------------------------------------------------------


def stored(**changes: Any) -> list[str]:
    """Kinds of what the store takes for left behind of a model, after `changes` of the metadata of each object."""
    model, revision, store = make_model("1"), make_revision("1"), Store()
    raw = manifest("1")
    raw["metadata"] |= {"uid": UID, "resourceVersion": "100"}
    store.put(raw)
    made = (controller_revision(model, revision), deployment(model, revision, 2), service(model, revision))
    for number, each in enumerate(made):
        metadata = {**each["metadata"], "uid": f"u{number}", "resourceVersion": str(number + 1)}
        metadata.pop("ownerReferences")
        store.put({**each, "metadata": {**metadata, **changes}})
    return sorted((each.child if hasattr(each, "child") else each).kind for each in store.orphans(model))


def owner(**changes: Any) -> list[dict[str, Any]]:
    """A controller that is no model of that name now."""
    named = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": NAME,
        "uid": "gone",
        "controller": True,
    }
    return [{**named, **changes}]


EVERYTHING = ["ControllerRevision", "Deployment", "Service"]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        pytest.param({}, EVERYTHING, id="no owner"),
        pytest.param({"ownerReferences": owner()}, EVERYTHING, id="a model of the same name that is gone"),
        pytest.param({"ownerReferences": owner(uid=UID)}, [], id="ours already"),
        pytest.param({"ownerReferences": owner(name="other")}, [], id="another model's"),
        pytest.param({"ownerReferences": owner(kind="Rollout")}, [], id="another controller's"),
        pytest.param({"labels": {}}, [], id="without our labels"),
        pytest.param({"labels": names.revision_labels("other", A)}, [], id="labelled for another model"),
        pytest.param(
            {"labels": names.revision_labels(NAME, B)}, ["Service"], id="labelled for another revision"
        ),
        pytest.param({"namespace": "elsewhere"}, [], id="in another namespace"),
        pytest.param({"deletionTimestamp": "2026-11-22T12:00:00Z"}, [], id="on its way out"),
    ],
)
def test_f20_what_is_left_behind(changes: dict[str, Any], found: list[str]) -> None:
    """By name, label, owner and namespace; a snapshot by its hash."""
    assert stored(**changes) == found
