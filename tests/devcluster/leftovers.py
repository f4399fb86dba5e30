"""What of a cluster that should be down is still on this machine."""

from __future__ import annotations

from pathlib import Path

from devcluster import cgroups, network, processes


def leftovers(directory: Path, name: str) -> list[str]:
    """Processes, links, namespaces, mounts and cgroups of the cluster, each in a few words."""
    places = [
        network.INTERFACES / network.interface(name),
        network.namespace(name),
        *cgroups.groups(directory),
    ]
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return [
        *(f"process {process.pid} ({process.component})" for process in processes.marked(directory)),
        *(str(place) for place in places if place.exists()),
        *(f"mount {mount}" for mount in mounts if Path(mount).is_relative_to(directory)),
    ]
