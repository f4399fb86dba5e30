"""Which pods may be read: those of one of our revisions, at an address of their own.

A pod's labels and owner are somebody's words, its address is the kubelet's. So a pod must carry our labels,
belong to the ReplicaSet of our Deployment by name, and must not share its node's address: whoever can make
pods in a namespace could otherwise have the operator ask a port of the node.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from modelward.api import names
from modelward.runtimes.render import CONTAINER

_HASH_LABEL: Final = "pod-template-hash"
_LONGEST_NAME: Final = 253


class _Owner(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str = ""
    kind: str = ""
    name: str = ""
    controller: bool | None = None


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    namespace: str = ""
    labels: dict[str, str] | None = None
    owner_references: tuple[_Owner, ...] | None = None
    deletion_timestamp: str | None = None


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    node_name: str = ""
    host_network: bool = False


class _Running(msgspec.Struct, frozen=True, rename="camel"):
    started_at: datetime | None = None


class _State(msgspec.Struct, frozen=True):
    running: _Running | None = None


class _Container(msgspec.Struct, frozen=True):
    name: str = ""
    state: _State = _State()


class _Condition(msgspec.Struct, frozen=True, rename="camel"):
    type: str = ""
    status: str = ""
    last_transition_time: datetime | None = None


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    phase: str = ""
    pod_ip: str = msgspec.field(name="podIP", default="")
    host_ip: str = msgspec.field(name="hostIP", default="")
    conditions: tuple[_Condition, ...] | None = None
    container_statuses: tuple[_Container, ...] | None = None


class RawPod(msgspec.Struct, frozen=True):
    """What is decoded of a pod: a tenth of it."""

    metadata: _Metadata
    spec: _Spec = _Spec()
    status: _Status = _Status()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingPod:
    """A pod whose server runs."""

    name: str
    namespace: str
    model: str
    """Label `modelward.dev/model`: the model's name, shortened where it is long."""
    revision: str
    address: str
    node: str
    started: float | None
    ready_since: float | None
    leaving: bool
    """It is being deleted, and still answers for a moment."""


def serving_pod(raw: RawPod) -> ServingPod | None:
    """The pod, if its server runs and it may be read."""
    labels = raw.metadata.labels or {}
    model, revision = labels.get(names.MODEL_LABEL, ""), labels.get(names.REVISION_LABEL, "")
    started = _started(raw)
    if not (model and revision and started is not None and raw.status.phase == "Running"):
        return None
    if not is_own_address(raw.status.pod_ip, raw.status.host_ip) or raw.spec.host_network:
        return None
    if not _belongs(raw, labels.get(_HASH_LABEL, ""), revision):
        return None
    return ServingPod(
        name=raw.metadata.name,
        namespace=raw.metadata.namespace,
        model=model,
        revision=revision,
        address=raw.status.pod_ip,
        node=raw.spec.node_name,
        started=started.timestamp(),
        ready_since=_ready_since(raw.status.conditions or ()),
        leaving=raw.metadata.deletion_timestamp is not None,
    )


def is_own_address(address: str, node: str) -> bool:
    """Whether this is an address that a pod has for itself: not its node's, not the machine's own."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    special = found.is_loopback or found.is_link_local or found.is_multicast or found.is_unspecified
    return not special and address != node


def _belongs(raw: RawPod, template_hash: str, revision: str) -> bool:
    """Its controller is the ReplicaSet of a Deployment `<model>-<revision>`, by the name that Kubernetes gives it."""
    owner = next((each for each in raw.metadata.owner_references or () if each.controller), None)
    if owner is None or (owner.api_version, owner.kind) != ("apps/v1", "ReplicaSet") or not template_hash:
        return False
    return len(owner.name) <= _LONGEST_NAME and owner.name.endswith(f"-{revision}-{template_hash}")


def _started(raw: RawPod) -> datetime | None:
    for container in raw.status.container_statuses or ():
        if container.name == CONTAINER and container.state.running:
            return container.state.running.started_at
    return None


def _ready_since(conditions: Iterable[_Condition]) -> float | None:
    for condition in conditions:
        if condition.type == "Ready" and condition.status == "True" and condition.last_transition_time:
            return condition.last_transition_time.timestamp()
    return None
