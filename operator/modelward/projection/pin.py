"""ConfigMap `<model>-<revision>`: which version of its model a revision has, for the pods that start later.

The fetch container reads it (`modelward_fetch.pin`). It may only choose a version of what spec names, and proves nothing:
what a pod then has is compared with what was recorded. Nobody can change it, and it goes with the revision's snapshot.
"""

import json
from typing import Final

from modelward.api import names
from modelward.api.model import Model
from modelward.api.objects import Manifest
from modelward.api.status import FetchedModel
from modelward.runtimes.fetching import pin_name

KIND: Final = "ConfigMap"
FILE: Final = "pin.json"
LARGEST_BYTES: Final = 2048
"""Of the file; the program reads no larger one."""


def pin(model: Model, entry: FetchedModel, owner: str) -> Manifest | None:
    """The manifest; None where the address is not known in full. `owner` is the uid of the revision's snapshot."""
    fields = {"resolved": entry.uri, "digest": entry.digest, "listing": entry.listing}
    text = json.dumps(fields, sort_keys=True)
    if not entry.uri.isascii() or not entry.uri or len(text) > LARGEST_BYTES:
        return None
    name = pin_name(model.name, entry.revision)
    snapshot = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "name": names.child_name(model.name, entry.revision),
        "uid": owner,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    return {
        "apiVersion": "v1",
        "kind": KIND,
        "metadata": {
            "name": name,
            "namespace": model.namespace,
            "labels": names.revision_labels(model.name, entry.revision),
            "ownerReferences": [snapshot],
        },
        "immutable": True,
        "data": {FILE: text},
    }
