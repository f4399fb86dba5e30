"""What is kept of a revision: the user's words and the rendered pod template, in a ControllerRevision.

The template is pinned, so that neither a new operator nor a changed runtime restarts a pod by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelward.api.status import FetchedModel

JsonMap = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """The snapshot of one revision. `data` of a ControllerRevision holds all of it but the name."""

    name: str
    """The hash: 10 characters."""
    number: int
    """Rises with every new revision of a model: which one is newer."""
    content: str
    """Hash of the user's fields alone: what a rejection is remembered by."""
    nonce: int
    spec: JsonMap
    """The revision fields as the user gave them, without nulls and empty values."""
    runtime: JsonMap
    """The runtime as it was resolved: kind, name and spec."""
    template: JsonMap
    """The rendered pod template."""
    cause: str = ""
    """Which tool made the change (a field manager), for people."""
    fetched: FetchedModel | None = None
    """Which model its pods are to have: what its first pod fetched, or of a restart what the same had before."""
    noted: FetchedModel | None = None
    """The same as its snapshot is annotated; None before that."""
    verdict: str = ""
    """Why it was rejected, as its snapshot is annotated: reason, time and message; empty if it was not."""
    noise: str = ""
    """What was learnt of the noise of its pods, as its snapshot is annotated; empty while too little is known."""

    @property
    def model_version(self) -> str:
        """What the user calls this version (`spec.model.version`), or an empty string."""
        model = self.spec.get("model")
        return str(model.get("version", "")) if isinstance(model, Mapping) else ""
