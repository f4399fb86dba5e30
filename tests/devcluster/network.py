"""The node's network: a namespace of its own, joined to the host by one veth pair.

    host  mw-<name> 10.x.0.1 ----- eth0 10.x.0.2  namespace mw-<name>  cni0 ----- pods
          routes: pods and ClusterIPs via 10.x.0.2      kube-proxy's rules

The host gets one link and two routes, which vanish with the link; its rules and sysctls stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from devcluster import commands
from devcluster.errors import DevclusterError
from devcluster.plan import Plan
from devcluster.reservation import host_networks

NAMESPACES = Path("/run/netns")
INTERFACES = Path("/sys/class/net")
SYSCTLS = {
    "net/ipv4/ip_forward": "1",
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
    if not (INTERFACES / link).exists():
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
    there = (INTERFACES / link).exists()
    # A crash in the midst of `create` can leave a link without its owner's name, or a namespace without a link.
    ours = _owner(link) in ("", str(directory)) if there else directory.is_dir()
    if not ours:
        return
    if there:
        commands.run(commands.privileged(["ip", "link", "delete", link]))
    if namespace(name).exists():
        commands.run(commands.privileged(["ip", "netns", "delete", link]))
    _remove_empty_mount()


def _refuse_foreign(plan: Plan) -> None:
    """Another user may have a cluster of the same name, or one in the same address block."""
    link = interface(plan.name)
    if (INTERFACES / link).exists():
        if _owner(link) not in ("", str(plan.directory)):
            raise DevclusterError(f"{link} belongs to {_owner(link)}", "Take another --name")
        return
    if any(plan.addresses.block.overlaps(other) for other in host_networks() if other.prefixlen):
        remedy = f"Make it anew: down --name {plan.name} --wipe, then up"
        raise DevclusterError(f"the addresses {plan.addresses.block} are in use by now", remedy)


def _owner(link: str) -> str:
    """The directory of the cluster that a link belongs to, which is its alias; empty when it has none."""
    try:
        return (INTERFACES / link / "ifalias").read_text().strip()
    except FileNotFoundError:
        return ""


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
