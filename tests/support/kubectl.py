"""kubectl, as a user types it; objects are read from the API server directly."""

import json
import os
import subprocess
from typing import Any

from devcluster import Cluster
from support.api_server import reader

TIMEOUT_SECONDS = 120
BRIEF = {"GOGC": "off", "GOMEMLIMIT": "256MiB"}
"""For Go: a process that ends within a second need not collect garbage, which took a quarter of its time."""


class KubectlError(AssertionError):
    """kubectl refused; the text is what the user would see."""


class Kubectl:
    """kubectl on one cluster, in one namespace."""

    def __init__(self, cluster: Cluster, namespace: str = "default") -> None:
        """Use the administrator's credentials of `cluster`."""
        self.namespace = namespace
        self._cluster = cluster
        self._argv = [
            str(cluster.binaries / "kubectl"),
            f"--kubeconfig={cluster.kubeconfig}",
            f"--namespace={namespace}",
        ]

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl prints. Raises KubectlError."""
        done = self.run(*arguments, stdin=stdin)
        if done.returncode:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def run(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """The finished kubectl, whatever its exit code."""
        return subprocess.run(
            [*self._argv, *arguments],
            input=stdin,
            text=True,
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            env=os.environ | BRIEF,
            check=False,
        )

    def apply(self, *manifests: dict[str, Any]) -> str:
        """Apply objects, as `kubectl apply -f` does."""
        return self(
            "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
        )

    def patch(self, kind: str, name: str, change: Any) -> str:
        """Change an object by merge patch, or by JSON patch when `change` is a list."""
        form = "json" if isinstance(change, list) else "merge"
        return self("patch", kind, name, f"--type={form}", "-p", json.dumps(change))

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """The object, or None when there is none."""
        return reader(self._cluster).get(kind, self.namespace, name)

    def all(self, kind: str, labels: str = "") -> list[dict[str, Any]]:
        """The objects of a kind in the namespace."""
        return reader(self._cluster).list(kind, self.namespace, labels)
