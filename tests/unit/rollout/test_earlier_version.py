"""After an upgrade: a status of an earlier version, which names a phase and a reason otherwise."""

from dataclasses import replace

import msgspec

from builders.rollouts import B, phase_of, rejection_of, rolling
from modelward.api.conditions import Reason
from modelward.api.model import Model
from modelward.rollout.decide import decide
from modelward.rollout.phases import RENAMED, Phase
from modelward.rollout.rollback import noted_rejections
from modelward.rollout.status_repair import repaired


def read(model: Model, state: str) -> Model:
    """The model with its phase under the name of an earlier version, as it is read here."""
    assert model.status.rollout is not None
    renamed = msgspec.structs.replace(model.status.rollout, state=state)
    return replace(model, status=repaired(msgspec.structs.replace(model.status, rollout=renamed)))


def test_a_renamed_phase_is_read_and_decided_from() -> None:
    """`Warming` is ScalingUp: the same decision follows, word for word."""
    before = rolling(Phase.SCALING_UP)
    after = replace(before, model=read(before.model, "Warming"))
    assert after == before
    assert decide(after) == decide(before)
    assert phase_of(decide(after)) is Phase.SCALING_UP


def test_no_name_is_used_for_two_phases() -> None:
    """A name of an earlier version is none of this one."""
    assert not RENAMED.keys() & set(Phase)


def test_a_renamed_reason_of_a_rejection_is_read() -> None:
    """`Returned` is RolledBackByUser, in status and in the note on a snapshot; other reasons stay."""
    former = msgspec.structs.replace(rejection_of("2"), reason="Returned")
    later = msgspec.structs.replace(rejection_of("3"), reason="Overheated")
    before = rolling(Phase.SCALING_UP, status={"rejected_revisions": (former, later)})
    found = repaired(before.model.status).rejected_revisions
    assert [each.reason for each in found] == [Reason.ROLLED_BACK_BY_USER, "Overheated"]
    noted = replace(before.revisions[B], verdict="Returned 2026-11-22T12:00:00Z went back")
    (entry,) = noted_rejections([noted])
    assert (entry.reason, entry.message) == (Reason.ROLLED_BACK_BY_USER, "went back")
