"""Converts HTTPRoutes: which Services they weigh, and what the Gateways report about them.

Gateway API v1: each Gateway that a route names reports on it in `status.parents`
(https://gateway-api.sigs.k8s.io/reference/spec/#routeparentstatus).
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from modelward.api import names
from modelward.api.objects import Raw
from modelward.api.times import parse
from modelward.projection.route import rules

_ACCEPTED: Final = "Accepted"
_RESOLVED: Final = "ResolvedRefs"
_PARENT_DEFAULTS: Final = {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
_MESSAGE_LENGTH: Final = 300


def fields(raw: Raw) -> dict[str, Any]:
    """What a Route has beside what every child has."""
    metadata = raw["metadata"]
    parents = _parents(raw)
    reports = [report for parent in parents for report in _reports(raw, parent)]
    return {
        "opted_in": (metadata.get("labels") or {}).get(names.WEIGHTS_LABEL) == names.WEIGHTS_MANAGED,
        "generation": _generation_of(raw),
        "rules": rules(raw),
        "answered": bool(parents) and all(any(_reports(raw, parent)) for parent in parents),
        "accepted": bool(reports) and all(_is_true(report, _ACCEPTED) for report in reports),
        "resolved": bool(reports) and all(_is_true(report, _RESOLVED) for report in reports),
        "observed_generation": min(map(_generation, reports), default=0),
        "message": next(_problems(raw, parents), "")[:_MESSAGE_LENGTH],
        "written": _written(metadata),
    }


def _parents(raw: Raw) -> list[Raw]:
    return [_complete(raw, ref) for ref in (raw.get("spec") or {}).get("parentRefs") or ()]


def _complete(raw: Raw, ref: Raw) -> dict[str, Any]:
    """A reference to a Gateway with its defaults, so that two can be compared."""
    return {**_PARENT_DEFAULTS, "namespace": raw["metadata"]["namespace"], **ref}


def _reports(raw: Raw, parent: Raw) -> list[Raw]:
    """What was reported for a Gateway, as far as it counts.

    That is by one controller as a rule. One that was replaced, or that the Gateway is none of, may have left its report
    there, which nobody takes away. What is about an older generation does not count once somebody reports on the
    present one, and no refusal does once somebody takes the route.
    """
    reports = (raw.get("status") or {}).get("parents") or ()
    own = [report for report in reports if _complete(raw, report.get("parentRef") or {}) == parent]
    present = [report for report in own if _generation(report) >= _generation_of(raw)]
    return [report for report in present if _is_true(report, _ACCEPTED)] or present or own


def _problems(raw: Raw, parents: list[Raw]) -> Iterator[str]:
    if not parents:
        yield "it names no Gateway (spec.parentRefs)"
    for parent in parents:
        gateway = f"{parent['kind']} {parent['namespace']}/{parent.get('name')}"
        reports = _reports(raw, parent)
        if not reports:
            yield f"{gateway} has not reported on it; is it there, and does its listener allow this namespace?"
        for report in reports:
            for kind in (_ACCEPTED, _RESOLVED):
                if not _is_true(report, kind):
                    yield f"{gateway} (controller {report.get('controllerName')}): {_words(report, kind)}"


def _words(report: Raw, kind: str) -> str:
    condition = _condition(report, kind)
    if not condition:
        return f"{kind} is not reported"
    reason = f"{kind} is {condition.get('status')} ({condition.get('reason')})"
    return f"{reason}: {condition['message']}" if condition.get("message") else reason


def _generation_of(raw: Raw) -> int:
    return int(raw["metadata"].get("generation", 0))


def _generation(report: Raw) -> int:
    return min(int(_condition(report, kind).get("observedGeneration", 0)) for kind in (_ACCEPTED, _RESOLVED))


def _is_true(report: Raw, kind: str) -> bool:
    return bool(_condition(report, kind).get("status") == "True")


def _condition(report: Raw, kind: str) -> Raw:
    conditions: list[Raw] = report.get("conditions") or []
    return next((each for each in conditions if each.get("type") == kind), {})


def _written(metadata: Raw) -> datetime | None:
    """The API server notes for each field manager when it last changed something; ours never writes status."""
    times = [
        str(entry["time"])
        for entry in metadata.get("managedFields") or ()
        if entry.get("manager") == names.MANAGER and entry.get("time")
    ]
    return parse(max(times)) if times else None
