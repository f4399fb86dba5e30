"""What is notified of a decision: Events and counters."""

from typing import Any

import pytest
from prometheus_client import generate_latest

from builders import NOW, UID, make_model, make_status
from modelward.api.status import HistoryEntry, RejectedRevision, RolloutResult
from modelward.cache.store import Store
from modelward.controller.events import count_rollout, event
from modelward.controller.metrics import Metrics
from modelward.rollout.decision import Announcement

REPORTED = Announcement(reason="Promoted", message="It is ready.")


def made(decision: int = 3, reported: Announcement = REPORTED, **words: Any) -> dict[str, Any]:
    """The Event of an announcement."""
    return event(make_model("1", **words), decision, reported, NOW)


def test_an_event_is_about_the_model() -> None:
    """In the words of events.k8s.io/v1, so that `kubectl describe` shows it."""
    sent = made()
    assert sent["regarding"]["uid"] == UID
    assert (sent["reason"], sent["note"], sent["type"]) == ("Promoted", "It is ready.", "Normal")
    assert sent["eventTime"] == "2026-11-22T12:00:00.000000Z"


def test_an_event_cannot_be_sent_twice() -> None:
    """Its name follows from object, decision and words: a second create meets the first."""
    assert made()["metadata"]["name"] == made()["metadata"]["name"]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"decision": 4}, id="another decision"),
        pytest.param({"reported": Announcement(reason="RolledBack", message="")}, id="another reason"),
        pytest.param({"name": "other"}, id="another model"),
        pytest.param(
            {"reported": Announcement(reason="Promoted", message="Another.")}, id="other words: F19"
        ),
    ],
)
def test_other_events_have_other_names(other: dict[str, Any]) -> None:
    """None hides another."""
    assert made(**other)["metadata"]["name"] != made()["metadata"]["name"]


def test_the_name_fits_whatever_the_models_name_is() -> None:
    """A model's name may have 253 characters, and so may an Event's."""
    assert len(made(name="a" * 253)["metadata"]["name"]) <= 253


def test_a_warning_is_one() -> None:
    """A rollback is shown as what it is."""
    assert made(reported=Announcement(reason="RolledBack", message="", warning=True))["type"] == "Warning"


@pytest.mark.parametrize("letter", ["x", "ä", "\N{PILE OF POO}"])
def test_a_long_note_is_cut_to_what_the_api_server_takes(letter: str) -> None:
    """1024 bytes, however many characters that is."""
    note = made(reported=Announcement(reason="RolledBack", message=letter * 3000))["note"]
    assert 900 < len(note.encode()) <= 1024


def page(metrics: Metrics) -> str:
    """The metrics page."""
    return generate_latest(metrics.registry).decode()


def test_rollouts_that_ended_are_counted_with_their_duration() -> None:
    """Those that this decision has ended, and each once."""
    old = HistoryEntry(revision="a", result=RolloutResult.PROMOTED)
    new = HistoryEntry(
        revision="b",
        result=RolloutResult.ROLLED_BACK,
        start_time="2026-11-22T12:00:00.000000Z",
        end_time="2026-11-22T12:01:30.000000Z",
    )
    rejected = RejectedRevision(revision="b", content="b", reason="DeadlineExceeded")
    metrics = Metrics(Store())
    count_rollout(
        metrics,
        make_status("a", history=(old,)),
        make_status("a", history=(new, old), rejected_revisions=(rejected,)),
    )
    text = page(metrics)
    assert 'modelward_rollouts_total{result="RolledBack"} 1.0' in text
    assert 'modelward_rollouts_total{result="Promoted"}' not in text
    assert 'modelward_rollout_duration_seconds_sum{result="RolledBack"} 90.0' in text
    assert 'modelward_rollbacks_total{reason="DeadlineExceeded"} 1.0' in text


def test_nothing_is_counted_while_nothing_ends() -> None:
    """A restart counts no old rollout again."""
    metrics = Metrics(Store())
    status = make_status("a", history=(HistoryEntry(revision="a", result=RolloutResult.PROMOTED),))
    count_rollout(metrics, status, status)
    assert "modelward_rollouts_total{" not in page(metrics)
