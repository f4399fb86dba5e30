"""What is done to a model while the operator is killed: each workload is a list of acts, each waiting for its moment.

The clock is compressed: a step takes a second, or as long as somebody has it take. Pods are those of fake nodes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from faults.gateway import PARENT
from faults.metric_endpoints import BAD, METRIC, SOURCE
from faults.recorder import At, Raw
from faults.scene import Scene
from faults.story import GROUP, World, revision_of
from support.models import FAKE_IMAGE, fake_model

REPLICAS: Final = 2
QUICK: Final[Mapping[str, Any]] = {
    "steps": [{"weightPercent": 34}, {"weightPercent": 50}],
    "stepMinSeconds": 1,
    "stepMaxSeconds": 60,
    "keepPreviousSeconds": 1,
    "progressDeadlineSeconds": 600,
}
SLOW: Final[Mapping[str, Any]] = {**QUICK, "stepMinSeconds": 3600, "stepMaxSeconds": 7200}
"""A canary that stays at its first step until somebody does something."""

ERRORS: Final[Mapping[str, Any]] = {
    "intervalSeconds": 1,
    "metrics": [{"name": "errors", "kind": "Ratio", "hits": f'{METRIC}{{code="500"}}', "total": METRIC}],
}
"""spec.analysis by the requests that pods answer."""

When = Callable[[World], bool]
"""Whether the moment has come."""


@dataclass(frozen=True, slots=True)
class Act:
    """What is done as soon as its moment has come."""

    moment: When
    do: Callable[[Scene], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A part of a model's life."""

    name: str
    acts: tuple[Act, ...]
    end: When
    """What it comes to."""
    before: Mapping[str, Any] | None = field(default_factory=lambda: {"rollout": QUICK})
    """The spec of version 1, which serves before it begins; None for nothing."""
    gone: bool = False
    """Whether the model is deleted in the end."""
    routed: bool = False
    """Whether it needs the Gateway API."""
    measured: bool = False
    """Whether canary and stable are judged by metrics."""
    users_route: bool = False
    """Whether the user has a route that names the model's Services before it begins."""


def _any_time(_: World) -> bool:
    return True


# --- acts ---------------------------------------------------------------------------------------------------


def _apply(version: str, **spec: Any) -> Callable[[Scene], None]:
    def do(scene: Scene) -> None:
        scene.apply(model(scene.model, version, **spec))

    return do


def model(name: str, version: str, **spec: Any) -> Raw:
    """The ModelDeployment as a user applies it."""
    usual = {"replicas": REPLICAS, "rollout": dict(QUICK), "analysis": {"intervalSeconds": 1}}
    return fake_model(name, version=version, **{**usual, **spec})


def _command(name: str, value: Callable[[World], str]) -> Callable[[Scene], None]:
    def do(scene: Scene) -> None:
        scene.annotate(f"{GROUP}/{name}", value(scene.world()))

    return do


def _canary(world: World) -> str:
    return str(world.status.get("canaryRevision", ""))


def _crash_the_canary(scene: Scene) -> None:
    scene.crash(_canary(scene.world()))


def _scale_as_an_autoscaler(count: int) -> Callable[[Scene], None]:
    def do(scene: Scene) -> None:
        for at in scene.world().objects:
            if at[0] == "Deployment":
                scene.scale(at[1], count)

    return do


def _delete(scene: Scene) -> None:
    scene.delete()


# --- moments ------------------------------------------------------------------------------------------------


def _in_state(*states: str) -> When:
    return lambda world: (world.status.get("rollout") or {}).get("state") in states and bool(_canary(world))


def _serves_canary(world: World) -> bool:
    """The canary has requests, and pods that run."""
    rollout = world.status.get("rollout") or {}
    return bool(_canary(world) and rollout.get("weightPercent") and _canary(world) in world.ready())


def _is_routed_to_canary(world: World) -> bool:
    """The user's route gives the canary its share."""
    return any(each["weight"] for route in world.find("HTTPRoute") for each in backends_of(route)[1:])


def _is_autoscaled(world: World) -> bool:
    """The autoscaler is there, and has the count to itself."""
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in world.find("HorizontalPodAutoscaler")}
    deployments = [each for each in world.find("Deployment") if each["metadata"]["name"] in scaled]
    return bool(deployments) and at_rest(world) and not any(owns_replicas(each) for each in deployments)


def _has_pods(count: int) -> When:
    return lambda world: at_rest(world) and sum(1 for _ in world.find("Pod")) == count == world.serving()


def owns_replicas(deployment: Raw) -> bool:
    """Whether the operator is the one who says how many pods there are."""
    return any(
        entry["manager"] == "modelward" and "f:replicas" in (entry.get("fieldsV1", {}).get("f:spec") or {})
        for entry in deployment["metadata"].get("managedFields") or ()
    )


def at_rest(world: World) -> bool:
    """One revision, all of whose pods are ready; nothing under way, all of spec seen. Ready is False after a rollback."""
    cr, status = world.cr, world.status
    ready: Raw = next((each for each in status.get("conditions") or () if each["type"] == "Ready"), {})
    deployments = list(world.find("Deployment"))
    return (
        status.get("observedGeneration") == cr["metadata"].get("generation")
        and (ready.get("status") == "True" or _was_taken_back(status))
        and not status.get("rollout")
        and not status.get("canaryRevision")
        and [revision_of(each) for each in deployments] == [status.get("stableRevision")]
        and deployments[0]["spec"]["replicas"] == (deployments[0].get("status") or {}).get("readyReplicas", 0)
        and all(revision_of(pod) == status["stableRevision"] for pod in world.find("Pod"))
    )


def _was_taken_back(status: Raw) -> bool:
    """Whether Ready is False because of what became of the latest rollout."""
    history: list[Raw] = status.get("history") or []
    return bool(history) and history[0]["result"] in ("RolledBack", "Aborted")


def _serves(version: str) -> When:
    """At rest, with a revision of that version."""

    def found(world: World) -> bool:
        if not at_rest(world):
            return False
        stable = world.status["stableRevision"]
        snapshot = next(
            (each for each in world.find("ControllerRevision") if revision_of(each) == stable), None
        )
        return snapshot is not None and snapshot["data"]["spec"]["model"]["version"] == version

    return found


def _and_ended(version: str, result: str) -> When:
    """That version serves, and the latest rollout came to that result."""
    serves = _serves(version)
    return lambda world: serves(world) and world.status["history"][0]["result"] == result


def _and_was_worse(version: str) -> When:
    """That version serves, and the latest rollout was taken back because of what was measured, not for its pods' health."""
    ended = _and_ended(version, "RolledBack")
    return lambda world: ended(world) and world.status["rejectedRevisions"][0]["reason"] == "RolledBack"


def _autoscaling_is_off(world: World) -> bool:
    return at_rest(world) and not any(world.find("HorizontalPodAutoscaler")) and world.serving() == 6


def _all_gone(world: World) -> bool:
    return not [at for at in world.objects if _counts(at)]


def _gone_and_given_back(world: World) -> bool:
    """Nothing is left but the user's own route, and its weights are as they were."""
    routes = [[backend["weight"] for backend in backends_of(each)] for each in world.find("HTTPRoute")]
    return routes == [[WHOLE, 0]] and not [at for at in world.objects if _counts(at) and at[0] != "HTTPRoute"]


def backends_of(route: Raw) -> list[Raw]:
    """Of its first rule."""
    found: list[Raw] = route["spec"]["rules"][0]["backendRefs"]
    return found


def _counts(at: At) -> bool:
    """Events outlive what they are about."""
    return at[0] != "Event"


# --- all of them --------------------------------------------------------------------------------------------

AUTOSCALING: Final = {"minReplicas": 2, "maxReplicas": 8}
APPROVED: Final = {
    **QUICK,
    "steps": [{"weightPercent": 34}, {"weightPercent": 50, "approval": "Required"}],
}

WHOLE: Final = 100
OWN_ROUTE: Final = {"gateway": {"parentRefs": [PARENT]}}
"""spec.traffic with a route of our own."""


def users_traffic(name: str) -> Raw:
    """spec.traffic with the user's route, which is called as the model is."""
    return {"httpRouteRef": {"name": name}}


def users_route(name: str) -> Raw:
    """The user's route to a model."""
    backends = [
        {"name": name, "port": 80, "weight": WHOLE},
        {"name": f"{name}-canary", "port": 80, "weight": 0},
    ]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "labels": {f"{GROUP}/weights": "managed"}},
        "spec": {"parentRefs": [PARENT], "rules": [{"backendRefs": backends}]},
    }


def _apply_routed(version: str, **spec: Any) -> Callable[[Scene], None]:
    """With the user's route."""

    def do(scene: Scene) -> None:
        scene.apply(model(scene.model, version, traffic=users_traffic(scene.model), **spec))

    return do


PAGE: Final = {"image": FAKE_IMAGE, "metrics": {"port": "http", "path": "/metrics"}}
"""spec.runtime of pods that show what they measure."""
SOURCES: Final[Mapping[str, Mapping[str, Any]]] = {
    "pods": {"analysis": {**ERRORS, "source": "Pods"}, "runtime": PAGE},
    "Prometheus": {"analysis": {**ERRORS, "source": SOURCE}},
}
"""Spec of a model that is judged by metrics, by where they come from."""


def _by_metrics(source: str) -> tuple[Workload, ...]:
    """Canaries that are judged by the errors of their requests."""
    spec = SOURCES[source]
    slow = {**spec, "rollout": SLOW}
    return (
        Workload(
            name=f"good canary by metrics of {source}",
            measured=True,
            before={**spec, "rollout": QUICK},
            acts=(Act(_any_time, _apply("2", **spec)),),
            end=_and_ended("2", "Promoted"),
        ),
        Workload(
            name=f"bad canary by metrics of {source}",
            measured=True,
            before=slow,
            acts=(Act(_any_time, _apply(BAD, **slow)),),
            end=_and_was_worse("1"),
        ),
    )


WORKLOADS: Final[tuple[Workload, ...]] = (
    Workload(
        name="create", before=None, acts=(Act(_any_time, _apply("1")),), end=_and_ended("1", "Promoted")
    ),
    Workload(name="good canary", acts=(Act(_any_time, _apply("2")),), end=_and_ended("2", "Promoted")),
    Workload(
        name="bad canary",
        before={"rollout": SLOW},
        acts=(Act(_any_time, _apply("2", rollout=SLOW)), Act(_serves_canary, _crash_the_canary)),
        end=_and_ended("1", "RolledBack"),
    ),
    Workload(
        name="promote",
        before={"rollout": SLOW},
        acts=(
            Act(_any_time, _apply("2", rollout=SLOW)),
            Act(_serves_canary, _command("promote", _canary)),
        ),
        end=_and_ended("2", "Promoted"),
    ),
    Workload(
        name="abort",
        before={"rollout": SLOW},
        acts=(Act(_any_time, _apply("2", rollout=SLOW)), Act(_serves_canary, _command("abort", _canary))),
        end=_and_ended("1", "Aborted"),
    ),
    Workload(
        name="scale",
        acts=(Act(_any_time, _apply("1", replicas=4)), Act(_has_pods(4), _apply("1", replicas=1))),
        end=_has_pods(1),
    ),
    Workload(
        name="autoscaling on and off",
        before={"replicas": 4},
        acts=(
            Act(_any_time, _apply("1", replicas=4, autoscaling=AUTOSCALING)),
            Act(_is_autoscaled, _scale_as_an_autoscaler(6)),
            Act(_has_pods(6), _apply("1", replicas=4)),
        ),
        end=_autoscaling_is_off,
    ),
    Workload(
        name="pause and approve",
        acts=(
            Act(_any_time, _apply("2", rollout={**APPROVED, "paused": True})),
            Act(_in_state("Paused"), _apply("2", rollout=APPROVED)),
            Act(
                _in_state("AwaitingApproval"),
                _command("approve", lambda world: f"{_canary(world)}/1"),
            ),
        ),
        end=_and_ended("2", "Promoted"),
    ),
    Workload(name="delete", acts=(Act(_any_time, _delete),), end=_all_gone, gone=True),
    Workload(
        name="delete in mid-canary",
        before={"rollout": SLOW},
        acts=(Act(_any_time, _apply("2", rollout=SLOW)), Act(_serves_canary, _delete)),
        end=_all_gone,
        gone=True,
    ),
    Workload(
        name="A, B, A",
        acts=(
            Act(_any_time, _apply("2")),
            Act(_and_ended("2", "Promoted"), _apply("1")),
        ),
        end=_and_ended("1", "Promoted"),
    ),
    Workload(
        name="A, B, A in mid-canary",
        before={"rollout": SLOW},
        acts=(Act(_any_time, _apply("2", rollout=SLOW)), Act(_serves_canary, _apply("1", rollout=SLOW))),
        end=_and_ended("1", "Superseded"),
    ),
    Workload(
        name="good canary on a route",
        routed=True,
        before={"traffic": OWN_ROUTE},
        acts=(Act(_any_time, _apply("2", traffic=OWN_ROUTE)),),
        end=_and_ended("2", "Promoted"),
    ),
    Workload(
        name="bad canary on a route",
        routed=True,
        before={"rollout": SLOW, "traffic": OWN_ROUTE},
        acts=(
            Act(_any_time, _apply("2", rollout=SLOW, traffic=OWN_ROUTE)),
            Act(_serves_canary, _crash_the_canary),
        ),
        end=_and_ended("1", "RolledBack"),
    ),
    Workload(
        name="promote on the user's route",
        routed=True,
        users_route=True,
        before={"rollout": SLOW},
        acts=(
            Act(_any_time, _apply_routed("2", rollout=SLOW)),
            Act(_serves_canary, _command("promote", _canary)),
        ),
        end=_and_ended("2", "Promoted"),
    ),
    Workload(
        name="delete in mid-canary on the user's route",
        routed=True,
        users_route=True,
        before={"rollout": SLOW},
        acts=(Act(_any_time, _apply_routed("2", rollout=SLOW)), Act(_is_routed_to_canary, _delete)),
        end=_gone_and_given_back,
        gone=True,
    ),
    *_by_metrics("pods"),
    *_by_metrics("Prometheus"),
)
BY_NAME: Final = {each.name: each for each in WORKLOADS}
