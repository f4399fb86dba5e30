"""Reserving what several clusters on one machine would otherwise fight for: an address block and ports."""

from __future__ import annotations

import dataclasses
import json
import socket
from collections.abc import Collection, Iterable
from typing import TypeVar

from devcluster import commands
from devcluster.addresses import BLOCKS, Addresses, Network
from devcluster.errors import DevclusterError
from devcluster.locks import locked
from devcluster.paths import clusters_directory
from devcluster.plan import GatewayPorts, Plan, Ports, StorePorts, load, names
from devcluster.progress import Say

P = TypeVar("P", Ports, GatewayPorts, StorePorts)


def reserve(name: str, kubernetes: str, *, audit: bool, say: Say) -> Plan:
    """The plan of `name`, made now with a free index and free ports if the cluster is new."""
    with locked(clusters_directory() / ".lock", say=say, remove=True):
        existing = load(name)
        if existing:
            require(existing, kubernetes)
            return existing
        others = _others(name)
        plan = Plan(
            name=name,
            kubernetes=kubernetes,
            index=free_index({plan.index for plan in others}, host_networks()),
            ports=free_ports(Ports, _ports(others)),
            node=False,
            audit=audit,
            fake_nodes=0,
        )
        plan.save()
        return plan


def require(plan: Plan, kubernetes: str) -> None:
    """Nothing if the cluster is of that release. Otherwise raises DevclusterError: a cluster never changes it."""
    if plan.kubernetes != kubernetes:
        raise DevclusterError(
            f"{plan.name} is a cluster of Kubernetes {plan.kubernetes}, but {kubernetes} is asked for",
            f"Take another name, or remove it: down --name {plan.name} --wipe",
        )


def with_new_ports(plan: Plan, say: Say) -> Plan:
    """The same cluster on other ports, for when a stranger took one while the cluster was down."""
    with locked(clusters_directory() / ".lock", say=say, remove=True):
        taken = _ports(_others(plan.name))
        ports = free_ports(Ports, taken)
        gateway = free_ports(GatewayPorts, {*taken, *dataclasses.astuple(ports)}) if plan.gateway else None
        moved = dataclasses.replace(plan, ports=ports, gateway=gateway)
        moved.save()
        return moved


def with_gateway(plan: Plan, say: Say) -> Plan:
    """The same cluster with ports for a gateway."""
    if plan.gateway:
        return plan
    with locked(clusters_directory() / ".lock", say=say, remove=True):
        taken = {*_ports(_others(plan.name)), *plan.all_ports}
        wider = dataclasses.replace(plan, gateway=free_ports(GatewayPorts, taken))
        wider.save()
        return wider


def free_index(taken: Collection[int], networks: Iterable[Network]) -> int:
    """The lowest index that no cluster holds and whose block overlaps none of the host's `networks`."""
    occupied = [network for network in networks if network.prefixlen > 0]
    for index in range(BLOCKS):
        if index not in taken and not any(Addresses(index).block.overlaps(network) for network in occupied):
            return index
    raise DevclusterError(
        "no free address block is left in 10.128.0.0/9", "Take a cluster down, or a route away"
    )


def free_ports(kind: type[P], taken: Collection[int]) -> P:
    """Ports that the kernel says are free and no stopped cluster counts on."""
    wanted = [field.name for field in dataclasses.fields(kind)]
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
    return kind(**dict(zip(wanted, found, strict=True)))


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _ports(plans: Iterable[Plan]) -> set[int]:
    return {port for plan in plans for port in plan.all_ports}


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
