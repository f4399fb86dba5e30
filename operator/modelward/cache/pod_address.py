"""The address at which a pod may be asked for its metrics.

A pod's labels and owner are what somebody wrote, its address is the kubelet's. So a pod must belong to a ReplicaSet
of our Deployment, by the name that Kubernetes gives it, and have an address of its own: whoever can make pods in
a namespace could otherwise have the operator ask a port of a node, or of the machine that it runs on.
"""

import ipaddress
from typing import Final

from modelward.api import names
from modelward.api.objects import Raw

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_HASH_LABEL: Final = "pod-template-hash"
_METADATA: Final = frozenset(
    {"fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"}
)
"""Where clouds give machines their credentials, besides 169.254.169.254: AWS, Google, Alibaba, Azure, Oracle."""
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""The last 32 bits are an address of the old kind (RFC 6052)."""


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
    meant = _meant(found)
    special = meant.is_loopback or meant.is_link_local or meant.is_multicast or meant.is_unspecified
    return not special and str(meant) not in _METADATA and address != node


def _meant(address: Address) -> Address:
    """The address of the old kind that one of the new kind stands for, else itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


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
