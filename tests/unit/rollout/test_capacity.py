"""Who says how many pods."""

from typing import Any

import pytest

from builders import make_deployment, make_model, make_observed, make_status, revision_name
from modelward.api.status import ScalingStatus
from modelward.rollout.capacity import first_replicas, next_scaling, replicas_of_user

A, B = revision_name("1"), revision_name("2")
AUTOSCALING = {"minReplicas": 3, "maxReplicas": 8}


@pytest.mark.parametrize(
    ("spec", "scaling", "replicas"),
    [
        pytest.param({"replicas": 4}, None, 4, id="the user says"),
        pytest.param({"replicas": 0}, None, 0, id="none at all is a number, too"),
        pytest.param({"replicas": 4, "autoscaling": AUTOSCALING}, None, None, id="an autoscaler says"),
        pytest.param(
            {"replicas": 4}, ScalingStatus(ignored_replicas=4, held_replicas=9), 9, id="what it left behind"
        ),
    ],
)
def test_replicas_of_user(spec: dict[str, Any], scaling: ScalingStatus | None, replicas: int | None) -> None:
    """None means: not ours to say."""
    status = make_status(A, scaling=scaling)
    assert replicas_of_user(make_observed(make_model("1", **spec)), status) == replicas


@pytest.mark.parametrize(
    ("stable", "revision", "replicas"),
    [
        pytest.param(None, A, 3, id="a first revision begins with the fewest"),
        pytest.param(6, B, 6, id="a new revision takes over what stable carries"),
        pytest.param(1, B, 3, id="at least the fewest"),
        pytest.param(20, B, 8, id="at most the most"),
        pytest.param(6, A, 3, id="stable that was deleted begins anew"),
    ],
)
def test_first_replicas_under_an_autoscaler(stable: int | None, revision: str, replicas: int) -> None:
    """A new revision starts as large as the load needs now."""
    deployments = [make_deployment(A, replicas=stable)] if stable is not None else []
    observed = make_observed(make_model("1", autoscaling=AUTOSCALING), *deployments)
    assert first_replicas(observed, make_status(A), revision) == replicas


def test_a_deployment_that_is_not_seen_does_not_end_the_memory() -> None:
    """What cannot be seen just now is not forgotten: a lagging view must not make 10 pods 2."""
    scaling = ScalingStatus(ignored_replicas=2)
    model = make_model("1", replicas=2, status=make_status(A, scaling=scaling))
    assert next_scaling(make_observed(model)) == scaling
