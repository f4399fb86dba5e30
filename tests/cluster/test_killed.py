"""The operator killed again and again in the middle of rollouts: they end as undisturbed ones do. Pods are kwok's."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from devcluster import Cluster
from support import audit
from support.crashing import crash_looping
from support.kubectl import Kubectl
from support.models import KIND, children, fake_model, selected_revision, status, wait_quiet, wait_ready
from support.object_recorder import ObjectRecorder
from support.operator import OperatorProcess
from support.waiting import until

pytestmark = pytest.mark.slow

KILLS: Final = 4
MORE_KILLS: Final = 30
SEED: Final = 20_261_122
MOST_WRITES: Final = 4
"""Of one life; the kill comes as soon as the audit log shows the last of them."""
IDLE_SECONDS: Final = 4.0
"""A life with nothing to write is over after so long."""
REPLICAS: Final = 2
STORIES: Final = {"good": "Promoted", "crashing": "RolledBack", "aborted": "Aborted"}
ROLLOUT: Final = {
    "steps": [{"weightPercent": 34}, {"weightPercent": 50}],
    "stepMinSeconds": 1,
    "stepMaxSeconds": 60,
    "keepPreviousSeconds": 2,
    "progressDeadlineSeconds": 600,
}


@dataclass(slots=True)
class Writes:
    """Writes of the operator that the audit log shows, counted on."""

    file: Path
    count: int = 0
    _at: int = 0

    def __post_init__(self) -> None:
        self._at = self.file.stat().st_size

    def so_far(self) -> int:
        """How many there were since this was made; Events and the Lease apart."""
        with self.file.open("rb") as log:
            log.seek(self._at)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._at += len(whole)
        self.count += sum(map(_is_write, whole.splitlines()))
        return self.count


def _is_write(line: bytes) -> bool:
    if audit.OPERATOR.encode() not in line:
        return False
    event = json.loads(line)
    return (
        event["stage"] == "ResponseComplete"
        and event["verb"] in {"create", "patch", "update", "delete"}
        and event["objectRef"]["resource"] not in {"events", "leases"}
    )


@dataclass(slots=True)
class Stories:
    """One model for each story, and what happens to their canaries from outside."""

    kubectl: Kubectl
    models: ObjectRecorder
    pods: ObjectRecorder
    prefix: str
    version: int = 1
    _reported: set[tuple[str, int]] = field(default_factory=set)

    def name(self, story: str) -> str:
        """Name of the story's model."""
        return f"{self.prefix}-{story}"

    def begin(self) -> None:
        """A new version of every model."""
        self.version += 1
        self.apply()

    def apply(self) -> None:
        """Apply the present version of every model."""
        self.kubectl.apply(
            *(
                fake_model(self.name(story), version=str(self.version), replicas=REPLICAS, rollout=ROLLOUT)
                for story in STORIES
            )
        )

    def status(self, story: str) -> dict[str, Any]:
        """As the onlooker saw it last."""
        seen = self.models.of(self.name(story))
        found: dict[str, Any] = seen[-1].get("status", {}) if seen else {}
        return found

    def tend(self) -> None:
        """Once for each rollout: crash the pods of one canary that has requests, and abort another."""
        for story, act in (("crashing", self._crash), ("aborted", self._abort)):
            now = self.status(story)
            canary, weight = now.get("canaryRevision"), (now.get("rollout") or {}).get("weightPercent", 0)
            if canary and weight and (story, self.version) not in self._reported:
                self._reported.add((story, self.version))
                act(self.name(story), canary)

    def _abort(self, name: str, canary: str) -> None:
        self.kubectl("annotate", "--overwrite", KIND, name, f"modelward.dev/abort={canary}")

    def _crash(self, name: str, canary: str) -> None:
        """Say of the canary's pods what a kubelet says of a crash loop; of those that have begun to run."""
        pods = self.kubectl.all("pods", f"modelward.dev/model={name},modelward.dev/revision={canary}")
        for pod in (each for each in pods if "containerStatuses" in each["status"]):
            change = json.dumps({"status": crash_looping(pod)})
            victim = pod["metadata"]["name"]
            self.kubectl("patch", "pod", victim, "--subresource=status", "--type=merge", "-p", change)

    def over(self) -> bool:
        """Whether all rollouts of the present version have ended."""
        return all(self._ended(story) for story in STORIES)

    def _ended(self, story: str) -> bool:
        now = self.status(story)
        history: list[dict[str, Any]] = now.get("history", [])
        latest = history[0] if history else {}
        return latest.get("modelVersion") == str(self.version) and now.get("rollout") is None

    def results(self, story: str) -> list[str]:
        """How the rollouts of a model ended, the latest first."""
        return [entry["result"] for entry in self.status(story)["history"]]

    def pods_by_revision(self, story: str) -> list[int]:
        """How many pods each revision ever had: one that is made anew is one more."""
        found = {
            pod["metadata"]["uid"]: pod["metadata"]["labels"]["modelward.dev/revision"]
            for pod in list(self.pods.seen)
            if pod["metadata"]["labels"].get("modelward.dev/model") == self.name(story)
        }
        return list(Counter(found.values()).values())


@pytest.fixture(scope="module")
def object_recorders(cluster: Cluster, namespace: str) -> Iterator[tuple[ObjectRecorder, ObjectRecorder]]:
    """Of models and of pods."""
    with (
        ObjectRecorder(cluster, namespace, "modeldeployments") as models,
        ObjectRecorder(cluster, namespace, "pods") as pods,
    ):
        yield models, pods


def served(kubectl: Kubectl, object_recorders: tuple[ObjectRecorder, ObjectRecorder], prefix: str) -> Stories:
    """Stories whose first version serves."""
    stories = Stories(kubectl, *object_recorders, prefix)
    stories.apply()
    for story in STORIES:
        wait_ready(kubectl, stories.name(story))
        wait_quiet(kubectl, stories.name(story))
    return stories


def reported_to_the_end(stories: Stories) -> None:
    """Wait for the end of all rollouts, and do meanwhile what is to be done."""

    def over() -> bool:
        stories.tend()
        return stories.over()

    until(over, f"all rollouts end: {[stories.status(story).get('rollout') for story in STORIES]}")


def killed(operator: OperatorProcess, cluster: Cluster, stories: Stories, kills: int) -> None:
    """End the operator so many times: after so many writes of each life, whatever it is doing then."""
    chance = random.Random(SEED)
    writes = Writes(cluster.audit_log)
    for _ in range(kills):
        if stories.over():
            stories.begin()
        enough = writes.so_far() + chance.randint(1, MOST_WRITES)

        def lived(enough: int = enough) -> bool:
            stories.tend()
            return writes.so_far() >= enough

        try:
            until(lived, "it writes", seconds=IDLE_SECONDS)
        except AssertionError:
            assert operator.leads(), "with nothing to write it must be up at least"
        operator.kill()
        operator.start()


def deletes(cluster: Cluster, kubectl: Kubectl, name: str) -> Counter[tuple[str, str]]:
    """How often the operator was granted to delete each object of a model."""
    return Counter(
        (event["objectRef"]["resource"], event["objectRef"]["name"])
        for event in audit.requests(cluster)
        if event["verb"] == "delete"
        and event["objectRef"].get("namespace") == kubectl.namespace
        and event["objectRef"].get("name", "").startswith(name)
        and event.get("responseStatus", {}).get("code") == 200
    )


@pytest.mark.parametrize("kills", [KILLS, pytest.param(MORE_KILLS, marks=pytest.mark.integrations)])
def test_killed_in_the_middle_of_rollouts(
    kills: int,
    cluster: Cluster,
    kubectl: Kubectl,
    operator: OperatorProcess,
    object_recorders: tuple[ObjectRecorder, ObjectRecorder],
) -> None:
    """Each rollout ends as an undisturbed one, no pod is made twice, nothing is deleted twice, decisions only rise."""
    calm = served(kubectl, object_recorders, f"calm-{kills}")
    calm.begin()
    reported_to_the_end(calm)
    stories = served(kubectl, object_recorders, f"killed-{kills}")
    stories.begin()
    killed(operator, cluster, stories, kills)
    reported_to_the_end(stories)
    rounds = stories.version - 1
    print(f"{kills} kills in {rounds} rounds of {len(STORIES)} rollouts")
    for story, result in STORIES.items():
        name = stories.name(story)
        quiet = wait_quiet(kubectl, name)
        assert calm.results(story) == [result, "Promoted"], "undisturbed"
        assert stories.results(story) == [result] * rounds + ["Promoted"]
        assert max(stories.pods_by_revision(story)) == REPLICAS, "no pod was ended and made once more"
        assert max(deletes(cluster, kubectl, name).values()) == 1
        decisions = [each["status"].get("decision", 0) for each in stories.models.of(name)]
        assert decisions == sorted(decisions)
        assert quiet["stableRevision"] == selected_revision(kubectl, name)
        assert len(children(kubectl, "svc", name)) == 1
        served_version = status(kubectl, name)["history"][0 if story == "good" else -1]["modelVersion"]
        assert served_version == (str(stories.version) if story == "good" else "1")
    assert operator.metric("modelward_reconcile_errors_total", reason="Unexpected") == 0
