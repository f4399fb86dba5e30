"""The operator asks pods of its own Deployments, at an address of their own, and nobody else."""

from typing import Any

import pytest

from modelward.api.names import REVISION_LABEL
from modelward.cache.pod_address import is_own_address, pod_address

OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "fraud-bcdfghjkl2-5d4f", "controller": True}
LABELS = {REVISION_LABEL: "bcdfghjkl2", "pod-template-hash": "5d4f"}


def _address(
    *,
    owner: dict[str, Any] | None = None,
    labels: dict[str, str] | None = None,
    spec: dict[str, Any] | None = None,
    ip: str = "10.0.0.7",
) -> str:
    metadata = {"labels": LABELS if labels is None else labels, "ownerReferences": [owner or OWNER]}
    return pod_address(
        {"metadata": metadata, "spec": spec or {}, "status": {"podIP": ip, "hostIP": "10.9.9.9"}}
    )


@pytest.mark.parametrize("ip", ["10.0.0.7", "fd00::7", "192.168.3.4", "100.64.0.9"])
def test_a_pod_of_ours_is_asked(ip: str) -> None:
    """At the address that the kubelet gave."""
    assert _address(ip=ip) == ip


@pytest.mark.parametrize(
    "ip",
    [
        pytest.param("", id="none yet"),
        pytest.param("10.9.9.9", id="its node's"),
        pytest.param("127.0.0.1", id="loopback"),
        pytest.param("::1", id="loopback, v6"),
        pytest.param("::ffff:127.0.0.1", id="loopback, mapped"),
        pytest.param("169.254.169.254", id="the cloud's metadata"),
        pytest.param("fe80::1", id="link-local, v6"),
        pytest.param("fe80::1%eth0", id="link-local, with a zone"),
        pytest.param("::ffff:169.254.169.254", id="the cloud's metadata, mapped"),
        pytest.param("64:ff9b::a9fe:a9fe", id="the cloud's metadata, by NAT64"),
        pytest.param("2002:a9fe:a9fe::1", id="the cloud's metadata, by 6to4"),
        pytest.param("fd00:ec2::254", id="AWS' metadata, v6"),
        pytest.param("fd20:ce::254", id="Google's metadata, v6"),
        pytest.param("100.100.100.200", id="Alibaba's metadata"),
        pytest.param("168.63.129.16", id="Azure's agent"),
        pytest.param("192.0.0.192", id="Oracle's metadata"),
        pytest.param("224.0.0.1", id="multicast"),
        pytest.param("0.0.0.0", id="unspecified"),  # noqa: S104 - no address to listen at
        pytest.param("metadata.internal", id="a name"),
        pytest.param("10.0.0.7/x", id="more than an address"),
    ],
)
def test_other_addresses_are_nobodys(ip: str) -> None:
    """Nothing is asked there."""
    assert _address(ip=ip) == ""


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"spec": {"hostNetwork": True}}, id="in the network of its node"),
        pytest.param({"owner": {**OWNER, "controller": False}}, id="owned, not controlled"),
        pytest.param({"owner": {**OWNER, "kind": "StatefulSet"}}, id="of another kind"),
        pytest.param({"owner": {**OWNER, "apiVersion": "apps.evil/v1"}}, id="of another group"),
        pytest.param({"owner": {**OWNER, "name": "fraud-bcdfghjkl2-5d4e"}}, id="of another template"),
        pytest.param({"owner": {**OWNER, "name": "other-5d4f"}}, id="of another Deployment"),
        pytest.param({"labels": {"pod-template-hash": "5d4f"}}, id="of no revision"),
        pytest.param({"labels": {REVISION_LABEL: "bcdfghjkl2"}}, id="of no template"),
    ],
)
def test_pods_of_others_are_not_asked(change: dict[str, Any]) -> None:
    """Whatever labels they carry."""
    assert _address(**change) == ""


def test_an_address_without_a_node() -> None:
    """A pod whose node is not reported has an address of its own all the same."""
    assert is_own_address("10.0.0.7", "")
