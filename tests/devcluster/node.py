"""The real node: containerd, kubelet and kube-proxy in namespaces of the cluster's own.

The network namespace has a name (network.py). The mount namespace is held by the process `anchor`; inside it the
cluster's directory is /mnt, and /var/lib, /var/log and /run belong to the node. So hard-wired paths such as
/var/lib/kubelet never touch the host, several nodes do not meet, and all mounts vanish with the last process.
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from devcluster import (
    cgroups,
    commands,
    control_plane,
    kubectl,
    limits,
    network,
    node_config,
    processes,
    system_packages,
)
from devcluster.errors import DevclusterError, PrerequisiteError
from devcluster.images import REFERENCES, ImageError, build_image
from devcluster.node_images import containerd_answers, import_image, inside
from devcluster.paths import write_atomically
from devcluster.plan import Plan
from devcluster.processes import Component
from devcluster.progress import Say
from devcluster.toolchain import find_go

PAUSE = Path(__file__).parent / "images/pause"
ANCHOR_SCRIPT = """\
set -e
mount --bind "$1" /mnt
mount --bind "$2" /mnt/node/bin
mount --bind "$3" /mnt/node/containerd-bin
mount --bind "$4" /mnt/node/cni-bin
mount --bind /mnt/node/var-lib /var/lib
mount --bind /mnt/node/var-log /var/log
mount -t tmpfs -o mode=755 tmpfs /run
exec sleep infinity
"""
KUBE_PROXY_HEALTH_PORT = 10256  # its default
DIRECTORIES = ("bin", "containerd-bin", "cni-bin", "cni", "var-lib", "var-log", "tmp")
# Names and programs, in the order in which they start.
PROGRAMS = {
    "anchor": "sleep",
    "api-forward": "socat",
    "containerd": "containerd",
    "kubelet": "kubelet",
    "kube-proxy": "kube-proxy",
}


def blocker() -> str | None:
    """Why this machine cannot have a real node, in a few words, or None."""
    if sys.platform != "linux":
        return f"{platform.system()} is not Linux"
    if not commands.can_be_root():
        return "it needs root, or sudo without a password"
    if not system_packages.can_provide():
        packages = " ".join([*system_packages.missing_packages(), "containerd"])
        return f"there is no apt-get to bring {packages}"
    return None


def component_programs() -> dict[str, str]:
    """Names and programs of the node's components."""
    return dict(PROGRAMS)


def start(plan: Plan, binaries: Path, say: Say) -> None:
    """Bring up what does not run of the node, until it is Ready."""
    system_packages.ensure(say)
    pause = _pause_image(say)
    directory = plan.directory
    if not _runs(directory, "anchor") or not _runs(directory, "containerd"):
        limits.require_inotify(limits.NODE_INSTANCES)
        stop(directory, plan.name, say)  # the others would hold on to namespaces that nobody else is in
    cgroups.create(directory)
    network.create(plan)
    _write_configuration(plan)
    anchor = _start_anchor(plan, binaries)
    _start_forwarder(plan)
    containerd = [f"{node_config.CONTAINERD_BINARIES}/containerd", "--config=/mnt/node/containerd.toml"]
    component = _start_inside(plan, anchor, "containerd", *containerd)
    processes.wait_until_ready(directory, component, lambda: containerd_answers(directory))
    say("containerd is up" if import_image(directory, pause) else "containerd is up, pause image imported")
    _start_inside(plan, anchor, "kubelet", f"{node_config.BINARIES}/kubelet", *_kubelet_flags(plan))
    _start_inside(
        plan, anchor, "kube-proxy", f"{node_config.BINARIES}/kube-proxy", "--config=/mnt/node/kube-proxy.json"
    )
    _wait_for_node(plan, binaries)
    say(f"node {plan.node_name} is Ready")


def stop(directory: Path, name: str, say: Say) -> None:
    """End the node and everything on it, whatever state it is in."""
    there = processes.stop(directory, "kubelet")  # first, or it would start its pods again
    cgroups.kill_pods(directory)
    for component in ("kube-proxy", "containerd", "api-forward", "anchor"):
        there = processes.stop(directory, component) or there
    network.remove(directory, name)
    cgroups.remove(directory)
    if there:
        say("node stopped")


def _pause_image(say: Say) -> Path:
    try:
        return build_image("pause", go=lambda: str(find_go(PAUSE, say)))
    except ImageError as error:
        raise PrerequisiteError(
            f"no image for the pods' sandboxes: {error}", "Or do without: up --no-node"
        ) from error


def _runs(directory: Path, name: str) -> bool:
    return processes.main_process(directory, name, PROGRAMS[name]) is not None


def _write_configuration(plan: Plan) -> None:
    files = {
        "containerd.toml": node_config.containerd(REFERENCES["pause"]),
        "cni/10-modelward.conflist": node_config.cni(plan),
        "kubelet.json": node_config.kubelet(plan, cgroups.group(plan.directory)),
        "kube-proxy.json": node_config.kube_proxy(plan),
    }
    for name in DIRECTORIES:
        (plan.directory / "node" / name).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_atomically(plan.directory / "node" / name, text)


def _start_anchor(plan: Plan, binaries: Path) -> int:
    """Pid of the process that holds the mount namespace, once everything is mounted."""
    cni = system_packages.cni_directory()
    if cni is None:
        raise DevclusterError("the CNI plugins are missing", f"Install {system_packages.CNI_PACKAGE}")
    sources = [plan.directory, binaries, system_packages.containerd_directory(), cni]
    component = Component(
        name="anchor",
        program=PROGRAMS["anchor"],
        as_root=True,
        argv=[
            "nsenter",
            f"--net={network.namespace(plan.name)}",
            "unshare",
            "--mount",
            "--propagation=slave",
            "sh",
            "-c",
            ANCHOR_SCRIPT,
            "anchor",
            *map(str, sources),
        ],
    )
    processes.start(plan.directory, component)
    processes.wait_until_ready(plan.directory, component, lambda: _runs(plan.directory, "anchor"))
    anchor = processes.main_process(plan.directory, "anchor", PROGRAMS["anchor"])
    if anchor is None:
        raise DevclusterError("the anchor ended", f"See {processes.log_path(plan.directory, 'anchor')}")
    return anchor.pid


def _start_forwarder(plan: Plan) -> None:
    """The API server listens on loopback only; node and pods reach it by the host's end of the link."""
    listen = f"TCP-LISTEN:{plan.ports.api},bind={plan.addresses.host},reuseaddr,fork"
    forwarder = Component(
        name="api-forward",
        program=PROGRAMS["api-forward"],
        argv=["socat", listen, f"TCP:127.0.0.1:{plan.ports.api}"],
    )
    processes.start(plan.directory, forwarder)


def _start_inside(plan: Plan, anchor: int, name: str, *argv: str) -> Component:
    path = f"{node_config.CONTAINERD_BINARIES}:{node_config.BINARIES}:{commands.SYSTEM_PATH}"
    component = Component(
        name=name,
        program=PROGRAMS[name],
        as_root=True,
        environment={"PATH": path, "TMPDIR": f"{node_config.HOME}/node/tmp"},
        argv=[*inside(anchor), *argv],
    )
    processes.start(plan.directory, component)
    return component


def _kubelet_flags(plan: Plan) -> list[str]:
    return [
        "--config=/mnt/node/kubelet.json",
        "--kubeconfig=/mnt/credentials/kubelet.kubeconfig",
        f"--hostname-override={plan.node_name}",
        f"--node-ip={plan.addresses.node}",
        "--node-labels=type=real",
        "--v=2",
    ]


def _wait_for_node(plan: Plan, binaries: Path) -> None:
    """Ready, and really there: after a restart the API still shows what it knew before."""
    kubelet = Component(name="kubelet", program=PROGRAMS["kubelet"], argv=[])
    proxy = Component(name="kube-proxy", program=PROGRAMS["kube-proxy"], argv=[])
    path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    condition = ["get", "node", plan.node_name, "-o", path]
    health = ["get", "--raw", f"/api/v1/nodes/{plan.node_name}/proxy/healthz"]

    def ready() -> bool:
        said = kubectl.attempt(plan.directory, binaries, *condition).stdout
        return said == "True" and kubectl.succeeds(plan.directory, binaries, *health)

    processes.wait_until_ready(plan.directory, kubelet, ready)
    url = f"http://{plan.addresses.node}:{KUBE_PROXY_HEALTH_PORT}/healthz"
    processes.wait_until_ready(plan.directory, proxy, lambda: control_plane.answers(url))
