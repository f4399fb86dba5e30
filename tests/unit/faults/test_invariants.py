"""Each check of the recorder's states fails on a state that breaks its promise, and on nothing else."""

import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from faults.invariants import CHECKS, badly_written, broken
from faults.plan import Answer, Request
from faults.recorder import Raw
from faults.story import Change, World
from unit.faults.worlds import (
    NOW,
    change,
    child,
    condition,
    cr,
    deployment,
    edited,
    pod,
    route,
    service,
    stamp,
    world,
)

PATH = "/apis/apps/v1/namespaces/a/deployments/m-old"
ROLLOUT = {"state": "Analyzing", "step": 0, "weightPercent": 34, "stepStartTime": stamp(NOW - 20)}
REJECTED = [{"revision": "new", "reason": "Worse"}]
AUTOSCALER = child(
    "HorizontalPodAutoscaler", "m-old", "old", spec={"scaleTargetRef": {"name": "m-old"}, "maxReplicas": 3}
)
USERS_ROUTE = edited(route(old=100, new=0), "metadata", {"name": "m", "uid": "r", "labels": {}})


def said(before: World, *changes: Change) -> list[str]:
    """What the checks say of changes, one after the other."""
    story = []
    for each in changes:
        frozen = World(before.model, dict(before.objects), dict(before.ready_at))
        story.append((frozen, each))
        before.apply(each)
    return list(broken(story))


def status_becomes(**status: Any) -> Callable[[], list[str]]:
    """The operator writes a status."""
    return lambda: said(begin := world(), change(begin, cr(**status)))


def child_becomes(raw: Raw, *more: Raw, model: Raw | None = None) -> Callable[[], list[str]]:
    """The operator writes a child."""
    return lambda: said(begin := world(*more, model=model), change(begin, raw))


def is_deleted(raw: Raw, *more: Raw, model: Raw | None = None) -> Callable[[], list[str]]:
    """The operator deletes a child."""
    return lambda: said(begin := world(*more, model=model), change(begin, None, raw))


def loses_a_pod() -> list[str]:
    """After two pods of old served, one is on its way out."""
    begin = world(service("old"))
    leaving = edited(pod("a", "old"), "metadata.deletionTimestamp", "2026-01-01T00:00:00Z")
    return said(begin, change(begin, service("old"), ours=True), change(begin, leaving, ours=False))


def falls_back() -> list[str]:
    """A child is written for decision 7, and then for 6."""
    begin = world()
    return said(
        begin,
        change(begin, service("old", "m-old")),
        change(
            begin, edited(service("old", "m-old"), "metadata.annotations", {"modelward.dev/decision": "6"})
        ),
    )


BREAKS: Final = (
    pytest.param("S1", child_becomes(service("dead")), id="S1: the Service selects who has no ready pod"),
    pytest.param("S1", child_becomes(route(old=70, new=34), route(old=66, new=34)), id="S1: sum of weights"),
    pytest.param("S1", child_becomes(route(old=130, new=-30)), id="S1: negative weight"),
    pytest.param(
        "S1",
        child_becomes(route(old=50, dead=50), service("dead", "m-dead")),
        id="S1: weight for who has no ready pod",
    ),
    pytest.param("S2", child_becomes(route(old=60, new=40)), id="S2: route above what is recorded"),
    pytest.param("S2", status_becomes(rollout={**ROLLOUT, "weightPercent": 35}), id="S2: above its step"),
    pytest.param(
        "S2",
        lambda: said(
            begin := world(model=cr(rollout={**ROLLOUT, "stepStartTime": stamp(NOW - 9)})),
            change(begin, cr(rollout={**ROLLOUT, "step": 1, "weightPercent": 100})),
        ),
        id="S2: a step is left too early",
    ),
    pytest.param("S2", child_becomes(deployment("new", 2)), id="S2: too large a share of the pods"),
    pytest.param("S3", is_deleted(deployment("old", 2), service("old")), id="S3: what serves is deleted"),
    pytest.param("S3", loses_a_pod, id="S3: fewer pods serve"),
    pytest.param("S4", status_becomes(rejectedRevisions=REJECTED), id="S4: a rejected canary goes on"),
    pytest.param(
        "S4",
        status_becomes(rejectedRevisions=REJECTED, stableRevision="new", canaryRevision="", rollout=None),
        id="S4: a rejected one becomes stable",
    ),
    pytest.param(
        "S4",
        lambda: said(
            begin := world(
                model=cr(rejectedRevisions=REJECTED, rollout={"state": "RollingBack", "weightPercent": 0})
            ),
            change(
                begin,
                cr(rejectedRevisions=REJECTED, rollout={"state": "RollingBack", "weightPercent": 1}),
            ),
        ),
        id="S4: the weight of a rejected one rises",
    ),
    pytest.param(
        "S4",
        child_becomes(
            deployment("new", 2), model=cr(rejectedRevisions=REJECTED, rollout={"state": "RollingBack"})
        ),
        id="S4: a rejected one gets pods",
    ),
    pytest.param(
        "S5",
        lambda: said(begin := world(), change(begin, edited(cr(), "spec.replicas", 3))),
        id="S5: spec is written",
    ),
    pytest.param(
        "S5",
        lambda: said(
            begin := world(),
            change(
                begin,
                edited(
                    cr(),
                    "metadata.managedFields",
                    [{"manager": "modelward", "fieldsV1": {"f:metadata": {"f:labels": {}}}}],
                ),
                ours=False,
            ),
        ),
        id="S5: labels are owned",
    ),
    pytest.param(
        "S6",
        child_becomes(
            edited(service("old", "m-old"), "metadata.ownerReferences", [{"uid": "x", "controller": True}])
        ),
        id="S6: somebody else's child",
    ),
    pytest.param(
        "S6", child_becomes(edited(service("x", "y"), "metadata.ownerReferences", [])), id="S6: nobody's"
    ),
    pytest.param(
        "S6",
        child_becomes(USERS_ROUTE, USERS_ROUTE),
        id="S6: a user's route that does not opt in",
    ),
    pytest.param(
        "S7",
        child_becomes(deployment("old", 3), AUTOSCALER),
        id="S7: the count of an autoscaler is set",
    ),
    pytest.param("S7", child_becomes(AUTOSCALER, deployment("old", 4)), id="S7: an autoscaler that dips"),
    pytest.param("S8", falls_back, id="S8: a decision falls"),
    pytest.param("S10", status_becomes(observedGeneration=3), id="S10: ahead of spec"),
    pytest.param(
        "S10", status_becomes(conditions=[condition("Ready", seen=1)]), id="S10: Ready for an older spec"
    ),
    pytest.param(
        "S10",
        status_becomes(conditions=[condition("Available", since="2026-01-02T00:00:00Z")]),
        id="S10: a time moves alone",
    ),
    pytest.param("S13", status_becomes(url="x" * 40_000), id="S13: a large status"),
    pytest.param("S13", status_becomes(history=[{}] * 11), id="S13: a long history"),
)


@pytest.mark.parametrize(("rule", "say"), BREAKS)
def test_breaks(rule: str, say: Callable[[], list[str]]) -> None:
    """It is reported, under its id."""
    assert rule in {each.partition(":")[0] for each in say()}


@pytest.mark.parametrize(
    "say",
    [
        pytest.param(status_becomes(), id="nothing moves"),
        pytest.param(child_becomes(service("old")), id="back to stable"),
        pytest.param(child_becomes(route(old=66, new=34)), id="a route as recorded"),
        pytest.param(
            lambda: said(
                begin := world(),
                change(begin, cr(rollout={**ROLLOUT, "step": 1, "weightPercent": 100})),
            ),
            id="a step after its time",
        ),
        pytest.param(is_deleted(deployment("new", 1), service("old")), id="a canary without traffic goes"),
        pytest.param(
            status_becomes(
                rejectedRevisions=REJECTED, rollout={"state": "RollingBack", "step": 0, "weightPercent": 0}
            ),
            id="a rollback",
        ),
        pytest.param(
            child_becomes(
                edited(
                    edited(USERS_ROUTE, "metadata.labels", {"modelward.dev/weights": "managed"}),
                    "spec.rules",
                    [{"backendRefs": [{"name": "m-old", "weight": 66}, {"name": "m-new", "weight": 34}]}],
                ),
                edited(USERS_ROUTE, "metadata.labels", {"modelward.dev/weights": "managed"}),
                model=edited(cr(), "spec.traffic", {"httpRouteRef": {"name": "m"}}),
            ),
            id="weights of a route that opts in",
        ),
    ],
)
def test_holds(say: Callable[[], list[str]]) -> None:
    """Nothing is said of what is right."""
    assert say() == []


def test_every_id_is_tried() -> None:
    """Each id that a check has stands in a test that breaks it."""
    assert {rule for rule, _ in CHECKS} | {"S3", "S8"} == {str(each.values[0]) for each in BREAKS}


def sent(method: str, body: Any, *, version: str = "2", status: int = 200) -> tuple[Request, Answer]:
    """A request and its answer."""
    request = Request(
        method=method, path=PATH, target=PATH, query={}, headers={}, number=1, body=json.dumps(body).encode()
    )
    return request, Answer(
        status=status, body=json.dumps({"metadata": {"resourceVersion": version}}).encode()
    )


GUARDS = [
    {"op": "add", "path": "/metadata/uid", "value": "u"},
    {"op": "add", "path": "/metadata/resourceVersion", "value": "1"},
]


@pytest.mark.parametrize(
    ("pair", "rule"),
    [
        pytest.param(sent("PATCH", GUARDS), "", id="guarded"),
        pytest.param(sent("POST", {}), "", id="new"),
        pytest.param(
            sent("DELETE", {"preconditions": {"uid": "u", "resourceVersion": "1"}}), "", id="guarded delete"
        ),
        pytest.param(sent("PUT", {}), "S8", id="PUT"),
        pytest.param(sent("PATCH", GUARDS[:1]), "S8", id="no resourceVersion"),
        pytest.param(sent("PATCH", {"spec": {}}), "S8", id="merge patch"),
        pytest.param(sent("DELETE", {}), "S8", id="unguarded delete"),
        pytest.param(sent("PATCH", GUARDS, version="1"), "S11", id="changes nothing"),
    ],
)
def test_requests(pair: tuple[Request, Answer], rule: str) -> None:
    """What a write carries."""
    assert [each.partition(":")[0] for each in badly_written([pair])] == ([rule] if rule else [])
