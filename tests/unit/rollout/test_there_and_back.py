"""L2: what a model comes to depends on what spec asks for, not on the way there."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from builders import NOW, make_model, make_observed
from builders.rollouts import GATEWAY, follow, recorded
from cluster.crd_rules import RULE_CASES
from fuzz.campaign import input_of
from fuzz.source import Source
from fuzz.typed import typed
from modelward.api import names
from modelward.api.decode import encode
from modelward.api.model_deployment import ModelDeploymentSpec
from modelward.projection.project import project
from modelward.rollout import conditions, traffic
from modelward.rollout.capacity import sizes
from modelward.rollout.decide import decide
from modelward.rollout.observed import Observed

IMAGE: Final = "registry.example.com/shop/fraud:1"
MOST_LOOKS: Final = 40
HOUR: Final = timedelta(hours=1)
ACCEPTED: Final = [case.accepted for case in RULE_CASES if case.kind == "ModelDeployment"]


def spec_of(raw: dict[str, Any]) -> dict[str, Any]:
    """The spec with a server that is at hand, no files to fetch, and changes that go out at once."""
    model = {
        key: value
        for key, value in (raw.get("model") or {}).items()
        if key not in {"uri", "sha256", "secretRef"}
    }
    runtime = {**(raw.get("runtime") or {}), "image": IMAGE}
    runtime.pop("name", None)
    autoscaling = raw.get("autoscaling")
    if autoscaling and autoscaling.get("minReplicas", 1) > autoscaling["maxReplicas"]:
        autoscaling = None
    traffic_ = GATEWAY if raw.get("traffic") else None
    rollout = {"strategy": "Direct", "keepPreviousSeconds": 0}
    # Another class waits for a person.
    scheduling = {k: value for k, value in (raw.get("scheduling") or {}).items() if k != "priorityClassName"}
    return {
        **raw,
        "scheduling": scheduling,
        "model": model,
        "runtime": runtime,
        "rollout": rollout,
        "traffic": traffic_,
        "autoscaling": autoscaling,
    }


def settled(observed: Observed, spec: dict[str, Any]) -> Observed:
    """The world once spec has been this for long."""
    model = make_model("1", status=observed.model.status, **spec)
    observed = replace(observed, model=model)
    for _ in range(MOST_LOOKS):
        observed = replace(observed, now=observed.now + HOUR)
        decision = decide(observed)
        assert decision.blocked is None, decision.blocked
        if decision.status == observed.model.status:
            return observed
        observed = follow(recorded(observed, decision), decision.status)
    raise AssertionError(f"it does not come to rest: {observed.model.status.rollout}")


def children(observed: Observed) -> list[dict[str, Any]]:
    """What is projected, without the number of the decision; snapshots show of the past, and are left out."""
    made = observed.model.status
    found = project(
        observed.model,
        made,
        observed.revisions,
        sizes=sizes(observed, made),
        split=traffic.split(made),
    )
    manifests = [
        intent.manifest | {"scale": intent.scale}
        for intent in found.intents
        if intent.kind != "ControllerRevision"
    ]
    for manifest in manifests:
        del manifest["metadata"]["annotations"][names.DECISION_ANNOTATION]
    return manifests


def check(first: dict[str, Any], second: dict[str, Any]) -> None:
    """A, then B, then A again is A; and B by way of A is B.

    One thing is remembered on purpose: the pods that an autoscaler left behind stay until spec.replicas changes. So
    both have an autoscaler, or neither.
    """
    if not (first["autoscaling"] and second["autoscaling"]):
        first, second = first | {"autoscaling": None}, second | {"autoscaling": None}
    empty = make_observed(make_model("1", **first), now=NOW)
    at_first = settled(empty, first)
    at_second = settled(at_first, second)
    back = settled(at_second, first)
    assert children(back) == children(at_first)
    assert children(at_second) == children(settled(replace(empty, model=make_model("1", **second)), second))
    assert encode(back.model.status)["stableRevision"] == encode(at_first.model.status)["stableRevision"]
    assert not back.model.status.canary_revision
    assert conditions.complete(back, decide(back)).conditions


@pytest.mark.parametrize("number", range(len(ACCEPTED)))
def test_there_and_back_between_specs_that_the_api_server_takes(number: int) -> None:
    """Each one and the next."""
    check(spec_of(ACCEPTED[number]), spec_of(ACCEPTED[(number + 1) % len(ACCEPTED)]))


@pytest.mark.parametrize("number", range(100))
def test_there_and_back_between_any_specs(number: int) -> None:
    """Drawn from the type, always the same ones."""
    source = Source(input_of(1, "there and back", number) + input_of(2, "there and back", number))
    check(spec_of(typed(source, ModelDeploymentSpec)), spec_of(typed(source, ModelDeploymentSpec)))
