"""Revisions: what makes two of them the same, and what is kept of one.

A revision is the set of fields that decide what a pod runs, exactly as the user gave them, and a nonce that
commands raise. Its name is a hash of both. A ControllerRevision keeps the fields and the rendered pod template: pinned, so
that neither a new operator nor a changed runtime restarts a pod by itself.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelward.api.model_deployment import REVISION_FIELDS
from modelward.api.status import FetchedModel

JsonMap = Mapping[str, Any]

ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes' safe alphabet (k8s.io/apimachinery/pkg/util/rand): no vowels, so no words, and nothing that
looks like something else."""
HASH_LENGTH: Final = 10


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


def revision_fields(spec: JsonMap) -> dict[str, Any]:
    """The part of a raw spec that decides what a pod runs, without nulls and empty lists and objects."""
    return {field: value for field in REVISION_FIELDS if (value := _prune(spec.get(field))) is not None}


def revision_hash(fields: JsonMap, nonce: int = 0) -> str:
    """Name of the revision of these (pruned) fields: 10 characters of `ALPHABET`.

    SHA-256 of the canonical JSON (UTF-8, sorted keys, no spaces, list order kept) of the fields, with
    `revisionNonce` beside them when it is not 0; the digest is read as a big-endian number and its last ten
    digits in base 27 are written, most significant first. Test vectors pin it: a change would give every
    running model a new name, and so a new rollout.
    """
    identity = {**fields, "revisionNonce": nonce} if nonce else fields
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    number = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    digits = []
    for _ in range(HASH_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def _prune(value: Any) -> Any:
    """`value` without nulls and empty lists and objects, at any depth; None if nothing is left."""
    if isinstance(value, Mapping):
        pruned = {key: kept for key, item in value.items() if (kept := _prune(item)) is not None}
        return pruned or None
    if isinstance(value, list | tuple):
        return [kept for item in value if (kept := _prune(item)) is not None] or None
    return value
