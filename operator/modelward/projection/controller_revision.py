"""What is kept of a revision: its snapshot, and the pin of its model for the pods that start later.

The snapshot is a ControllerRevision `<model>-<revision>`, whose data never changes; a few things are noted on it. The pin is
an immutable ConfigMap of that name, owned by the snapshot.
"""

import json
from typing import Any, Final

import msgspec

from modelward.api import names
from modelward.api.decode import encode
from modelward.api.model import Model
from modelward.api.objects import Manifest
from modelward.api.revision import Revision
from modelward.api.status import FetchedModel
from modelward.projection.metadata import metadata
from modelward.runtimes.fetching import pin_name

KIND: Final = "ControllerRevision"
PIN_KIND: Final = "ConfigMap"
PIN_FILE: Final = "pin.json"
LARGEST_PIN_BYTES: Final = 2048
"""Of the file; the program reads no larger one."""


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


def pin(model: Model, entry: FetchedModel, owner: str) -> Manifest | None:
    """The ConfigMap; None where the address is not known in full. `owner` is the uid of the revision's snapshot.

    The fetch container reads it (`modelward_fetch.pin`). It may only choose a version of what spec names, and proves
    nothing: what a pod then has is compared with what was recorded. Nobody can change it, and it goes with the snapshot.
    """
    fields = {"resolved": entry.uri, "digest": entry.digest, "listing": entry.listing}
    text = json.dumps(fields, sort_keys=True)
    if not entry.uri.isascii() or not entry.uri or len(text) > LARGEST_PIN_BYTES:
        return None
    name = pin_name(model.name, entry.revision)
    snapshot = {
        "apiVersion": "apps/v1",
        "kind": KIND,
        "name": names.child_name(model.name, entry.revision),
        "uid": owner,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    return {
        "apiVersion": "v1",
        "kind": PIN_KIND,
        "metadata": {
            "name": name,
            "namespace": model.namespace,
            "labels": names.revision_labels(model.name, entry.revision),
            "ownerReferences": [snapshot],
        },
        "immutable": True,
        "data": {PIN_FILE: text},
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
