"""One model on the cluster, and what a user, an autoscaler or a bad version does to it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from faults.recorder import KINDS, Raw, Recorder
from faults.story import World, concerns, revision_of

_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"
_USER: Final = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A model in a namespace."""

    model: str
    namespace: str
    recorder: Recorder
    client: httpx.Client
    """The administrator's."""

    def world(self) -> World:
        """What the recorder saw last of this model."""
        found = self.recorder.objects(self.namespace)
        return World(self.model, {at: raw for at, raw in found.items() if concerns(self.model, raw)})

    def wait(self, moment: Callable[[World], bool], seconds: float) -> bool:
        """Whether a moment comes in time."""
        return self.recorder.wait(
            self.namespace,
            lambda found: moment(
                World(self.model, {at: raw for at, raw in found.items() if concerns(self.model, raw)})
            ),
            seconds,
        )

    def apply(self, manifest: Raw) -> None:
        """As `kubectl apply --server-side` does."""
        query = f"fieldManager={_USER}&force=true"
        self._send("PATCH", "ModelDeployment", self.model, manifest, form=_APPLY, query=query)

    def apply_route(self, route: Raw) -> None:
        """The user's own route."""
        query = f"fieldManager={_USER}&force=true"
        self._send("PATCH", "HTTPRoute", route["metadata"]["name"], route, form=_APPLY, query=query)

    def annotate(self, key: str, value: str) -> None:
        """A command."""
        change = {"metadata": {"annotations": {key: value}}}
        self._send("PATCH", "ModelDeployment", self.model, change)

    def delete(self) -> None:
        """The model; the garbage collector sees to the rest."""
        options = {"propagationPolicy": "Background"}
        self._send("DELETE", "ModelDeployment", self.model, options, form="application/json")

    def scale(self, deployment: str, count: int) -> None:
        """What an autoscaler does."""
        self._send("PATCH", "Deployment", f"{deployment}/scale", {"spec": {"replicas": count}})

    def crash(self, revision: str) -> None:
        """Say of a revision's pods what a kubelet says of a crash loop."""
        for pod in self.world().find("Pod"):
            if revision_of(pod) == revision and "containerStatuses" in pod["status"]:
                self._send(
                    "PATCH", "Pod", f"{pod['metadata']['name']}/status", {"status": _crash_looping(pod)}
                )

    def _send(
        self, method: str, kind: str, name: str, body: Any, *, form: str = _MERGE, query: str = ""
    ) -> None:
        base, _, plural = KINDS[kind].rpartition("/")
        path = f"{base}/namespaces/{self.namespace}/{plural}/{name}?{query}"
        answer = self.client.request(method, path, content=json.dumps(body), headers={"Content-Type": form})
        if answer.status_code != httpx.codes.NOT_FOUND:  # a pod may have gone meanwhile
            assert answer.is_success, f"{method} {path}: {answer.text}"


def _crash_looping(pod: Raw) -> Raw:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    ended = {"exitCode": 1, "reason": "Error", "finishedAt": now, "startedAt": now}
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}
    changed = {
        **pod["status"]["containerStatuses"][0],
        "ready": False,
        "restartCount": 6,
        "state": {"waiting": waiting},
        "lastState": {"terminated": ended},
    }
    conditions = [
        {**each, "status": "False"} if each["type"] in {"Ready", "ContainersReady"} else each
        for each in pod["status"]["conditions"]
    ]
    return {"conditions": conditions, "containerStatuses": [changed]}
