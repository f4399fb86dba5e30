"""A Gateway that takes every route at once, and says so: what a controller of the Gateway API would write into status."""

import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

import httpx

from faults.recorder import KINDS, Raw, Recorder

CONTROLLER: Final = "example.com/gateway"
PARENT: Final = {"name": "public"}
_KIND: Final = "HTTPRoute"
_WAIT_SECONDS: Final = 0.2


class Gateway:
    """For the routes of one namespace. Use as a context manager."""

    def __init__(self, recorder: Recorder, client: httpx.Client, namespace: str) -> None:
        """`client` is the administrator's."""
        self._recorder, self._client, self._namespace = recorder, client, namespace
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._ended.is_set():
            self._recorder.wait(
                self._namespace, lambda found: any(map(_is_new, found.values())), _WAIT_SECONDS
            )
            for route in filter(_is_new, self._recorder.objects(self._namespace).values()):
                self._take(route)

    def _take(self, route: Raw) -> None:
        base, _, plural = KINDS[_KIND].rpartition("/")
        metadata = route["metadata"]
        path = f"{base}/namespaces/{self._namespace}/{plural}/{metadata['name']}/status"
        change = {"status": {"parents": [_report(metadata["generation"])]}}
        answer = self._client.patch(
            path, json=change, headers={"Content-Type": "application/merge-patch+json"}
        )
        if answer.status_code != httpx.codes.NOT_FOUND:  # it has gone meanwhile
            answer.raise_for_status()


def _is_new(raw: Raw) -> bool:
    """Whether it is a route of which this generation was not taken yet."""
    if raw["kind"] != _KIND or "deletionTimestamp" in raw["metadata"]:
        return False
    reports = (raw.get("status") or {}).get("parents") or ()
    taken = {each["observedGeneration"] for report in reports for each in report["conditions"]}
    return taken != {raw["metadata"]["generation"]}


def _report(generation: int) -> Raw:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": kind,
            "message": "",
            "observedGeneration": generation,
            "lastTransitionTime": now,
        }
        for kind in ("Accepted", "ResolvedRefs")
    ]
    return {"parentRef": PARENT, "controllerName": CONTROLLER, "conditions": conditions}
