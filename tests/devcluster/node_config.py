"""Configuration files of the node's programs, as text. All paths are those inside the node (see node.py)."""

from __future__ import annotations

import json
from typing import Any

from devcluster.plan import Plan

HOME = "/mnt"  # the cluster's directory inside the node
BINARIES = f"{HOME}/node/bin"
CONTAINERD_BINARIES = f"{HOME}/node/containerd-bin"
CNI_BINARIES = f"{HOME}/node/cni-bin"
SOCKET = "/run/containerd/containerd.sock"


def containerd(pause_image: str) -> str:
    """For containerd 1.6 and 1.7 (format 2)."""
    plugin = "[plugins.'io.containerd.grpc.v1.cri'"
    return f"""\
version = 2
root = '{HOME}/node/containerd'
state = '/run/containerd'
oom_score = 0
disabled_plugins = [
  'io.containerd.snapshotter.v1.btrfs',
  'io.containerd.snapshotter.v1.zfs',
  'io.containerd.snapshotter.v1.devmapper',
]
[grpc]
  address = '{SOCKET}'
{plugin}]
  sandbox_image = '{pause_image}'
  # Containers on machines without CAP_SYS_RESOURCE cannot lower an OOM score.
  restrict_oom_score_adj = true
{plugin}.cni]
  bin_dir = '{CNI_BINARIES}'
  conf_dir = '{HOME}/node/cni'
{plugin}.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
"""


def cni(plan: Plan) -> str:
    """One bridge for the node's pods. No masquerading: the host has a route to them."""
    ipam = {
        "type": "host-local",
        "dataDir": f"{HOME}/node/ipam",
        "ranges": [[{"subnet": str(plan.addresses.pods)}]],
    }
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "isDefaultGateway": True,
        "ipMasq": False,
        "hairpinMode": True,  # a pod may reach itself by its Service
        "ipam": ipam,
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return _json({"cniVersion": "1.0.0", "name": "modelward", "plugins": [bridge, portmap]})


def kubelet(plan: Plan, cgroup: str) -> str:
    """A node on a developer's machine: no swap check, no eviction before the disk is nearly full."""
    return _json(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": f"{HOME}/pki/ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": f"{HOME}/pki/kubelet.crt",
            "tlsPrivateKeyFile": f"{HOME}/pki/kubelet.key",
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{cgroup}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "enforceNodeAllocatable": [],
            "nodeStatusUpdateFrequency": "5s",
            "evictionHard": {
                "memory.available": "200Mi",
                "nodefs.available": "1%",
                "imagefs.available": "1%",
            },
            # Images are imported, never pulled: what the collector removes would not come back.
            "imageGCHighThresholdPercent": 100,
            "imageMaximumGCAge": "0s",
            "resolvConf": "/dev/null",
            "volumePluginDir": "/var/lib/kubelet/volume-plugins",  # its default lies in /usr
            "maxPods": 110,
        }
    )


def kube_proxy(plan: Plan) -> str:
    """Rules for iptables in the node's own network namespace."""
    return _json(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clientConnection": {"kubeconfig": f"{HOME}/credentials/kube-proxy.kubeconfig"},
            "clusterCIDR": str(plan.addresses.pods),
            "hostnameOverride": plan.node_name,
            "bindAddress": plan.addresses.node,
            "nodePortAddresses": [f"{plan.addresses.node}/32"],
            "oomScoreAdj": 0,
            "conntrack": {"maxPerCore": 0},  # that limit is the host's
        }
    )


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1) + "\n"
