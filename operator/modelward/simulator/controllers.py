"""The cluster's own controllers, as far as a rollout meets them: Deployments, autoscalers, garbage collection.

A pod that ends is gone at once. ReplicaSets are left out: a Deployment has its pods itself.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from modelward.api.names import REVISION_LABEL
from modelward.api.objects import Manifest
from modelward.cache.convert import owner_uid
from modelward.simulator.api_server import ApiServer, place
from modelward.simulator.nodes import Nodes
from modelward.simulator.world import World

CLUSTER: Final = "kube-controller-manager"


@dataclass(slots=True, kw_only=True)
class Controllers:
    """They are asked to act whenever the clock or the cluster moves."""

    server: ApiServer
    nodes: Nodes
    world: World
    share: Callable[[str, str], float]
    """The share of the traffic of a model that a revision gets now (0-1)."""
    _pods: int = field(default=0)

    def act(self) -> None:
        """Do what is due now."""
        self._collect()
        for autoscaler in list(self.server.find("HorizontalPodAutoscaler")):
            self._scale(autoscaler)
        for deployment in list(self.server.find("Deployment")):
            if "deletionTimestamp" not in deployment["metadata"]:  # else it is left as it is until it goes
                self._populate(deployment)

    def report(self) -> None:
        """Count the pods of each Deployment, once the nodes have done their part."""
        for deployment in list(self.server.find("Deployment")):
            self._count(deployment)

    def _collect(self) -> None:
        """Delete what belongs to an owner that is gone."""
        living = {raw["metadata"]["uid"] for raw in self.server.objects.values()}
        for at, raw in list(self.server.objects.items()):
            owner = owner_uid(raw["metadata"])
            if owner and owner not in living:
                self.server.delete(at, CLUSTER)

    def _scale(self, autoscaler: Manifest) -> None:
        spec = autoscaler["spec"]
        at = ("Deployment", autoscaler["metadata"]["namespace"], spec["scaleTargetRef"]["name"])
        if at not in self.server.objects:
            return
        current = self.server.objects[at]["spec"]["replicas"]
        wanted = min(spec["maxReplicas"], max(spec["minReplicas"], self._demand(autoscaler, current)))
        if spec["behavior"]["scaleDown"].get("selectPolicy") == "Disabled":
            wanted = max(wanted, min(current, spec["maxReplicas"]))
        if current not in (0, wanted):  # an autoscaler leaves alone what is scaled to 0

            def edit(raw: Manifest) -> None:
                raw["spec"]["replicas"] = wanted

            self.server.change(at, CLUSTER, edit, subresource="scale")

    def _demand(self, autoscaler: Manifest, current: int) -> int:
        """Pods that a revision needs for its share of the traffic."""
        if self.world.demand is None:
            return current
        owner = next(each for each in autoscaler["metadata"]["ownerReferences"] if each.get("controller"))
        share = self.share(owner["name"], autoscaler["metadata"]["labels"][REVISION_LABEL])
        return math.ceil(round(self.world.demand * share, 6))

    def _populate(self, deployment: Manifest) -> None:
        pods = self._pods_of(deployment)
        wanted = deployment["spec"]["replicas"]
        for pod in sorted(pods, key=self.nodes.is_ready, reverse=True)[wanted:]:
            self.server.delete(place(pod), CLUSTER)
        for _ in range(wanted - len(pods)):
            self.server.create(self._new_pod(deployment), CLUSTER)

    def _count(self, deployment: Manifest) -> None:
        pods = self._pods_of(deployment)
        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": len(pods),
            "readyReplicas": sum(map(self.nodes.is_ready, pods)),
        }
        if deployment.get("status") != status:

            def edit(raw: Manifest) -> None:
                raw["status"] = status

            self.server.change(place(deployment), CLUSTER, edit, subresource="status")

    def _pods_of(self, deployment: Manifest) -> list[Manifest]:
        """Its pods, but those that are over for good."""
        uid = str(deployment["metadata"]["uid"])
        pods = (pod for pod in self.server.find("Pod") if owner_uid(pod["metadata"]) == uid)
        return [pod for pod in pods if (pod.get("status") or {}).get("phase") != "Failed"]

    def _new_pod(self, deployment: Manifest) -> Manifest:
        self._pods += 1
        template, metadata = deployment["spec"]["template"], deployment["metadata"]
        owner = {
            "kind": "Deployment",
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{metadata['name']}-{self._pods:02}",
                "namespace": metadata["namespace"],
                "labels": template["metadata"]["labels"],
                "ownerReferences": [owner],
            },
            "spec": {**template["spec"], **self._priority(template["spec"])},
        }

    def _priority(self, spec: Manifest) -> Manifest:
        """What admission adds to a pod of a priority class."""
        classes = (each for each in self.server.find("PriorityClass"))
        return next(
            (
                {"priority": each["value"]}
                for each in classes
                if each["metadata"]["name"] == spec.get("priorityClassName")
            ),
            {},
        )
