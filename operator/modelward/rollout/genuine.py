"""Whether a stored revision can be one that we stored.

A snapshot is made a Deployment with the operator's rights. Who may write ControllerRevisions, and no pods, would
otherwise have any pod they like made for them; so a snapshot is used only if it asks for nothing that the resource
could not ask for. What it says of the user's words is in its name, by their hash.
"""

from collections.abc import Mapping

from modelward.api.fields import EXACT_INT_MAX
from modelward.api.revision import Revision
from modelward.rollout.revisions import revision_hash
from modelward.runtimes.restricted import violation


def flaw(revision: Revision) -> str:
    """Why the revision is none of ours, in a few words; empty if it may be.

    One that was restored from its Deployment may have no spec (see `gather`): its template alone is looked at.
    """
    if not (0 <= revision.number <= EXACT_INT_MAX and 0 <= revision.nonce <= EXACT_INT_MAX):
        return "its numbers are out of bounds"
    if revision.spec and not _is_named_by_its_spec(revision):
        return "it has the name of another revision"
    if forbidden := violation(revision.template):
        return f"its pods would not be restricted: {forbidden}"
    pod = revision.template.get("spec") or {}
    if revision.spec and pod.get("serviceAccountName") != revision.spec.get("serviceAccountName"):
        return "its pods would run as another service account"
    if not _is_runtime(revision.runtime):
        return "its runtime cannot be read"
    return ""


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
