"""Fake nodes: kwok makes every pod that lands on them Running and Ready, without running anything."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from devcluster import kubectl, processes
from devcluster.binaries import STAGES_FILE
from devcluster.plan import Plan
from devcluster.processes import Component
from devcluster.progress import Say

ANNOTATION = "kwok.x-k8s.io/node"
TAINT = {"key": ANNOTATION, "value": "fake", "effect": "NoSchedule"}
# Room for any load test; GPUs, so that pods which ask for one find a place.
CAPACITY = {"cpu": "512", "memory": "2Ti", "pods": "5000", "nvidia.com/gpu": "64"}
GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def start(plan: Plan, binaries: Path, say: Say) -> None:
    """Run kwok and at least `plan.fake_nodes` nodes; more that are there already stay."""
    component = Component(name="kwok", program="kwok", argv=_argv(plan, binaries))
    processes.start(plan.directory, component)
    nodes = [node_manifest(f"kwok-{number}", tainted=plan.node) for number in range(plan.fake_nodes)]
    kubectl.apply(plan.directory, binaries, *nodes)
    kubectl.run(
        plan.directory, binaries, "wait", "--for=condition=Ready", "node", "-l", "type=kwok", "--timeout=60s"
    )
    say(f"{plan.fake_nodes} fake nodes are Ready{' (tainted)' if plan.node else ''}")


def node_manifest(name: str, *, tainted: bool) -> dict[str, Any]:
    """A fake Node. Tainted beside a real node, so that ordinary pods land where they really run."""
    labels = {
        "type": "kwok",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": GO_ARCHITECTURES.get(platform.machine(), platform.machine()),
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {ANNOTATION: "fake"}},
        "spec": {"taints": [TAINT] if tainted else []},
        "status": {"allocatable": CAPACITY, "capacity": CAPACITY},
    }


def _argv(plan: Plan, binaries: Path) -> list[str]:
    return [
        str(binaries / "kwok"),
        f"--kubeconfig={plan.directory / 'kubeconfig'}",
        f"--config={binaries / STAGES_FILE}",
        f"--manage-nodes-with-annotation-selector={ANNOTATION}=fake",
        f"--cidr={plan.addresses.fake_pods}",
        f"--node-ip={plan.addresses.fake_pods[-2]}",
        "--node-lease-duration-seconds=40",
    ]
