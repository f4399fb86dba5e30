"""A ModelDeployment as the operator holds it: decoded once, when it is converted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from modelward.api.conditions import Blocked
from modelward.api.model_deployment import REVISION_FIELDS, ModelDeploymentSpec
from modelward.api.status import ModelDeploymentStatus

_NO_SHAPE: Final = frozenset({*REVISION_FIELDS, "analysis"})
"""Fields of spec that say nothing of the objects of revisions that are out: their pods are in their snapshots."""


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
    """Why spec could not be decoded as a whole; `spec` is then what could be read of it, and nothing new may start."""
    unreadable: frozenset[str] = frozenset()
    """Fields of spec of which something could not be read: `rollout`, `model`."""

    @property
    def is_guarded(self) -> bool:
        """Whether a rollout under way is still judged and ended: if all that shapes the objects could be read."""
        return self.unreadable <= _NO_SHAPE
