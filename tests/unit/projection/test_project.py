"""The objects that should exist."""

from typing import Any

import msgspec
import pytest

from builders import NAME, NAMESPACE, UID, make_model, make_revision, make_status, revision_name
from builders.rollouts import GATEWAY, ROUTE_REF
from modelward.api.names import DECISION_ANNOTATION, INTENT_ANNOTATION, REVISION_LABEL
from modelward.api.revision import Revision
from modelward.projection.controller_revision import controller_revision, read_revision
from modelward.projection.metadata import intent_hash
from modelward.projection.project import Projection, project, snapshots
from modelward.projection.route import UserRoute
from modelward.rollout.snapshot_validation import flaw
from modelward.traffic_shares import Size, Split

A, B, C = revision_name("1"), revision_name("2"), revision_name("3")
REVISIONS = {
    name: make_revision(version, number=number)
    for number, (name, version) in enumerate([(A, "1"), (B, "2"), (C, "3")], start=1)
}


def projected(
    *,
    scale: int | None = 2,
    most: int = 0,
    weight: int = 0,
    spec: dict[str, Any] | None = None,
    **status: Any,
) -> Projection:
    """What should exist of a model whose stable revision is A; `weight` is what the other one is to get."""
    made = make_status(status.pop("stable", A), decision=9, **status)
    size = Size(first=4, scale=scale, least=2 if scale is None else 0, most=most)
    running = [made.stable_revision, made.canary_revision]
    split = Split(
        stable=made.stable_revision,
        other=made.canary_revision or made.previous_revision,
        weight_percent=weight,
    )
    sizes = {name: size for name in running if name}
    return project(make_model("1", **(spec or {})), made, REVISIONS, sizes=sizes, split=split)


def listed(projection: Projection) -> list[str]:
    """Kind and name, in the order of writing."""
    return [f"{intent.kind}/{intent.name}" for intent in projection.intents]


def manifest(kind: str, **words: Any) -> dict[str, Any]:
    """The one manifest of a kind."""
    (only,) = [intent.manifest for intent in projected(**words).intents if intent.kind == kind]
    return only


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(
            {},
            [f"Service/{NAME}", f"Deployment/{NAME}-{A}", f"PodDisruptionBudget/{NAME}"],
            id="at rest",
        ),
        pytest.param({"stable": ""}, [], id="nothing is decided yet"),
        pytest.param({"scale": 1}, [f"Service/{NAME}", f"Deployment/{NAME}-{A}"], id="one pod has no budget"),
        pytest.param({"scale": 0}, [f"Service/{NAME}", f"Deployment/{NAME}-{A}"], id="nor have none"),
        pytest.param(
            {"canary_revision": B},
            [
                f"Service/{NAME}",
                f"Deployment/{NAME}-{A}",
                f"Deployment/{NAME}-{B}",
                f"PodDisruptionBudget/{NAME}",
            ],
            id="a rollout",
        ),
        pytest.param(
            {"scale": None, "most": 3, "spec": {"autoscaling": {"maxReplicas": 3}}, "canary_revision": B},
            [
                f"Service/{NAME}",
                f"Deployment/{NAME}-{A}",
                f"Deployment/{NAME}-{B}",
                f"HorizontalPodAutoscaler/{NAME}-{A}",
                f"HorizontalPodAutoscaler/{NAME}-{B}",
                f"PodDisruptionBudget/{NAME}",
            ],
            id="stable and canary scale apart",
        ),
        pytest.param(
            {"scale": None, "most": 1, "spec": {"autoscaling": {"maxReplicas": 1}}},
            [f"Service/{NAME}", f"Deployment/{NAME}-{A}", f"HorizontalPodAutoscaler/{NAME}-{A}"],
            id="at most one pod has no budget",
        ),
        pytest.param(
            {"spec": {"traffic": GATEWAY}, "canary_revision": B, "weight": 25},
            [
                f"Service/{NAME}",
                f"Service/{NAME}-{A}",
                f"Service/{NAME}-{B}",
                f"HTTPRoute/{NAME}",
                f"Deployment/{NAME}-{A}",
                f"Deployment/{NAME}-{B}",
                f"PodDisruptionBudget/{NAME}",
            ],
            id="a route of our own",
        ),
        pytest.param(
            {"spec": {"traffic": ROUTE_REF}, "canary_revision": B, "weight": 25},
            [
                f"Service/{NAME}",
                f"Service/{NAME}-canary",
                f"Deployment/{NAME}-{A}",
                f"Deployment/{NAME}-{B}",
                f"PodDisruptionBudget/{NAME}",
            ],
            id="a route of the user's",
        ),
        pytest.param(
            {"spec": {"rollout": {"strategy": "BlueGreen"}}},
            [
                f"Service/{NAME}",
                f"Service/{NAME}-canary",
                f"Deployment/{NAME}-{A}",
                f"PodDisruptionBudget/{NAME}",
            ],
            id="the preview has an address, always",
        ),
    ],
)
def test_objects_and_their_order(words: dict[str, Any], expected: list[str]) -> None:
    """What others refer to comes first."""
    assert listed(projected(**words)) == expected


def test_every_object_has_the_same_owner_and_stamp() -> None:
    """By uid, so that the garbage collector and S6 can show."""
    for intent in projected(canary_revision=B).intents:
        metadata = intent.manifest["metadata"]
        assert metadata["namespace"] == NAMESPACE
        assert [(owner["uid"], owner["controller"]) for owner in metadata["ownerReferences"]] == [(UID, True)]
        assert metadata["annotations"][DECISION_ANNOTATION] == "9"
        assert len(metadata["annotations"][INTENT_ANNOTATION]) == 16


def test_the_service_and_the_budget_select_stable_only() -> None:
    """The canary gets no traffic before it is ready, and may be evicted."""
    assert manifest("Service", canary_revision=B)["spec"]["selector"][REVISION_LABEL] == A
    budget = manifest("PodDisruptionBudget", canary_revision=B)["spec"]
    assert budget["selector"]["matchLabels"][REVISION_LABEL] == A
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


def test_a_service_has_a_grpc_port_only_where_the_pods_have_one() -> None:
    """Target ports go by name."""
    words: dict[str, Any] = {"runtime": {"image": "own:1", "ports": {"grpc": 9001}}}
    name = revision_name("1", **words)
    model, revisions = make_model("1", **words), {name: make_revision("1", **words)}
    (service,) = [
        each.manifest
        for each in project(
            model,
            make_status(name),
            revisions,
            sizes={name: Size(first=1, scale=1)},
            split=Split(stable=name),
        ).intents
        if each.kind == "Service"
    ]
    assert [(port["name"], port["targetPort"]) for port in service["spec"]["ports"]] == [
        ("http", "http"),
        ("grpc", "grpc"),
    ]
    assert [port["name"] for port in manifest("Service")["spec"]["ports"]] == ["http"]


def test_a_deployment_runs_the_template_of_its_snapshot() -> None:
    """Exactly: nothing is added when it is projected."""
    deployment = manifest("Deployment")
    assert deployment["spec"]["template"] == REVISIONS[A].template
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert deployment["spec"]["replicas"] == 4


def test_replicas_are_no_part_of_the_intent() -> None:
    """They change hands; a scaled Deployment is not written anew."""
    one, other = manifest("Deployment"), manifest("Deployment")
    other["spec"] = {**other["spec"], "replicas": 7}
    plain = [{**each, "metadata": {"name": "x"}} for each in (one, other)]
    assert intent_hash(plain[0]) == intent_hash(plain[1])


def test_the_decision_number_is_no_part_of_the_intent() -> None:
    """A new decision does not rewrite what it does not change."""
    before = manifest("Service")["metadata"]["annotations"][INTENT_ANNOTATION]
    model = make_model("1")
    later = project(
        model,
        make_status(A, decision=10),
        REVISIONS,
        sizes={A: Size(first=1, scale=1)},
        split=Split(stable=A),
    )
    (service,) = [each.manifest for each in later.intents if each.kind == "Service"]
    assert service["metadata"]["annotations"][INTENT_ANNOTATION] == before


@pytest.mark.parametrize(
    ("autoscaling", "metrics"),
    [
        pytest.param({}, [("cpu", 80)], id="a default target"),
        pytest.param({"cpuUtilizationPercent": 60}, [("cpu", 60)], id="the user's"),
        pytest.param({"memoryUtilizationPercent": 70}, [("memory", 70)], id="another alone"),
    ],
)
def test_targets_of_an_autoscaler(autoscaling: dict[str, Any], metrics: list[tuple[str, int]]) -> None:
    """F24: in autoscaling/v2's words, of the model's container alone: sidecars do not count."""
    spec = {"autoscaling": {"minReplicas": 2, "maxReplicas": 9, **autoscaling}}
    made = manifest("HorizontalPodAutoscaler", scale=None, most=9, spec=spec)["spec"]
    resources = [each["containerResource"] for each in made["metrics"]]
    assert {each["container"] for each in resources} == {"model-server"}
    assert [(each["name"], each["target"]["averageUtilization"]) for each in resources] == metrics
    assert (made["minReplicas"], made["maxReplicas"]) == (2, 9)
    assert made["scaleTargetRef"]["name"] == f"{NAME}-{A}"


def test_other_metrics_of_an_autoscaler() -> None:
    """Pods and External, by name and average value."""
    metric = {"type": "Pods", "name": "queue", "averageValue": 5}
    spec = {"autoscaling": {"maxReplicas": 9, "metrics": [metric]}}
    (made,) = manifest("HorizontalPodAutoscaler", scale=None, most=9, spec=spec)["spec"]["metrics"]
    target = {"type": "AverageValue", "averageValue": "5"}
    assert made == {"type": "Pods", "pods": {"metric": {"name": "queue"}, "target": target}}


@pytest.mark.parametrize(
    ("weight", "revision"),
    [
        pytest.param(0, A, id="a canary without weight gets nothing"),
        pytest.param(5, None, id="with weight the pods of both share"),
    ],
)
def test_without_a_router_the_service_makes_the_share(weight: int, revision: str | None) -> None:
    """By its selector alone: pods are never relabelled."""
    selector = manifest("Service", canary_revision=B, weight=weight)["spec"]["selector"]
    assert selector.get(REVISION_LABEL) == revision


def test_our_own_route_has_the_weights() -> None:
    """They sum to 100, and each revision has a Service of its own."""
    spec = {"traffic": GATEWAY}
    (rule,) = manifest("HTTPRoute", spec=spec, canary_revision=B, weight=25)["spec"]["rules"]
    assert [(ref["name"], ref["weight"]) for ref in rule["backendRefs"]] == [
        (f"{NAME}-{A}", 75),
        (f"{NAME}-{B}", 25),
    ]


@pytest.mark.parametrize("weight", [0, 25, 100])
def test_a_route_of_the_users_is_given_a_weight_and_is_no_object_of_ours(weight: int) -> None:
    """It is patched, not projected."""
    projection = projected(spec={"traffic": ROUTE_REF}, canary_revision=B, weight=weight)
    assert projection.user_route == UserRoute(name="routes", weight_percent=weight)
    assert "HTTPRoute" not in {intent.kind for intent in projection.intents}


def test_an_autoscaler_that_may_not_shrink_says_so() -> None:
    """Stable's pods are needed for the way back."""
    size = {A: Size(first=4, scale=None, least=2, most=9, shrinks=False)}
    model = make_model("1", autoscaling={"maxReplicas": 9})
    projection = project(model, make_status(A), REVISIONS, sizes=size, split=Split(stable=A))
    (made,) = [each.manifest for each in projection.intents if each.kind == "HorizontalPodAutoscaler"]
    assert made["spec"]["behavior"]["scaleDown"]["selectPolicy"] == "Disabled"


def test_a_draining_revision_stays_as_it_is() -> None:
    """Neither written nor deleted."""
    projection = projected(stable=B, previous_revision=A)
    assert ("Deployment", f"{NAME}-{A}") in projection.kept
    assert f"Deployment/{NAME}-{A}" not in listed(projection)


def test_old_snapshots_are_pruned_beyond_the_limit() -> None:
    """The newest stay, and those that are live whatever their age."""
    spec = {"rollout": {"strategy": "Direct", "revisionHistoryLimit": 1}}
    kept = {name for kind, name in projected(spec=spec).kept if kind == "ControllerRevision"}
    assert kept == {f"{NAME}-{A}", f"{NAME}-{C}"}


def test_the_service_outlives_a_deleted_snapshot() -> None:
    """What serves goes on serving, although nothing can be projected for it."""
    model = make_model("2")
    projection = project(model, make_status("gone"), {}, sizes={}, split=Split(stable="gone"))
    assert projection.intents == ()
    assert {("Service", NAME), ("PodDisruptionBudget", NAME)} <= projection.kept


def test_a_snapshot_comes_back_as_it_went() -> None:
    """It is written once and read for ever."""
    made = controller_revision(make_model("1"), REVISIONS[B])
    assert made["metadata"]["name"] == f"{NAME}-{B}"
    data = msgspec.json.encode(made["data"])
    assert read_revision(B, made["revision"], data) == REVISIONS[B]
    assert flaw(REVISIONS[B]) == ""


def test_only_snapshots_that_are_needed_and_missing_are_made() -> None:
    """Also those that somebody deleted."""
    status = make_status(A, canary_revision=B)
    made = snapshots(make_model("2"), status, REVISIONS, stored={A})
    assert [each["metadata"]["name"] for each in made] == [f"{NAME}-{B}"]


def test_the_snapshot_of_another_kind_is_not_ours() -> None:
    """Data without our keys is refused, which the store reads as none of ours."""
    with pytest.raises(msgspec.DecodeError):
        read_revision("x", 1, b'{"spec": {}}')


def test_a_revision_without_model_has_no_version() -> None:
    """An own image needs no model."""
    revision = make_revision("1", model=None)
    assert isinstance(revision, Revision)
    assert revision.model_version == ""


@pytest.mark.parametrize(
    ("traffic", "backend"), [(GATEWAY, f"{NAME}-{B}"), (ROUTE_REF, f"{NAME}-canary")], ids=["own", "users"]
)
@pytest.mark.parametrize("leaves", [True, False])
def test_f01_the_backend_of_a_canary_that_leaves_leads_to_stable(
    traffic: dict[str, Any], backend: str, *, leaves: bool
) -> None:
    """Whatever a route still sends to it; and it is made anew where it may not be changed."""
    status = make_status(A, canary_revision=B)
    split = Split(stable=A, other=B, leaves=leaves)
    found = project(make_model("1", traffic=traffic), status, REVISIONS, sizes={}, split=split)
    (intent,) = [each for each in found.intents if each.kind == "Service" and each.name == backend]
    assert intent.manifest["spec"]["selector"][REVISION_LABEL] == (A if leaves else B)
    assert intent.replaceable is leaves
    assert not any(each.replaceable for each in found.intents if each.name != backend)
