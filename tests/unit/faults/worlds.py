"""Worlds for the tests of the checks: a model that serves, its canary, and changes of them."""

import copy
from typing import Any, Final

from faults.recorder import Raw
from faults.story import Change, World

NOW: Final = 1_800_000_000.0
UID: Final = "model-uid"


def cr(**status: Any) -> Raw:
    """The ModelDeployment with a canary `new` at its first step, beside `old`."""
    return {
        "kind": "ModelDeployment",
        "metadata": {"name": "m", "uid": UID, "generation": 2, "resourceVersion": "1"},
        "spec": {"replicas": 2, "rollout": {"steps": [{"weightPercent": 34}], "stepMinSeconds": 10}},
        "status": {
            "observedGeneration": 2,
            "decision": 7,
            "stableRevision": "old",
            "canaryRevision": "new",
            "rollout": {
                "state": "Analyzing",
                "step": 0,
                "weightPercent": 34,
                "stepStartTime": stamp(NOW - 20),
            },
            "conditions": [condition("Available"), condition("Ready", "Unknown")],
            **status,
        },
    }


def stamp(seconds: float) -> str:
    """RFC 3339."""
    from datetime import UTC, datetime  # noqa: PLC0415 - the only use

    return datetime.fromtimestamp(seconds, UTC).isoformat()


def condition(kind: str, status: str = "True", *, seen: int = 2, since: str = "2026-01-01T00:00:00Z") -> Raw:
    """One condition."""
    return {
        "type": kind,
        "status": status,
        "reason": "R",
        "observedGeneration": seen,
        "lastTransitionTime": since,
    }


def child(kind: str, name: str, revision: str = "", *, decision: int = 7, **parts: Any) -> Raw:
    """An object of the model."""
    labels = {"modelward.dev/model": "m"} | ({"modelward.dev/revision": revision} if revision else {})
    return {
        "kind": kind,
        "metadata": {
            "name": name,
            "uid": f"{kind}-{name}",
            "labels": labels,
            "annotations": {"modelward.dev/decision": str(decision)},
            "ownerReferences": [{"uid": UID, "controller": True}],
        },
        **parts,
    }


def deployment(revision: str, replicas: int, **parts: Any) -> Raw:
    """Of a revision."""
    return child("Deployment", f"m-{revision}", revision, spec={"replicas": replicas}, **parts)


def service(revision: str = "", name: str = "m") -> Raw:
    """A Service that selects a revision, or all pods of the model."""
    selector = {"modelward.dev/model": "m"} | ({"modelward.dev/revision": revision} if revision else {})
    return child("Service", name, spec={"selector": selector})


def pod(name: str, revision: str, *, ready: bool = True) -> Raw:
    """Of a revision."""
    reported = {"conditions": [{"type": "Ready", "status": str(ready)}]}
    return child("Pod", name, revision, status=reported)


def route(**weights: int) -> Raw:
    """A route of our own, by Service name."""
    backends = [{"name": f"m-{revision}", "weight": weight} for revision, weight in weights.items()]
    return child("HTTPRoute", "m", spec={"rules": [{"backendRefs": backends}]})


def world(*more: Raw, model: Raw | None = None) -> World:
    """Two pods of `old`, one of `new`, Services for both, and a model."""
    objects = [
        model or cr(),
        service(),
        service("old", "m-old"),
        service("new", "m-new"),
        deployment("old", 2),
        deployment("new", 1),
        pod("a", "old"),
        pod("b", "old"),
        pod("c", "new"),
        *more,
    ]
    return World("m", {(raw["kind"], raw["metadata"]["name"]): raw for raw in objects})


def change(before: World, after: Raw | None, gone: Raw | None = None, *, ours: bool = True) -> Change:
    """An object becomes something else, comes, or goes."""
    raw = after or gone
    assert raw is not None
    at = raw["kind"], raw["metadata"]["name"]
    return Change(version=2, time=NOW, at=at, before=before.objects.get(at), after=after, by_operator=ours)


def edited(raw: Raw, path: str, value: Any) -> Raw:
    """A copy with another value at a dotted path."""
    found = copy.deepcopy(raw)
    *parts, last = path.split(".")
    place = found
    for part in parts:
        place = place.setdefault(part, {})
    place[last] = value
    return found
