"""The nodes: where pods get room, load their model, crash, are held back, and are reported in their status.

The words are those of the kubelet. A container that ends is started again at once the first time, and then
after 10, 20, 40 ... 300 s (https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy).
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from modelward.api.names import REVISION_LABEL
from modelward.api.objects import Manifest
from modelward.api.times import format_seconds
from modelward.simulator import stores
from modelward.simulator.api_server import ApiServer, place
from modelward.simulator.world import Version, World

KUBELET: Final = "kubelet"
SCHEDULER: Final = "kube-scheduler"
_FIRST_BACKOFF_SECONDS: Final = 10.0
_LONGEST_BACKOFF_SECONDS: Final = 300.0
_NO_ROOM: Final = "0/1 nodes are available: 1 Too many pods."


@dataclass(slots=True, kw_only=True)
class Life:
    """What is known of a pod that its status does not show."""

    number: int
    """Of the pods of its revision, from 1."""
    scheduled: float | None = None
    started: float | None = None
    """Since when its container runs."""
    load_seconds: float | None = None
    """How long this run takes to load the model; None: for ever."""
    resumes: float | None = None
    """When a container that is held back starts again."""
    restarts: int = 0
    ended: Manifest | None = None
    """How it ended last."""
    ready: bool = False
    ready_since: str = ""
    """Since when `ready` is what it is."""
    failed: bool = False
    fetch_due: float | None = None
    """When the fetch container ends that runs now."""
    fetch_resumes: float | None = None
    """When it starts again, while it is held back."""
    fetch_restarts: int = 0
    fetch_ended: Manifest | None = None
    """How it ended last."""

    @property
    def is_fetched(self) -> bool:
        """Whether the model is there."""
        return self.fetch_ended is not None and self.fetch_ended["exitCode"] == 0


@dataclass(slots=True, kw_only=True)
class Nodes:
    """They are asked to act whenever the clock or the cluster moves."""

    server: ApiServer
    world: World
    start: datetime
    """When second 0 was."""
    second: Callable[[], float]
    note: Callable[[str], None]
    """Takes what a reader of the story should know."""
    lives: dict[str, Life] = field(default_factory=dict)
    """By uid."""
    changes: int = 0
    """Rises whenever a pod gets ready or is not any more, or starts anew."""
    _counts: dict[str, int] = field(default_factory=dict)

    def act(self) -> None:
        """Do what is due now."""
        pods = sorted(self.server.find("Pod"), key=_priority, reverse=True)
        self._forget({pod["metadata"]["uid"] for pod in pods})
        for pod in pods:
            life = self._life(pod)
            if life.failed or place(pod) not in self.server.objects:  # it was preempted just now
                continue
            if life.scheduled is None:
                self._schedule(pod, life)
            elif self._moves(pod, life):
                self._write(pod, life)

    def next_second(self) -> float | None:
        """When something happens by time alone."""
        dues = (
            due
            for pod in self.server.find("Pod")
            if (life := self.lives.get(pod["metadata"]["uid"])) and not life.failed
            for due in self._dues(life, self.world.version(pod))
        )
        return min(dues, default=None)

    def is_ready(self, pod: Manifest) -> bool:
        """Whether the pod gets requests."""
        life = self.lives.get(pod["metadata"]["uid"])
        return life is not None and life.ready

    def evict(self, revision: str) -> None:
        """One ready pod of a revision has to leave its node, which is short of memory."""
        pods = self.server.find("Pod", **{REVISION_LABEL: revision})
        pod = next(pod for pod in pods if self.is_ready(pod))
        life = self.lives[pod["metadata"]["uid"]]
        life.failed, life.ready, life.started = True, False, None
        self.changes += 1
        self.note(f"Pod {pod['metadata']['name']} is evicted: its node is low on memory")
        self._write(pod, life)

    def lose(self, revision: str, count: int) -> None:
        """A node with so many pods of a revision is gone for good, and its room with it."""
        pods = [pod for pod in self.server.find("Pod", **{REVISION_LABEL: revision}) if self._is_placed(pod)]
        if self.world.room is not None:
            self.world.room -= count
        for pod in pods[:count]:
            self._end(pod)

    # --- one pod --------------------------------------------------------------------------------------------

    def _life(self, pod: Manifest) -> Life:
        uid = pod["metadata"]["uid"]
        if uid not in self.lives:
            revision = pod["metadata"]["labels"].get(REVISION_LABEL, "")
            self._counts[revision] = self._counts.get(revision, 0) + 1
            self.lives[uid] = Life(number=self._counts[revision], ready_since=self._time())
        return self.lives[uid]

    def _forget(self, living: set[str]) -> None:
        for uid in self.lives.keys() - living:
            del self.lives[uid]
            self.changes += 1

    def _schedule(self, pod: Manifest, life: Life) -> None:
        if self._is_full() and not self._preempt(pod):
            if not pod.get("status"):
                self.note(f"Pod {pod['metadata']['name']} finds no node: there is no room")
                self._write(pod, life)
            return
        life.scheduled = self.second()
        if stores.uri_of(pod):
            life.fetch_due = self.second() + self.world.stores.seconds
        else:
            self._start(pod, life)
        self.changes += 1
        self._write(pod, life)

    def _is_full(self) -> bool:
        taken = sum(each.scheduled is not None and not each.failed for each in self.lives.values())
        return self.world.room is not None and taken >= self.world.room

    def _preempt(self, pod: Manifest) -> bool:
        """End the pod of the lowest priority below this one's, if there is one; whether there was."""
        placed = [each for each in self.server.find("Pod") if self._is_placed(each)]
        victim = min(placed, key=_priority, default=None)
        if victim is None or _priority(victim) >= _priority(pod):
            return False
        self.note(f"Pod {victim['metadata']['name']} is preempted by {pod['metadata']['name']}")
        self._end(victim)
        return True

    def _is_placed(self, pod: Manifest) -> bool:
        life = self.lives.get(pod["metadata"]["uid"])
        return life is not None and life.scheduled is not None and not life.failed

    def _end(self, pod: Manifest) -> None:
        del self.lives[pod["metadata"]["uid"]]
        self.changes += 1
        self.server.delete(place(pod), SCHEDULER)

    def _moves(self, pod: Manifest, life: Life) -> bool:
        """Bring the pod to what is due; whether anything changed."""
        version, now, before = self.world.version(pod), self.second(), self._state(life)
        restarts, held = life.restarts, life.resumes
        if life.fetch_resumes is not None and life.fetch_resumes <= now:
            life.fetch_resumes, life.fetch_due = None, now + self.world.stores.seconds
            life.fetch_restarts += 1
        if life.fetch_due is not None and life.fetch_due <= now:
            self._fetch_ends(pod, life)
        if life.resumes is not None and life.resumes <= now:
            life.resumes = None
            life.restarts += 1
            self._start(pod, life)
        while life.started is not None and (crash := self._crash(life, version)) is not None and crash <= now:
            self._crashes(pod, life, version)
        ready = version.passes_probe and (loaded := self._loaded(life)) is not None and loaded <= now
        if ready != life.ready:
            if life.ready and (life.restarts, life.resumes) == (restarts, held):
                self.note(f"Pod {pod['metadata']['name']} does not answer its readiness probe any more")
            life.ready, life.ready_since = ready, self._time()
        changed = self._state(life) != before
        self.changes += changed
        return changed

    def _crashes(self, pod: Manifest, life: Life, version: Version) -> None:
        reason, code = ("OOMKilled", 137) if version.out_of_memory else ("Error", 1)
        name = pod["metadata"]["name"]
        life.ended = {"exitCode": code, "reason": reason, "finishedAt": self._time()}
        how = "is killed for its use of memory" if version.out_of_memory else f"ends with exit code {code}"
        if life.restarts == 0:
            self.note(f"Pod {name} {how}, and is started again")
            life.restarts = 1
            self._start(pod, life)
            return
        backoff = _backoff(life.restarts)
        self.note(f"Pod {name} {how}, and is held back for {backoff:.0f} s")
        life.started, life.resumes = None, self.second() + backoff

    def _fetch_ends(self, pod: Manifest, life: Life) -> None:
        """The model is there, or the kubelet starts the container again: at once, then after longer and longer."""
        at = ("ConfigMap", pod["metadata"]["namespace"], stores.pin_of(pod))
        report, code = self.world.stores.fetched(pod, self.server.objects.get(at))
        life.fetch_due = None
        life.fetch_ended = {
            "exitCode": code,
            "reason": "Error" if code else "Completed",
            "finishedAt": self._time(),
            "message": json.dumps(report),
        }
        if not code:
            self._start(pod, life)
            return
        if life.fetch_restarts == 0:
            self.note(f"Pod {pod['metadata']['name']} cannot fetch its model ({report['reason']})")
            life.fetch_restarts, life.fetch_due = 1, self.second() + self.world.stores.seconds
            return
        life.fetch_resumes = self.second() + _backoff(life.fetch_restarts)

    def _start(self, pod: Manifest, life: Life) -> None:
        life.started, life.load_seconds = self.second(), self.world.version(pod).load_seconds

    def _loaded(self, life: Life) -> float | None:
        """When the model is loaded."""
        if life.started is None or life.load_seconds is None:
            return None
        return life.started + life.load_seconds

    def _crash(self, life: Life, version: Version) -> float | None:
        if (
            version.crash_after_seconds is None
            or life.number % version.crashes_one_in
            or life.started is None
        ):
            return None
        return life.started + version.crash_after_seconds

    def _dues(self, life: Life, version: Version) -> Iterator[float]:
        yield from (due for due in (life.resumes, life.fetch_due, life.fetch_resumes) if due is not None)
        if (crash := self._crash(life, version)) is not None:
            yield crash
        if not life.ready and version.passes_probe and (loaded := self._loaded(life)) is not None:
            yield loaded

    def _state(self, life: Life) -> tuple[Any, ...]:
        fetch = (life.fetch_due, life.fetch_resumes, life.fetch_restarts)
        return life.started, life.resumes, life.restarts, life.ready, *fetch

    # --- status ---------------------------------------------------------------------------------------------

    def _write(self, pod: Manifest, life: Life) -> None:
        status = self._status(pod, life)

        def edit(raw: Manifest) -> None:
            raw["status"] = status

        self.server.change(place(pod), KUBELET, edit, subresource="status")

    def _status(self, pod: Manifest, life: Life) -> Manifest:
        if life.scheduled is None:
            unscheduled = {"reason": "Unschedulable", "message": _NO_ROOM, "lastTransitionTime": self._time()}
            return {
                "phase": "Pending",
                "conditions": [_condition("PodScheduled", value=False, **unscheduled)],
            }
        conditions = [
            _condition("PodScheduled", value=True, lastTransitionTime=self._time(life.scheduled)),
            _condition("ContainersReady", value=life.ready, lastTransitionTime=life.ready_since),
            _condition("Ready", value=life.ready, lastTransitionTime=life.ready_since),
        ]
        if life.failed:
            disrupted = _condition("DisruptionTarget", value=True, lastTransitionTime=self._time())
            message = "The node was low on resource: memory."
            return {
                "phase": "Failed",
                "reason": "Evicted",
                "message": message,
                "conditions": [*conditions, disrupted],
            }
        containers = [self._container(each, life) for each in pod["spec"]["containers"]]
        return {
            "phase": "Running",
            "startTime": self._time(life.scheduled),
            "conditions": conditions,
            "containerStatuses": containers,
            **({"initContainerStatuses": [self._fetcher(pod, life)]} if stores.uri_of(pod) else {}),
        }

    def _fetcher(self, pod: Manifest, life: Life) -> Manifest:
        """Of the container that fetches the model."""
        container = pod["spec"]["initContainers"][0]
        state: Manifest = {"running": {"startedAt": self._time()}}
        if life.is_fetched:
            state = {"terminated": life.fetch_ended}
        elif life.fetch_resumes is not None:
            state = {"waiting": {"reason": "CrashLoopBackOff"}}
        last = (
            {} if life.is_fetched or not life.fetch_ended else {"lastState": {"terminated": life.fetch_ended}}
        )
        return {
            "name": container["name"],
            "image": container["image"],
            "ready": life.is_fetched,
            "restartCount": life.fetch_restarts,
            "state": state,
            **last,
        }

    def _container(self, container: Manifest, life: Life) -> Manifest:
        if life.started is not None:
            state: Manifest = {"running": {"startedAt": self._time(life.started)}}
        elif life.resumes is None:
            state = {"waiting": {"reason": "PodInitializing"}}
        else:
            state = {
                "waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}
            }
        reported = {
            "name": container["name"],
            "image": container["image"],
            "ready": life.ready,
            "restartCount": life.restarts,
            "state": state,
        }
        return reported | ({"lastState": {"terminated": life.ended}} if life.ended else {})

    def _time(self, second: float | None = None) -> str:
        """The kubelet's times have no fractions."""
        return format_seconds(self.start + timedelta(seconds=self.second() if second is None else second))


def _backoff(restarts: int) -> float:
    """Seconds for which the kubelet holds a container back that has been started again so often."""
    return min(_LONGEST_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * float(2 ** (restarts - 1)))


def _priority(pod: Manifest) -> int:
    return int(pod["spec"].get("priority", 0))


def _condition(kind: str, *, value: bool, **fields: str) -> Manifest:
    return {"type": kind, "status": "True" if value else "False", **fields}
