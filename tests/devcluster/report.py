"""What `status` shows."""

from __future__ import annotations

import dataclasses
from typing import Any

from devcluster import control_plane, gateway, node, processes
from devcluster.plan import Plan


@dataclasses.dataclass(frozen=True, slots=True)
class Status:
    """A cluster's parts and whether they run."""

    plan: Plan
    pids: dict[str, int | None]

    @property
    def ready(self) -> bool:
        """Whether every part that should run does."""
        return all(self.pids.values())

    def as_json(self) -> dict[str, Any]:
        """The same for programs; keys are stable."""
        return {
            "name": self.plan.name,
            "ready": self.ready,
            "kubernetes": self.plan.kubernetes,
            "directory": str(self.plan.directory),
            "kubeconfig": str(self.plan.directory / "kubeconfig"),
            "apiURL": control_plane.api_url(self.plan),
            "node": self.plan.node_name if self.plan.node else None,
            "fakeNodes": self.plan.fake_nodes,
            "gatewayURL": gateway.address(self.plan.gateway).url if self.plan.gateway else None,
            "serviceCIDR": str(self.plan.addresses.services),
            "podCIDR": str(self.plan.addresses.pods),
            "components": {name: {"pid": pid, "running": pid is not None} for name, pid in self.pids.items()},
        }

    def as_text(self) -> str:
        """A line per part."""
        state = "ready" if self.ready else "not ready"
        url = control_plane.api_url(self.plan)
        head = f"{self.plan.name}: {state}, Kubernetes {self.plan.kubernetes}, {url}"
        lines = [f"  {name:24} {f'pid {pid}' if pid else 'does not run'}" for name, pid in self.pids.items()]
        return "\n".join([head, *lines])


def status(plan: Plan) -> Status:
    """Check the processes of a cluster."""
    found = {}
    for name, program in _expected(plan).items():
        process = processes.main_process(plan.directory, name, program)
        found[name] = process.pid if process else None
    return Status(plan, found)


def _expected(plan: Plan) -> dict[str, str]:
    expected = control_plane.component_programs()
    if plan.node:
        expected |= node.component_programs()
    if plan.fake_nodes:
        expected |= {"kwok": "kwok"}
    if plan.gateway:
        expected |= {"traefik": "traefik"}
    return expected
