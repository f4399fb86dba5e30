"""Kubeconfigs, written as JSON: every JSON document is a YAML document, and nothing needs quoting."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from devcluster.paths import write_atomically

# A kubeconfig is named like the certificate that its user holds.
ON_THE_HOST = ("controller-manager", "scheduler")
ON_THE_NODE = ("kubelet", "kube-proxy")


def write_kubeconfigs(directory: Path, api_url: str, node_api_url: str) -> None:
    """The administrator's `kubeconfig` and one per component; those on the node use the node's way to the API."""
    pki = directory / "pki"
    write_atomically(directory / "kubeconfig", render(api_url, pki, certificate_user(pki, "admin")))
    for names, url in ((ON_THE_HOST, api_url), (ON_THE_NODE, node_api_url)):
        for name in names:
            text = render(url, pki, certificate_user(pki, name))
            write_atomically(directory / "credentials" / f"{name}.kubeconfig", text)


def certificate_user(pki: Path, name: str) -> dict[str, str]:
    """A user who proves itself by a certificate."""
    return {
        "client-certificate-data": _encoded(pki / f"{name}.crt"),
        "client-key-data": _encoded(pki / f"{name}.key"),
    }


def render(api_url: str, pki: Path, user: dict[str, str], namespace: str = "default") -> str:
    """A kubeconfig of one cluster and one user."""
    cluster = {"server": api_url, "certificate-authority-data": _encoded(pki / "ca.crt")}
    context = {"cluster": "modelward", "user": "user", "namespace": namespace}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "modelward",
            "clusters": [{"name": "modelward", "cluster": cluster}],
            "users": [{"name": "user", "user": user}],
            "contexts": [{"name": "modelward", "context": context}],
        },
        indent=1,
    )


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
