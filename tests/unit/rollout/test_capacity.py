"""How many pods each revision has: at every weight, of every size, with and without a router and an autoscaler."""

from dataclasses import replace
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import make_deployment, make_model, make_observed, make_status, revision_name
from builders.rollouts import GATEWAY, REVISIONS, rolling
from modelward.api.status import ModelDeploymentStatus, RolloutStatus, ScalingStatus
from modelward.rollout.capacity import (
    canary_replicas,
    next_scaling,
    replicas_of_user,
    shares,
    sizes,
    whole,
)
from modelward.rollout.observed import Observed
from modelward.rollout.phases import Phase

A, B = revision_name("1"), revision_name("2")
AUTOSCALING: Final = {"minReplicas": 3, "maxReplicas": 8}
COUNTS: Final = st.integers(0, 50)
WEIGHTS: Final = st.integers(1, 99)


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
    ("stable", "count"),
    [
        pytest.param(None, 3, id="before it exists: the fewest"),
        pytest.param(6, 6, id="what its load has come to"),
        pytest.param(1, 3, id="at least the fewest"),
        pytest.param(20, 8, id="at most the most"),
    ],
)
def test_full_size_under_an_autoscaler(stable: int | None, count: int) -> None:
    """A new revision must be able to carry what stable carries now."""
    deployments = [make_deployment(A, replicas=stable)] if stable is not None else []
    observed = make_observed(make_model("1", autoscaling=AUTOSCALING), *deployments)
    assert whole(observed, make_status(A)) == count


def test_a_deployment_that_is_not_seen_does_not_end_the_memory() -> None:
    """What cannot be seen just now is not forgotten: a lagging view must not make 10 pods 2."""
    scaling = ScalingStatus(ignored_replicas=2)
    model = make_model("1", replicas=2, status=make_status(A, scaling=scaling))
    assert next_scaling(make_observed(model)) == scaling


# --- the canary beside a stable that keeps its pods ---------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "stable", "routed", "pods"),
    [
        pytest.param(5, 4, True, 1, id="5 % of 4 is one pod"),
        pytest.param(25, 4, True, 2, id="beside 4 pods that keep 75 %, 25 % are 1.33: two"),
        pytest.param(25, 4, False, 1, id="without a router that would be a third: one"),
        pytest.param(25, 3, False, 1, id="exactly a quarter of four"),
        pytest.param(50, 4, False, 4, id="half and half"),
        pytest.param(75, 4, True, 4, id="never more than stable"),
        pytest.param(100, 4, True, 4, id="full size before all traffic"),
        pytest.param(5, 1, False, 1, id="the smallest that there is"),
        pytest.param(50, 0, True, 0, id="scaled to zero"),
    ],
)
def test_pods_of_a_canary(weight: int, stable: int, routed: bool, pods: int) -> None:  # noqa: FBT001
    """As many as carry what as many of stable's carry."""
    assert canary_replicas(weight, stable, routed=routed) == pods


@given(weight=WEIGHTS, of=st.integers(1, 50), routed=st.booleans())
def test_a_canary_has_its_share_of_pods(weight: int, of: int, routed: bool) -> None:  # noqa: FBT001
    """At least one pod, at most stable's number; with a router no pod of it carries more than one of stable's."""
    count = canary_replicas(weight, of, routed=routed)
    assert 1 <= count <= of
    if routed and count < of:
        assert weight / count <= (100 - weight) / of
    if not routed:
        assert count == 1 or 100 * count <= weight * (count + of), "the share stays below the step"


@given(weights=st.tuples(WEIGHTS, WEIGHTS), of=COUNTS, routed=st.booleans())
def test_a_later_step_has_no_fewer_pods(weights: tuple[int, int], of: int, routed: bool) -> None:  # noqa: FBT001
    """Weight rises, pods do not fall."""
    lower, higher = sorted(weights)
    assert canary_replicas(lower, of, routed=routed) <= canary_replicas(higher, of, routed=routed)


def world(weight: int, replicas: int, *, routed: bool, shared: bool, canary: int, **spec: Any) -> Observed:
    """A canary at this step, of which that many pods are there; its weight has reached the step."""
    policy = {"steps": [{"weightPercent": weight}], "capacity": "Shared" if shared else "Surge"}
    observed = rolling(
        Phase.ANALYZING,
        step=0,
        weight=weight,
        rollout=policy,
        replicas=replicas,
        traffic=GATEWAY if routed else None,
        **spec,
    )
    stable = max(0, replicas - canary) if shared else replicas
    return replace(
        observed,
        deployments={
            A: make_deployment(A, replicas=stable),
            B: make_deployment(B, replicas=canary),
        },
    )


@given(
    weight=WEIGHTS,
    replicas=COUNTS,
    routed=st.booleans(),
    canary=COUNTS,
    autoscaling=st.sampled_from([None, {"minReplicas": 1, "maxReplicas": 60}, AUTOSCALING]),
    state=st.sampled_from([each for each in Phase if each not in {Phase.WATCHING, Phase.DRAINING}]),
)
def test_with_surge_stable_never_shrinks(
    weight: int,
    replicas: int,
    routed: bool,  # noqa: FBT001
    canary: int,
    autoscaling: dict[str, int] | None,
    state: Phase,
) -> None:
    """S3: whatever the canary is at. An autoscaler of stable's may add pods during a rollout, and take none."""
    observed = world(weight, replicas, routed=routed, shared=False, canary=canary, autoscaling=autoscaling)
    rollout = msgspec.structs.replace(observed.model.status.rollout or RolloutStatus(), state=state)
    status = msgspec.structs.replace(observed.model.status, rollout=rollout)
    made = sizes(observed, status)
    if autoscaling:
        assert (made[A].scale, made[A].shrinks) == (None, False)
    else:
        assert made[A].scale == replicas
    if state is Phase.ROLLING_BACK:
        assert made[B].scale == canary, "neither revived nor grown (R5)"
    else:
        least = made[B].least if made[B].scale is None else made[B].scale
        assert least == canary_replicas(weight, whole(observed, status), routed=routed)


@given(weight=WEIGHTS, replicas=st.integers(2, 50), routed=st.booleans(), data=st.data())
def test_with_shared_capacity_there_is_never_a_pod_more(
    weight: int,
    replicas: int,
    routed: bool,  # noqa: FBT001
    data: st.DataObject,
) -> None:
    """Both together have what the model has at rest; stable keeps the pods for its share, and one at a time goes."""
    canary = data.draw(st.integers(0, max(1, weight * replicas // 100)))
    observed = world(weight, replicas, routed=routed, shared=True, canary=canary)
    made = sizes(observed, observed.model.status)
    assert (made[A].scale or 0) + (made[B].scale or 0) == replicas
    assert canary <= (made[B].scale or 0) <= canary + 1
    assert (made[A].scale or 0) * 100 >= (100 - weight) * replicas - 100, "one pod below its share at most"


@given(
    replicas=st.integers(2, 50),
    strategy=st.sampled_from(["Canary", "BlueGreen", "Direct"]),
    routed=st.booleans(),
)
def test_shared_capacity_takes_one_pod_of_stable_before_the_canary_has_traffic(
    replicas: int,
    strategy: str,
    routed: bool,  # noqa: FBT001
) -> None:
    """Stable carries everything until then, whatever the strategy."""
    observed = rolling(
        Phase.SCALING_UP,
        replicas=replicas,
        rollout={"strategy": strategy, "capacity": "Shared"},
        ready={B: 1},
        traffic=GATEWAY if routed else None,
    )
    made = sizes(observed, observed.model.status)
    assert (made[A].scale, made[B].scale) == (replicas - 1, 1)


def test_an_autoscaler_is_held_to_the_shared_count() -> None:
    """It could not keep to a total that it does not know of."""
    observed = world(
        50, 4, routed=True, shared=True, canary=2, autoscaling={"minReplicas": 1, "maxReplicas": 9}
    )
    made = sizes(observed, observed.model.status)
    assert [(each.scale, each.least, each.most) for each in made.values()] == [(None, 2, 2), (None, 2, 2)]


@pytest.mark.parametrize(
    ("policy", "held"),
    [
        pytest.param({"capacity": "Shared"}, 4, id="shared"),
        pytest.param({}, None, id="surge"),
    ],
)
def test_the_shared_total_is_that_at_the_start(policy: dict[str, str], held: int | None) -> None:
    """None: the canary comes on top."""
    observed = rolling(Phase.SERVING, rollout=policy)
    assert shares(observed, observed.model.status) == held


def test_a_share_that_pods_make_is_not_left_to_an_autoscaler() -> None:
    """Without a router the canary's count is its share; with one, it may grow with its load."""
    scales = {
        routed: sizes(observed, observed.model.status)[B].scale
        for routed in (False, True)
        for observed in [world(25, 4, routed=routed, shared=False, canary=1, autoscaling=AUTOSCALING)]
    }
    assert scales == {False: 1, True: None}


@pytest.mark.parametrize(
    ("state", "live"),
    [
        pytest.param(Phase.WATCHING, {A, B}, id="kept warm, in full"),
        pytest.param(Phase.DRAINING, {B}, id="left as it is until it goes"),
    ],
)
def test_the_previous_revision(state: Phase, live: set[str]) -> None:
    """While it is watched it could take everything back at once."""
    observed = rolling(state)
    made = sizes(observed, observed.model.status)
    assert set(made) == live
    assert {size.scale for size in made.values()} == {4}


def test_a_model_without_a_revision_has_no_sizes() -> None:
    """Nothing is decided yet."""
    assert sizes(make_observed(make_model("1"), revisions=REVISIONS), ModelDeploymentStatus()) == {}
