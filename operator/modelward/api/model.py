"""A ModelDeployment as the operator holds it: decoded once, at the door."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from modelward.api.conditions import Blocked
from modelward.api.model_deployment import ModelDeploymentSpec
from modelward.api.status import ModelDeploymentStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A ModelDeployment, decoded."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    deleting: bool = False
    deleted: datetime | None = None
    """When somebody asked to delete it."""
    finalizers: tuple[str, ...] = ()
    commands: Mapping[str, str] = field(default_factory=dict)
    """Annotations `modelward.dev/<command>`, by command."""
    changed_by: str = ""
    """Field manager that changed spec last: a tool's name, not always a person's."""
    spec: ModelDeploymentSpec
    fields: Mapping[str, Any]
    """The revision fields exactly as the user gave them, pruned."""
    status: ModelDeploymentStatus
    problem: Blocked | None = None
    """Why spec could not be decoded; `spec` is then an empty one and must not be acted upon."""
