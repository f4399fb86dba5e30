"""The operator's memory is read as far as it can be read."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from modelward.api.decode import decode_status, encode
from modelward.api.status import (
    HISTORY_LENGTH,
    MESSAGE_LENGTH,
    CommandsStatus,
    Condition,
    HistoryEntry,
    ModelDeploymentStatus,
    RolloutResult,
    RolloutStatus,
    ScalingStatus,
    clip,
)
from support.repeatable import examples
from unit.api.strategies import JSON, objects

READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Available",
    "message": "All is well.",
    "lastTransitionTime": "2026-11-22T10:00:00Z",
    "observedGeneration": 3,
}


@pytest.mark.parametrize("raw", [pytest.param(None, id="no status"), pytest.param({}, id="an empty status")])
def test_no_status_is_an_empty_one(raw: dict[str, Any] | None) -> None:
    """A new object and a restored one begin alike."""
    assert decode_status(raw) == (ModelDeploymentStatus(), ())


def test_a_whole_status_is_read() -> None:
    """Field by field as the API describes it."""
    decoded = decode_status(
        {
            "observedGeneration": 3,
            "conditions": [READY],
            "stableRevision": "bcdfghjklm",
            "decision": 7,
            "rollout": {"state": "Canary", "step": 1, "weightPercent": 25, "approvals": [0, 1]},
            "history": [{"revision": "bcdfghjklm", "result": "Promoted"}],
            "commands": {"restart": "monday"},
            "scaling": {"heldReplicas": 4},
        }
    )
    assert decoded.dropped == ()
    assert decoded.status == ModelDeploymentStatus(
        observed_generation=3,
        conditions=(
            Condition(
                type="Ready",
                status="True",
                reason="Available",
                message="All is well.",
                last_transition_time="2026-11-22T10:00:00Z",
                observed_generation=3,
            ),
        ),
        stable_revision="bcdfghjklm",
        decision=7,
        rollout=RolloutStatus(state="Canary", step=1, weight_percent=25, approvals=(0, 1)),
        history=(HistoryEntry(revision="bcdfghjklm", result=RolloutResult.PROMOTED),),
        commands=CommandsStatus(restart="monday"),
        scaling=ScalingStatus(held_replicas=4),
    )


DAMAGED = [
    pytest.param({"conditions": 7}, ["status.conditions"], id="a number instead of a list"),
    pytest.param({"rollout": {"step": "x"}}, ["status.rollout.step"], id="a wrong type within an object"),
    pytest.param({"rollout": [1]}, ["status.rollout"], id="a list instead of an object"),
    pytest.param(
        {"history": [{"revision": "bcd"}]}, ["status.history[0]"], id="an item without a required field"
    ),
    pytest.param(
        {"history": [{"revision": "bcd", "result": "Exploded"}]},
        ["status.history[0]"],
        id="an item with a result of another version",
    ),
    pytest.param(
        {"canaryRevision": "No such!"}, ["status.canaryRevision"], id="a revision that cannot be one"
    ),
    pytest.param(
        {"conditions": [{"type": "Ready"}, {"status": "True"}]},
        ["status.conditions[0]", "status.conditions[1]"],
        id="conditions without their status",
    ),
    pytest.param({"decision": -1, "url": 5}, ["status.decision", "status.url"], id="several fields"),
    pytest.param({"commands": {"retry": ["x"]}}, ["status.commands.retry"], id="a command that is no string"),
]


@pytest.mark.parametrize(("damage", "dropped"), DAMAGED)
def test_what_cannot_be_read_is_dropped_and_named(damage: dict[str, Any], dropped: list[str]) -> None:
    """One field of another version must not cost the memory of all others."""
    decoded = decode_status({"stableRevision": "bcdfghjklm", "revisionNonce": 2, **damage})
    assert sorted(decoded.dropped) == sorted(dropped)
    assert decoded.status.stable_revision == "bcdfghjklm"
    assert decoded.status.revision_nonce == 2


def test_the_readable_rest_of_a_damaged_object_is_kept() -> None:
    """Descends into objects and lists instead of dropping them whole."""
    decoded = decode_status(
        {
            "rollout": {"step": "x", "weightPercent": 25},
            "conditions": [
                READY,
                {"type": "Ready"},
                {**READY, "type": "Available", "observedGeneration": -1},
            ],
        }
    )
    assert decoded.status.rollout == RolloutStatus(weight_percent=25)
    assert [condition.type for condition in decoded.status.conditions] == ["Ready", "Available"]
    assert decoded.dropped == (
        "status.conditions[1]",
        "status.conditions[2].observedGeneration",
        "status.rollout.step",
    )


def test_of_a_list_that_is_too_long_the_newest_are_kept() -> None:
    """Forgetting all rejected revisions would try them again."""
    rejected = [{"revision": f"bcd{number}"} for number in range(HISTORY_LENGTH + 2)]
    decoded = decode_status({"rejectedRevisions": rejected})
    assert [entry.revision for entry in decoded.status.rejected_revisions] == [
        entry["revision"] for entry in rejected[:HISTORY_LENGTH]
    ]
    assert decoded.dropped == ("status.rejectedRevisions[10:]",)


def test_null_counts_as_absent() -> None:
    """A merge patch that took a field back may leave null in a cache."""
    assert decode_status({"rollout": None, "url": None}) == (ModelDeploymentStatus(), ())


def test_fields_of_a_newer_version_are_ignored() -> None:
    """They are not ours to name as damage."""
    assert decode_status({"decision": 1, "later": {}}) == (ModelDeploymentStatus(decision=1), ())


@given(objects(ModelDeploymentStatus))
@settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_a_status_survives_the_way_out_and_in(raw: dict[str, Any]) -> None:
    """What is recorded is what is read after a restart."""
    status = decode_status(raw).status
    assert decode_status(encode(status)) == (status, ())


@given(JSON, objects(ModelDeploymentStatus))
@settings(
    max_examples=examples(200),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_any_damage_leaves_a_status(damage: Any, raw: dict[str, Any]) -> None:
    """Whatever stands in one field, the others are read, and the rest is a status again."""
    for field in raw:
        decoded = decode_status({**raw, field: damage})
        assert decode_status(encode(decoded.status)) == (decoded.status, ())
        assert all(path.startswith(f"status.{field}") for path in decoded.dropped)


def test_a_status_that_is_no_object_is_dropped_whole() -> None:
    """It cannot come from the API server, but from a file given to the command line."""
    assert decode_status(["x"]) == (ModelDeploymentStatus(), ("status",))  # type: ignore[arg-type]


def test_clip_shows_the_cut() -> None:
    """A message that is too long would have the whole status refused."""
    assert clip("short") == "short"
    assert clip("x" * 2000) == "x" * (MESSAGE_LENGTH - 1) + "…"
