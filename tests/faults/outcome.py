"""What a run comes to, in a form in which two runs can be compared: without names, times and what depends on chance."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from faults.recorder import Raw, Seen
from faults.story import World, concerns, is_ready, revision_of
from faults.workloads import owns_replicas

_UNCOMPARED: Final = ("Event", "Pod")
_CHANCE: Final = frozenset(
    {"modelward.dev/intent", "modelward.dev/decision", "deployment.kubernetes.io/revision"}
)
"""Annotations that depend on the model's name and uid, or on how many decisions there were."""
_VERDICT: Final = "modelward.dev/verdict"
"""Its first word is the reason; a time and a sentence follow."""
_OF_FAULTS: Final = "Refused"
"""Reason of an Event that shows the fault itself: who is not disturbed has none."""
_GIVEN: Final = frozenset({"clusterIP", "clusterIPs"})
"""What the API server assigns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Of one run."""

    objects: Mapping[str, Any]
    """The model and its children as they are in the end."""
    pods: Mapping[str, int]
    """How many pods each revision ever had."""
    made: Mapping[str, int]
    """How often each object was made: by kind and what its name says."""
    events: Mapping[str, int]
    """How often each reason was reported."""


def outcome(world: World, story: Iterable[Seen]) -> Outcome:
    """Of the world at the end, and of all that was seen on the way."""
    seen = [each for each in story if concerns(world.model, each.raw)]
    uids = {(each.kind, _general(world.model, each.at[1]), each.raw["metadata"]["uid"]) for each in seen}
    pods = {(revision_of(each.raw), each.raw["metadata"]["uid"]) for each in seen if each.kind == "Pod"}
    reported = [each for each in seen if each.kind == "Event" and _ours(each.raw)]
    events = {(each.raw["reason"], each.at[1]) for each in reported if each.raw["reason"] != _OF_FAULTS}
    return Outcome(
        objects={
            f"{kind} {_general(world.model, name)}": _compared(world, raw)
            for (kind, name), raw in world.objects.items()
            if kind not in _UNCOMPARED
        },
        pods=Counter(revision for revision, _ in pods),
        made=Counter(f"{kind} {name}" for kind, name, _ in uids if kind not in _UNCOMPARED),
        events=Counter(reason for reason, _ in events),
    )


def differences(found: Outcome, undisturbed: Outcome) -> Iterator[str]:
    """What a disturbed run came to that the undisturbed one did not."""
    for name in sorted(found.objects.keys() | undisturbed.objects.keys()):
        ours, theirs = found.objects.get(name), undisturbed.objects.get(name)
        if ours != theirs:
            yield f"L2: {name}: {_shown(ours, theirs)}; undisturbed {_shown(theirs, ours)}"
    for what, ours, theirs in (
        ("L1: pods of", found.pods, undisturbed.pods),
        ("L1: made", found.made, undisturbed.made),
        ("S13: Events", found.events, undisturbed.events),
    ):
        for name, count in ours.items():
            if count > theirs.get(name, 0):
                yield f"{what} {name}: {count}, undisturbed {theirs.get(name, 0)}"


def unsettled(world: World) -> Iterator[str]:
    """S7: at the end the operator owns no count that an autoscaler has."""
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in world.find("HorizontalPodAutoscaler")}
    for each in world.find("Deployment"):
        if each["metadata"]["name"] in scaled and owns_replicas(each):
            yield f"S7: Deployment {each['metadata']['name']} has an autoscaler, and its count is still the operator's"


def _ours(event: Raw) -> bool:
    return bool(event.get("reportingController") == "modelward.dev/operator")


def _compared(world: World, raw: Raw) -> Any:
    kind = raw["kind"]
    if kind == "ModelDeployment":
        found: Any = {
            "status": _status(raw.get("status") or {}),
            "finalizers": raw["metadata"].get("finalizers"),
        }
    else:
        annotations = raw["metadata"].get("annotations") or {}
        found = {
            "spec": {key: value for key, value in (raw.get("spec") or {}).items() if key not in _GIVEN},
            "data": {key: value for key, value in (raw.get("data") or {}).items() if key != "cause"},
            "revision": raw.get("revision"),
            "labels": raw["metadata"].get("labels"),
            "annotations": {
                key: value.partition(" ")[0] if key == _VERDICT else value
                for key, value in annotations.items()
                if key not in _CHANCE
            },
        }
    if kind == "Deployment":
        found["owns replicas"] = owns_replicas(raw)
        found["ready"] = sum(
            is_ready(pod) and revision_of(pod) == revision_of(raw) for pod in world.find("Pod")
        )
    return json.loads(json.dumps(found).replace(world.model, "MODEL"))


def _status(status: Raw) -> Raw:
    return {
        "conditions": {
            each["type"]: (each["status"], each["reason"]) for each in status.get("conditions") or ()
        },
        "history": [(each["revision"], each["result"]) for each in status.get("history") or ()],
        "rejected": [(each["revision"], each["reason"]) for each in status.get("rejectedRevisions") or ()],
        **{key: status.get(key) for key in ("stableRevision", "canaryRevision", "previousRevision")},
        **{key: status.get(key) for key in ("scaling", "commands", "revisionNonce", "rollout")},
    }


def _general(model: str, name: str) -> str:
    return name.replace(model, "MODEL")


def _shown(one: Any, other: Any) -> str:
    """The parts of one that are not those of the other."""
    if isinstance(one, dict) and isinstance(other, dict):
        parts = {key: (one.get(key), other.get(key)) for key in one.keys() | other.keys()}
        return ", ".join(
            f"{key}: {_shown(*both)}" for key, both in sorted(parts.items()) if both[0] != both[1]
        )
    return "absent" if one is None else json.dumps(one)
