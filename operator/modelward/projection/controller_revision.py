"""ControllerRevision `<model>-<revision>`: the snapshot of a revision. Its data never changes, two things are noted."""

from typing import Any

import msgspec

from modelward.api import names
from modelward.api.model import Model
from modelward.api.revision import Revision
from modelward.projection.metadata import Manifest, metadata

KIND = "ControllerRevision"


def controller_revision(model: Model, revision: Revision, verdict: str = "") -> Manifest:
    """The manifest that keeps a revision; `verdict` is why it was rejected, empty if that is not held against it."""
    noise = {names.NOISE_ANNOTATION: revision.noise} if revision.noise else {}
    labels = names.revision_labels(model.name, revision.name)
    return {
        "apiVersion": "apps/v1",
        "kind": KIND,
        "metadata": {
            **metadata(model, names.child_name(model.name, revision.name), labels),
            "annotations": {names.VERDICT_ANNOTATION: verdict, **noise},
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


class _Data(msgspec.Struct, frozen=True):
    """`data`; other fields are another version's."""

    content: str
    nonce: int
    spec: dict[str, Any]
    runtime: dict[str, Any]
    template: dict[str, Any]
    cause: str = ""


def read_revision(name: str, number: int, data: bytes, verdict: str = "", noise: str = "") -> Revision:
    """The revision that a ControllerRevision's `revision` and `data`, as JSON, hold.

    Raises msgspec.DecodeError if it is not ours, RecursionError if it is nested too deep.
    """
    found = msgspec.json.decode(data, type=_Data)
    return Revision(
        name=name,
        number=number,
        content=found.content,
        nonce=found.nonce,
        spec=found.spec,
        runtime=found.runtime,
        template=found.template,
        cause=found.cause,
        verdict=verdict,
        noise=noise,
    )
