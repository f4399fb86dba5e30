"""The story of a rehearsal, one line for each thing that happened: when, who, what, and why.

Evidence that comes in without a decision is written once, just before what follows from it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from modelward.api.names import MANAGER, REVISION_LABEL
from modelward.api.objects import Manifest
from modelward.clients.resources import MODEL_DEPLOYMENT
from modelward.simulator.api_server import Write
from modelward.simulator.controllers import CLUSTER
from modelward.simulator.gateway import GATEWAY
from modelward.simulator.simulation import Happening, Simulation

_ACTORS: Final = {MANAGER: "operator", CLUSTER: "cluster", GATEWAY: "gateway"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that happened."""

    second: float
    actor: str
    """user, operator, cluster or gateway."""
    kind: str
    """act, write, event, status or evidence."""
    text: str
    subject: str = ""
    """Kind and name of the object that was written."""
    reason: str = ""
    """Of an event; of the condition Ready."""
    weight_percent: int | None = None
    """The canary's weight, with a status in which it changed."""

    def __str__(self) -> str:
        return f"{self.second:8.1f} s  {self.actor:<8}  {self.text}"


def as_text(simulation: Simulation) -> str:
    """All lines as one text."""
    return "".join(f"{line}\n" for line in lines(simulation))


def lines(simulation: Simulation) -> Iterator[Line]:
    """What happened, in its order."""
    return _shortened(_latest_evidence(line for each in simulation.happened for line in _lines(each)))


def _shortened(reported: Iterable[Line]) -> Iterator[Line]:
    """An Event that only repeats what status has just said is not written out once more."""
    status: Line | None = None
    for line in reported:
        status = line if line.kind == "status" else status
        note = line.text.partition(": ")[2]
        if line.kind == "event" and status and status.second == line.second and note in status.text:
            yield replace(line, text=f"says {line.reason}, in the same words")
        else:
            yield line


def _latest_evidence(reported: Iterable[Line]) -> Iterator[Line]:
    """Of evidence that only grows, the latest before anything else happens."""
    kept: Line | None = None
    for line in reported:
        if kept and line.kind != "evidence":
            yield kept
        kept = line if line.kind == "evidence" else None
        if not kept:
            yield line
    if kept:
        yield kept


def _lines(happening: Happening) -> Iterator[Line]:
    second, what = happening.second, happening.what
    if isinstance(what, str):
        yield Line(second=second, actor=happening.actor, kind="act", text=what)
        return
    actor = _ACTORS.get(what.manager)
    if actor is None:
        return  # an act has written it
    kind, _, name = what.place
    match kind, what.verb:
        case "Pod", _:
            pass  # the Deployment's status shows it, and what is special is noted by the nodes
        case "Event", _:
            reason, note = what.object["reason"], what.object["note"]
            yield Line(second=second, actor=actor, kind="event", text=f"says {reason}: {note}", reason=reason)
        case MODEL_DEPLOYMENT.kind, "patch" if what.subresource == "status":
            yield from _status(second, what)
        case _:
            for text in _written(what):
                yield Line(second=second, actor=actor, kind="write", text=text, subject=f"{kind} {name}")


# --- objects ------------------------------------------------------------------------------------------------


def _written(write: Write) -> Iterator[str]:
    kind, _, name = write.place
    if write.verb == "create":
        yield f"creates {kind} {name}{_details(write.object)}"
    elif write.verb == "delete":
        yield f"deletes {kind} {name}"
    else:
        yield from _change(write.before or {}, write.object)


def _details(raw: Manifest) -> str:
    match raw["kind"]:
        case "Deployment":
            return f" with {_pods(raw['spec']['replicas'])}"
        case "Service":
            return f" for {_selected(raw['spec'])}"
        case "HTTPRoute":
            return f": {_weights(raw['spec'])}"
        case "HorizontalPodAutoscaler":
            return f": {_bounds(raw['spec'])}"
        case _:
            return ""


def _change(before: Manifest, after: Manifest) -> Iterator[str]:
    kind, name = after["kind"], f"{after['kind']} {after['metadata']['name']}"
    old, new = before.get("spec") or {}, after.get("spec") or {}
    if before.get("status") != after.get("status"):
        yield from _reported(name, after["status"])
    elif old.get("replicas") != new.get("replicas"):
        yield f"scales {name} from {old.get('replicas')} to {_pods(new['replicas'])}"
    elif _selected(old) != _selected(new):
        yield f"turns {name} from {_selected(old)} to {_selected(new)}"
    elif kind == "HTTPRoute" and _weights(old) != _weights(new):
        yield f"sets the weights of {name}: {_weights(new)}"
    elif kind == "HorizontalPodAutoscaler" and _bounds(old) != _bounds(new):
        yield f"bounds {name}: {_bounds(new)}"
    elif before["metadata"].get("finalizers") != after["metadata"].get("finalizers"):
        held = bool(after["metadata"].get("finalizers"))
        yield f"{'adds its finalizer to' if held else 'takes its finalizer off'} {name}"
    elif changed := sorted(key for key in new if new[key] != old.get(key)):
        yield f"changes {', '.join(changed)} of {name}"
    else:
        yield f"updates the metadata of {name}"


def _reported(name: str, status: Manifest) -> Iterator[str]:
    """What a controller says of an object of its kind."""
    if "parents" not in status:
        yield f"{name}: {status['readyReplicas']} of {_pods(status['replicas'])} ready"
        return
    conditions = status["parents"][0]["conditions"] if status["parents"] else []
    bad = [each for each in conditions if each["status"] != "True"]
    generation = conditions[0]["observedGeneration"] if conditions else 0
    yield f"{'refuses' if bad else 'takes'} {name}, generation {generation}" + (
        f" ({bad[0]['type']} is False: {bad[0]['reason']})" if bad else ""
    )


def _selected(spec: Manifest) -> str:
    selector = spec.get("selector") or {}
    labels = selector.get("matchLabels") or selector
    return str(labels.get(REVISION_LABEL) or ("all revisions" if labels else ""))


def _weights(spec: Manifest) -> str:
    rules = spec.get("rules") or []
    backends = [each for rule in rules for each in rule.get("backendRefs") or ()]
    return ", ".join(f"{each.get('weight', 1)} to {each['name']}" for each in backends)


def _bounds(spec: Manifest) -> str:
    shrinks = ((spec.get("behavior") or {}).get("scaleDown") or {}).get("selectPolicy") != "Disabled"
    return (
        f"{spec.get('minReplicas')} to {_pods(spec.get('maxReplicas', 0))}{'' if shrinks else ', never down'}"
    )


def _pods(count: int) -> str:
    return f"{count} pod" if count == 1 else f"{count} pods"


# --- status -------------------------------------------------------------------------------------------------


def _status(second: float, write: Write) -> Iterator[Line]:
    """What a reader of `kubectl get` and `kubectl describe` sees change."""
    if write.manager != MANAGER:
        return
    before, after = write.before or {}, write.object
    text = _changes(before, after)
    decided = after["status"].get("decision") != (before.get("status") or {}).get("decision")
    ready = _conditions(after).get("Ready", {})
    weight = _weight(after)
    yield Line(
        second=second,
        actor="operator",
        kind="status" if decided or _kinds(before) != _kinds(after) else "evidence",
        text=f"status: {text}",
        subject=f"{after['kind']} {after['metadata']['name']}",
        reason=str(ready.get("reason", "")),
        weight_percent=weight if weight != _weight(before) else None,
    )


def _changes(before: Manifest, after: Manifest) -> str:
    old, new = _conditions(before), _conditions(after)
    words = [f"{kind} {each['status']}" for kind, each in new.items() if _word(old, kind) != each["status"]]
    words += [f"{kind} gone" for kind in old if kind not in new]
    ready, was = new["Ready"], old.get("Ready", {})
    why = ""
    if (ready["reason"], ready["message"]) != (was.get("reason"), was.get("message")):
        why = f"{ready['reason']}: {ready['message']}"
    decided = after["status"].get("decision")
    number = f"decision {decided}" if decided != (before.get("status") or {}).get("decision") else ""
    if number and _phase(after) != _phase(before):
        number = f"{number}, {_phase(after)}"
    now = _weight(after)
    moved = now is not None and now != (_weight(before) or 0)
    weight = f"weight {now}%" if moved else ""
    parts = [part for part in (number, weight, ", ".join(words), why) if part]
    return "; ".join(parts) or _counts(after["status"])


def _kinds(raw: Manifest) -> list[tuple[str, str, str]]:
    return [(kind, each["status"], each["reason"]) for kind, each in _conditions(raw).items()]


def _weight(raw: Manifest) -> int | None:
    """The canary's weight; None while there is no canary."""
    status = raw.get("status") or {}
    if not status.get("canaryRevision"):
        return None
    return int((status.get("rollout") or {}).get("weightPercent", 0))


def _phase(raw: Manifest) -> str:
    return str(((raw.get("status") or {}).get("rollout") or {}).get("state") or "Serving")


def _counts(status: Manifest) -> str:
    return f"{status.get('readyReplicas', 0)} of {status.get('replicas', 0)} pods ready in all"


def _conditions(raw: Manifest) -> dict[str, Manifest]:
    return {each["type"]: each for each in (raw.get("status") or {}).get("conditions") or ()}


def _word(conditions: dict[str, Manifest], kind: str) -> str:
    return str(conditions.get(kind, {}).get("status", ""))
