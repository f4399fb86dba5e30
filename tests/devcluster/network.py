"""The node's network: a namespace of its own, joined to the host by one veth pair.

    host  mw-<name> 10.x.0.1 ----- eth0 10.x.0.2  namespace mw-<name>  cni0 ----- pods
          routes: pods and ClusterIPs via 10.x.0.2      kube-proxy's rules

The host gets one link and two routes, which vanish with the link; its rules and sysctls stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from devcluster import commands
from devcluster.errors import DevclusterError
from devcluster.plan import Plan
from devcluster.reservation import host_networks

NAMESPACES = Path("/run/netns")
FORWARD = "net/ipv4/ip_forward"
SYSCTLS = {
    FORWARD: "1",
    "net/ipv4/conf/all/route_localnet": "1",  # kube-proxy serves NodePorts on the node's loopback
    "net/bridge/bridge-nf-call-iptables": "1",  # ClusterIPs between pods of one bridge
}


def interface(name: str) -> str:
    """The host's end of the pair; the namespace is named alike."""
    return f"mw-{name}"


def namespace(name: str) -> Path:
    """The file by which nsenter finds the namespace.

    `ip netns exec` will not do: it remounts /sys, and the node would see no cgroups.
    """
    return NAMESPACES / interface(name)


def create(plan: Plan) -> None:
    """Make what is missing of namespace, pair, addresses, routes and sysctls."""
    link, addresses = interface(plan.name), plan.addresses
    _refuse_foreign(plan)
    if not namespace(plan.name).exists():
        commands.run(commands.privileged(["ip", "netns", "add", link]))
    if _link(link) is None:
        commands.run(
            commands.privileged(
                ["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", link]
            )
        )
    prefix = addresses.link.prefixlen
    _batch(
        [],
        f"link set {link} alias {plan.directory}",
        f"link set {link} up",
        f"addr replace {addresses.host}/{prefix} dev {link}",
    )
    _batch(
        ["-n", link],
        "link set lo up",
        "link set eth0 up",
        f"addr replace {addresses.node}/{prefix} dev eth0",
        f"route replace default via {addresses.host}",
    )
    _batch(
        [],
        *(
            f"route replace {cidr} via {addresses.node} dev {link}"
            for cidr in (addresses.pods, addresses.services)
        ),
    )
    _write_sysctls(plan.name)


def remove(directory: Path, name: str) -> None:
    """Delete link and namespace if they are this cluster's."""
    link = interface(name)
    found = _link(link)
    # A crash between two steps of `create` can leave a link without the alias, or a namespace without a link.
    ours = directory.is_dir() if found is None else _owner(found, default=str(directory)) == str(directory)
    if not ours:
        return
    if found is not None:
        commands.run(commands.privileged(["ip", "link", "delete", link]))
    if namespace(name).exists():
        commands.run(commands.privileged(["ip", "netns", "delete", link]))
    _remove_empty_mount()


def _refuse_foreign(plan: Plan) -> None:
    """Another user may have a cluster of the same name, or one in the same address block."""
    link = _link(interface(plan.name))
    if link is not None and _owner(link, default=str(plan.directory)) != str(plan.directory):
        raise DevclusterError(f"{interface(plan.name)} belongs to {link['ifalias']}", "Take another --name")
    if link is None and any(
        plan.addresses.block.overlaps(other) for other in host_networks() if other.prefixlen
    ):
        remedy = f"Make it anew: down --name {plan.name} --wipe, then up"
        raise DevclusterError(f"the addresses {plan.addresses.block} are in use by now", remedy)


def _owner(link: dict[str, str], *, default: str) -> str:
    """The directory of the cluster that a link belongs to."""
    return link.get("ifalias", default)


def _link(name: str) -> dict[str, str] | None:
    found = commands.attempt(["ip", "-j", "link", "show", "dev", name])
    links: list[dict[str, str]] = json.loads(found.stdout or "[]") if found.returncode == 0 else []
    return links[0] if links else None


def _batch(options: Sequence[str], *lines: str) -> None:
    """Several changes by one `ip`."""
    commands.run(commands.privileged(["ip", *options, "-batch", "-"]), stdin="\n".join(lines) + "\n")


def _write_sysctls(name: str) -> None:
    """/proc/sys/net shows the writer's own namespace, so the writer must be inside."""
    inside = ["nsenter", f"--net={namespace(name)}"]
    if not Path("/proc/sys/net/bridge").is_dir():
        commands.run(commands.privileged(["modprobe", "br_netfilter"]))
    for path, value in SYSCTLS.items():
        commands.run(commands.privileged([*inside, "tee", f"/proc/sys/{path}"]), stdin=value)


def _remove_empty_mount() -> None:
    """The first `ip netns add` mounts /run/netns on itself; after the last namespace that is only litter."""
    mounts = Path("/proc/mounts").read_text()
    if f" {NAMESPACES} " in mounts and not any(NAMESPACES.iterdir()):
        commands.attempt(commands.privileged(["umount", str(NAMESPACES)]))
        commands.attempt(commands.privileged(["rmdir", str(NAMESPACES)]))
