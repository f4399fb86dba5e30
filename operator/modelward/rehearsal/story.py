"""The story of a rehearsal, one line for each thing that happened: when, who, what, and why."""

from collections.abc import Iterator
from typing import Final

from modelward.api.names import MANAGER, REVISION_LABEL
from modelward.clients.resources import MODEL_DEPLOYMENT
from modelward.rehearsal.api_server import Raw, Write
from modelward.rehearsal.controllers import CLUSTER
from modelward.rehearsal.simulation import Simulation

_ACTORS: Final = {MANAGER: "operator", CLUSTER: "cluster"}


def tell(simulation: Simulation) -> str:
    """All lines."""
    lines = [(second, "user", words) for second, words in simulation.told]
    lines += [(second, _ACTORS[write.manager], text) for second, write, text in _written(simulation)]
    # Sorting is stable, and people act before what follows from it.
    return "".join(f"{second:8.1f} s  {actor:<8}  {text}\n" for second, actor, text in sorted(lines, key=_at))


def _at(line: tuple[float, str, str]) -> float:
    return line[0]


def _written(simulation: Simulation) -> Iterator[tuple[float, Write, str]]:
    for second, write in simulation.writes:
        if write.manager in _ACTORS:
            for text in _sentences(write):
                yield second, write, text


def _sentences(write: Write) -> Iterator[str]:
    kind, _, name = write.place
    match kind, write.verb:
        case "Pod", _:
            pass  # the Deployment's status tells
        case "Event", _:
            yield f"says {write.object['reason']}: {write.object['note']}"
        case _, "create":
            yield f"creates {kind} {name}{_details(write.object)}"
        case _, "delete":
            yield f"deletes {kind} {name}"
        case MODEL_DEPLOYMENT.kind, _:
            yield from _status(write.before or {}, write.object)
        case _, _:
            yield from _change(write.before or {}, write.object)


def _details(raw: Raw) -> str:
    match raw["kind"]:
        case "Deployment":
            return f" with {_pods(raw['spec']['replicas'])}"
        case "Service":
            return f" for {raw['spec']['selector'][REVISION_LABEL]}"
        case _:
            return ""


def _change(before: Raw, after: Raw) -> Iterator[str]:
    name = f"{after['kind']} {after['metadata']['name']}"
    old, new = before.get("spec") or {}, after.get("spec") or {}
    if before.get("status") != after.get("status"):
        status = after["status"]
        yield f"{name}: {status['readyReplicas']} of {_pods(status['replicas'])} ready"
    elif old.get("replicas") != new.get("replicas"):
        yield f"scales {name} from {old.get('replicas')} to {_pods(new['replicas'])}"
    elif _selected(old) != _selected(new):
        yield f"switches {name} from {_selected(old)} to {_selected(new)}"
    elif changed := sorted(key for key in new if new[key] != old.get(key)):
        yield f"changes {', '.join(changed)} of {name}"
    else:
        yield f"updates the metadata of {name}"


def _status(before: Raw, after: Raw) -> Iterator[str]:
    """What a reader of `kubectl get` and `kubectl describe` sees change."""
    old, new = _conditions(before), _conditions(after)
    words = [f"{kind} {each['status']}" for kind, each in new.items() if _word(old, kind) != each["status"]]
    words += [f"{kind} gone" for kind in old if kind not in new]
    ready, was = new["Ready"], old.get("Ready", {})
    why = ""
    if (ready["reason"], ready["message"]) != (was.get("reason"), was.get("message")):
        why = f"{ready['reason']}: {ready['message']}"
    decided = after["status"].get("decision")
    number = f"decision {decided}" if decided != (before.get("status") or {}).get("decision") else ""
    parts = [part for part in (number, ", ".join(words), why) if part]
    yield f"status: {'; '.join(parts) or _counts(after['status'])}"


def _counts(status: Raw) -> str:
    return f"{status.get('readyReplicas', 0)} of {status.get('replicas', 0)} pods ready in all"


def _conditions(raw: Raw) -> dict[str, Raw]:
    return {each["type"]: each for each in (raw.get("status") or {}).get("conditions") or ()}


def _word(conditions: dict[str, Raw], kind: str) -> str:
    return str(conditions.get(kind, {}).get("status", ""))


def _selected(spec: Raw) -> str:
    selector = spec.get("selector") or {}
    return str((selector.get("matchLabels") or selector).get(REVISION_LABEL, ""))


def _pods(count: int) -> str:
    return f"{count} pod" if count == 1 else f"{count} pods"
