"""What is decided about a cluster before anything of it exists: written first, so that `down` always finds it."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import socket
from collections.abc import Collection, Iterable
from pathlib import Path

from devcluster import commands
from devcluster.errors import DevclusterError
from devcluster.locks import locked
from devcluster.paths import cluster_directory, clusters_directory, write_atomically
from devcluster.progress import Say

PLAN_FILE = "plan.json"
# Each cluster owns a /14 of the private 10.0.0.0/8, from 10.128.0.0 up: room for 32 clusters.
FIRST_BLOCK = ipaddress.IPv4Network("10.128.0.0/14")
BLOCKS = 32

Network = ipaddress.IPv4Network


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Ports on 127.0.0.1."""

    api: int
    etcd: int
    etcd_peer: int
    controller_manager: int
    scheduler: int


@dataclasses.dataclass(frozen=True, slots=True)
class Addresses:
    """All addresses of a cluster follow from its index."""

    index: int

    @property
    def block(self) -> Network:
        """Everything below lies in here."""
        return Network((int(FIRST_BLOCK.network_address) + (self.index << 18), FIRST_BLOCK.prefixlen))

    @property
    def services(self) -> Network:
        """ClusterIPs: a /16, for tests with ten thousand Services."""
        return self._part(0, 16)

    @property
    def pods(self) -> Network:
        """Pods of the real node."""
        return self._part(1, 24)

    @property
    def fake_pods(self) -> Network:
        """Pods of kwok's nodes; nothing routes them."""
        return self._part(2, 16)

    @property
    def link(self) -> Network:
        """The two ends of the veth pair between the host and the node."""
        return self._part(3, 30)

    @property
    def host(self) -> str:
        """The host, as pods and the node see it; also the API server's advertised address."""
        return str(self.link[1])

    @property
    def node(self) -> str:
        """The real node."""
        return str(self.link[2])

    @property
    def api_service(self) -> str:
        """ClusterIP of the Service `kubernetes`, always the first."""
        return str(self.services[1])

    def _part(self, number: int, prefix: int) -> Network:
        return Network((int(self.block.network_address) + (number << 16), prefix))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One cluster: its name, numbers and wanted layers."""

    name: str
    index: int
    ports: Ports
    node: bool
    audit: bool
    fake_nodes: int

    @property
    def directory(self) -> Path:
        """Where all its files are."""
        return cluster_directory(self.name)

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
        return Plan(**{**fields, "ports": Ports(**fields["ports"])})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        remedy = f"Remove the cluster: down --name {name} --wipe"
        raise DevclusterError(f"{path} is not a plan of this version ({error})", remedy) from error


def names() -> list[str]:
    """All clusters that have a directory, whatever their state."""
    parent = clusters_directory()
    return sorted(path.name for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def reserve(name: str, *, audit: bool, say: Say) -> Plan:
    """The plan of `name`, made now with a free index and free ports if the cluster is new."""
    with locked(clusters_directory() / ".lock", say=say, remove=True):
        existing = load(name)
        if existing:
            return existing
        others = _others(name)
        plan = Plan(
            name=name,
            index=free_index({plan.index for plan in others}, host_networks()),
            ports=free_ports({port for plan in others for port in dataclasses.astuple(plan.ports)}),
            node=False,
            audit=audit,
            fake_nodes=0,
        )
        plan.save()
        return plan


def with_new_ports(plan: Plan, say: Say) -> Plan:
    """The same cluster on other ports, for when a stranger took one while the cluster was down."""
    with locked(clusters_directory() / ".lock", say=say, remove=True):
        taken = {port for other in _others(plan.name) for port in dataclasses.astuple(other.ports)}
        moved = dataclasses.replace(plan, ports=free_ports(taken))
        moved.save()
        return moved


def free_index(taken: Collection[int], networks: Iterable[Network]) -> int:
    """The lowest index that no cluster holds and whose block overlaps none of the host's `networks`."""
    occupied = [network for network in networks if network.prefixlen > 0]
    for index in range(BLOCKS):
        if index not in taken and not any(Addresses(index).block.overlaps(network) for network in occupied):
            return index
    raise DevclusterError(
        "no free address block is left in 10.128.0.0/9", "Take a cluster down, or a route away"
    )


def free_ports(taken: Collection[int]) -> Ports:
    """Ports that the kernel says are free and no stopped cluster counts on."""
    wanted = [field.name for field in dataclasses.fields(Ports)]
    sockets: list[socket.socket] = []
    found: list[int] = []
    try:  # All are held until the last is found, or the kernel might name one twice.
        while len(found) < len(wanted):
            sockets.append(socket.socket())
            sockets[-1].bind(("127.0.0.1", 0))
            port = int(sockets[-1].getsockname()[1])
            if port not in taken:
                found.append(port)
    finally:
        for each in sockets:
            each.close()
    return Ports(**dict(zip(wanted, found, strict=True)))


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _others(name: str) -> list[Plan]:
    plans = []
    for other in names():
        try:
            plan = load(other) if other != name else None
        except DevclusterError:  # Someone's broken state must not keep others from working.
            continue
        if plan:
            plans.append(plan)
    return plans


def host_networks() -> list[Network]:
    """Destinations of the host's routes: other users' clusters, company networks, container bridges."""
    if commands.which("ip") is None:
        return []
    routes = json.loads(commands.run(["ip", "-j", "-4", "route", "show"]) or "[]")
    return [Network(route["dst"]) for route in routes if route.get("dst", "default") != "default"]
