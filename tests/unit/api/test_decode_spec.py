"""What people write becomes typed values, or an error that names the field and the remedy."""

from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from modelward.api.analysis_policy import AnalysisPolicy
from modelward.api.decode import decode_runtime, decode_spec, encode
from modelward.api.model_deployment import ModelDeploymentSpec, ModelSource, RuntimeOverrides
from modelward.api.model_runtime import ModelRuntimeSpec, Protocol
from modelward.api.rollout_policy import (
    DEFAULT_STEPS,
    Capacity,
    OnDeadline,
    OnInconclusive,
    OnMetricsUnavailable,
    RolloutPolicy,
    Step,
    Strategy,
)
from modelward.api.scaling_policy import Autoscaling
from modelward.errors import InvalidSpec
from support.repeatable import examples
from unit.api.strategies import JSON, objects

MINIMAL = {"model": {"format": "onnx", "uri": "s3://models/fraud/7"}}


def test_a_minimal_spec_has_all_defaults() -> None:
    """Two fields are enough for everything."""
    spec = decode_spec(MINIMAL)
    assert spec == ModelDeploymentSpec(model=ModelSource(format="onnx", uri="s3://models/fraud/7"))
    assert spec.replicas == 1


def test_defaults_of_rollout_and_analysis_are_the_contract() -> None:
    """They are documented, and a change of one changes what running models do."""
    spec = decode_spec(MINIMAL)
    assert spec.rollout == RolloutPolicy(
        strategy=Strategy.CANARY,
        steps=(Step(weight_percent=5), Step(weight_percent=25), Step(weight_percent=50)),
        step_min_seconds=120,
        step_max_seconds=600,
        progress_deadline_seconds=1800,
        on_deadline=OnDeadline.ROLL_BACK,
        on_inconclusive=OnInconclusive.PAUSE,
        on_metrics_unavailable=OnMetricsUnavailable.PAUSE,
        keep_previous_seconds=600,
        capacity=Capacity.SURGE,
        paused=False,
        revision_history_limit=10,
    )
    assert spec.analysis == AnalysisPolicy(
        source="Pods", interval_seconds=None, confidence_percent="99", tolerance_percent=25, metrics=()
    )


@pytest.mark.parametrize(
    "strategy",
    [pytest.param(Strategy.BLUE_GREEN, id="BlueGreen"), pytest.param(Strategy.DIRECT, id="Direct")],
)
def test_other_strategies_have_no_steps(strategy: Strategy) -> None:
    """The default steps are the canary's."""
    assert decode_spec({"rollout": {"strategy": strategy.value}}).rollout.planned_steps == ()
    assert RolloutPolicy().planned_steps == DEFAULT_STEPS


@pytest.mark.parametrize(
    ("autoscaling", "target"),
    [
        pytest.param({}, 80, id="80 percent if no target is given"),
        pytest.param({"cpuUtilizationPercent": 60}, 60, id="the user's CPU target"),
        pytest.param({"memoryUtilizationPercent": 60}, None, id="no CPU target beside one of memory"),
        pytest.param(
            {"metrics": [{"type": "Pods", "name": "queue", "averageValue": 3}]},
            None,
            id="no CPU target beside another metric",
        ),
    ],
)
def test_cpu_target(autoscaling: dict[str, Any], target: int | None) -> None:
    """An autoscaler always has something to aim at."""
    decoded = decode_spec({"autoscaling": {"maxReplicas": 3, **autoscaling}}).autoscaling
    assert isinstance(decoded, Autoscaling)
    assert decoded.cpu_target_percent == target


def test_null_counts_as_absent() -> None:
    """Templates render what is not set as null, at any depth."""
    spec = {"model": {"format": "onnx", "uri": None}, "rollout": {"stepMinSeconds": None}, "traffic": None}
    assert decode_spec(spec) == decode_spec({"model": {"format": "onnx"}})


def test_unknown_fields_are_ignored() -> None:
    """The API server prunes them; an older operator may meet a newer object."""
    assert decode_spec({**MINIMAL, "later": {"a": 1}}) == decode_spec(MINIMAL)


def test_read_only_mappings_are_read() -> None:
    """The watching framework hands over views rather than dicts."""
    spec = MappingProxyType({"model": MappingProxyType({"format": "onnx"})})
    assert decode_spec(spec).model == ModelSource(format="onnx")


def test_quantities_stay_as_they_were_written() -> None:
    """`1` and `"1"` are two revisions, so neither becomes the other."""
    resources = decode_spec({"resources": {"requests": {"cpu": 1, "memory": "1"}}}).resources
    assert resources is not None
    assert resources.requests == {"cpu": 1, "memory": "1"}


def test_a_runtime_has_defaults() -> None:
    """An image is enough."""
    runtime = decode_runtime({"container": {"image": "registry/own:1"}})
    assert runtime.protocol is Protocol.OPEN_INFERENCE_V2
    assert runtime.model_path == "/mnt/models"
    assert (runtime.container.startup_seconds, runtime.container.drain_seconds) == (600, 30)
    assert runtime.container.ports.http == 8080


ERRORS = [
    pytest.param(
        {"rollout": {"steps": [{"weightPercent": "five"}]}},
        "spec.rollout.steps[0].weightPercent",
        "must be a whole number, not a string",
        id="a string instead of a number",
    ),
    pytest.param(
        {"rollout": {"steps": [{"weightPercent": 5}, {}]}},
        "spec.rollout.steps[1].weightPercent",
        "must be given: it is required",
        id="a missing field of a list's item",
    ),
    pytest.param(
        {"rollout": {"strategy": "canary"}},
        "spec.rollout.strategy",
        "must be one of Canary, BlueGreen, Direct",
        id="a value outside a closed set",
    ),
    pytest.param({"replicas": -1}, "spec.replicas", "must be at least 0", id="a number too small"),
    pytest.param({"replicas": 10_001}, "spec.replicas", "must be at most 10000", id="a number too large"),
    pytest.param(
        {"replicas": True}, "spec.replicas", "must be a whole number, not true or false", id="a boolean"
    ),
    pytest.param(
        {"replicas": 1.5},
        "spec.replicas",
        "must be a whole number, not a number with a fraction",
        id="a float",
    ),
    pytest.param(
        {"model": []}, "spec.model", "must be an object or null, not a list", id="a list instead of an object"
    ),
    pytest.param(
        {"model": {"sha256": "abc"}},
        "spec.model.sha256",
        "must be 64 hexadecimal digits",
        id="a pattern with words",
    ),
    pytest.param(
        {"serviceAccountName": "Bad Name"},
        "spec.serviceAccountName",
        "must match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'",
        id="a name that Kubernetes would not take",
    ),
    pytest.param(
        {"model": {"uri": "s3://" + "x" * 2048}},
        "spec.model.uri",
        "must have at most 2048 characters",
        id="a long string",
    ),
    pytest.param(
        {"runtime": {"args": ["x"] * 129}},
        "spec.runtime.args",
        "must have at most 128 items",
        id="a long list",
    ),
    pytest.param(
        {"podLabels": {f"k{i}": "v" for i in range(33)}},
        "spec.podLabels",
        "must have at most 32 entries",
        id="a long map",
    ),
    pytest.param(
        {"runtime": {"readiness": {"path": "/", "port": "https"}}},
        "spec.runtime.readiness.port",
        "must be a port number or one of the names http, grpc and metrics",
        id="the name of a port that there is not",
    ),
    pytest.param(
        {"resources": {"limits": {"memory": "1Gi", "cpu": "1 core", "gpu": 1}}},
        "spec.resources.limits.cpu",
        "must be a quantity such as 2, 500m or 4Gi",
        id="a quantity that is none",
    ),
    pytest.param(
        {"podLabels": {"a": "b", "a" * 64: "b"}},
        "spec.podLabels",
        "must have keys like example.com/name or name: letters, digits, '-', '_' and '.' in the name, at most 63"
        " characters there and 317 in all",
        id="a key that Kubernetes would not take",
    ),
    pytest.param(
        {"autoscaling": {}},
        "spec.autoscaling.maxReplicas",
        "must be given: it is required",
        id="a missing field",
    ),
]


@pytest.mark.parametrize(("spec", "path", "message"), ERRORS)
def test_errors_name_the_field_and_the_remedy(spec: dict[str, Any], path: str, message: str) -> None:
    """The message goes into a condition, as it is."""
    with pytest.raises(InvalidSpec) as caught:
        decode_spec(spec)
    assert (caught.value.path, caught.value.message) == (path, message)


def test_errors_of_a_runtime_name_the_field() -> None:
    """The same door serves both kinds of runtime."""
    with pytest.raises(InvalidSpec) as caught:
        decode_runtime({"container": {"image": "a b"}})
    assert caught.value.path == "spec.container.image"
    assert "must be the reference of an image" in caught.value.message


@given(objects(ModelDeploymentSpec))
@settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_a_spec_survives_the_way_out_and_in(raw: dict[str, Any]) -> None:
    """`decode(encode(x))` is x, and encoding leaves defaults out."""
    spec = decode_spec(raw)
    assert decode_spec(encode(spec)) == spec
    assert encode(decode_spec(encode(spec))) == encode(spec)


@given(objects(ModelRuntimeSpec))
@settings(
    max_examples=examples(100),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_a_runtime_survives_the_way_out_and_in(raw: dict[str, Any]) -> None:
    """The same for runtimes, as they are pinned in snapshots."""
    runtime = decode_runtime(raw)
    assert decode_runtime(encode(runtime)) == runtime


def test_defaults_are_left_out_on_the_way_out() -> None:
    """Even those that are no singletons: 600 is equal to the default, not the same object."""
    spec = decode_spec({**MINIMAL, "replicas": 1, "rollout": {"stepMaxSeconds": int("600"), "paused": True}})
    assert encode(spec) == {**MINIMAL, "rollout": {"paused": True}}
    assert encode(RuntimeOverrides()) == {}


def problem_text(spec: dict[str, Any]) -> InvalidSpec | None:
    """Return what is wrong with `spec`; None if nothing is. Any other error fails the test."""
    try:
        decode_spec(spec)
    except InvalidSpec as error:
        return error
    return None


def test_a_bottomless_spec_is_an_invalid_spec() -> None:
    """The API server prunes such a thing; a file given to the command line is not pruned."""
    bottomless: dict[str, Any] = {}
    for _ in range(100_000):
        bottomless = {"a": bottomless}
    with pytest.raises(InvalidSpec, match="must not be nested a thousand levels deep"):
        decode_spec(bottomless)


@given(JSON)
@settings(max_examples=examples(300), deadline=None)
def test_anything_else_is_an_invalid_spec(raw: Any) -> None:
    """Whatever comes, there is a spec or an InvalidSpec, never another error."""
    for key in ("model", "runtime", "rollout", "podLabels", "resources", "analysis", "replicas"):
        if error := problem_text({key: raw}):
            assert error.path.startswith(f"spec.{key}")
            assert error.message.startswith("must ")
