"""The status stays within 32 KiB, whatever happened."""

from msgspec.structs import replace

from modelward.api.conditions import ConditionType
from modelward.api.status import (
    ANALYSIS_STATE_LENGTH,
    HISTORY_LENGTH,
    MAX_METRICS,
    MESSAGE_LENGTH,
    AnalysisStatus,
    CommandsStatus,
    Condition,
    HistoryEntry,
    MetricStatus,
    ModelDeploymentStatus,
    RejectedRevision,
    RolloutResult,
    RolloutStatus,
)
from modelward.api.status_size import LIMIT_BYTES, size_bytes, within_limit

LONG = "x" * MESSAGE_LENGTH
TIME = "2026-11-22T10:00:00.000001Z"
REVISION = "bcdfghjklm"
CONDITIONS = tuple(
    Condition(type=kind.value, status="True", reason=kind.value, message=LONG, last_transition_time=TIME)
    for kind in ConditionType
)
HISTORY = tuple(
    HistoryEntry(
        revision=REVISION,
        model_version="v" * 128,
        result=RolloutResult.PROMOTED,
        start_time=TIME,
        message=LONG,
    )
    for _ in range(HISTORY_LENGTH)
)
REJECTED = tuple(
    RejectedRevision(revision=f"{REVISION}{number}", reason="RolledBack", message=LONG, time=TIME)
    for number in range(HISTORY_LENGTH)
)
METRICS = tuple(
    MetricStatus(name=f"metric-{number}", canary_hits="1", canary_total="2", message="m" * 256)
    for number in range(MAX_METRICS)
)
LARGE = ModelDeploymentStatus(
    conditions=CONDITIONS,
    history=HISTORY,
    rejected_revisions=REJECTED,
    stable_revision=REVISION,
    decision=12345,
    rollout=RolloutStatus(state="Canary", step=2, weight_percent=50, message=LONG),
    analysis=AnalysisStatus(message=LONG, metrics=METRICS, state="s" * ANALYSIS_STATE_LENGTH),
    commands=CommandsStatus(retry="r" * 256, restart="r" * 256),
)


def test_a_usual_status_is_left_alone() -> None:
    """The same object, so that nothing is written for nothing."""
    status = ModelDeploymentStatus(stable_revision=REVISION, history=HISTORY[:3])
    assert within_limit(status) is status


def test_the_largest_status_is_made_to_fit() -> None:
    """Every message at its bound, every list full, and a full memory of the judge."""
    assert size_bytes(LARGE) > LIMIT_BYTES
    assert size_bytes(within_limit(LARGE)) <= LIMIT_BYTES


def test_what_decisions_are_made_from_is_kept() -> None:
    """Only words and past go."""
    fitted = within_limit(LARGE)
    assert fitted.decision == LARGE.decision
    assert fitted.rollout == LARGE.rollout
    assert [r.revision for r in fitted.rejected_revisions] == [r.revision for r in LARGE.rejected_revisions]
    assert fitted.analysis is not None
    assert fitted.analysis.state == "s" * ANALYSIS_STATE_LENGTH
    assert [c.status for c in fitted.conditions] == [c.status for c in LARGE.conditions]


def test_the_past_is_shortened_before_the_present() -> None:
    """A little too much costs a few words of old rollouts, nothing else."""
    status = replace(LARGE, analysis=None, rejected_revisions=REJECTED[:8])
    fitted = within_limit(status, limit=size_bytes(status) - 1)
    assert fitted.conditions == status.conditions
    assert len(fitted.history) == HISTORY_LENGTH
    assert all(len(entry.message) < MESSAGE_LENGTH for entry in fitted.history)


def test_fitting_twice_changes_nothing_more() -> None:
    """The next reconcile must not write again."""
    assert within_limit(within_limit(LARGE)) == within_limit(LARGE)


def test_four_bytes_a_character_are_counted() -> None:
    """Every text that somebody else had a say in, in letters that UTF-8 makes four bytes of."""
    emoji = "\N{GRINNING FACE}"
    past = tuple(
        replace(each, message=emoji * MESSAGE_LENGTH, model_version=emoji * 128, changed_by=emoji * 128)
        for each in HISTORY
    )
    analysis = AnalysisStatus(message=emoji * MESSAGE_LENGTH, state=emoji * ANALYSIS_STATE_LENGTH)
    commands = CommandsStatus(retry=emoji * 256, restart=emoji * 256, promote=emoji * 256, abort=emoji * 256)
    status = replace(LARGE, history=past, analysis=analysis, commands=commands)
    fitted = within_limit(status)
    assert size_bytes(fitted) <= LIMIT_BYTES
    assert fitted.commands == commands
    assert within_limit(fitted) == fitted
