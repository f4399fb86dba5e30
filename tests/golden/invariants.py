"""What must hold after every single write, whoever made it. Ids as in docs/design: S is safety, L liveness."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from builders import NAME, NAMESPACE
from modelward.api.decode import decode_status
from modelward.api.names import DECISION_ANNOTATION, KIND, REVISION_LABEL
from modelward.rehearsal.api_server import Raw, Write
from modelward.rehearsal.simulation import Simulation, by_operator
from modelward.trim import owner_uid

STATUS_LIMIT = 32 * 1024
HISTORY_LIMIT = 10


class Broken(AssertionError):
    """An invariant does not hold."""

    def __init__(self, rule: str, sim: Simulation, what: str) -> None:
        super().__init__(f"{rule} at {sim.second:.1f} s: {what}")


@dataclass(slots=True)
class Invariants:
    """Watches a simulation; told of every write."""

    _decisions: dict[str, int] = field(default_factory=dict)
    """Highest decision number seen, by uid."""

    def __call__(self, sim: Simulation, write: Write) -> None:
        """Check all of them."""
        for rule, check in _CHECKS.items():
            if problem := check(sim, write):
                raise Broken(rule, sim, problem)
        if problem := self._falls(write):
            raise Broken("S8", sim, problem)

    def _falls(self, write: Write) -> str:
        """A decision number never falls, in status or on a child, but when status is lost."""
        if not by_operator(write) or write.after is None:
            return ""
        uid, number = write.object["metadata"]["uid"], _decision(write.object)
        if number < self._decisions.get(uid, 0):
            return f"{write.place} goes back from decision {self._decisions[uid]} to {number}"
        self._decisions[uid] = number
        return ""


def _selects_a_ready_pod(sim: Simulation, write: Write) -> str:
    """S1: the Service selects no revision without a ready pod while another has one."""
    if write.place[0] != "Service" or not by_operator(write) or write.after is None:
        return ""
    selected = write.object["spec"]["selector"][REVISION_LABEL]
    ready = _revisions_with_ready_pods(sim)
    return f"the Service selects {selected}, ready are {ready}" if ready and selected not in ready else ""


def _keeps_stable(sim: Simulation, write: Write) -> str:
    """S3: what the Service selects is not deleted, and never made smaller than spec asks for."""
    if write.place[0] != "Deployment" or not by_operator(write) or write.before is None:
        return ""
    revision = write.before["metadata"]["labels"].get(REVISION_LABEL)
    if revision != _selected(sim):
        return ""
    if write.after is None:
        return f"{write.place[2]} is deleted while it is selected"
    before, after = write.before["spec"]["replicas"], write.after["spec"]["replicas"]
    asked = sim.model()["spec"].get("replicas", 1)
    return f"{write.place[2]} goes from {before} to {after}" if after < min(before, asked) else ""


def _does_not_revive(sim: Simulation, write: Write) -> str:
    """S4: what was rejected gets no pods again unless it is retried."""
    if write.place[0] != "Deployment" or write.verb != "create" or not by_operator(write):
        return ""
    status = sim.model().get("status") or {}
    rejected = {entry["revision"] for entry in status.get("rejectedRevisions") or ()}
    revision = write.object["metadata"]["labels"][REVISION_LABEL]
    return f"{revision} was rejected" if revision in rejected else ""


def _leaves_spec_alone(_: Simulation, write: Write) -> str:
    """S5: of the user's object the operator writes status, and nothing else."""
    if write.place[0] != KIND or not by_operator(write):
        return ""
    if write.subresource != "status" or write.before is None or write.after is None:
        return f"{write.verb} of {write.subresource or 'the object itself'}"
    return "spec is written" if write.before["spec"] != write.after["spec"] else ""


def _writes_its_own(sim: Simulation, write: Write) -> str:
    """S6: only objects of this model are written, by uid, in its namespace."""
    kind, namespace, name = write.place
    if not by_operator(write) or kind in (KIND, "Event"):
        return ""
    # A model that is deleted meanwhile is still the right owner: the garbage collector takes the child.
    models = {made.object["metadata"]["uid"] for _, made in sim.writes if made.place[0] == KIND}
    owners = {owner_uid(raw["metadata"]) for raw in (write.before, write.after) if raw}
    return "" if owners <= models and namespace == NAMESPACE else f"{kind} {name} belongs to {owners}"


def _changes_something(_: Simulation, write: Write) -> str:
    """S11: no write that changes nothing."""
    same = by_operator(write) and write.before is not None and write.before == write.after
    return f"{write.verb} of {write.place} changes nothing" if same else ""


def _tells_the_truth(_: Simulation, write: Write) -> str:
    """S10: never ahead of spec; Ready only for this spec; times move only with a status."""
    if write.place[0] != KIND or not by_operator(write) or write.after is None:
        return ""
    generation, status = write.object["metadata"]["generation"], write.object["status"]
    observed = status.get("observedGeneration", 0)
    conditions = _conditions(write.object)
    if observed > generation:
        return f"observedGeneration {observed} is ahead of generation {generation}"
    if conditions["Ready"]["status"] == "True" and observed != generation:
        return "Ready is True for an older spec"
    for kind, old in _conditions(write.before or {}).items():
        new = conditions.get(kind)
        if new and (new["status"] == old["status"]) != (
            new["lastTransitionTime"] == old["lastTransitionTime"]
        ):
            same_second = new["status"] != old["status"]
            if not same_second:
                return f"lastTransitionTime of {kind} moves without its status"
    return ""


def _is_bounded(_: Simulation, write: Write) -> str:
    """S13: status is small, and the API server would take it."""
    if write.place[0] != KIND or not by_operator(write) or write.after is None:
        return ""
    status = write.object["status"]
    size = len(msgspec.json.encode(status))
    if size > STATUS_LIMIT:
        return f"status has {size} bytes"
    if dropped := decode_status(status).dropped:
        return f"status does not fit its schema: {dropped}"
    lists = [len(status.get(key) or ()) for key in ("history", "rejectedRevisions")]
    return f"lists of {lists} entries" if max(lists) > HISTORY_LIMIT else ""


_CHECKS = {
    "S1": _selects_a_ready_pod,
    "S3": _keeps_stable,
    "S4": _does_not_revive,
    "S5": _leaves_spec_alone,
    "S6": _writes_its_own,
    "S10": _tells_the_truth,
    "S11": _changes_something,
    "S13": _is_bounded,
}


def end_state(sim: Simulation, *, with_history: bool = True) -> dict[str, Any]:
    """What a story comes to, without times and numbers that depend on how it got there."""
    found: dict[str, Any] = {}
    for at, raw in sim.server.objects.items():
        if at[0] == KIND:
            found[at[2]] = _outcome(raw.get("status") or {}, with_history)
        elif at[0] not in ("Event", "Pod", "ControllerRevision"):
            found["/".join(at)] = {
                "spec": raw.get("spec"),
                "labels": raw["metadata"].get("labels"),
                "ready": (raw.get("status") or {}).get("readyReplicas"),
            }
    return found


def _outcome(status: Raw, with_history: bool) -> Raw:  # noqa: FBT001 - passed on
    history = status.get("history") or () if with_history else ()
    return {
        "conditions": {
            each["type"]: (each["status"], each["reason"], each["message"])
            for each in status.get("conditions") or ()
            if with_history or each["type"] != "RolloutSucceeded"
        },
        "history": [(each["revision"], each["result"]) for each in history],
        "rejected": [each["revision"] for each in status.get("rejectedRevisions") or ()],
        "revisions": {
            key: status.get(key) for key in ("stableRevision", "canaryRevision", "previousRevision")
        },
        "rollout": (status.get("rollout") or {}).get("state"),
        "scaling": status.get("scaling"),
        "commands": status.get("commands"),
    }


def _revisions_with_ready_pods(sim: Simulation) -> set[str]:
    pods = sim.server.find("Pod")
    return {
        pod["metadata"]["labels"][REVISION_LABEL]
        for pod in pods
        if any(each["type"] == "Ready" for each in pod["status"]["conditions"])
    }


def _selected(sim: Simulation) -> str | None:
    service = sim.server.objects.get(("Service", NAMESPACE, NAME))
    return service["spec"]["selector"].get(REVISION_LABEL) if service else None


def _conditions(raw: Raw) -> dict[str, Raw]:
    return {each["type"]: each for each in (raw.get("status") or {}).get("conditions") or ()}


def _decision(raw: Raw) -> int:
    if raw["kind"] == KIND:
        return int(raw["status"].get("decision", 0))
    return int((raw["metadata"].get("annotations") or {}).get(DECISION_ANNOTATION, 0))
