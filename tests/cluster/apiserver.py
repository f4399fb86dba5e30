"""A small client of the API server for tests that send hundreds of objects: kubectl takes 60 ms for each."""

import base64
import ssl
import tempfile
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from support.waiting import PATIENCE_SECONDS

GROUP_PATH = "/apis/modelward.dev/v1alpha1"


class ApiServer:
    """One connection with the credentials of a kubeconfig's first user."""

    def __init__(self, kubeconfig: Path, user: str = "") -> None:
        """`user` is somebody else whose rights count, instead of the kubeconfig's."""
        config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        cluster, account = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._client = httpx.Client(
            base_url=cluster["server"],
            verify=_tls(cluster, account),
            trust_env=False,
            timeout=PATIENCE_SECONDS,
            headers={"Impersonate-User": user} if user else {},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def problem_text(self, method: str, path: str, body: dict[str, Any], **query: str) -> str:
        """Return what the API server says against the write, which is only tried; "" if it agrees."""
        answer = self.send(method, path, body, dryRun="All", **query)
        return "" if answer.is_success else str(answer.json()["message"])

    def send(self, method: str, path: str, body: Any = None, **query: str) -> httpx.Response:
        """Return the answer to a request."""
        content_type = "application/merge-patch+json" if method == "PATCH" else "application/json"
        return self._client.request(
            method, path, params=query, json=body, headers={"Content-Type": content_type}
        )


def _tls(cluster: dict[str, str], user: dict[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=_pem(cluster, "certificate-authority"))
    # The standard library reads a client's certificate and key from files only.
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder, "client.crt"), Path(folder, "client.key")
        pair[0].write_text(_pem(user, "client-certificate"), encoding="ascii")
        pair[1].write_text(_pem(user, "client-key"), encoding="ascii")
        context.load_cert_chain(*pair)
    return context


def _pem(section: dict[str, str], name: str) -> str:
    """Return a PEM text that stands in the kubeconfig itself or in a file it names."""
    if inline := section.get(f"{name}-data"):
        return base64.b64decode(inline).decode("ascii")
    return Path(section[name]).read_text(encoding="ascii")
