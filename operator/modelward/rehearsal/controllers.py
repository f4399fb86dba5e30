"""The cluster's own controllers, as far as a rollout meets them: pods, autoscalers, garbage collection.

A pod is scheduled at once and is ready when its model is loaded. How long that takes is told by version
(`spec.model.version`). A pod that ends is gone at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from modelward.api.times import format_seconds, parse
from modelward.rehearsal.api_server import ApiServer, Raw, place
from modelward.trim import owner_uid

CLUSTER: Final = "kube-controller-manager"


@dataclass(slots=True, kw_only=True)
class Controllers:
    """They are asked to act whenever the clock or the cluster moves."""

    server: ApiServer
    now: Callable[[], datetime]
    load_seconds: dict[str, float | None]
    """By version of the model: from the start of a pod to readiness; None for a model that never gets ready."""
    demand: int | None = None
    """How many pods the autoscalers find necessary; None: as many as there are."""
    _pods: int = field(default=0)

    def act(self) -> bool:
        """Do what is due now. True if anything was done."""
        before = self.server.version
        self._collect()
        for autoscaler in list(self.server.find("HorizontalPodAutoscaler")):
            self._scale(autoscaler)
        for deployment in list(self.server.find("Deployment")):
            self._run(deployment)
        return before != self.server.version

    def next_time(self) -> datetime | None:
        """When the next pod gets ready."""
        waiting = (self._ready_at(pod) for pod in self.server.find("Pod") if not _is_ready(pod))
        return min((time for time in waiting if time), default=None)

    def _collect(self) -> None:
        """Delete what belongs to an owner that is gone."""
        living = {raw["metadata"]["uid"] for raw in self.server.objects.values()}
        for at, raw in list(self.server.objects.items()):
            owner = owner_uid(raw["metadata"])
            if owner and owner not in living:
                self.server.delete(at, CLUSTER)

    def _scale(self, autoscaler: Raw) -> None:
        spec = autoscaler["spec"]
        at = ("Deployment", autoscaler["metadata"]["namespace"], spec["scaleTargetRef"]["name"])
        if at not in self.server.objects:
            return
        current = self.server.objects[at]["spec"]["replicas"]
        wanted = min(spec["maxReplicas"], max(spec["minReplicas"], self.demand or current))
        if current not in (0, wanted):  # an autoscaler leaves alone what is scaled to 0

            def edit(raw: Raw) -> None:
                raw["spec"]["replicas"] = wanted

            self.server.change(at, CLUSTER, edit, subresource="scale")

    def _run(self, deployment: Raw) -> None:
        name, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
        pods = [pod for pod in self.server.find("Pod") if _belongs(pod, deployment)]
        wanted = deployment["spec"]["replicas"]
        for pod in sorted(pods, key=_is_ready, reverse=True)[wanted:]:
            self.server.delete(place(pod), CLUSTER)
        for _ in range(wanted - len(pods)):
            self.server.create(self._new_pod(deployment), CLUSTER)
        for pod in [pod for pod in self.server.find("Pod") if _belongs(pod, deployment)]:
            ready_at = self._ready_at(pod)
            if ready_at and ready_at <= self.now() and not _is_ready(pod):
                self.server.change(place(pod), CLUSTER, self._ready, subresource="status")
        pods = [pod for pod in self.server.find("Pod") if _belongs(pod, deployment)]
        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": len(pods),
            "readyReplicas": sum(map(_is_ready, pods)),
        }
        if deployment.get("status") != status:

            def edit(raw: Raw) -> None:
                raw["status"] = status

            self.server.change(("Deployment", namespace, name), CLUSTER, edit, subresource="status")

    def _ready_at(self, pod: Raw) -> datetime | None:
        seconds = self.load_seconds.get(_version(pod), 5)
        if seconds is None:
            return None
        return parse(pod["status"]["startTime"]) + timedelta(seconds=seconds)

    def _new_pod(self, deployment: Raw) -> Raw:
        self._pods += 1
        template, metadata = deployment["spec"]["template"], deployment["metadata"]
        now = format_seconds(self.now())
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{metadata['name']}-{self._pods}",
                "namespace": metadata["namespace"],
                "labels": template["metadata"]["labels"],
                "ownerReferences": [
                    {
                        "kind": "Deployment",
                        "name": metadata["name"],
                        "uid": metadata["uid"],
                        "controller": True,
                    }
                ],
            },
            "spec": template["spec"],
            "status": {
                "startTime": now,
                "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": now}],
                "containerStatuses": [
                    {
                        "name": each["name"],
                        "image": each["image"],
                        "ready": False,
                        "state": {"running": {"startedAt": now}},
                    }
                    for each in template["spec"]["containers"]
                ],
            },
        }

    def _ready(self, pod: Raw) -> None:
        now = format_seconds(self.now())
        pod["status"]["conditions"].append({"type": "Ready", "status": "True", "lastTransitionTime": now})
        for container in pod["status"]["containerStatuses"]:
            container["ready"] = True


def _belongs(pod: Raw, deployment: Raw) -> bool:
    return owner_uid(pod["metadata"]) == str(deployment["metadata"]["uid"])


def _is_ready(pod: Raw) -> bool:
    return any(each["type"] == "Ready" for each in pod["status"]["conditions"])


def _version(pod: Raw) -> str:
    variables: list[Mapping[str, Any]] = pod["spec"]["containers"][0].get("env") or []
    return next((str(each.get("value", "")) for each in variables if each["name"] == "MODEL_VERSION"), "")
