"""What a user does in a story, as acts of a script."""

import json
from collections.abc import Callable
from typing import Any

from builders import NAME, NAMESPACE, manifest
from modelward.rehearsal.api_server import Raw
from modelward.rehearsal.simulation import Act, Simulation

USER = "kubectl"
PLACE = ("ModelDeployment", NAMESPACE, NAME)


def create(second: float, version: str = "1", /, **spec: Any) -> Act:
    """Create the model."""
    raw = manifest(version, **spec)
    shown = f"creates {NAME}: {_words(version, spec)}"
    return Act(second=second, words=shown, do=lambda sim: _done(sim.server.create(raw, USER)))


def change(second: float, version: str | None = None, /, **spec: Any) -> Act:
    """Change spec: another version, other fields; None removes a field."""

    def edit(raw: Raw) -> None:
        if version is not None:
            raw["spec"]["model"] = {**raw["spec"]["model"], "version": version}
        for key, value in spec.items():
            raw["spec"].pop(key, None)
            if value is not None:
                raw["spec"][key] = value

    return _edit(second, f"changes spec: {_words(version, spec)}", edit)


def annotate(second: float, command: str, value: str | Callable[[Simulation], str]) -> Act:
    """Give a command; its value may depend on what is there."""

    def do(sim: Simulation) -> None:
        text = value if isinstance(value, str) else value(sim)
        sim.told[-1] = (sim.told[-1][0], f"annotates modelward.dev/{command}: {text}")

        def edit(raw: Raw) -> None:
            raw["metadata"].setdefault("annotations", {})[f"modelward.dev/{command}"] = text

        sim.server.change(PLACE, USER, edit)

    return Act(second=second, words="", do=do)


def delete(second: float) -> Act:
    """Delete the model."""
    return Act(second=second, words=f"deletes {NAME}", do=lambda sim: sim.server.delete(PLACE, USER))


def lose_status(second: float) -> Act:
    """A backup is restored without status."""

    def edit(raw: Raw) -> None:
        raw["status"] = {}

    def do(sim: Simulation) -> None:
        sim.server.change(PLACE, "velero", edit, subresource="status")

    return Act(second=second, words="restores a backup, which has no status", do=do)


def other(second: float, words: str, do: Callable[[Simulation], Any]) -> Act:
    """Anything else."""
    return Act(second=second, words=words, do=lambda sim: _done(do(sim)))


def stable(sim: Simulation) -> str:
    """The revision that serves."""
    return str(sim.model()["status"]["stableRevision"])


def canary(sim: Simulation) -> str:
    """The revision that is awaited."""
    return str(sim.model()["status"].get("canaryRevision", ""))


def deployment_of(sim: Simulation, revision: str) -> tuple[str, str, str]:
    """Where the Deployment of a revision is."""
    return "Deployment", NAMESPACE, f"{NAME}-{revision}"


def _edit(second: float, words: str, edit: Callable[[Raw], None]) -> Act:
    return Act(second=second, words=words, do=lambda sim: _done(sim.server.change(PLACE, USER, edit)))


def _words(version: str | None, spec: dict[str, Any]) -> str:
    changes = ([] if version is None else [f"version {version}"]) + [
        f"no {key}" if value is None else f"{key} {json.dumps(value).replace(chr(34), '')}"
        for key, value in spec.items()
    ]
    return ", ".join(changes)


def _done(_: object) -> None:
    """Acts return nothing."""
