"""The address at which a pod may be asked for its metrics.

A pod's labels and owner are somebody's words, its address is the kubelet's. So a pod must belong to a ReplicaSet
of our Deployment, by the name that Kubernetes gives it, and have an address of its own: whoever can make pods in
a namespace could otherwise have the operator ask a port of a node, or of the machine that it runs on.
"""

import ipaddress
from collections.abc import Mapping
from typing import Any, Final

from modelward.api import names

Raw = Mapping[str, Any]

_HASH_LABEL: Final = "pod-template-hash"


def pod_address(raw: Raw) -> str:
    """The pod's own IP address, or an empty string: it has none (yet), or may not be asked."""
    spec, status = raw.get("spec") or {}, raw.get("status") or {}
    address = str(status.get("podIP", ""))
    if spec.get("hostNetwork") or not is_own_address(address, str(status.get("hostIP", ""))):
        return ""
    return address if _belongs(raw["metadata"]) else ""


def is_own_address(address: str, node: str) -> bool:
    """Whether this is an address that a pod has for itself: not its node's, not the machine's own."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None) or found
    special = mapped.is_loopback or mapped.is_link_local or mapped.is_multicast or mapped.is_unspecified
    return not special and address != node


def _belongs(metadata: Raw) -> bool:
    """Its controller is the ReplicaSet `<model>-<revision>-<hash>` of a Deployment of ours."""
    labels = metadata.get("labels") or {}
    revision, template = labels.get(names.REVISION_LABEL), labels.get(_HASH_LABEL)
    owners = metadata.get("ownerReferences") or ()
    owner: Raw = next((each for each in owners if each.get("controller")), {})
    if not (revision and template) or (owner.get("apiVersion"), owner.get("kind")) != (
        "apps/v1",
        "ReplicaSet",
    ):
        return False
    return str(owner.get("name", "")).endswith(f"-{revision}-{template}")
