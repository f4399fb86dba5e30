"""Taking back what an earlier ModelDeployment of the same name has left: after a restore, or a delete that kept it.

Objects come back without an owner from a backup, or lose it with `kubectl delete --cascade=orphan`. Nothing of them is
touched until a person says so: `modelward.dev/adopt: <revision>`, which names the revision that serves. Then those get
their owner again that are named and labelled for this model, that nobody controls, and whose snapshot hashes to its name;
what follows is the same as after a lost status: what the Service selects is stable, and what was rejected stays so.
"""

from typing import Final

from modelward.api.conditions import Blocked, Reason
from modelward.api.model import Model
from modelward.api.names import service_name
from modelward.rollout.observed import Child, Deployment, Observed, Service

_SNAPSHOT: Final = "ControllerRevision"
_NO_REVISION: Final = frozenset({"Service", "PodDisruptionBudget", "HTTPRoute"})
"""Kinds of which there is one for all revisions, or whose selector moves."""


def adoptable(observed: Observed) -> tuple[Child, ...]:
    """The orphans that may be taken back, snapshots first and the pods last: what they are read by is there then."""
    known = {each.revision for each in _all(observed) if each.kind == _SNAPSHOT}
    found = [each for each in observed.orphans if each.kind in _NO_REVISION or each.revision in known]
    return tuple(
        sorted(found, key=lambda each: (isinstance(each, Deployment), each.kind != _SNAPSHOT, each.name))
    )


def candidate(observed: Observed) -> str:
    """The revision that a person should name: the one that serves; empty if none of what is left can."""
    running = {
        each.revision: each for each in adoptable(observed) if isinstance(each, Deployment) and each.revision
    }
    running |= observed.deployments
    if not running:
        return observed.asked.content if adoptable(observed) else ""
    services = (each for each in _all(observed) if isinstance(each, Service))
    main = service_name(observed.model.name)
    selected = next((each.selects for each in services if each.name == main), None)
    if selected:
        return selected if selected in running else ""
    oldest = min(running.values(), key=lambda each: (each.created, each.name))
    return oldest.revision or ""


def adopted(observed: Observed) -> tuple[Child, ...]:
    """What a person has asked to be taken back, and is not yet."""
    named = observed.model.commands.get("adopt", "")
    wanted = {candidate(observed), observed.model.status.stable_revision} - {""}
    return adoptable(observed) if named in wanted else ()


def blocker(observed: Observed) -> Blocked | None:
    """Why a model does not start beside what serves for it already; None if nothing does.

    Also for a model that remembers, if a name that it needs is taken by what is its own.
    """
    left = adoptable(observed)
    taken = {(each.kind, each.name) for each in observed.conflicts}
    starts = not observed.model.status.stable_revision and not observed.deployments
    serving = [each for each in observed.orphans if isinstance(each, Deployment | Service)]
    if not (starts and serving) and not any((each.kind, each.name) in taken for each in left):
        return None
    return Blocked(reason=Reason.NAME_CONFLICT, message=_message(observed, observed.model))


def _message(observed: Observed, model: Model) -> str:
    listed = ", ".join(f"{each.kind} {each.name}" for each in observed.orphans[:5])
    more = f" and {len(observed.orphans) - 5} more" if len(observed.orphans) > 5 else ""
    begun = (
        f"{listed}{more} in {model.namespace} were made for a ModelDeployment {model.name} and belong to nobody. They are"
        " left alone, and nothing is started beside them."
    )
    if name := candidate(observed):
        command = (
            f"kubectl annotate mwd {model.name} -n {model.namespace} --overwrite modelward.dev/adopt={name}"
        )
        return f"{begun} Take them back, with {name} as the revision that serves: {command}"
    return f"{begun} The snapshot or the Deployment of what serves is missing: restore it, or delete them to start anew."


def _all(observed: Observed) -> tuple[Child, ...]:
    return (*observed.orphans, *observed.children)
