"""What tests and the command line hold in hand: a cluster, and how to get one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from devcluster import control_plane, gateway, kubeconfig, kubectl, lifecycle, versions
from devcluster import plan as plans
from devcluster.binaries import binaries_directory
from devcluster.gateway import Gateway
from devcluster.node_images import import_image
from devcluster.paths import write_atomically
from devcluster.plan import Plan
from devcluster.progress import Say, silence, stopwatch


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster that has been brought up; `find` and `ensure_up` make these."""

    name: str
    kubernetes: str  # its release
    directory: Path
    kubeconfig: Path  # of the administrator
    api_url: str
    audit_log: Path  # JSON lines; absent when the cluster was brought up without
    has_node: bool
    node_name: str
    node_address: str  # reachable from the host, as are pod IPs and ClusterIPs
    host_address: str  # the host as pods see it: bind here what they shall reach
    pod_cidr: str
    service_cidr: str
    binaries: Path  # directory with kubectl and all other programs
    gateway: Gateway | None = None  # when it was asked for

    def kubectl(self, *arguments: str, stdin: str = "", timeout_seconds: float = 120) -> str:
        """What kubectl prints, run as administrator. Raises DevclusterError when it fails."""
        return kubectl.run(
            self.directory, self.binaries, *arguments, stdin=stdin, timeout_seconds=timeout_seconds
        )

    def kubeconfig_for(self, namespace: str, service_account: str, *, hours: int = 24) -> Path:
        """A kubeconfig that authenticates as an existing ServiceAccount by a token of limited life (TokenRequest)."""
        account = ["create", "token", service_account, f"--namespace={namespace}", f"--duration={hours}h"]
        token = self.kubectl(*account).strip()
        path = self.directory / "credentials" / f"{namespace}.{service_account}.kubeconfig"
        text = kubeconfig.render(self.api_url, self.directory / "pki", {"token": token}, namespace)
        write_atomically(path, text)
        return path

    def load_image(self, archive: Path) -> None:
        """Import an OCI archive into the real node; does nothing when it is there already."""
        import_image(self.directory, archive)

    def down(self, *, wipe: bool = True) -> None:
        """Stop it and, by default, remove its files."""
        lifecycle.down(self.name, wipe=wipe, say=silence)


def ensure_up(
    name: str,
    *,
    node: bool | None = None,
    kwok: int = 0,
    audit: bool = True,
    with_gateway: bool = False,
    say: Say | None = None,
) -> Cluster:
    """The cluster `name`, running, with at least the layers asked for.

    `node` None means: a real node if this machine allows one (then `Cluster.has_node` shows). Its Kubernetes is that of
    `versions.chosen`; a cluster of another is refused.
    """
    plan, binaries = lifecycle.up(
        name,
        real_node=node,
        fake_nodes=kwok,
        audit=audit,
        with_gateway=with_gateway,
        say=say or stopwatch(),
    )
    return _cluster(plan, binaries)


def find(name: str) -> Cluster | None:
    """The cluster `name` if it was ever brought up and not wiped, running or not."""
    plan = plans.load(name)
    return _cluster(plan, binaries_directory(versions.minor_of(plan.kubernetes))) if plan else None


def kubeconfig_for(cluster: Cluster, namespace: str, service_account: str, *, hours: int = 24) -> Path:
    """See `Cluster.kubeconfig_for`."""
    return cluster.kubeconfig_for(namespace, service_account, hours=hours)


def _cluster(plan: Plan, binaries: Path) -> Cluster:
    return Cluster(
        name=plan.name,
        kubernetes=plan.kubernetes,
        directory=plan.directory,
        kubeconfig=plan.directory / "kubeconfig",
        api_url=control_plane.api_url(plan),
        audit_log=control_plane.audit_log(plan.directory),
        has_node=plan.node,
        node_name=plan.node_name,
        node_address=plan.addresses.node,
        host_address=plan.addresses.host,
        pod_cidr=str(plan.addresses.pods),
        service_cidr=str(plan.addresses.services),
        binaries=binaries,
        gateway=gateway.address(plan.gateway) if plan.gateway else None,
    )
