"""The Event for a person whose edit of a child was undone: that it was, and the command that does what they meant."""

from collections.abc import Mapping
from typing import Any, Final

from modelward.api.model import Model
from modelward.rollout.decision import Announcement
from modelward.rollout.observed import Child, Deployment

REASON: Final = "DriftCorrected"


def edited(model: Model, child: Child, manifest: Mapping[str, Any]) -> Announcement:
    """An object was written again as the model has it: a restart, another image, anything else."""
    who = f" by {child.edited_by}" if child.edited_by else ""
    return _reported(
        f"{child.kind} {child.name} was changed{who} and is as before: {_remedy(model, child, manifest)}"
    )


def scaled(model: Model, child: Deployment, replicas: int) -> Announcement:
    """A Deployment has the count again that the model asks for."""
    command = f"kubectl scale mwd {model.name} -n {model.namespace} --replicas={child.replicas}"
    return _reported(
        f"Deployment {child.name} was scaled to {child.replicas} by {child.scaled_by} and has {replicas} replicas again:"
        f" ModelDeployment {model.name} has the number of pods, {command}"
    )


def _remedy(model: Model, child: Child, manifest: Mapping[str, Any]) -> str:
    if isinstance(child, Deployment) and child.restarted_at:
        command = f"kubectl annotate mwd {model.name} -n {model.namespace} --overwrite modelward.dev/restart="
        return f"restart the model itself, {command}{child.restarted_at}"
    if isinstance(child, Deployment) and child.images != _images(manifest):
        return f"another image is a change of the model, kubectl edit mwd {model.name} -n {model.namespace}"
    return f"it follows its ModelDeployment, kubectl edit mwd {model.name} -n {model.namespace}"


def _images(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    containers = manifest["spec"]["template"]["spec"].get("containers") or ()
    return tuple(str(each.get("image", "")) for each in containers)


def _reported(message: str) -> Announcement:
    return Announcement(reason=REASON, message=f"{message}.", warning=True)
