"""F02, room for stable: who waits for what, who holds it, what a canary gives up, and what is said meanwhile."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest

from builders import make_pod, make_revision
from builders.observed import before
from builders.rollouts import GATEWAY, A, B, follow, left, phase_of, recorded, reported, rolling, weight_of
from modelward.api.names import REVISION_LABEL
from modelward.api.status import CommandsStatus
from modelward.cache.convert import pod as trimmed_pod
from modelward.rollout import conditions as statuses
from modelward.rollout import traffic
from modelward.rollout.capacity import sizes
from modelward.rollout.commands import pending
from modelward.rollout.decide import decide
from modelward.rollout.decision import Decision
from modelward.rollout.observed import Observed, Pod, PriorityClass
from modelward.rollout.phases import Phase
from modelward.rollout.room import lacked_in_quota, lacked_on_nodes, may_preempt

GPU: Final = "nvidia.com/gpu"
NO_GPU: Final = (
    f"0/2 nodes are available: 2 Insufficient {GPU}. preemption: 0/2 nodes are available: 2 No victims."
)
EXCEEDED: Final = 'pods "m-1" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=40, used: 80, limited: 80'


def waiting(count: int, *, lacks: Sequence[str] = (GPU,), age: float = 60.0, **facts: Any) -> list[Pod]:
    """Pods of stable that find no node."""
    known = {"created": before(age), "problem": f"not scheduled: {NO_GPU}", "lacks": frozenset(lacks)}
    return [make_pod(A, name=f"a{number}", scheduled=None, **{**known, **facts}) for number in range(count)]


def serving(count: int, *, holds: Sequence[str] = ("pods", GPU), **facts: Any) -> list[Pod]:
    """Pods of the canary that answer."""
    known = {"ready": True, "holds": frozenset(holds)}
    return [make_pod(B, name=f"b{number}", **{**known, **facts}) for number in range(count)]


def taken_back(
    canary: int, pods: Sequence[Pod], *, began: float = 0.0, kept: int | None = None, **spec: Any
) -> Observed:
    """A canary on its way back that still has half of the traffic; no pod of stable is ready."""
    observed = rolling(
        Phase.ROLLING_BACK,
        weight=50,
        began=began,
        ready={A: 0},
        pods=pods,
        rollout_status={"kept_replicas": kept},
        **spec,
    )
    deployments = {
        name: replace(each, replicas=canary, ready=canary) if name == B else each
        for name, each in observed.deployments.items()
    }
    return replace(observed, deployments=deployments)


def kept(decision: Decision) -> int | None:
    """How many pods the canary keeps, as decided."""
    return decision.status.rollout.kept_replicas if decision.status.rollout else None


# --- what is lacking ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "lacked"),
    [
        pytest.param(NO_GPU, {GPU}, id="an extended resource"),
        pytest.param(
            "0/3 nodes are available: 1 Insufficient memory, 2 Insufficient cpu.", {"cpu", "memory"}, id="two"
        ),
        pytest.param("0/1 nodes are available: 1 Too many pods.", {"pods"}, id="pods"),
        pytest.param(
            "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
            set(),
            id="no room matter",
        ),
        pytest.param("", set(), id="nothing"),
    ],
)
def test_f02_what_no_node_has(message: str, lacked: set[str]) -> None:
    """In the scheduler's words."""
    assert lacked_on_nodes(message) == lacked


@pytest.mark.parametrize(
    ("message", "lacked"),
    [
        pytest.param(EXCEEDED, {GPU}, id="an extended resource"),
        pytest.param(
            "exceeded quota: q, requested: limits.cpu=1,pods=1,requests.cpu=1, used: limits.cpu=4,pods=4, limited: x",
            {"cpu", "pods"},
            id="several",
        ),
        pytest.param(
            "exceeded quota: q, requested: count/pods=1, used: count/pods=2, limited: 2", {"pods"}, id="count"
        ),
        pytest.param('pods "x" is forbidden: violates PodSecurity "restricted"', set(), id="another refusal"),
        pytest.param("", set(), id="nothing"),
    ],
)
def test_f02_what_no_quota_has(message: str, lacked: set[str]) -> None:
    """In the API server's words."""
    assert lacked_in_quota(message) == lacked


def test_f02_what_a_pod_shows() -> None:
    """Its priority as admitted, what it requests, and what it waits for."""
    raw = {
        "metadata": {"name": "p", "labels": {REVISION_LABEL: A}},
        "spec": {
            "priority": 7,
            "preemptionPolicy": "Never",
            "containers": [{"resources": {"limits": {GPU: "40"}, "requests": {"cpu": "1"}}}],
        },
        "status": {"conditions": [{"type": "PodScheduled", "status": "False", "message": NO_GPU}]},
    }
    pod = trimmed_pod(raw)
    assert (pod.priority, pod.preempts) == (7, False)
    assert pod.holds == {"pods", "cpu", GPU}
    assert pod.lacks == {GPU}


# --- on the way back ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [{}, {"traffic": GATEWAY}], ids=["no router", "router"])
def test_f02_a_canary_gives_up_one_pod_at_once(spec: dict[str, Any]) -> None:
    """Stable waits for what it holds: one pod goes, and the rest answers meanwhile."""
    observed = taken_back(3, [*waiting(3), *serving(3)], **spec)
    decision = decide(observed)
    assert (phase_of(decision), weight_of(decision), kept(decision)) == (Phase.ROLLING_BACK, 50, 2)
    assert sizes(observed, decision.status)[B].scale == 2
    assert kept(decide(recorded(observed, decision))) == 2, "one, until its room could be used"


@pytest.mark.parametrize(
    ("canary", "began", "already", "left"),
    [
        pytest.param(2, 44, 2, 2, id="the room of the one before is not free yet"),
        pytest.param(2, 46, 2, 1, id="it was free for long enough"),
        pytest.param(3, 46, 2, 1, id="the Deployment is not seen to be smaller yet"),
        pytest.param(1, 14, None, None, id="the last one ends all service: not at once"),
        pytest.param(1, 16, None, 0, id="but not never"),
    ],
)
def test_f02_when_the_next_pod_goes(canary: int, began: float, already: int | None, left: int | None) -> None:
    """A pod has 30 s to end, and a scheduler up to 10 s to see it."""
    observed = taken_back(canary, [*waiting(3), *serving(canary)], began=began, kept=already)
    assert kept(decide(observed)) == left


@pytest.mark.parametrize(
    "pods",
    [
        pytest.param([*waiting(2, lacks=()), *serving(3)], id="stable waits for something else than room"),
        pytest.param(
            [*waiting(2, lacks=["cpu"]), *serving(3)], id="the canary does not hold what stable lacks"
        ),
        pytest.param([*waiting(2), *serving(3, scheduled=None)], id="it has no node itself"),
        pytest.param(
            [*waiting(1), make_pod(A, name="loads"), *serving(3)], id="a pod of stable loads its model"
        ),
    ],
)
def test_f02_nothing_is_given_up_in_vain(pods: list[Pod]) -> None:
    """A bad answer is better than none."""
    decision = decide(taken_back(3, pods))
    assert (weight_of(decision), kept(decision)) == (50, None)


def test_f02_a_pod_on_a_lost_node_does_not_load() -> None:
    """Its containers ran before Ready was lost: no reason to wait for it."""
    lost = make_pod(A, name="lost", started=before(500), ready_since=before(60))
    assert kept(decide(taken_back(3, [*waiting(1), lost, *serving(3)]))) == 2


def test_f02_a_quota_that_lets_stable_not_come_back() -> None:
    """Its pods are not even made; the canary's count against the same quota."""
    observed = taken_back(2, serving(2))
    stable = replace(observed.deployments[A], failure=EXCEEDED)
    assert kept(decide(replace(observed, deployments={**observed.deployments, A: stable}))) == 1


def test_f02_shared_capacity_gives_its_last_pod_up_too() -> None:
    """Stable gets all pods of both."""
    observed = taken_back(1, [*waiting(1), *serving(1)], began=20, rollout={"capacity": "Shared"}, replicas=2)
    decision = decide(observed)
    assert {name: size.scale for name, size in sizes(observed, decision.status).items()} == {A: 2, B: 0}


def test_f02_a_return_to_stable_waits_for_stable() -> None:
    """Spec asks for stable again, which has no pod: the canary answers until it has one."""
    observed = rolling(Phase.ANALYZING, "1", weight=50, ready={A: 0}, pods=[*waiting(4), *serving(3)])
    decision = decide(observed)
    assert (phase_of(decision), weight_of(decision)) == (Phase.ROLLING_BACK, 50)
    observed = rolling(Phase.ANALYZING, "3", weight=50, ready={A: 0})
    assert left(observed, decide(observed)).status.canary_revision != B, "the way out does not wait"


# --- a canary of a higher priority --------------------------------------------------------------------------

CLASSES: Final = (
    PriorityClass(name="low", value=1),
    PriorityClass(name="peer", value=1),
    PriorityClass(name="high", value=9),
    PriorityClass(name="polite", value=9, preempts=False),
)


def of_class(name: str, version: str = "1") -> dict[str, Any]:
    """Words of a spec."""
    return {"scheduling": {"priorityClassName": name}} if name else {}


@pytest.mark.parametrize(
    ("new", "stable", "classes", "may"),
    [
        pytest.param("high", "low", CLASSES, True, id="higher"),
        pytest.param("low", "high", CLASSES, False, id="lower"),
        pytest.param("peer", "low", CLASSES, False, id="the same value"),
        pytest.param("polite", "low", CLASSES, False, id="higher, but it does not preempt"),
        pytest.param("high", "", CLASSES, True, id="above no class"),
        pytest.param("", "low", CLASSES, False, id="no class is 0"),
        pytest.param(
            "",
            "low",
            (*CLASSES, PriorityClass(name="d", value=5, is_default=True)),
            True,
            id="but for a default",
        ),
        pytest.param("gone", "low", CLASSES, True, id="a class that is not there"),
        pytest.param("high", "low", None, True, id="classes cannot be read"),
        pytest.param("low", "low", None, False, id="the same class"),
    ],
)
def test_f02_who_may_preempt(
    new: str, stable: str, classes: tuple[PriorityClass, ...] | None, *, may: bool
) -> None:
    """By value where it is known; else any other class may."""
    observed = replace(rolling(Phase.SERVING), priority_classes=classes)
    revisions = [make_revision("1", **of_class(name)) for name in (stable, new)]
    assert bool(may_preempt(observed, *revisions)) == may


@pytest.mark.parametrize(
    ("new", "stable", "pods", "may"),
    [
        pytest.param("high", "high", [0], True, id="the same name, but the class was made anew"),
        pytest.param("high", "low", [9, 10], False, id="stable's pods have as much"),
        pytest.param("high", "gone", [9], False, id="stable's class is not there any more"),
        pytest.param("", "", [-5], True, id="a default has come since, and stable is below it"),
        pytest.param("low", "high", [9, 0], True, id="one pod of stable is below"),
    ],
)
def test_f02_priorities_are_those_of_stables_pods(
    new: str, stable: str, pods: list[int], *, may: bool
) -> None:
    """A pod keeps the priority with which it was admitted, whatever becomes of its class."""
    old, revision = make_revision("1", **of_class(stable)), make_revision("2", **of_class(new))
    live = [make_pod(old.name, name=f"a{priority}", priority=priority) for priority in pods]
    observed = replace(rolling(Phase.SERVING), priority_classes=CLASSES, pods=tuple(live))
    assert bool(may_preempt(observed, old, revision)) == may


def test_f02_the_same_class_starts_where_priorities_cannot_be_read() -> None:
    """As with rights in single namespaces only: nothing shows a risk."""
    observed = replace(rolling(Phase.SERVING), pods=(make_pod(A, priority=0),))
    assert not may_preempt(observed, make_revision("1"), make_revision("2"))


# --- after the promotion --------------------------------------------------------------------------------------


def watched(*, began: float = 60.0, lacks: Sequence[str] = (GPU,)) -> Decision:
    """A promoted revision that waits for room beside the previous one, which is kept warm."""
    pods = [
        make_pod(B, name="b0", scheduled=None, problem="not scheduled", lacks=frozenset(lacks)),
        make_pod(A, name="a0", ready=True, holds=frozenset({"pods", GPU})),
    ]
    return decide(rolling(Phase.WATCHING, began=began, pods=pods, rollout={"keepPreviousSeconds": 600}))


def test_f02_a_previous_revision_gives_way_to_stable() -> None:
    """It is one switch away only as long as it takes nothing from what serves."""
    decision = watched()
    assert (decision.status.stable_revision, decision.status.previous_revision) == (B, "")
    assert decision.status.rollout is None
    (announcement,) = decision.announcements
    assert announcement.reason == "PreviousEnded"
    assert f"Revision {A} is not kept warm any longer: {B} waits for what its pods hold ({GPU})." in (
        announcement.message
    )


def test_f02_a_previous_revision_stays_while_it_drains_or_could_not_help() -> None:
    """Requests may still come to it; or it has none of what is lacking."""
    assert watched(began=1.0).status.previous_revision == A
    assert watched(lacks=("memory",)).status.previous_revision == A


def asked(*, approve: str = "", ready: int = 4, **spec: Any) -> Observed:
    """Spec asks for a class that may be above stable's; nothing has started."""
    status = {"commands": CommandsStatus(approve=approve)} if approve else {}
    return rolling(Phase.SERVING, "2", ready={A: ready}, status=status, **of_class("high"), **spec)


def test_f02_a_canary_that_may_preempt_does_not_start() -> None:
    """It is said, with the ways on; and what is said of stable is what is ready."""
    decision = decide(asked(ready=3))
    assert decision.status.canary_revision == ""
    assert decision.blocked is not None
    assert decision.blocked.reason == "PreemptsStable"
    assert f"{A} goes on serving, with 3 of 4 pods." in decision.blocked.message
    assert "modelward.dev/approve=" in decision.blocked.message


def test_f02_a_persons_approval_lets_it_start() -> None:
    """It counts for the first step, too, so that the same command is not asked for twice."""
    waits = decide(asked())
    assert waits.blocked
    value = waits.blocked.message.rpartition("approve=")[2]
    order = pending(
        replace(asked().model, commands={"approve": value}), asked().model.status, asked().revisions
    )
    assert (order.ignored, order.approved) == ((), None)
    decision = decide(asked(approve=value))
    assert decision.status.canary_revision == value.partition("/")[0]
    assert decision.status.rollout
    assert decision.status.rollout.approvals == (0,)


def test_f02_nothing_to_protect_needs_no_approval() -> None:
    """No pod is to serve."""
    assert decide(asked(replicas=0)).blocked is None


@pytest.mark.parametrize(
    ("stable", "canary", "rollout", "reason"),
    [
        pytest.param(
            {"age": 6}, {"priority": 9}, {}, "PreemptsStable", id="a pod lost its room to the canary"
        ),
        pytest.param({"age": 3}, {"priority": 9}, {}, "", id="just now"),
        pytest.param({"age": 400}, {"priority": 9}, {}, "", id="it had none before the rollout began"),
        pytest.param({"age": 6}, {}, {}, "", id="the same priority takes nothing"),
        pytest.param({"age": 6}, {"priority": 9, "preempts": False}, {}, "", id="it does not preempt"),
        pytest.param(
            {"age": 6, "lacks": ["cpu"]}, {"priority": 9}, {}, "", id="it does not hold what stable lacks"
        ),
        pytest.param(
            {"age": 6}, {"priority": 9}, {"capacity": "Shared"}, "", id="shared: room is on its way"
        ),
        pytest.param(
            {"age": 50},
            {"priority": 9},
            {"capacity": "Shared"},
            "PreemptsStable",
            id="shared: it does not come",
        ),
    ],
)
def test_f02_a_canary_that_preempts_is_taken_back(
    stable: dict[str, Any], canary: dict[str, Any], rollout: dict[str, Any], reason: str
) -> None:
    """By the priorities that admission gave the pods, whatever the classes are called."""
    pods = [*waiting(1, **stable), *serving(2, **canary)]
    decision = decide(rolling(Phase.ANALYZING, ready={A: 2}, pods=pods, rollout=rollout))
    assert [each.reason for each in decision.status.rejected_revisions] == ([reason] if reason else [])
    assert ("RolledBack" in reported(decision)) == bool(reason)


# --- what is said -------------------------------------------------------------------------------------------


def test_f02_what_is_kept_says_nothing_about_stable() -> None:
    """Ready says what is seen of stable now, in every reconcile anew; the record only why."""
    observed = rolling(Phase.ANALYZING, commands={"abort": B}, ready={A: 2})
    decision = decide(observed)
    assert decision.status.history[0].message == f"Revision {B} was aborted by annotation."
    assert decision.announcements[0].message.endswith(f"{A} goes on serving, with 2 of 4 pods.")
    later = follow(recorded(observed, decision), decision.status, {A: 0})
    ready = statuses.complete(later, decide(later)).conditions[0]
    assert f"{A} has no ready pod." in ready.message
    assert "goes on serving" not in ready.message


@pytest.mark.parametrize(
    ("spec", "available", "actual", "words"),
    [
        pytest.param({}, "True", 100, f"canary {B} answers all requests.", id="no router"),
        pytest.param({"traffic": GATEWAY}, "False", None, "the requests of its share fail.", id="router"),
    ],
)
def test_f02_a_canary_beside_no_ready_pod_of_stable(
    spec: dict[str, Any], available: str, actual: int | None, words: str
) -> None:
    """Who answers is said, and so is that nobody does."""
    observed = rolling(
        Phase.ANALYZING, began=2, weight=50, step=2, ready={A: 0}, pods=[*waiting(4), *serving(4)], **spec
    )
    decision = decide(observed)
    conditions = {each.type: each for each in statuses.complete(observed, decision).conditions}
    assert (
        f"Stable {A}: 0 of 4 pods ready; not scheduled: {NO_GPU.rstrip('.')}: {words}"
        in conditions["Ready"].message
    )
    assert conditions["Available"].status == available
    assert f"{A}: 0 of 4 pods ready" in conditions["Available"].message
    assert traffic.actual_weight_percent(observed, observed.model.status) == actual


def test_f02_a_promotion_that_is_aborted_says_what_is_seen() -> None:
    """The previous version is named stable again, and has no pod."""
    observed = rolling(Phase.WATCHING, commands={"abort": B}, ready={A: 0})
    decision = decide(observed)
    assert (decision.status.stable_revision, decision.status.canary_revision) == (A, B)
    assert "serves again" not in decision.announcements[0].message
    assert f"{A} has no ready pod" in decision.announcements[0].message


def test_f02_a_canary_takes_over_where_requests_fail() -> None:
    """With a route, once stable has had no ready pod for a minute: from a wait, too, and below its full size."""
    for phase in (Phase.ANALYZING, Phase.METRICS_UNAVAILABLE, Phase.AWAITING_APPROVAL):
        observed = rolling(phase, weight=5, step=0, ready={A: 0}, traffic=GATEWAY, pods=waiting(4))
        lost = statuses.complete(observed, decide(observed))
        later = recorded(observed, replace(decide(observed), status=lost))
        assert weight_of(decide(later)) == 5, "a mere restart"
        minute = replace(later, now=before(-61))
        assert (phase_of(decide(minute)), weight_of(decide(minute))) == (Phase.PROMOTING, 100), phase
