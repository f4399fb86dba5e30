"""Other people on the cluster: what they may do, and kubectl as one of them."""

import json
from typing import Any

from support.kubectl import Kubectl

RBAC = "rbac.authorization.k8s.io"


class As:
    """Kubectl as somebody else."""

    def __init__(self, kubectl: Kubectl, user: str) -> None:
        """Use the rights of `user` where `kubectl` works."""
        self._kubectl = kubectl
        self._user = f"--as={user}"

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        """Why it was refused; empty when it was not."""
        done = self._kubectl.run(self._user, *arguments, stdin=stdin)
        return done.stderr if done.returncode else ""

    def create(self, manifest: dict[str, Any]) -> str:
        """Why an object would not be created; nothing is."""
        return self("create", "--dry-run=server", "-f", "-", stdin=json.dumps(manifest))

    def patch(self, kind: str, name: str, change: dict[str, Any], *flags: str) -> str:
        """Why an object would not be changed; nothing is."""
        return self("patch", kind, name, "--dry-run=server", "--type=merge", "-p", json.dumps(change), *flags)


def granted(user: str, name: str, *rules: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A Role with the rules, and its binding to a user."""
    role = {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": {"name": name}, "rules": list(rules)}
    return role, bound(user, name, "Role")


def bound(user: str, name: str, kind: str) -> dict[str, Any]:
    """A RoleBinding of the role of that name and kind to a user."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": name},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
    }


def rule(group: str, resource: str, *verbs: str, names: tuple[str, ...] = ()) -> dict[str, Any]:
    """One rule of a Role."""
    found: dict[str, Any] = {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
    return found | ({"resourceNames": list(names)} if names else {})
