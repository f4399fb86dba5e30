"""After a way back: a status of a later version, whose phase nobody here knows, and what is decided from it."""

from dataclasses import replace

import msgspec
import pytest

from builders.rollouts import A, B, phase_of, rejection_of, rolling, weight_of
from modelward.analysis.verdict import Verdict
from modelward.rollout.decide import decide
from modelward.rollout.observed import Observed
from modelward.rollout.phases import WITH_CANARY, Phase
from modelward.rollout.status_repair import repaired
from unit.rollout.conftest import Says

AT_A_STEP = [phase for phase in WITH_CANARY if phase is not Phase.PROMOTING]
"""Who is being promoted has passed the last step, whatever the phase is called."""


def of_a_later_version(observed: Observed) -> Observed:
    """The same world, its phase under another name, as it is read here."""
    status = observed.model.status
    assert status.rollout is not None
    renamed = msgspec.structs.replace(status.rollout, state="Baking")
    return replace(
        observed,
        model=replace(observed.model, status=repaired(msgspec.structs.replace(status, rollout=renamed))),
    )


@pytest.mark.parametrize("phase", AT_A_STEP)
def test_a_canary_stays_at_its_step_and_is_judged(phase: Phase, judge_says: Says) -> None:
    """It has no more traffic than before, and goes on only by a verdict of this version."""
    judge_says(Verdict.HOLD)
    before = rolling(phase)
    decision = decide(of_a_later_version(before))
    assert (decision.status.stable_revision, decision.status.canary_revision) == (A, B)
    assert before.model.status.rollout is not None
    assert decision.status.rollout is not None
    assert decision.status.rollout.step <= before.model.status.rollout.step
    assert weight_of(decision) <= max(before.model.status.rollout.weight_percent, 5)
    assert phase_of(decision) in {Phase.SCALING_UP, Phase.ANALYZING, Phase.AWAITING_APPROVAL, Phase.PAUSED}


@pytest.mark.parametrize("phase", AT_A_STEP)
def test_what_was_rejected_is_not_revived(phase: Phase) -> None:
    """A later version was taking it back in a way of its own: it gets no traffic here."""
    before = rolling(phase, status={"rejected_revisions": (rejection_of("2"),)})
    decision = decide(of_a_later_version(before))
    assert decision.status.stable_revision == A
    assert weight_of(decision) == 0
    assert phase_of(decision) in {Phase.ROLLING_BACK, Phase.SERVING}
    assert [entry.revision for entry in decision.status.rejected_revisions] == [B]


@pytest.mark.parametrize("phase", [Phase.WATCHING, Phase.DRAINING])
def test_what_was_promoted_stays_so(phase: Phase) -> None:
    """The previous revision is not kept: nobody here knows for how long, or what for."""
    decision = decide(of_a_later_version(rolling(phase)))
    assert (decision.status.stable_revision, phase_of(decision)) == (B, Phase.SERVING)
    assert not decision.status.previous_revision
