"""kubectl on the cluster of the demonstration, whichever that is."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from demo.errors import DemoError

Manifest = dict[str, Any]

TIMEOUT_SECONDS = 180
READY_IN_SECONDS = 15


@dataclasses.dataclass(frozen=True, slots=True)
class Kubectl:
    """The program, and what it finds in the variable KUBECONFIG (which may name several files)."""

    program: Path
    kubeconfig: str

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl prints. Raises DemoError with its last words."""
        done = self.attempt(*arguments, stdin=stdin)
        if done.returncode:
            words = done.stderr.strip().splitlines() or ["it said nothing"]
            raise DemoError(f"`kubectl {' '.join(arguments)[:120]}` failed: {words[-1]}")
        return done.stdout

    def attempt(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """The finished kubectl, whatever its exit code. Raises DemoError when it does not end."""
        argv = [str(self.program), *arguments]
        try:
            return subprocess.run(
                argv,
                input=stdin,
                env=self.environment(),
                text=True,
                capture_output=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DemoError(f"`kubectl {' '.join(arguments)[:120]}` did not end") from error

    def environment(self) -> dict[str, str]:
        """The environment in which kubectl finds this cluster."""
        return {**os.environ, "KUBECONFIG": self.kubeconfig}

    def get(self, kind: str, name: str, namespace: str = "") -> Manifest | None:
        """The object, or None; None also when the cluster does not know the kind."""
        found = self.attempt("get", kind, name, *_in(namespace), "--ignore-not-found", "-o", "json")
        if found.returncode and "the server doesn't have a resource type" not in found.stderr:
            words = found.stderr.strip().splitlines() or ["it said nothing"]
            raise DemoError(f"`kubectl get {kind} {name}` failed: {words[-1]}")
        answer: Manifest | None = json.loads(found.stdout) if found.stdout.strip() else None
        return answer

    def all(self, kind: str) -> list[Manifest]:
        """The objects of a kind in all namespaces; none when the cluster does not know the kind."""
        found = self.attempt("get", kind, "--all-namespaces", "-o", "json")
        if found.returncode and "the server doesn't have a resource type" in found.stderr:
            return []
        if found.returncode:
            raise DemoError(f"`kubectl get {kind}` failed: {found.stderr.strip()}")
        items: list[Manifest] = json.loads(found.stdout)["items"]
        return items

    def apply(self, *manifests: Manifest) -> None:
        """Create or change objects."""
        if manifests:
            document = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
            self("apply", "-f", "-", stdin=json.dumps(document))

    def answers(self) -> str:
        """Why the cluster cannot be used; empty when it can."""
        found = self.attempt("get", "--raw=/readyz", f"--request-timeout={READY_IN_SECONDS}s")
        return "" if found.returncode == 0 else (found.stderr.strip().splitlines() or ["no answer"])[-1]


def _in(namespace: str) -> list[str]:
    return [f"--namespace={namespace}"] if namespace else []
