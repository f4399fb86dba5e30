"""Somebody who watches: every version of the objects of a kind that the API server shows."""

import json
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

from devcluster import Cluster
from support.api_server import administrator

PATHS: Final[Mapping[str, str]] = {
    "modeldeployments": "/apis/modelward.dev/v1alpha1/namespaces/{namespace}/modeldeployments",
    "deployments": "/apis/apps/v1/namespaces/{namespace}/deployments",
    "pods": "/api/v1/namespaces/{namespace}/pods",
}


class ObjectRecorder:
    """Watches a namespace while a `with` block runs."""

    def __init__(self, cluster: Cluster, namespace: str, kind: str) -> None:
        """`kind` is one of PATHS."""
        self.seen: list[dict[str, Any]] = []
        """In order; append and copy are atomic."""
        self._path = PATHS[kind].format(namespace=namespace)
        self._client = administrator(cluster)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._client.close()

    def of(self, name: str) -> list[dict[str, Any]]:
        """All versions of one object."""
        return [each for each in list(self.seen) if each["metadata"]["name"] == name]

    def _follow(self) -> None:
        """Watches of a second each, one after the other, so that an end is noticed."""
        listed = self._client.get(self._path).raise_for_status().json()
        self.seen += listed["items"]
        version = listed["metadata"]["resourceVersion"]
        while not self._ended.is_set():
            query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": "1"}
            with self._client.stream("GET", self._path, params=query) as events:
                for line in events.iter_lines():
                    found = json.loads(line)["object"]
                    version = found["metadata"]["resourceVersion"]
                    self.seen.append(found)
