"""etcd, API server, controller manager and scheduler as processes of the calling user on 127.0.0.1."""

from __future__ import annotations

import json
import ssl
import time
from pathlib import Path

import httpx

from devcluster import kubectl, limits, processes
from devcluster.errors import DevclusterError
from devcluster.plan import Plan
from devcluster.processes import Component
from devcluster.progress import Say

# Client-side limit of requests per second of the controller manager and the scheduler. Their defaults (20 and 50)
# would make a test with a thousand objects wait for the client and not for the cluster.
QPS = 1000
# Unlike 2 GiB, the default, this holds ten thousand objects of each kind with their history.
ETCD_QUOTA_BYTES = 8 * 2**30
AUDIT_LOG_MEGABYTES = 200
# The garbage collector took a seventh of the API server's processor time. Without a limit one came to 1.2 GiB in a lane:
# near the limit Go collects as often as it must. Ten thousand objects of each kind fit below it.
RUNTIME = {"GOGC": "400", "GOMEMLIMIT": "1536MiB"}
SMALL_RUNTIME = {"GOGC": "400", "GOMEMLIMIT": "1GiB"}


def start(plan: Plan, binaries: Path, say: Say) -> None:
    """Bring up what does not run. Raises DevclusterError with the log to read when a part does not start."""
    if not processes.main_process(plan.directory, "kube-scheduler", "kube-scheduler"):  # the last to start
        limits.require_inotify(limits.CONTROL_PLANE_INSTANCES)
    ca = ssl.create_default_context(cafile=plan.directory / "pki" / "ca.crt")
    _start_one(plan, _etcd(plan, binaries), f"http://127.0.0.1:{plan.ports.etcd}/health", ca)
    say("etcd is healthy")
    _start_one(plan, _api_server(plan, binaries), f"{api_url(plan)}/readyz", ca)
    say("API server is ready")
    _start_one(
        plan,
        _controller_manager(plan, binaries),
        f"https://127.0.0.1:{plan.ports.controller_manager}/healthz",
        ca,
    )
    _start_one(plan, _scheduler(plan, binaries), f"https://127.0.0.1:{plan.ports.scheduler}/healthz", ca)
    _wait_for_default_service_account(plan.directory, binaries)
    say("controller manager and scheduler are healthy")


def api_url(plan: Plan) -> str:
    """Address of the API server on the host."""
    return f"https://127.0.0.1:{plan.ports.api}"


def node_api_url(plan: Plan) -> str:
    """Address of the API server as the node and the pods reach it, through a forwarder."""
    return f"https://{plan.addresses.host}:{plan.ports.api}"


def audit_log(directory: Path) -> Path:
    """One JSON object per line and request."""
    return directory / "logs" / "audit.log"


def component_programs() -> dict[str, str]:
    """Names and programs of the components, in the order in which they start."""
    names = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
    return {name: name for name in names}


def _start_one(plan: Plan, component: Component, url: str, ca: ssl.SSLContext) -> None:
    processes.start(plan.directory, component)
    processes.wait_until_ready(plan.directory, component, lambda: answers(url, ca))


def answers(url: str, ca: ssl.SSLContext | None = None) -> bool:
    """Whether a GET is answered with 200 OK. `ca` is needed for https."""
    try:
        return httpx.get(url, verify=ca or False, trust_env=False, timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _wait_for_default_service_account(directory: Path, binaries: Path) -> None:
    """Without it no pod can be created in the namespace `default`."""
    deadline = time.monotonic() + 60
    while not kubectl.succeeds(directory, binaries, "get", "serviceaccount", "default", "-n", "default"):
        if time.monotonic() > deadline:
            log = processes.log_path(directory, "kube-controller-manager")
            raise DevclusterError("the controllers made no default ServiceAccount in 60 s", f"See {log}")
        time.sleep(0.05)


def _etcd(plan: Plan, binaries: Path) -> Component:
    client, peer = (f"http://127.0.0.1:{port}" for port in (plan.ports.etcd, plan.ports.etcd_peer))
    flags = [
        f"--name={plan.name}",
        f"--data-dir={plan.directory / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster={plan.name}={peer}",
        f"--quota-backend-bytes={ETCD_QUOTA_BYTES}",
        "--log-level=warn",
        "--unsafe-no-fsync",  # a crash of the machine may cost the data, which a test cluster can bear
    ]
    return Component(
        name="etcd", program="etcd", argv=[str(binaries / "etcd"), *flags], environment=SMALL_RUNTIME
    )


def _api_server(plan: Plan, binaries: Path) -> Component:
    pki = plan.directory / "pki"
    flags = [
        f"--etcd-servers=http://127.0.0.1:{plan.ports.etcd}",
        "--bind-address=127.0.0.1",
        f"--secure-port={plan.ports.api}",
        # Loopback cannot be advertised. This address exists once there is a real node, and nobody asks before.
        f"--advertise-address={plan.addresses.host}",
        f"--service-cluster-ip-range={plan.addresses.services}",
        "--allow-privileged=true",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--client-ca-file={pki}/ca.crt",
        f"--kubelet-client-certificate={pki}/kubelet-client.crt",
        f"--kubelet-client-key={pki}/kubelet-client.key",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",  # PodSecurity and ValidatingAdmissionPolicy are on by default
        "--anonymous-auth=true",  # or the readiness probe is refused
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki}/service-accounts.pub",
        f"--service-account-signing-key-file={pki}/service-accounts.key",
        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={pki}/front-proxy.crt",
        f"--proxy-client-key-file={pki}/front-proxy.key",
        "--enable-aggregator-routing=true",
        "--event-ttl=1h",
        "--profiling=false",
        *_audit_flags(plan),
    ]
    return Component(
        name="kube-apiserver",
        program="kube-apiserver",
        argv=[str(binaries / "kube-apiserver"), *flags],
        environment=RUNTIME,
    )


def _audit_flags(plan: Plan) -> list[str]:
    if not plan.audit:
        return []
    policy = plan.directory / "audit-policy.json"
    rules = {"omitStages": ["RequestReceived"], "rules": [{"level": "Metadata"}]}
    policy.write_text(json.dumps({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", **rules}))
    return [
        f"--audit-policy-file={policy}",
        f"--audit-log-path={audit_log(plan.directory)}",
        "--audit-log-format=json",
        f"--audit-log-maxsize={AUDIT_LOG_MEGABYTES}",
        "--audit-log-maxbackup=2",
    ]


def _controller_manager(plan: Plan, binaries: Path) -> Component:
    pki = plan.directory / "pki"
    flags = [
        *_identity(plan, "controller-manager"),
        f"--secure-port={plan.ports.controller_manager}",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={pki}/service-accounts.key",
        f"--root-ca-file={pki}/ca.crt",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        f"--cluster-cidr={plan.addresses.pods}",
        "--allocate-node-cidrs=false",
        f"--service-cluster-ip-range={plan.addresses.services}",
        f"--kube-api-qps={QPS}",
        f"--kube-api-burst={2 * QPS}",
        "--concurrent-deployment-syncs=20",
        "--concurrent-replicaset-syncs=20",
        "--concurrent-gc-syncs=20",
        "--concurrent-endpoint-syncs=10",
        "--concurrent-service-endpoint-syncs=10",
    ]
    name = "kube-controller-manager"
    return Component(
        name=name,
        program=name,
        argv=[str(binaries / name), f"--kubeconfig={_kubeconfig(plan, 'controller-manager')}", *flags],
        environment=SMALL_RUNTIME,
    )


def _scheduler(plan: Plan, binaries: Path) -> Component:
    connection = {"kubeconfig": str(_kubeconfig(plan, "scheduler")), "qps": QPS, "burst": 2 * QPS}
    config = plan.directory / "scheduler.json"
    config.write_text(
        json.dumps(
            {
                "apiVersion": "kubescheduler.config.k8s.io/v1",
                "kind": "KubeSchedulerConfiguration",
                "leaderElection": {"leaderElect": False},
                "clientConnection": connection,
            }
        )
    )
    name = "kube-scheduler"
    flags = [f"--config={config}", *_identity(plan, "scheduler"), f"--secure-port={plan.ports.scheduler}"]
    return Component(name=name, program=name, argv=[str(binaries / name), *flags], environment=SMALL_RUNTIME)


def _identity(plan: Plan, name: str) -> list[str]:
    """How a component serves on loopback and asks the API server who may ask it."""
    pki = plan.directory / "pki"
    kubeconfig = _kubeconfig(plan, name)
    return [
        "--bind-address=127.0.0.1",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
        f"--tls-cert-file={pki}/{name}.crt",
        f"--tls-private-key-file={pki}/{name}.key",
    ]


def _kubeconfig(plan: Plan, name: str) -> Path:
    return plan.directory / "credentials" / f"{name}.kubeconfig"
