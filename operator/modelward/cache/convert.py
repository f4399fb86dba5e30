"""Converts objects: raw ones of the API in, the few values that are needed of them out.

Whatever somebody wrote into an object, this does not raise but for a bug of ours: a spec that cannot be
decoded becomes a `problem` of the Model, a status that cannot is read as far as it goes.
"""

import hashlib
import json
import logging
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from modelward.api import names
from modelward.api.conditions import Blocked, Reason
from modelward.api.decode import PartialSpec, decode_partially, decode_spec, decode_status
from modelward.api.model import Model
from modelward.api.objects import Raw
from modelward.api.revision import revision_fields
from modelward.api.status import COMMAND_LENGTH, ModelDeploymentStatus
from modelward.api.times import parse
from modelward.cache import convert_pod, convert_route
from modelward.errors import InvalidSpec
from modelward.projection import service
from modelward.rollout.observed import Autoscaler, Child, Deployment, PriorityClass, Route, Service
from modelward.rollout.status_repair import repaired
from modelward.runtimes.choose import Runtime

logger = logging.getLogger(__name__)

_COMMAND_PREFIX: Final = f"{names.GROUP}/"
_STATUS_MANAGERS: Final = frozenset({"status", "scale"})
_NUMBER: Final = re.compile("[0-9]{1,15}")
"""A decision's number; what somebody else may have written instead counts as none."""
_EPOCH: Final = datetime.fromtimestamp(0, tz=UTC)

pod: Final = convert_pod.pod
"""A pod of one of our Deployments."""


def model(raw: Raw) -> Model:
    """A ModelDeployment."""
    metadata = raw["metadata"]
    (spec, unreadable), problem = _spec(raw.get("spec") or {})
    annotations = metadata.get("annotations") or {}
    return Model(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        generation=metadata.get("generation", 0),
        deleting="deletionTimestamp" in metadata,
        deleted=_time(metadata.get("deletionTimestamp")),
        finalizers=tuple(metadata.get("finalizers") or ()),
        commands={
            key.removeprefix(_COMMAND_PREFIX): str(value)[:COMMAND_LENGTH]
            for key, value in annotations.items()
            if key.startswith(_COMMAND_PREFIX)
        },
        changed_by=_last_editor(metadata.get("managedFields") or ()),
        spec=spec,
        fields=revision_fields(raw.get("spec") or {}),
        status=_status(raw),
        problem=problem,
        unreadable=unreadable,
    )


def runtime(raw: Raw) -> Runtime:
    """A ModelRuntime or ClusterModelRuntime."""
    return Runtime(kind=raw["kind"], name=raw["metadata"]["name"], spec=raw.get("spec") or {})


def child(raw: Raw) -> Child:
    """An object that we made, of any kind; Deployments and Services with what is read of them."""
    spec, status = raw.get("spec") or {}, raw.get("status") or {}
    common = _common(raw)
    match raw["kind"]:
        case "Deployment":
            return Deployment(
                **common,
                replicas=spec.get("replicas", 1),
                current=status.get("replicas", 0),
                ready=status.get("readyReplicas", 0),
                owns_replicas=bool(replicas_owners(raw)),
                scaled_by=_scaled_by(raw["metadata"].get("managedFields") or ()),
                **_template(spec.get("template") or {}),
                failure=_failure(status),
                created=_time(raw["metadata"].get("creationTimestamp")) or _EPOCH,
            )
        case "HorizontalPodAutoscaler":
            return Autoscaler(**common, problem=_not_scaling(status))
        case "Service":
            selects = (spec.get("selector") or {}).get(names.REVISION_LABEL)
            return Service(**common, selects=selects, steering=tuple(service.steering(raw)))
        case "HTTPRoute":
            return Route(**common, **convert_route.fields(raw))
        case _:
            return Child(**common)


def priority_class(raw: Raw) -> PriorityClass:
    """A PriorityClass."""
    return PriorityClass(
        name=raw["metadata"]["name"],
        value=raw.get("value", 0),
        preempts=raw.get("preemptionPolicy") != "Never",
        is_default=bool(raw.get("globalDefault")),
    )


def owner_uid(metadata: Raw) -> str | None:
    """uid of the controller that an object belongs to."""
    owners = metadata.get("ownerReferences") or ()
    return next((each["uid"] for each in owners if each.get("controller")), None)


def _owner_name(metadata: Raw) -> str:
    """Name of the controller, if that is a ModelDeployment."""
    for each in metadata.get("ownerReferences") or ():
        group = str(each.get("apiVersion", "")).partition("/")[0]
        if each.get("controller") and (group, each.get("kind")) == (names.GROUP, names.KIND):
            return str(each.get("name", ""))
    return ""


def is_labelled(raw: Raw) -> bool:
    """Whether the watches show the object: it carries our label, a route the one by which it opts in."""
    labels = raw["metadata"].get("labels") or {}
    if raw["kind"] == "HTTPRoute":
        return bool(labels.get(names.WEIGHTS_LABEL) == names.WEIGHTS_MANAGED)
    return bool(labels.get(names.MANAGED_BY_LABEL) == names.MANAGER)


def replicas_owners(raw: Raw) -> list[int]:
    """Places in managedFields at which our field manager owns a Deployment's `spec.replicas`."""
    return [
        index
        for index, entry in enumerate(raw["metadata"].get("managedFields") or ())
        if entry.get("manager") == names.MANAGER
        and "f:replicas" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    ]


def _spec(raw: Raw) -> tuple[PartialSpec, Blocked | None]:
    try:
        return PartialSpec(decode_spec(raw), frozenset()), None
    except InvalidSpec as error:
        return decode_partially(raw), Blocked(reason=Reason.INVALID_SPEC, message=str(error))


def _status(raw: Raw) -> ModelDeploymentStatus:
    status, dropped = decode_status(raw.get("status"))
    if dropped:
        name = f"{raw['metadata']['namespace']}/{raw['metadata']['name']}"
        logger.warning("%s: could not read %s; going on without it", name, ", ".join(dropped))
    return repaired(status)


def _common(raw: Raw) -> dict[str, Any]:
    metadata = raw["metadata"]
    annotations = metadata.get("annotations") or {}
    number = annotations.get(names.DECISION_ANNOTATION, "")
    return {
        "kind": raw["kind"],
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "resource_version": metadata["resourceVersion"],
        "owner_uid": owner_uid(metadata),
        "owner_name": _owner_name(metadata),
        "revision": (metadata.get("labels") or {}).get(names.REVISION_LABEL),
        "model": (metadata.get("labels") or {}).get(names.MODEL_LABEL, ""),
        "intent": annotations.get(names.INTENT_ANNOTATION, ""),
        "decision": int(number) if _NUMBER.fullmatch(number) else 0,
        "digest": digest(raw),
        "edited_by": _foreign_editor(metadata.get("managedFields") or ()),
        "terminating": terminating(raw),
    }


def terminating(raw: Raw) -> str:
    """What keeps an object that was deleted; empty for one that was not."""
    metadata = raw["metadata"]
    if "deletionTimestamp" not in metadata:
        return ""
    finalizers = ", ".join(metadata.get("finalizers") or ())
    return f"kept by the finalizers {finalizers}" if finalizers else "on its way out"


def digest(raw: Raw) -> int:
    """Hash of what is ours to say in a live object: it moves when somebody changes that.

    Services and autoscalers have no generation, and a Deployment's rises with its replicas, too; so the
    content itself is compared. A Service in which nobody has changed it has the digest of its manifest.
    """
    metadata = raw["metadata"]
    spec = {key: value for key, value in (raw.get("spec") or {}).items() if key != "replicas"}
    if raw["kind"] == service.KIND:
        spec = service.stated(raw)
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if _is_ours(key)}
    ours = [spec, labels, metadata.get("ownerReferences")]
    text = json.dumps(ours, sort_keys=True, separators=(",", ":")).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def _is_ours(label: str) -> bool:
    return label.startswith((f"{names.GROUP}/", "app.kubernetes.io/"))


def _foreign_editor(entries: Iterable[Raw]) -> str:
    """A field manager other than ours that owns some of spec, status and scale writers apart."""
    for entry in entries:
        foreign = entry.get("manager") != names.MANAGER and entry.get("subresource") not in _STATUS_MANAGERS
        fields = (entry.get("fieldsV1") or {}).get("f:spec") or {}
        if foreign and set(fields) - {"f:replicas"}:
            return str(entry.get("manager", "somebody"))
    return ""


def _last_editor(entries: Iterable[Raw]) -> str:
    """Field manager that changed spec last."""
    editors = [
        (str(entry.get("time", "")), str(entry.get("manager", "")))
        for entry in entries
        if "f:spec" in (entry.get("fieldsV1") or {})
    ]
    return max(editors, default=("", ""))[1]


def _scaled_by(entries: Iterable[Raw]) -> str:
    """Who set `spec.replicas` and is neither the operator nor an autoscaler."""
    for entry in entries:
        manager = str(entry.get("manager", ""))
        sets = "f:replicas" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
        if sets and manager not in (names.MANAGER, "kube-controller-manager"):
            return manager
    return ""


def _template(template: Raw) -> dict[str, Any]:
    """What shows how a pod template was edited by hand."""
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    containers = (template.get("spec") or {}).get("containers") or ()
    return {
        "restarted_at": str(annotations.get("kubectl.kubernetes.io/restartedAt", "")),
        "images": tuple(str(each.get("image", "")) for each in containers),
    }


def _failure(status: Raw) -> str:
    """Why a Deployment's pods cannot even be created."""
    for condition in status.get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return str(condition.get("message", ""))
    return ""


def _not_scaling(status: Raw) -> str:
    """Why an autoscaler does nothing. That its Deployment has no pods is no fault: it leaves alone what is at 0."""
    for condition in status.get("conditions") or ():
        kind, reason = condition.get("type"), str(condition.get("reason", ""))
        acts = kind not in ("AbleToScale", "ScalingActive") or condition.get("status") != "False"
        if not acts and reason != "ScalingDisabled":
            return f"{reason}: {condition.get('message', '')}".strip(": ")
    return ""


def _time(text: str | None) -> datetime | None:
    return parse(text) if text else None
