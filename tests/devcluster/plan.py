"""What is decided about a cluster before anything of it exists: written first, so that `down` always finds it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from devcluster.addresses import Addresses
from devcluster.errors import DevclusterError
from devcluster.paths import NAME, cluster_directory, clusters_directory, write_atomically

PLAN_FILE = "plan.json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Ports on 127.0.0.1."""

    api: int
    etcd: int
    etcd_peer: int
    controller_manager: int
    scheduler: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPorts:
    """Ports of the gateway on 127.0.0.1."""

    web: int
    metrics: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StorePorts:
    """Ports of the object store; all but `s3` on 127.0.0.1."""

    s3: int
    s3_grpc: int
    master: int
    master_grpc: int
    volume: int
    volume_grpc: int
    filer: int
    filer_grpc: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One cluster: its name, numbers and wanted layers."""

    name: str
    kubernetes: str  # the release that its data belong to
    index: int
    ports: Ports
    node: bool
    audit: bool
    fake_nodes: int
    gateway: GatewayPorts | None = None

    @property
    def directory(self) -> Path:
        """Where all its files are."""
        return cluster_directory(self.name)

    @property
    def all_ports(self) -> tuple[int, ...]:
        """Every port on 127.0.0.1 that is the cluster's."""
        return tuple(
            port for ports in (self.ports, self.gateway) if ports for port in dataclasses.astuple(ports)
        )

    @property
    def addresses(self) -> Addresses:
        """Its networks."""
        return Addresses(self.index)

    @property
    def node_name(self) -> str:
        """The real node's name in the cluster."""
        return f"{self.name}-node"

    def save(self) -> None:
        """Write it where `load` finds it."""
        write_atomically(self.directory / PLAN_FILE, json.dumps(dataclasses.asdict(self), indent=2) + "\n")


def load(name: str) -> Plan | None:
    """The plan of a cluster, or None when there is none. Raises DevclusterError when it cannot be read."""
    path = cluster_directory(name) / PLAN_FILE
    try:
        fields = json.loads(path.read_text())
        gateway = fields.get("gateway")
        return Plan(
            **{
                **fields,
                "ports": Ports(**fields["ports"]),
                "gateway": GatewayPorts(**gateway) if gateway else None,
            }
        )
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        remedy = f"Remove the cluster: down --name {name} --wipe"
        raise DevclusterError(f"{path} is not a plan of this version ({error})", remedy) from error


def names() -> list[str]:
    """All clusters that have a directory, whatever their state."""
    parent = clusters_directory()
    if not parent.is_dir():
        return []
    return sorted(path.name for path in parent.iterdir() if path.is_dir() and NAME.fullmatch(path.name))
