"""Whether a stored revision can be one that we stored, and a Deployment one that we made a revision of.

A snapshot is made a Deployment with the operator's rights. Who may write ControllerRevisions, and no pods, would
otherwise have any pod they like made for them; so a snapshot is used only if it asks for nothing that the resource
could not ask for, and only for what the words in it name: they are the user's, by the hash that is its name.
One without words has nobody's. It is never stored by us, and never used; a revision whose snapshot is gone, and whose
words are not known, is read from its Deployment each time instead, and has no more than the live spec names.
"""

from collections.abc import Iterable, Mapping

from modelward.api.fields import EXACT_INT_MAX
from modelward.api.revision import JsonMap, Revision, revision_hash
from modelward.runtimes.references import Reference, references, shown
from modelward.runtimes.restricted import violation


def flaw(revision: Revision) -> str:
    """Why a stored revision is none of ours, in a few words; empty if it may be."""
    return (
        _wrong_words(revision)
        or _unrestricted(revision)
        or _other_account(revision)
        or _foreign(revision, (revision.spec, revision.runtime))
    )


def flaw_of_restored(revision: Revision, named_by: Iterable[JsonMap]) -> str:
    """Why a revision must not be restored from its Deployment; `named_by` is the live spec and its runtime."""
    return _unrestricted(revision) or _foreign(revision, named_by)


def _wrong_words(revision: Revision) -> str:
    if not (0 <= revision.number <= EXACT_INT_MAX and 0 <= revision.nonce <= EXACT_INT_MAX):
        return "its numbers are out of bounds"
    if not revision.spec:
        return "it does not say what it was made from"
    if not _is_named_by_its_spec(revision):
        return "it has the name of another revision"
    return "" if _is_runtime(revision.runtime) else "its runtime cannot be read"


def _unrestricted(revision: Revision) -> str:
    forbidden = violation(revision.template)
    return f"its pods would not be restricted: {forbidden}" if forbidden else ""


def _other_account(revision: Revision) -> str:
    pod = revision.template.get("spec") or {}
    same = pod.get("serviceAccountName") == revision.spec.get("serviceAccountName")
    return "" if same else "its pods would run as another service account"


def _foreign(revision: Revision, named_by: Iterable[JsonMap]) -> str:
    """Why its pods would be given something that nobody who may do so has named."""
    named = frozenset[Reference]().union(*map(references, named_by))
    foreign = min(references(revision.template) - named, default=None)
    return f"its pods would be given what its spec does not name: {shown(foreign)}" if foreign else ""


def _is_named_by_its_spec(revision: Revision) -> bool:
    content = revision_hash(revision.spec)
    named = revision_hash(revision.spec, revision.nonce)
    return (revision.content, revision.name) == (content, named)


def _is_runtime(record: Mapping[str, object]) -> bool:
    if not record:
        return True
    return (
        isinstance(record.get("spec"), Mapping) if "spec" in record else isinstance(record.get("image"), str)
    )
