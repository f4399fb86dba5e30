"""The rules that cross fields, checked without an API server.

The CRD has them as CEL expressions (`api.*.RULES`), which only an API server evaluates. Here each of the rules about how
a model is rolled out, scaled and reached has a twin in Python; a test sees to it that none is left out.
"""

from collections.abc import Callable, Iterator
from typing import Final

from modelward.api.fields import Rule
from modelward.api.model_deployment import ModelDeploymentSpec
from modelward.api.objects import Raw
from modelward.api.rollout_policy import RolloutPolicy
from modelward.api.scaling_policy import Autoscaling
from modelward.api.traffic_policy import Traffic
from modelward.errors import InvalidSpec

_CANARY: Final = "Canary"
_STEP_MIN: Final = 120
_STEP_MAX: Final = 600
_DEADLINE: Final = 1800


def check(spec: Raw) -> None:
    """Raise InvalidSpec for the first rule that a spec, which fits its types, breaks."""
    for path, part, checks in _parts(spec):
        for rule, holds in checks:
            if not holds(part):
                raise InvalidSpec(".".join(name for name in (path, rule.field) if name), rule.message)


def _parts(spec: Raw) -> Iterator[tuple[str, Raw, tuple[tuple[Rule, Callable[[Raw], bool]], ...]]]:
    yield "spec", spec, SPEC
    for name, checks in (("rollout", ROLLOUT), ("autoscaling", SCALING), ("traffic", TRAFFIC)):
        if spec.get(name):
            yield f"spec.{name}", spec[name], checks


# --- the twins, in the order of the rules -------------------------------------------------------------------


def _has_runtime(spec: Raw) -> bool:
    runtime = spec.get("runtime") or {}
    return bool((spec.get("model") or {}).get("format") or runtime.get("name") or runtime.get("image"))


def _shared_has_two(spec: Raw) -> bool:
    if (spec.get("rollout") or {}).get("capacity") != "Shared":
        return True
    autoscaling = spec.get("autoscaling")
    return bool((autoscaling.get("minReplicas", 1) if autoscaling else spec.get("replicas", 1)) >= 2)


def _polls_within_a_step(spec: Raw) -> bool:
    interval = (spec.get("analysis") or {}).get("intervalSeconds")
    return interval is None or interval <= (spec.get("rollout") or {}).get("stepMinSeconds", _STEP_MIN)


def _starts_before_deadline(spec: Raw) -> bool:
    startup = (spec.get("runtime") or {}).get("startupSeconds")
    return startup is None or startup <= (spec.get("rollout") or {}).get("progressDeadlineSeconds", _DEADLINE)


def _steps_only_for_canary(rollout: Raw) -> bool:
    return rollout.get("strategy", _CANARY) == _CANARY or not rollout.get("steps")


def _canary_has_steps(rollout: Raw) -> bool:
    return rollout.get("strategy", _CANARY) != _CANARY or rollout.get("steps") != []


def _steps_rise(rollout: Raw) -> bool:
    weights = [step["weightPercent"] for step in rollout.get("steps") or ()]
    return weights == sorted(set(weights))


def _min_below_max(rollout: Raw) -> bool:
    return bool(rollout.get("stepMinSeconds", _STEP_MIN) <= rollout.get("stepMaxSeconds", _STEP_MAX))


def _fewest_below_most(autoscaling: Raw) -> bool:
    return bool(autoscaling.get("minReplicas", 1) <= autoscaling["maxReplicas"])


def _exactly_one_way(traffic: Raw) -> bool:
    return bool(traffic.get("gateway")) != bool(traffic.get("httpRouteRef"))


SPEC: Final = tuple(
    zip(
        ModelDeploymentSpec.RULES,
        (_has_runtime, _shared_has_two, _polls_within_a_step, _starts_before_deadline),
        strict=True,
    )
)
ROLLOUT: Final = tuple(
    zip(
        RolloutPolicy.RULES,
        (_steps_only_for_canary, _canary_has_steps, _steps_rise, _min_below_max),
        strict=True,
    )
)
SCALING: Final = tuple(zip(Autoscaling.RULES, (_fewest_below_most,), strict=True))
TRAFFIC: Final = tuple(zip(Traffic.RULES, (_exactly_one_way,), strict=True))
