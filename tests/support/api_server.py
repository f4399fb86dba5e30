"""Reading objects from the API server directly.

A test that waits asks several times a second. To start a kubectl for each question costs a process and its processor time.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from devcluster import Cluster

_DISCOVERY = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
"""Aggregated discovery (KEP-3352): all kinds in two requests."""


def administrator(cluster: Cluster) -> httpx.Client:
    """A client of the API server with the administrator's certificate."""
    pki = cluster.directory / "pki"
    tls = ssl.create_default_context(cafile=pki / "ca.crt")
    tls.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    return httpx.Client(base_url=cluster.api_url, verify=tls, trust_env=False, timeout=30)


@functools.cache
def reader(cluster: Cluster) -> Reader:
    """The one reader of a cluster in this process."""
    return Reader(administrator(cluster))


@dataclass(slots=True)
class Reader:
    """Objects by the names of kinds that kubectl knows: `pods`, `pod`, `po`, `crd`, `deployments.apps`."""

    client: httpx.Client
    _kinds: dict[str, _Kind] = field(default_factory=dict)

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """The object with its managed fields, or None when there is none."""
        return self._read(f"{self._path(kind, namespace)}/{name}", {})

    def list(self, kinds: str, namespace: str, labels: str) -> list[dict[str, Any]]:
        """The objects of kinds (separated by commas) in a namespace, each with its kind, as kubectl prints them."""
        return [each for kind in kinds.split(",") for each in self._list(kind, namespace, labels)]

    def _list(self, kind: str, namespace: str, labels: str) -> Iterable[dict[str, Any]]:
        found = self._read(self._path(kind, namespace), {"labelSelector": labels})
        if found is None:
            raise LookupError(f"the API server does not serve {kind}")
        kind_of_each = {"apiVersion": found["apiVersion"], "kind": found["kind"].removesuffix("List")}
        return (kind_of_each | each for each in found["items"])

    def _read(self, path: str, query: Mapping[str, str]) -> dict[str, Any] | None:
        try:
            answer = self.client.get(path, params=query)
        except httpx.TransportError:  # a kept connection ends with an API server that is restarted
            answer = self.client.get(path, params=query)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def _path(self, kind: str, namespace: str) -> str:
        if kind not in self._kinds:  # perhaps a CRD of later
            self._kinds = {name: each for each in self._discover() for name in each.names}
        if kind not in self._kinds:
            raise LookupError(f"the API server has no resource type {kind}")
        return self._kinds[kind].path(namespace)

    def _discover(self) -> Iterator[_Kind]:
        """Kinds of the core group last, so that a short name that two groups use is the core's, as for kubectl."""
        for root in ("/apis", "/api"):
            groups = self.client.get(root, headers=_DISCOVERY).raise_for_status().json()["items"]
            for group in groups:
                name = group["metadata"].get("name", "")
                for version in reversed(group["versions"]):  # the preferred one is the first
                    place = f"{root}/{name}/{version['version']}" if name else f"{root}/{version['version']}"
                    for resource in version.get("resources", ()):
                        yield _Kind.of(resource, place, name)


@dataclass(frozen=True, slots=True)
class _Kind:
    names: frozenset[str]
    place: str
    resource: str
    namespaced: bool

    @classmethod
    def of(cls, resource: Mapping[str, Any], place: str, group: str) -> _Kind:
        plural = resource["resource"]
        names = {plural, f"{plural}.{group}", resource.get("singularResource") or plural}
        names |= set(resource.get("shortNames", ()))
        return cls(frozenset(names), place, plural, resource["scope"] == "Namespaced")

    def path(self, namespace: str) -> str:
        """Where the objects are."""
        return (
            f"{self.place}/namespaces/{namespace}/{self.resource}"
            if self.namespaced
            else f"{self.place}/{self.resource}"
        )
