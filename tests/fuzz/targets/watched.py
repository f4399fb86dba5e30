"""What watches hand over: pods, Deployments, Services, routes and models, as the API server's schema lets anybody write them."""

from datetime import datetime
from typing import Any, Final

import msgspec

from fuzz.source import Source
from modelward.api import names
from modelward.api.decode import encode
from modelward.cache import convert
from modelward.rollout.observed import Deployment, Pod, Route

_TIMES: Final = (
    "2026-11-22T10:00:00Z",
    None,
    "2026-11-22T10:00:00.000001Z",
    "2026-11-22T09:00:00Z",
    "soon",
    "",
)
_REASONS: Final = ("", "CrashLoopBackOff", "ErrImagePull", "OOMKilled", "Error", "Evicted", "Completed")
_STATES: Final = ("True", "False", "Unknown", "")


def seen(data: bytes) -> None:
    """Every object becomes a value, the same each time, that can be compared and kept; of odd parts nothing is believed."""
    source = Source(data)
    kind = source.pick(("Pod", "Deployment", "Service", "HTTPRoute", "ModelDeployment", "Other"))
    raw = _object(source, kind)
    msgspec.json.encode(raw)
    match kind:
        case "Pod":
            check_pod(convert.pod(raw), raw)
            assert convert.pod(raw) == convert.pod(raw)
        case "ModelDeployment":
            model = convert.model(raw)
            assert convert.model({**raw, "status": encode(model.status)}).status == model.status
            assert all(len(value) <= 256 for value in model.commands.values())
        case _:
            child = convert.child(raw)
            assert child == convert.child(raw)
            assert child.decision >= 0
            if isinstance(child, Deployment):
                assert child.created.tzinfo is not None
            if isinstance(child, Route):
                assert len(child.message) <= 300
    convert.is_labelled({"kind": kind, **raw})


def check_pod(pod: Pod, raw: dict[str, Any]) -> None:
    """Ready only when the kubelet says so; times have a zone; no pod on its node's network has an address."""
    conditions = (raw.get("status") or {}).get("conditions") or ()
    said = [each.get("status") for each in conditions if each.get("type") == "Ready"]
    assert not pod.ready or "True" in said
    for time in (pod.created, pod.scheduled, pod.started, pod.ready_since, pod.ended and pod.ended.time):
        assert time is None or (isinstance(time, datetime) and time.tzinfo is not None)
    assert not pod.ip or not (raw.get("spec") or {}).get("hostNetwork")


def _object(source: Source, kind: str) -> dict[str, Any]:
    raw: dict[str, Any] = {"kind": kind, "metadata": _metadata(source)}
    parts = {"Pod": _pod, "Deployment": _deployment, "HTTPRoute": _route}.get(kind)
    if parts and source.whole(15):
        raw |= parts(source)
    elif kind == "Service":
        raw["spec"] = source.pick(({"selector": {names.REVISION_LABEL: source.word()}}, {}, None))
    elif kind == "ModelDeployment":
        raw |= {"spec": source.json(), "status": source.json()}
        raw["spec"] = raw["spec"] if isinstance(raw["spec"], dict) else {}
        raw["status"] = raw["status"] if isinstance(raw["status"], dict) else {}
    return raw


def _metadata(source: Source) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "a", "namespace": "shop", "uid": "u", "resourceVersion": "1"}
    optional: dict[str, Any] = {
        "generation": source.whole(9),
        "creationTimestamp": source.pick(_TIMES[:4]),
        "deletionTimestamp": "2026-11-22T10:00:00Z",
        "labels": {source.pick((names.REVISION_LABEL, "pod-template-hash", source.word())): source.word()},
        "annotations": {
            source.pick((names.DECISION_ANNOTATION, "modelward.dev/abort", "modelward.dev/")): source.text(
                300
            )
        },
        "ownerReferences": [
            {"uid": source.word(), "controller": source.pick((True, False, None)), "name": "a-b-c"}
        ],
        "finalizers": [source.word()],
        "managedFields": [
            {
                "manager": source.pick(("modelward", source.word())),
                "time": source.pick(_TIMES[:2]),
                "fieldsV1": source.pick(({"f:spec": {"f:replicas": {}}}, {"f:spec": {"f:a": {}}}, {}, None)),
                "subresource": source.pick(("", "status", "scale")),
            }
            for _ in range(source.whole(2))
        ],
    }
    return metadata | _some(source, optional)


def _some(source: Source, fields: dict[str, Any]) -> dict[str, Any]:
    """Some of the fields. None is null: the API server leaves out what is."""
    return {key: value for key, value in fields.items() if source.chance() and value is not None}


def _pod(source: Source) -> dict[str, Any]:
    spec = {
        "nodeName": source.word(),
        "hostNetwork": source.chance(),
        "containers": [
            {"name": "a", "readinessProbe": {"httpGet": {"path": "/", "port": source.pick((80, "http"))}}}
        ],
    }
    status = {
        "phase": source.pick(("Running", "Pending", "Failed", "Succeeded")),
        "reason": source.pick(_REASONS),
        "message": source.text(),
        "podIP": source.pick(("10.0.0.7", "", "fd00::7", "127.0.0.1", source.word())),
        "hostIP": "10.0.0.1",
        "conditions": [_condition(source) for _ in range(source.whole(4))],
        "containerStatuses": [_container(source) for _ in range(source.whole(2))],
        "initContainerStatuses": [_container(source) for _ in range(source.whole(2))],
    }
    return {"spec": _some(source, spec), "status": _some(source, status)}


def _condition(source: Source) -> dict[str, Any]:
    return _some(
        source,
        {
            "type": source.pick(
                ("Ready", "ContainersReady", "PodScheduled", "DisruptionTarget", "ReplicaFailure")
            ),
            "status": source.pick(_STATES),
            "lastTransitionTime": source.pick(_TIMES),
            "message": source.text(),
        },
    )


def _container(source: Source) -> dict[str, Any]:
    fields = {
        "name": source.pick(("a", "b", source.word())),
        "ready": source.chance(),
        "restartCount": source.between(0, 2**31 - 1),
        "image": source.word(),
        "state": _state(source),
        "lastState": _state(source),
    }
    return _some(source, fields)


def _state(source: Source) -> dict[str, Any]:
    ended = {
        "exitCode": source.pick((0, 1, 137, -1)),
        "reason": source.pick(_REASONS),
        "finishedAt": source.pick(_TIMES),
        "startedAt": source.pick(_TIMES),
    }
    states = {
        "terminated": _some(source, ended),
        "waiting": _some(source, {"reason": source.pick(_REASONS), "message": source.text()}),
        "running": _some(source, {"startedAt": source.pick(_TIMES)}),
    }
    return _some(source, states)


def _deployment(source: Source) -> dict[str, Any]:
    spec = {"replicas": source.between(0, 2**31 - 1), "template": {"a": source.word()}}
    status = {
        "replicas": source.whole(9),
        "readyReplicas": source.whole(9),
        "conditions": [_condition(source) for _ in range(source.whole(2))],
    }
    return {"spec": _some(source, spec), "status": _some(source, status)}


def _route(source: Source) -> dict[str, Any]:
    parent = {"name": source.word(), "namespace": source.pick(("infra", "shop")), "kind": "Gateway"}
    ref = {
        "name": source.pick(("fraud", "fraud-canary", "")),
        "weight": source.pick((0, 1, 1_000_000)),
        "kind": source.pick(("Service", "Bucket")),
        "group": source.pick(("", "a.b")),
        "namespace": source.pick(("shop", "other")),
    }
    refs = [{"name": "fraud", **_some(source, ref)} for _ in range(source.whole(2))]
    reports = [
        _some(
            source,
            {
                "parentRef": _some(source, parent),
                "conditions": [_accepted(source) for _ in range(source.whole(2))],
            },
        )
        for _ in range(source.whole(2))
    ]
    spec = {
        "parentRefs": [{"name": "public", **_some(source, parent)}],
        "rules": [_some(source, {"backendRefs": refs})],
    }
    return {"spec": _some(source, spec), "status": _some(source, {"parents": reports})}


def _accepted(source: Source) -> dict[str, Any]:
    return _some(
        source,
        {
            "type": source.pick(("Accepted", "ResolvedRefs")),
            "status": source.pick(_STATES),
            "reason": source.word(),
            "message": source.text(2000),
            "observedGeneration": source.whole(9),
        },
    )
