"""ControllerRevision `<model>-<revision>`: the snapshot of a revision. Its data never changes, a few things are noted."""

import json
from typing import Any

import msgspec

from modelward.api import names
from modelward.api.decode import encode
from modelward.api.model import Model
from modelward.api.objects import Manifest
from modelward.api.revision import Revision
from modelward.api.status import FetchedModel
from modelward.projection.metadata import metadata

KIND = "ControllerRevision"


def controller_revision(
    model: Model, revision: Revision, verdict: str = "", fetched: FetchedModel | None = None
) -> Manifest:
    """The manifest that keeps a revision; `verdict` is why it was rejected, empty if that is not held against it.

    `fetched` is the model of its pods, once that is known.
    """
    labels = names.revision_labels(model.name, revision.name)
    annotations = {names.VERDICT_ANNOTATION: verdict}
    if revision.noise:
        annotations[names.NOISE_ANNOTATION] = revision.noise
    if fetched:
        annotations[names.FETCHED_ANNOTATION] = _written(fetched)
    return {
        "apiVersion": "apps/v1",
        "kind": KIND,
        "metadata": {
            **metadata(model, names.child_name(model.name, revision.name), labels),
            "annotations": annotations,
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


def recorded(entry: FetchedModel) -> FetchedModel:
    """What of a model does not change while its revision lives, and so is noted on the snapshot."""
    return msgspec.structs.replace(entry, source_moved=False, changed="")


def _written(entry: FetchedModel) -> str:
    return json.dumps(encode(recorded(entry)), sort_keys=True)


def _read(revision: str, annotation: str) -> FetchedModel | None:
    """What was noted; None if it is not there, or not of this revision."""
    try:
        found = msgspec.json.decode(annotation, type=FetchedModel) if annotation else None
    except (msgspec.MsgspecError, RecursionError):
        return None
    return found if found and found.revision == revision else None


def read_revision(
    name: str, number: int, data: bytes, verdict: str = "", *, noise: str = "", fetched: str = ""
) -> Revision:
    """The revision that a ControllerRevision's `revision` and `data`, as JSON, and its annotations hold.

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
        fetched=(noted := _read(name, fetched)),
        noted=noted,
    )
