"""Pods as a signal: what is an illness, whose fault it is, and in which words."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import before, make_deployment, make_model, make_observed, make_pod, make_status, revision_name
from modelward.api.conditions import Reason
from modelward.api.status import RolloutStatus
from modelward.api.times import format_micro
from modelward.rollout import health
from modelward.rollout.observed import Exit, Observed, Pod

STABLE, CANARY = revision_name("1"), revision_name("2")
BEGAN = 100.0
"""The rollout began so many seconds ago."""


def ended(code: int = 1, reason: str = "Error", *, ago: float = 10.0) -> Exit:
    """The last end of the model server."""
    return Exit(container="model-server", code=code, reason=reason, time=before(ago))


def pod(revision: str = CANARY, name: str = "p", **facts: Any) -> Pod:
    """A ready pod, made 50 s ago."""
    facts = {"ready": True, "created": before(50.0), **facts}
    return make_pod(revision, name=name, **facts)


def looping(revision: str = CANARY, name: str = "p", *, restarts: int = 2, **facts: Any) -> Pod:
    """A pod that ends again and again."""
    facts = {"ended": ended(), "crash_looping": "model-server", "ready": False, **facts}
    return pod(revision, name, restarts=restarts, **facts)


def lost(revision: str = CANARY, name: str = "p", *, ago: float, **facts: Any) -> Pod:
    """A pod whose probe has failed for so long."""
    return pod(revision, name, ready=False, lost_readiness=True, ready_since=before(ago), **facts)


def canary(*pods: Pod, weight: int = 5) -> Observed:
    """A rollout under way, with these pods of both revisions."""
    rollout = RolloutStatus(
        state="Analyzing", weight_percent=weight, start_time=format_micro(before(BEGAN)), step=0
    )
    model = make_model("2", status=make_status(STABLE, canary_revision=CANARY, rollout=rollout))
    return make_observed(model, make_deployment(STABLE), make_deployment(CANARY), pods=pods)


def watched(*pods: Pod) -> Observed:
    """The canary was promoted, and STABLE is kept warm."""
    rollout = RolloutStatus(state="Watching", start_time=format_micro(before(BEGAN)))
    model = make_model("2", status=make_status(CANARY, previous_revision=STABLE, rollout=rollout))
    return make_observed(model, make_deployment(STABLE), make_deployment(CANARY), pods=pods)


def problem(observed: Observed) -> health.Illness | None:
    """What is wrong, by the status that is on record."""
    return health.problem(observed, observed.model.status)


def shared(observed: Observed) -> str:
    """What both suffer from, by the status that is on record."""
    return health.shared(observed, observed.model.status)


def reason(observed: Observed) -> Reason | None:
    """Why the canary is ill."""
    illness = problem(observed)
    return illness.reason if illness else None


UNHEALTHY = [
    pytest.param([looping()], Reason.CRASH_LOOPING, id="the only pod ends again and again"),
    pytest.param(
        [looping(), *(pod(name=f"p{number}") for number in range(9))],
        Reason.CRASH_LOOPING,
        id="one of ten pods ends again and again",
    ),
    pytest.param(
        [pod(restarts=1, ended=ended(137, "OOMKilled"))],
        Reason.OUT_OF_MEMORY,
        id="out of memory once, though it is ready again",
    ),
    pytest.param(
        [looping(ended=ended(137, "OOMKilled"))],
        Reason.OUT_OF_MEMORY,
        id="out of memory is the better word for its crash loop",
    ),
    pytest.param(
        [pod(ready=False, failed="Evicted", over_storage_limit=True), pod()],
        Reason.OUT_OF_STORAGE,
        id="evicted for its own use of disk",
    ),
    pytest.param(
        [pod(name=f"p{number}", restarts=1, ended=ended()) for number in range(3)],
        Reason.RESTARTING,
        id="three restarts in three pods, stable none",
    ),
    pytest.param(
        [pod(restarts=3, ended=ended(143, "Error"))],
        Reason.RESTARTING,
        id="a failed liveness probe ended it three times",
    ),
    pytest.param([lost(ago=3)], Reason.NOT_READY, id="the only pod is not ready any more for 3 s"),
    pytest.param(
        [lost(ago=60), pod(name="p1")], Reason.NOT_READY, id="one of two pods is not ready any more for 60 s"
    ),
    pytest.param(
        [looping(restarts=0, init_restarts=5, crash_looping="fetch")],
        Reason.CRASH_LOOPING,
        id="an init container failed five times",
    ),
]

HEALTHY = [
    pytest.param([pod()], id="a ready pod"),
    pytest.param([], id="no pod yet"),
    pytest.param([pod(restarts=1, ended=ended())], id="one restart"),
    pytest.param([lost(ago=2)], id="a blink of two seconds"),
    pytest.param([lost(ago=59), pod(name="p1")], id="one of two for less than a minute"),
    pytest.param([lost(ago=-30)], id="a node whose clock is ahead"),
    pytest.param([pod(ready=False, ready_since=before(500))], id="a pod that still loads"),
    pytest.param([pod(scheduled=None, ready=False, problem="not scheduled: 0/3")], id="no node for a pod"),
    pytest.param([pod(ready=False, problem="image x cannot be pulled")], id="an image that is not there"),
    pytest.param([looping(deleting=True)], id="a pod that is being deleted"),
    pytest.param([pod(ready=False, failed="Evicted", restarts=9, ended=ended())], id="evicted by its node"),
    pytest.param(
        [looping(ended=ended(255, "Unknown"), restarts=9, lost_readiness=True, ready_since=before(500))],
        id="its node was restarted",
    ),
    pytest.param(
        [looping(restarts=0, init_restarts=4, crash_looping="fetch")],
        id="an init container failed four times",
    ),
]


@pytest.mark.parametrize(("pods", "expected"), UNHEALTHY)
def test_health_problem_is_named_by_its_reason(pods: list[Pod], expected: Reason) -> None:
    """With a healthy stable beside it, with none at all, and after promotion."""
    assert reason(canary(*pods, pod(STABLE, "s"))) is expected
    assert reason(canary(*pods)) is expected
    assert reason(watched(*pods, pod(STABLE, "s"))) is expected


@pytest.mark.parametrize("pods", HEALTHY)
def test_what_is_no_health_problem(pods: list[Pod]) -> None:
    """Not its fault, not for long enough, or a case for the deadline."""
    assert reason(canary(*pods, pod(STABLE, "s"))) is None
    assert reason(watched(*pods, pod(STABLE, "s"))) is None


@pytest.mark.parametrize("pods", [case.values[0] for case in UNHEALTHY], ids=[case.id for case in UNHEALTHY])
def test_stable_with_the_same_trouble_excuses_the_canary(pods: list[Pod]) -> None:
    """As large a share of stable's pods: both suffer from the same thing, and it is said."""
    observed = canary(*pods, *(replace(each, revision=STABLE) for each in pods))
    assert reason(observed) is None
    assert "the canary is not to blame" in shared(observed)


def test_f05_a_pod_that_comes_back_at_another_moment_is_as_unhealthy() -> None:
    """Both are killed for their memory every half minute; just now stable has come back, and the canary has not."""
    killed: dict[str, Any] = {"restarts": 1, "ended": ended(137, "OOMKilled", ago=6)}
    back = pod(STABLE, "s", ready_since=before(2), **killed)
    observed = canary(lost(ago=4, **killed), back)
    assert reason(observed) is None
    assert "the canary is not to blame" in shared(observed)
    # Readiness that is lost by a probe alone has another cause than stable's restart.
    assert reason(canary(lost(ago=4), back)) is Reason.NOT_READY
    assert reason(canary(lost(ago=4, **killed), pod(STABLE, "s"))) is Reason.OUT_OF_MEMORY


def test_a_smaller_share_of_stable_is_no_excuse() -> None:
    """One of ten stable pods crashes, and all of the canary's do."""
    stable = [looping(STABLE, "s0"), *(pod(STABLE, f"s{number}") for number in range(1, 10))]
    observed = canary(looping(), *stable)
    assert reason(observed) is Reason.CRASH_LOOPING
    assert shared(observed) == ""


def test_stable_between_two_crashes_is_as_unhealthy_as_in_the_loop() -> None:
    """The kubelet shows CrashLoopBackOff only while it waits; a second later the container runs again."""
    running = pod(STABLE, "s", restarts=2, ended=ended(), ready=False)
    assert reason(canary(looping(), running)) is None


def test_what_stable_did_before_the_rollout_does_not_count() -> None:
    """It was out of memory and restarted last week: no excuse for today."""
    old = pod(STABLE, "s", restarts=12, ended=ended(137, "OOMKilled", ago=BEGAN + 1))
    assert reason(canary(looping(), old)) is Reason.CRASH_LOOPING
    assert reason(canary(pod(restarts=1, ended=ended(137, "OOMKilled")), old)) is Reason.OUT_OF_MEMORY
    assert reason(canary(pod(restarts=3, ended=ended()), old)) is Reason.RESTARTING


def test_readiness_counts_only_with_traffic() -> None:
    """A canary without weight may come and go while it warms up."""
    assert reason(canary(lost(ago=500), weight=0)) is None
    assert shared(canary(lost(ago=500), lost(STABLE, "s", ago=500), weight=0)) == ""


def test_a_new_pod_that_loads_does_not_keep_the_lost_one_alive() -> None:
    """Nobody of the canary is ready: the pod that was is lost."""
    assert reason(canary(lost(ago=4), pod(name="new", ready=False))) is Reason.NOT_READY


def test_the_message_shows_pod_cause_and_counts() -> None:
    """One sentence for status, Event and history."""
    observed = canary(
        looping(name="fraud-x-abc", restarts=3, ended=ended(ago=10.0)), pod(name="p1"), pod(STABLE, "s")
    )
    illness = problem(observed)
    assert illness is not None
    assert illness.message == (
        "pod fraud-x-abc of the canary is crash-looping: model-server ended with exit code 1 (Error), 3 restarts"
        " in 40 s (1 of its 2 pods; stable: 0 of 1)"
    )


def test_messages_of_the_other_rules() -> None:
    """They name what was seen."""
    restarting = problem(canary(pod(name="x", restarts=3, ended=ended())))
    unready = problem(watched(lost(name="x", ago=5, problem="its probe fails")))
    assert restarting is not None
    assert restarting.message == (
        "the canary's pods were restarted 3 times in 40 s (x: model-server ended with exit code 1 (Error));"
        " stable's pods were not"
    )
    assert unready is not None
    assert unready.message == (
        "pod x of the promoted revision is not ready any more, and no other pod is: its probe fails"
        " (1 of its 1 pod; the previous one: 0 of 0)"
    )


def test_the_message_of_a_shared_trouble_has_no_counters() -> None:
    """It stays in a condition, and must not change while nothing changes."""
    first = shared(canary(looping(restarts=2), looping(STABLE, "s")))
    later = shared(canary(looping(restarts=7), looping(STABLE, "s", restarts=9)))
    assert first == later != ""


@pytest.mark.parametrize(
    ("pods", "seconds"),
    [
        pytest.param([pod()], None, id="all is well"),
        pytest.param([lost(ago=1)], 2.0, id="until the only pod is lost for good"),
        pytest.param([lost(ago=10)], 50.0, id="until some are lost for good"),
        pytest.param([lost(STABLE, "s", ago=1)], 2.0, id="stable's pods are awaited, too"),
        pytest.param([lost(ago=2.9)], 0.5, id="never at once"),
        pytest.param([lost(ago=600)], None, id="the clock changes nothing any more"),
    ],
)
def test_requeue_after(pods: list[Pod], seconds: float | None) -> None:
    """Only the clock needs a reconcile; pods themselves are events."""
    observed = canary(*pods)
    found = health.requeue_after(observed, observed.model.status)
    assert found == (pytest.approx(seconds) if seconds else None)


def test_which_revisions_are_compared() -> None:
    """Both of a rollout or a watch; none at rest."""
    assert set(health.compared(canary().model.status)) == {STABLE, CANARY}
    assert set(health.compared(watched().model.status)) == {STABLE, CANARY}
    assert health.compared(make_status(STABLE)) == ()


times = st.none() | st.floats(-10, 300).map(before)
exits = st.none() | st.builds(
    Exit,
    container=st.just("c"),
    code=st.integers(0, 255),
    reason=st.sampled_from(["", "Error", "OOMKilled", "Unknown", "Completed"]),
    time=times,
)
pods = st.builds(
    Pod,
    name=st.sampled_from("abc"),
    revision=st.sampled_from([STABLE, CANARY]),
    created=times,
    ready=st.booleans(),
    ready_since=times,
    lost_readiness=st.booleans(),
    restarts=st.integers(0, 5),
    init_restarts=st.integers(0, 6),
    ended=exits,
    crash_looping=st.sampled_from(["", "c"]),
    deleting=st.booleans(),
    failed=st.sampled_from(["", "Evicted"]),
    over_storage_limit=st.booleans(),
)


@given(st.lists(pods, max_size=6))
def test_equal_arms_are_never_worse(found: list[Pod]) -> None:
    """Whatever happens to both revisions alike is nobody's fault."""
    observed = canary(*(replace(each, revision=side) for each in found for side in (STABLE, CANARY)))
    assert problem(observed) is None


@given(st.lists(pods, max_size=6))
def test_only_pods_of_the_canary_make_it_unhealthy(found: list[Pod]) -> None:
    """A verdict is a sentence with a pod's name, and healthy pods of the canary never give one."""
    illness = problem(canary(*found))
    if illness:
        assert any(each.revision == CANARY and each.name in illness.message for each in found)
    well = [each for each in found if each.revision == STABLE] + [pod(), pod(name="p1")]
    assert problem(canary(*well)) is None


@given(st.lists(pods, max_size=6))
def test_more_trouble_of_the_canary_never_helps_it(found: list[Pod]) -> None:
    """Beside a healthy stable, one more crash-looping pod leaves it ill."""
    known = [pod(STABLE, "s"), *(replace(each, revision=CANARY) for each in found)]
    if problem(canary(*known)):
        worse = canary(*known, looping(ended=ended(137, "OOMKilled"), lost_readiness=True))
        assert problem(worse)


def test_a_canary_that_sets_out_in_this_reconcile_answers_for_nothing_its_pods_had_before() -> None:
    """The Deployment of a revision that was out before is still there: it had no traffic as this canary."""
    observed = watched(lost(ago=500), pod(STABLE, "s"))
    assert problem(observed) is not None
    rollout = RolloutStatus(state="ScalingUp", start_time=format_micro(before(0.0)))
    decided = make_status(STABLE, canary_revision=CANARY, rollout=rollout)
    assert health.problem(observed, decided) is None
    loops = watched(looping(), looping(STABLE, "s"))
    assert "a pod of the canary" in health.shared(loops, decided)
