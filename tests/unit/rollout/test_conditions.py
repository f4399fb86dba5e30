"""Conditions: the table of situations, row by row, and what makes them stable."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from builders import (
    NOW,
    before,
    make_autoscaler,
    make_deployment,
    make_model,
    make_observed,
    make_pod,
    make_revision,
    make_runtime,
    make_status,
    revision_name,
)
from builders.rollouts import rolling
from modelward.api.status import (
    AnalysisStatus,
    Condition,
    ModelDeploymentStatus,
    RejectedRevision,
    RolloutStatus,
    ScalingStatus,
)
from modelward.api.times import format_micro, format_seconds
from modelward.rollout import conditions
from modelward.rollout.decide import decide
from modelward.rollout.observed import NameConflict, Observed, Turn
from modelward.rollout.phases import Phase
from unit.rollout.events import ERRORS, NO_METRICS

A, B = revision_name("1"), revision_name("2")
CONFLICT = NameConflict(kind="Service", name="fraud", owner="somebody else")
DEADLINE = {"strategy": "Direct", "progressDeadlineSeconds": 30, "onDeadline": "Pause"}
REJECTED = RejectedRevision(revision=B, content=B, reason="DeadlineExceeded", message="Too slow.")
ABORTED = RejectedRevision(revision=B, content=B, reason="Aborted", message="Taken back.")


def serving(version: str = "1", /, *, ready: int = 2, **words: Any) -> Observed:
    """A is stable; spec asks for `version`."""
    made = words.pop("status", make_status(A))
    conflicts = words.pop("conflicts", ())
    model = make_model(version, status=made, generation=4, **words)
    revisions = [make_revision("1"), make_revision("2", number=2)]
    return make_observed(
        model, make_deployment(A, ready=ready), selects=A, revisions=revisions, conflicts=conflicts
    )


def scaling_up(*, deadline: bool = False) -> Observed:
    """A is stable and B, which spec asks for, is on its way; or late."""
    rollout = RolloutStatus(state=Phase.SCALING_UP, start_time=format_micro(before(60)))
    model = make_model("2", status=make_status(A, canary_revision=B, rollout=rollout), rollout=DEADLINE)
    pods = [make_pod(B, name=name, scheduled=31 if deadline else 1) for name in "xy"]
    return make_observed(
        model,
        make_deployment(A),
        make_deployment(B, ready=0),
        revisions=[make_revision("1"), make_revision("2")],
        pods=pods,
    )


def unhealthy(seconds: float) -> Observed:
    """No pod has served for so long."""
    condition = Condition(
        type="Available", status="False", last_transition_time=format_seconds(before(seconds))
    )
    return serving(ready=0, status=make_status(A, conditions=(condition,)))


def completed(observed: Observed) -> ModelDeploymentStatus:
    """The status that is written."""
    return conditions.complete(observed, decide(observed))


def words(made: ModelDeploymentStatus) -> dict[str, str]:
    """Status of each condition."""
    return {condition.type: condition.status for condition in made.conditions}


def condition(made: ModelDeploymentStatus, kind: str) -> Condition:
    """One condition."""
    return next(each for each in made.conditions if each.type == kind)


T, F, U = "True", "False", "Unknown"
TABLE = [
    pytest.param(make_observed(make_model("1")), (F, F, T, T, None), "Deploying", id="first deployment"),
    pytest.param(serving(), (T, T, F, None, None), "Available", id="serving what spec asks"),
    pytest.param(scaling_up(), (U, T, T, T, None), "Deploying", id="a revision is on its way"),
    pytest.param(serving(ready=1), (F, T, T, T, None), "ReplicasNotReady", id="a pod is missing"),
    pytest.param(
        serving("2", status=make_status(A, rejected_revisions=(REJECTED,))),
        (F, T, F, None, T),
        "DeadlineExceeded",
        id="rolled back, by the reason of it",
    ),
    pytest.param(
        serving("2", status=make_status(A, rejected_revisions=(ABORTED,))),
        (F, T, F, None, T),
        "Aborted",
        id="aborted",
    ),
    pytest.param(serving(replicas=-1), (F, T, F, None, T), "InvalidSpec", id="bad spec"),
    pytest.param(serving(conflicts=[CONFLICT]), (F, F, F, None, T), "NameConflict", id="name conflict"),
    pytest.param(serving(runtime={"name": "none"}), (F, T, F, None, T), "NoRuntime", id="no runtime"),
    pytest.param(
        scaling_up(deadline=True), (F, T, F, None, T), "DeadlineExceeded", id="deadline, and paused"
    ),
    pytest.param(
        rolling(Phase.SCALING_UP), (U, T, T, T, None), "Deploying", id="a canary without weight yet"
    ),
    pytest.param(rolling(Phase.ANALYZING), (U, T, T, T, None), "CanaryStep", id="a canary at a step"),
    pytest.param(
        rolling(Phase.SCALING_UP, step=1, weight=5), (U, T, T, T, None), "CanaryStep", id="between two steps"
    ),
    pytest.param(
        rolling(Phase.AWAITING_APPROVAL),
        (U, T, U, T, None),
        "ApprovalRequired",
        id="a step that wants approval",
    ),
    pytest.param(rolling(Phase.PAUSED), (U, T, U, T, None), "Paused", id="paused"),
    pytest.param(
        rolling(Phase.METRICS_UNAVAILABLE, analysis=ERRORS, evidence=NO_METRICS),
        (U, T, U, T, None),
        "MetricsUnavailable",
        id="metrics cannot be had",
    ),
    pytest.param(rolling(Phase.PROMOTING), (U, T, T, T, None), "CanaryStep", id="being promoted"),
    pytest.param(rolling(Phase.WATCHING), (T, T, F, None, None), "Available", id="promoted, and watched"),
    pytest.param(
        rolling(Phase.DRAINING, began=1), (T, T, F, None, None), "Available", id="promoted for good"
    ),
    pytest.param(
        rolling(Phase.ANALYZING, commands={"abort": B}),
        (F, T, F, None, T),
        "Aborted",
        id="a canary is aborted",
    ),
    pytest.param(
        rolling(Phase.WATCHING, commands={"rollback": A}),
        (F, T, F, None, T),
        "RolledBack",
        id="a person went back",
    ),
    pytest.param(
        replace(
            rolling(Phase.SERVING, "2"), turn=Turn(granted=False, place=1, waiting=1, running=5, limit=5)
        ),
        (U, T, T, T, None),
        "Queued",
        id="a change waits for its turn",
    ),
    pytest.param(unhealthy(50), (F, F, T, T, None), "ReplicasNotReady", id="stable unhealthy for 50 s"),
    pytest.param(unhealthy(60), (F, F, F, None, T), "Unavailable", id="stable unhealthy for 60 s"),
]


@pytest.mark.parametrize(("observed", "expected", "reason"), TABLE)
def test_the_table_of_situations(observed: Observed, expected: tuple[str | None, ...], reason: str) -> None:
    """Ready, Available, Progressing, Reconciling and Stalled, and the reason of Ready."""
    made = completed(observed)
    found = words(made)
    columns = ("Ready", "Available", "Progressing", "Reconciling", "Stalled")
    assert tuple(found.get(column) for column in columns) == expected
    assert condition(made, "Ready").reason == reason
    assert condition(made, "Ready").message


def test_a_canary_that_lacks_evidence_waits_for_a_person() -> None:
    """With the command that goes on, and the one that goes back."""
    observed = rolling(Phase.INCONCLUSIVE, analysis=ERRORS)
    made = completed(observed)
    assert words(made)["Ready"] == U
    assert condition(made, "Ready").reason == "Inconclusive"
    for command in ("promote", "abort"):
        assert f"modelward.dev/{command}={B}" in condition(made, "Ready").message


def test_a_step_that_wants_approval_shows_how_to_give_it() -> None:
    """The very line, for the very step."""
    message = condition(completed(rolling(Phase.AWAITING_APPROVAL)), "Ready").message
    assert f"kubectl annotate mwd fraud -n shop --overwrite modelward.dev/approve={B}/2" in message


def test_newer_evidence_and_other_counts_are_no_change_of_their_own() -> None:
    """They may be written later; a decision or a condition may not."""
    before = completed(rolling(Phase.ANALYZING))
    newer = msgspec.structs.replace(before, analysis=AnalysisStatus(odds="0.3"), ready_replicas=1)
    assert conditions.only_counts_differ(before, newer)
    assert not conditions.only_counts_differ(before, completed(rolling(Phase.ANALYZING, step=2, weight=50)))
    assert not conditions.only_counts_differ(before, before)


def test_scaled_to_zero_is_ready() -> None:
    """None is what spec asks for."""
    observed = make_observed(
        make_model("1", replicas=0, status=make_status(A)),
        make_deployment(A, replicas=0),
        revisions=[make_revision("1")],
    )
    made = completed(observed)
    assert condition(made, "Ready").reason == "ScaledToZero"
    assert (words(made)["Ready"], words(made)["Available"]) == (T, T)


@pytest.mark.parametrize("observed", [case.values[0] for case in TABLE])
def test_every_condition_is_of_this_generation(observed: Any) -> None:
    """kstatus must never read an old verdict as one about the new spec."""
    made = completed(observed)
    assert made.observed_generation == observed.model.generation
    assert {each.observed_generation for each in made.conditions} == {observed.model.generation}


def recorded(observed: Observed, made: ModelDeploymentStatus, seconds: float = 0) -> Observed:
    """The same world some time later, in which the status was written."""
    model = replace(observed.model, status=made)
    return replace(observed, model=model, now=NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("observed", [case.values[0] for case in TABLE])
def test_the_same_world_later_makes_the_same_status(observed: Any) -> None:
    """Nothing in status changes while nothing changes, or the operator would never be quiet."""
    first = completed(observed)
    later = completed(recorded(observed, first, 3))
    # The judge shows how long it has been looking.
    assert msgspec.structs.replace(later, analysis=first.analysis) == first


def test_the_time_of_a_condition_moves_with_its_status_only() -> None:
    """Another message is no transition."""
    first = completed(serving(ready=2))
    unready = serving(ready=1, status=first)
    second = completed(replace(unready, now=NOW + timedelta(seconds=60)))
    assert condition(second, "Ready").last_transition_time == format_seconds(NOW + timedelta(seconds=60))
    assert condition(second, "Available").last_transition_time == format_seconds(NOW)


def test_a_stalled_model_says_so_for_kstatus_and_otherwise_has_no_such_condition() -> None:
    """Reconciling and Stalled are there only while they are True."""
    assert "Stalled" not in words(completed(serving()))
    assert words(completed(serving(replicas=-1)))["Stalled"] == T


def test_the_outcome_of_the_latest_rollout_is_kept() -> None:
    """For `kubectl wait --for=condition=RolloutSucceeded` in pipelines."""
    assert words(completed(scaling_up()))["RolloutSucceeded"] == U
    done = replace(scaling_up(), deployments={A: make_deployment(A), B: make_deployment(B)})
    made = completed(done)
    assert condition(made, "RolloutSucceeded").reason == "Promoted"
    assert words(made)["RolloutSucceeded"] == T


def test_f15_what_serves_after_a_lost_status_has_gone_out() -> None:
    """A pipeline that waits after a restore must not wait for ever; what went before is not known."""
    assert words(completed(serving()))["RolloutSucceeded"] == T
    assert words(completed(serving(ready=0)))["RolloutSucceeded"] == U


def test_an_outdated_runtime_is_reported_with_the_remedy() -> None:
    """It rolls nobody by itself."""
    spec: dict[str, Any] = {"model": {"format": "onnx"}, "runtime": None}
    stable = make_revision("1", **spec)
    observed = make_observed(
        make_model("1", status=make_status(stable.name), **spec),
        make_deployment(stable.name),
        revisions=[stable],
        runtimes=[make_runtime(image="registry.example.com/onnx:2")],
    )
    made = completed(observed)
    assert words(made)["RuntimeOutdated"] == T
    assert "modelward.dev/refresh" in condition(made, "RuntimeOutdated").message
    assert words(made)["Ready"] == T


def test_held_replicas_are_explained() -> None:
    """A reader sees another number than in spec, and why."""
    observed = serving(status=make_status(A, scaling=ScalingStatus(ignored_replicas=2, held_replicas=5)))
    observed = replace(observed, deployments={A: make_deployment(A, replicas=5)})
    assert "5 replicas are kept" in condition(completed(observed), "Ready").message


def test_counts_are_of_all_live_revisions() -> None:
    """For the column REPLICAS and for /scale."""
    made = completed(scaling_up())
    assert (made.replicas, made.ready_replicas) == (4, 2)
    assert made.selector == "modelward.dev/model=fraud"
    assert made.url == "http://fraud.shop.svc"


def test_a_long_message_is_cut() -> None:
    """The API server would refuse the whole status."""
    observed = replace(serving(ready=0), pods=(make_pod(A, problem="x" * 5000),))
    assert len(condition(completed(observed), "Ready").message) == 1024


@pytest.mark.parametrize(
    ("seconds", "left"),
    [
        pytest.param(10, 50, id="the rest of the minute"),
        pytest.param(60, None, id="nothing more to wait for"),
    ],
)
def test_the_minute_before_unavailable_is_waited_for(seconds: float, left: float | None) -> None:
    """No event comes at its end."""
    observed = unhealthy(seconds)
    assert conditions.wake_after(observed, observed.model.status) == left


def test_a_status_is_small() -> None:
    """Conditions are few, whatever happens."""
    made = completed(scaling_up(deadline=True))
    assert len(msgspec.json.encode(made)) < 4096


@pytest.mark.parametrize("kind", ["Ready", "Available"])
def test_f24_an_autoscaler_that_does_not_scale_is_reported(kind: str) -> None:
    """Of a revision that serves; one without a ready pod has nothing to measure yet."""
    seen = serving()
    idle = tuple(make_autoscaler(each, problem="FailedGetMetric: none.") for each in (A, B))
    seen = replace(seen, children=(*seen.children, *idle))
    found = conditions.complete(seen, decide(seen)).conditions
    (message,) = [each.message for each in found if each.type == kind]
    assert message.endswith(f"The autoscaler of revision {A} does not scale: FailedGetMetric: none.")
