"""Models in every state that a rollout can be in, side by side, and the way out of each. Pods are kwok's."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from modelward.api.names import MODEL_LABEL, REVISION_LABEL, child_name
from modelward.rollout.phases import RENAMED
from support.kubectl import Kubectl
from support.models import KIND, fake_model, status
from support.waiting import until

DAY: Final = 86_400
NODE: Final = "kwok-0"
GATE: Final = "example.com/gate-"
"""Labels of a fake node begin so, one for each model whose pods ask for it: they wait until it is there."""
ROUTE: Final = "routed"
SOURCE: Final = "little"
"""What models call the source of metrics."""
HITS, TOTAL = "errors_total", "requests_total"

Spec = Mapping[str, Any]
Act = Callable[[Kubectl, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One model: how it gets into its state, what that is, and how it gets out."""

    name: str
    state: str
    """`status.rollout.state`; empty when no rollout is under way."""
    weight: int = 0
    rollout: Spec = field(default_factory=dict)
    spec: Spec = field(default_factory=dict)
    gated: tuple[str, ...] = ()
    """Versions whose pods wait for the gate."""
    from_state: str = ""
    """The state in which `reach` is done, if another one comes first."""
    reach: Act | None = None
    leave: Act | None = None
    """What ends the rollout, once the gate is open and steps are short."""
    ends: str = "Promoted"
    """How."""

    @property
    def changes(self) -> bool:
        """Whether a second version goes out."""
        return "1" not in self.gated and self.name != "serving"

    def manifest(self, version: str, **rollout: Any) -> dict[str, Any]:
        """The ModelDeployment."""
        policy = {
            "steps": [{"weightPercent": 34}, {"weightPercent": 50}],
            "stepMinSeconds": DAY,
            "stepMaxSeconds": DAY,
            "progressDeadlineSeconds": DAY,
            "keepPreviousSeconds": 0,
        }
        if self.rollout.get("strategy"):
            policy = {"keepPreviousSeconds": DAY}
        found = fake_model(
            self.name,
            version=version,
            **{"replicas": 2, "rollout": {**policy, **self.rollout, **rollout}, **self.spec},
        )
        if version in self.gated:
            found["spec"]["scheduling"]["nodeSelector"][f"{GATE}{self.name}"] = "open"
        return found


def command(name: str, of: str = "canaryRevision", suffix: str = "") -> Act:
    """Annotates a model with a command about one of its revisions."""

    def act(kubectl: Kubectl, model: str) -> None:
        value = f"{status(kubectl, model)[of]}{suffix}"
        kubectl("annotate", "--overwrite", KIND, model, f"modelward.dev/{name}={value}")

    return act


def policy(**changes: Any) -> Act:
    """Changes `spec.rollout`, which makes no revision."""

    def act(kubectl: Kubectl, model: str) -> None:
        kubectl.patch(KIND, model, {"spec": {"rollout": changes}})

    return act


def both(first: Act, second: Act) -> Act:
    """One after the other."""

    def act(kubectl: Kubectl, model: str) -> None:
        first(kubectl, model)
        second(kubectl, model)

    return act


def retry(kubectl: Kubectl, model: str) -> None:
    """Try once more what was rejected."""
    rejected = status(kubectl, model)["rejectedRevisions"][0]["revision"]
    kubectl("annotate", "--overwrite", KIND, model, f"modelward.dev/retry={rejected}/1")


def gate(kubectl: Kubectl, *models: str, opened: bool) -> None:
    """Let the pods of models in that wait for a gate, or no more."""
    kubectl(
        "label",
        "--overwrite",
        "node",
        NODE,
        *(f"{GATE}{name}{'=open' if opened else '-'}" for name in models),
    )


def promote_behind_the_gate(kubectl: Kubectl, model: str) -> None:
    """Promote a canary that gets no more pods than it has."""
    gate(kubectl, model, opened=False)
    command("promote")(kubectl, model)


def abort_while_stable_is_not_ready(kubectl: Kubectl, model: str) -> None:
    """Take a canary back that alone answers: it keeps its traffic until stable can take it."""
    set_ready(kubectl, model, "stableRevision", ready=False)
    until(lambda: status(kubectl, model).get("readyReplicas") == 1, "only the canary is ready")
    command("abort")(kubectl, model)


def set_ready(kubectl: Kubectl, model: str, of: str, *, ready: bool) -> None:
    """Say of the pods of a revision what a kubelet says of them."""
    revision = status(kubectl, model)[of]
    for pod in kubectl.all("pods", f"modelward.dev/model={model},modelward.dev/revision={revision}"):
        conditions = [
            {**each, "status": str(ready)} if each["type"] in {"Ready", "ContainersReady"} else each
            for each in pod["status"]["conditions"]
        ]
        containers = [{**each, "ready": ready} for each in pod["status"]["containerStatuses"]]
        change = json.dumps({"status": {"conditions": conditions, "containerStatuses": containers}})
        victim = pod["metadata"]["name"]
        kubectl("patch", "pod", victim, "--subresource=status", "--type=merge", "-p", change)


def stable_is_ready_again(kubectl: Kubectl, model: str) -> None:
    """What a canary that was taken back waits for."""
    set_ready(kubectl, model, "stableRevision", ready=True)


def nothing(kubectl: Kubectl, model: str) -> None:
    """Wait."""


SHORT: Final = policy(stepMinSeconds=1)
METRIC: Final = {"name": "errors", "kind": "Ratio", "hits": HITS, "total": TOTAL}

CASES: Final = (
    Case(name="serving", state=""),
    Case(name="deploying", state="Deploying", gated=("1",), leave=nothing),
    Case(name="scaling-up", state="ScalingUp", gated=("2",), leave=SHORT),
    Case(name="analyzing", state="Analyzing", weight=34, leave=SHORT),
    Case(
        name="autoscaled",
        state="Analyzing",
        weight=34,
        spec={"autoscaling": {"minReplicas": 2, "maxReplicas": 4}},
        leave=SHORT,
    ),
    Case(
        name="shared",
        state="Analyzing",
        weight=34,
        rollout={"capacity": "Shared"},
        spec={"replicas": 3},
        leave=SHORT,
    ),
    Case(
        name="awaiting",
        state="AwaitingApproval",
        rollout={"steps": [{"weightPercent": 34, "approval": "Required"}]},
        leave=both(command("approve", suffix="/0"), SHORT),
    ),
    Case(
        name="paused",
        state="Paused",
        weight=34,
        from_state="Analyzing",
        reach=policy(paused=True),
        leave=policy(paused=False, stepMinSeconds=1),
    ),
    Case(
        name="inconclusive",
        state="Inconclusive",
        weight=34,
        from_state="MetricsUnavailable",
        rollout={"stepMinSeconds": 1, "stepMaxSeconds": 2},
        spec={"analysis": {"source": SOURCE, "intervalSeconds": 1, "metrics": [METRIC]}},
        leave=command("promote"),
    ),
    Case(
        name="unmeasured",
        state="MetricsUnavailable",
        weight=34,
        spec={"analysis": {"source": "Pods", "intervalSeconds": 1, "metrics": [METRIC]}},
        leave=command("promote"),
    ),
    Case(
        name="promoting",
        state="Promoting",
        weight=34,
        gated=("2",),
        from_state="Analyzing",
        reach=promote_behind_the_gate,
        leave=nothing,
    ),
    Case(
        name="watching",
        state="Watching",
        weight=100,
        rollout={"keepPreviousSeconds": DAY},
        from_state="Analyzing",
        reach=command("promote"),
        leave=policy(keepPreviousSeconds=0),
    ),
    Case(
        name="bluegreen",
        state="Watching",
        weight=100,
        rollout={"strategy": "BlueGreen"},
        leave=policy(keepPreviousSeconds=0),
    ),
    Case(
        name="taken-back",
        state="RollingBack",
        weight=34,
        from_state="Analyzing",
        reach=abort_while_stable_is_not_ready,
        leave=stable_is_ready_again,
        ends="Aborted",
    ),
    Case(name="rejected", state="", from_state="Analyzing", reach=command("abort"), leave=both(SHORT, retry)),
    Case(
        name=ROUTE,
        state="Analyzing",
        weight=34,
        spec={"traffic": {"httpRouteRef": {"name": ROUTE}}},
        leave=command("abort"),
        ends="Aborted",
    ),
)


def reach(kubectl: Kubectl, cases: Iterable[Case], measured: Callable[[], None]) -> None:
    """Bring all models into their states; `measured` is called when there are pods that metrics can be given for."""
    cases = list(cases)
    kubectl.apply(own_route(), *(case.manifest("1") for case in cases))
    served = [f"{KIND}/{case.name}" for case in cases if case.state != "Deploying"]
    kubectl("wait", "--for=condition=Ready", *served, "--timeout=90s")
    gate(kubectl, "promoting", opened=True)
    changing = [case for case in cases if case.changes]
    kubectl.apply(*(case.manifest("2") for case in changing))
    wait_states(kubectl, {case.name: (case.from_state or case.state, None) for case in changing})
    measured()
    for case in changing:
        if case.reach:
            case.reach(kubectl, case.name)
    wait_states(kubectl, {case.name: (case.state, case.weight) for case in cases})
    until(lambda: not _orphans(kubectl), "the pods of deleted Deployments are gone")


def _orphans(kubectl: Kubectl) -> set[str]:
    """Deployments that are gone and of which the cluster has still pods."""
    labels = [each["metadata"]["labels"] for each in kubectl.all("pods", MODEL_LABEL)]
    there = {each["metadata"]["name"] for each in kubectl.all("deployments")}
    return {child_name(each[MODEL_LABEL], each[REVISION_LABEL]) for each in labels} - there


def statuses(kubectl: Kubectl) -> dict[str, dict[str, Any]]:
    """The status of every model, by name."""
    return {each["metadata"]["name"]: each.get("status", {}) for each in kubectl.all(KIND)}


def named_today(state: str) -> str:
    """A phase by the name of this version; an earlier one may have written it."""
    return RENAMED.get(state, state)


def wait_states(kubectl: Kubectl, wanted: Mapping[str, tuple[str, int | None]]) -> None:
    """Wait until the rollouts of all these models are in their state, and have that weight."""

    def missing() -> list[str]:
        now = statuses(kubectl)
        rollouts = {name: now[name].get("rollout") or {} for name in wanted}
        return [
            f"{name} is not {state} at {weight}: {rollouts[name]}"
            for name, (state, weight) in wanted.items()
            if named_today(rollouts[name].get("state", "")) != state
            or weight not in {None, rollouts[name].get("weightPercent", 0)}
        ]

    left: list[str] = []

    def reached() -> bool:
        left[:] = missing()
        return not left

    try:
        until(reached, "all rollouts are where they should be")
    except AssertionError as error:
        raise AssertionError(f"{error}: {left}") from error


def leave(kubectl: Kubectl, cases: Iterable[Case]) -> None:
    """Bring models out of their states; those that wait for a gate have it opened."""
    cases = [case for case in cases if case.leave]
    if gated := [case.name for case in cases if case.gated]:
        gate(kubectl, *gated, opened=True)
    for case in cases:
        if case.leave:
            case.leave(kubectl, case.name)


def own_route() -> dict[str, Any]:
    """A route of the user's that the model `routed` may weigh."""
    services = ((ROUTE, 100), (f"{ROUTE}-canary", 0))
    backends = [{"name": name, "port": 80, "weight": weight} for name, weight in services]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": ROUTE, "labels": {"modelward.dev/weights": "managed"}},
        "spec": {"parentRefs": [{"name": "public"}], "rules": [{"backendRefs": backends}]},
    }


def weights(kubectl: Kubectl) -> list[int]:
    """Those of the route: stable's and the canary's."""
    route = kubectl.get("httproute", ROUTE)
    assert route is not None
    return [backend["weight"] for backend in route["spec"]["rules"][0]["backendRefs"]]
