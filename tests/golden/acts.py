"""What happens to a model in a story, as acts of a script."""

from collections.abc import Callable
from typing import Any

from builders import NAME, NAMESPACE, manifest
from modelward.api.objects import Manifest
from modelward.simulator.simulation import Act, Simulation

USER = "kubectl"
PLACE = ("ModelDeployment", NAMESPACE, NAME)


# --- people -------------------------------------------------------------------------------------------------


def create(second: float, version: str = "1", /, *, name: str = NAME, **spec: Any) -> Act:
    """Create the model."""
    raw = manifest(version, name=name, **spec)
    shown = f"creates {name}: {_words(version, spec)}"
    return Act(second=second, words=shown, do=lambda sim: _done(sim.server.create(raw, USER)))


def change(second: float, version: str | None = None, /, *, name: str = NAME, **spec: Any) -> Act:
    """Change spec: another version, other fields; None removes a field."""

    def edit(raw: Manifest) -> None:
        if version is not None:
            raw["spec"]["model"] = {**raw["spec"]["model"], "version": version}
        for key, value in spec.items():
            raw["spec"].pop(key, None)
            if value is not None:
                raw["spec"][key] = value

    of = "" if name == NAME else f" of {name}"
    at = (PLACE[0], NAMESPACE, name)
    words = f"changes spec{of}: {_words(version, spec)}"
    return Act(second=second, words=words, do=lambda sim: _done(sim.server.change(at, USER, edit)))


def annotate(second: float, command: str, value: str | Callable[[Simulation], str]) -> Act:
    """Give a command; its value may depend on what is there."""

    def do(sim: Simulation) -> None:
        text = value if isinstance(value, str) else value(sim)
        sim.note("user", f"annotates modelward.dev/{command}: {text}")

        def edit(raw: Manifest) -> None:
            raw["metadata"].setdefault("annotations", {})[f"modelward.dev/{command}"] = text

        sim.server.change(PLACE, USER, edit)

    return Act(second=second, words="", do=do)


def reapply(second: float) -> Act:
    """A GitOps tool writes the same spec once more."""

    def edit(raw: Manifest) -> None:
        raw["metadata"].setdefault("annotations", {})["example.com/synced"] = str(second)

    words = "applies the same spec again, as a GitOps tool does"
    return Act(second=second, words=words, do=lambda sim: _done(sim.server.change(PLACE, "argocd", edit)))


def delete(second: float) -> Act:
    """Delete the model."""
    return Act(second=second, words=f"deletes {NAME}", do=lambda sim: _done(sim.server.delete(PLACE, USER)))


def lose_status(second: float) -> Act:
    """A backup is restored without status."""

    def edit(raw: Manifest) -> None:
        raw["status"] = {}

    def do(sim: Simulation) -> None:
        sim.server.change(PLACE, "velero", edit, subresource="status")

    return Act(second=second, words="restores a backup, which has no status", do=do)


def other(second: float, words: str, do: Callable[[Simulation], Any], *, actor: str = "user") -> Act:
    """Anything else."""
    return Act(second=second, words=words, do=lambda sim: _done(do(sim)), actor=actor)


# --- the cluster --------------------------------------------------------------------------------------------


def becomes(second: float, version: str, **behaviour: Any) -> Act:
    """From now on the pods of a version behave in another way."""

    def do(sim: Simulation) -> None:
        sim.world.set(version, **behaviour)

    words = " and ".join(_BEHAVIOUR[key](value) for key, value in behaviour.items())
    return Act(second=second, words=f"version {version} {words} from now on", do=do, actor="cluster")


_BEHAVIOUR: dict[str, Callable[[Any], str]] = {
    "load_seconds": lambda value: "never gets ready" if value is None else f"loads in {value:g} s",
    "error_percent": lambda value: f"answers {value:g}% of its requests with an error",
    "crash_after_seconds": lambda value: (
        "does not crash"
        if value is None
        else f"crashes after {value:g} s"
        if value
        else "crashes at its start"
    ),
    "out_of_memory": lambda value: "runs out of memory" if value else "has enough memory",
    "passes_probe": lambda value: "passes its probe" if value else "fails its readiness probe",
    "shows_metrics": lambda value: "shows its metrics" if value else "does not show its metrics",
}


def demand(second: float, pods: int) -> Act:
    """So many requests come in that autoscalers want this number of pods."""

    def do(sim: Simulation) -> None:
        sim.world.demand = pods

    return Act(second=second, words=f"gets requests for {pods} pods", do=do, actor="cluster")


def room(second: float, pods: int) -> Act:
    """The cluster gets room for so many pods in all."""

    def do(sim: Simulation) -> None:
        sim.world.room = pods

    return Act(second=second, words=f"has room for {pods} pods now", do=do, actor="cluster")


def lose_node(second: float, revision: Callable[[Simulation], str], pods: int) -> Act:
    """The node of so many pods of a revision is gone, and their room with it."""
    return Act(
        second=second,
        words=f"loses the node of {pods} pod{'s' if pods > 1 else ''}",
        do=lambda sim: sim.nodes.lose(revision(sim), pods),
        actor="cluster",
    )


def priority_classes(second: float, **values: int) -> Act:
    """An administrator makes PriorityClasses."""

    def do(sim: Simulation) -> None:
        for name, value in values.items():
            raw = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": value}
            sim.server.create({**raw, "metadata": {"name": name}}, USER)

    return other(second, f"makes the priority classes {_plain(values)}", do)


def evict(second: float, revision: Callable[[Simulation], str]) -> Act:
    """A node gets short of memory."""
    return Act(
        second=second,
        words="a node is short of memory",
        do=lambda sim: sim.nodes.evict(revision(sim)),
        actor="cluster",
    )


# --- what is there ------------------------------------------------------------------------------------------


def stable(sim: Simulation) -> str:
    """The revision that serves."""
    return str(_status(sim)["stableRevision"])


def canary(sim: Simulation) -> str:
    """The revision that is awaited."""
    return str(_status(sim).get("canaryRevision", ""))


def awaited(sim: Simulation) -> str:
    """What lets the revision start that waits for an approval, as the condition Ready says."""
    ready = next(each for each in _status(sim)["conditions"] if each["type"] == "Ready")
    return str(ready["message"]).rpartition("approve=")[2]


def rejected(sim: Simulation) -> str:
    """The revision that was rejected last."""
    return str(_status(sim)["rejectedRevisions"][0]["revision"])


def first(sim: Simulation) -> str:
    """The revision that was deployed first."""
    return str(_status(sim)["history"][-1]["revision"])


def _status(sim: Simulation) -> Manifest:
    status: Manifest = sim.server.get(*PLACE)["status"]
    return status


def deployment_of(sim: Simulation, revision: str) -> tuple[str, str, str]:
    """Where the Deployment of a revision is."""
    return "Deployment", NAMESPACE, f"{NAME}-{revision}"


def _words(version: str | None, fields: dict[str, Any]) -> str:
    changes = ([] if version is None else [f"version {version}"]) + [
        f"no {key}" if value is None else _field(key, value) for key, value in fields.items()
    ]
    return ", ".join(changes)


def _field(key: str, value: Any) -> str:
    if key == "runtime" and "signals" in value:
        return f"a server that shows {' and '.join(value['signals'])}"
    if key == "rollout":
        return f"rollout {_plain(value)}" if value else "rollout by the defaults"
    return f"{key} {_plain(value)}"


def _plain(value: Any) -> str:
    """A value as one would say it: `(steps 10 50, stepMinSeconds 30)`."""
    match value:
        case {"weightPercent": weight, "approval": "Required"}:
            return f"{weight} with approval"
        case {"weightPercent": weight}:
            return str(weight)
        case dict():
            return f"({', '.join(f'{key} {_plain(each)}' for key, each in value.items())})"
        case list():
            return " ".join(map(_plain, value))
        case bool():
            return str(value).lower()
        case _:
            return str(value)


def _done(_: object) -> None:
    """Acts return nothing."""
