"""A status that is lost forgets no rejection: snapshots are annotated with why their revision was rejected."""

import dataclasses

from builders import make_deployment, make_model, make_observed, make_revision, make_status
from modelward.api.names import VERDICT_ANNOTATION
from modelward.api.revision import Revision
from modelward.api.status import ModelDeploymentStatus, RejectedRevision
from modelward.projection.project import Projection, project, verdict
from modelward.rollout.capacity import sizes
from modelward.rollout.decide import decide
from modelward.rollout.traffic import split

REJECTED = RejectedRevision(
    revision=make_revision("2").name,
    content=make_revision("2").content,
    reason="RolledBack",
    message="Rolled back after 30s: canary errors 5%.",
    time="2026-11-22T11:00:00Z",
)


def projected(status: ModelDeploymentStatus, *revisions: Revision) -> Projection:
    """What is projected of a model with this status."""
    observed = make_observed(make_model("2"), revisions=revisions)
    known = {each.name: each for each in revisions}
    return project(observed.model, status, known, sizes=sizes(observed, status), split=split(status))


def notes(projection: Projection) -> dict[str, str]:
    """Annotations of snapshots that are to be written, by name."""
    return {
        each.name: each.manifest["metadata"]["annotations"][VERDICT_ANNOTATION]
        for each in projection.intents
        if each.kind == "ControllerRevision"
    }


def test_rejection_is_noted_on_its_snapshot() -> None:
    """Reason, time and message."""
    stable, bad = make_revision("1"), make_revision("2")
    status = make_status(stable.name, rejected_revisions=(REJECTED,))
    (note,) = notes(projected(status, stable, bad)).values()
    assert note == "RolledBack 2026-11-22T11:00:00Z Rolled back after 30s: canary errors 5%."


def test_note_that_is_there_is_not_written_again() -> None:
    """A world that is as it should be gets no write."""
    stable, bad = make_revision("1"), dataclasses.replace(make_revision("2"), verdict=verdict(REJECTED))
    status = make_status(stable.name, rejected_revisions=(REJECTED,))
    assert notes(projected(status, stable, bad)) == {}


def test_note_goes_when_the_revision_is_tried_again() -> None:
    """A retry takes the rejection off the record, and off the snapshot."""
    stable, bad = make_revision("1"), dataclasses.replace(make_revision("2"), verdict=verdict(REJECTED))
    assert list(notes(projected(make_status(stable.name), stable, bad)).values()) == [""]


def test_lost_status_finds_the_rejection_again() -> None:
    """Spec still asks for what was rejected: nothing starts, and the reason is what it was."""
    stable, bad = make_revision("1"), dataclasses.replace(make_revision("2"), verdict=verdict(REJECTED))
    observed = make_observed(
        make_model("2"), make_deployment(stable.name), selects=stable.name, revisions=(stable, bad)
    )
    decision = decide(observed)
    assert decision.status.stable_revision == stable.name
    assert decision.status.canary_revision == ""
    assert decision.status.rejected_revisions == (REJECTED,)
    assert decision.blocked is not None
    assert decision.blocked.message.startswith(REJECTED.message)


def test_note_of_another_version_is_a_rejection_all_the_same() -> None:
    """A reason that this version does not know counts as rolled back; a note without a time is read, too."""
    stable = make_revision("1")
    bad = dataclasses.replace(make_revision("2"), verdict="Cursed - by a hand")
    observed = make_observed(
        make_model("2"), make_deployment(stable.name), selects=stable.name, revisions=(stable, bad)
    )
    (entry,) = decide(observed).status.rejected_revisions
    assert (entry.reason, entry.time, entry.message) == ("RolledBack", None, "by a hand")
