"""A status that a hand has written asks for no more than spec could."""

import pytest

from builders import NOW, make_status
from modelward.api.fields import MOST_REPLICAS
from modelward.api.status import RolloutStatus, ScalingStatus
from modelward.api.times import format_micro
from modelward.rollout.phases import Phase
from modelward.rollout.status_repair import repaired


@pytest.mark.parametrize(
    ("held", "kept"),
    [
        pytest.param(MOST_REPLICAS, MOST_REPLICAS, id="what an autoscaler may have left"),
        pytest.param(2**31 - 1, None, id="every pod there could be"),
    ],
)
def test_pods_that_are_held(held: int, kept: int | None) -> None:
    """Somebody with the right to write status, and no other, would otherwise fill the cluster."""
    scaling = repaired(make_status("bcdfghjklm", scaling=ScalingStatus(held_replicas=held))).scaling
    assert (scaling.held_replicas if scaling else None) == kept


@pytest.mark.parametrize(("shared", "kept"), [(7, 7), (2**31 - 1, None)])
def test_pods_that_are_shared(shared: int, kept: int | None) -> None:
    """The same for the pods that stable and canary have together."""
    rollout = RolloutStatus(state=Phase.SCALING_UP, start_time=format_micro(NOW), shared_replicas=shared)
    status = repaired(make_status("bcdfghjklm", canary_revision="npqrstvwxz", rollout=rollout))
    assert status.rollout is not None
    assert status.rollout.shared_replicas == kept
