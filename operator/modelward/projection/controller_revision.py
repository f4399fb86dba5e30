"""ControllerRevision `<model>-<revision>`: the snapshot of a revision. Its data never changes, a verdict is noted."""

from collections.abc import Mapping
from typing import Any

from modelward.api import names
from modelward.api.model import Model
from modelward.api.revision import Revision
from modelward.projection.metadata import Manifest, metadata

KIND = "ControllerRevision"


def controller_revision(model: Model, revision: Revision, verdict: str = "") -> Manifest:
    """The manifest that keeps a revision; `verdict` is why it was rejected, empty if that is not held against it."""
    labels = names.revision_labels(model.name, revision.name)
    return {
        "apiVersion": "apps/v1",
        "kind": KIND,
        "metadata": {
            **metadata(model, names.child_name(model.name, revision.name), labels),
            "annotations": {names.VERDICT_ANNOTATION: verdict},
        },
        "revision": revision.number,
        "data": {
            "content": revision.content,
            "nonce": revision.nonce,
            "spec": revision.spec,
            "runtime": revision.runtime,
            "template": revision.template,
            "cause": revision.cause,
        },
    }


def read_revision(name: str, number: int, data: Mapping[str, Any], verdict: str = "") -> Revision:
    """The revision that a ControllerRevision's `revision` and `data` hold. Raises KeyError if it is not ours."""
    return Revision(
        name=name,
        number=number,
        content=data["content"],
        nonce=data["nonce"],
        spec=data["spec"],
        runtime=data["runtime"],
        template=data["template"],
        cause=data.get("cause", ""),
        verdict=verdict,
    )
