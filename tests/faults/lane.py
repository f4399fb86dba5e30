"""A lane: a namespace with an operator of its own behind the fault proxy. Runs go one after the other in it."""

import itertools
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx

from devcluster import Cluster
from faults.gateway import Gateway
from faults.invariants import badly_written, broken
from faults.metric_endpoints import PROGRAM, MetricEndpoints
from faults.outcome import Outcome, differences, outcome, unsettled
from faults.plan import EACH, Answer, CrashAt, Moment, Request
from faults.proxy import Proxy
from faults.recorder import Raw, Recorder
from faults.scene import Scene
from faults.story import World, replay
from faults.workloads import When, Workload, at_rest, model, users_route, users_traffic
from support.forked import Forked
from support.kubectl import Kubectl
from support.replicas import ROLE

SETTINGS: Final = Path(__file__).with_name("settings.yaml")
SETUP_SECONDS: Final = 60.0
END_SECONDS: Final = 45.0
"""How long the end of a workload is waited for: far beyond what is promised, so that what is slow is distinguished from what hangs."""
QUIET_SECONDS: Final = 0.7
"""After the end, which is that of the undisturbed run, nothing may be written for so long."""
CALM_SECONDS: Final = 2.5
"""The same for an undisturbed run, of which nobody knows how it ends."""
_NEVER: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """Where the operator is killed."""

    number: int
    moment: Moment

    def __str__(self) -> str:
        return f"write {self.number} {self.moment}" if self.number != EACH else f"every write {self.moment}"


@dataclass(slots=True, kw_only=True)
class Result:
    """Of one run."""

    workload: str
    crash: Crash | None = None
    struck: str = ""
    """The request at which the operator was killed; "" if it never came to that."""
    kills: int = 0
    writes: int = 0
    seconds: float = 0.0
    """From the first act to the last change."""
    late: float = 0.0
    """By how many seconds that is more than undisturbed."""
    problems: list[str] = field(default_factory=list)
    outcome: Outcome | None = None
    requests: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether all that was promised was kept."""
        return not self.problems


@dataclass(slots=True)
class OfModel(CrashAt):
    """Counts only what is about one model: the one before it may still be on its way out."""

    name: bytes = b""

    def counts(self, request: Request) -> bool:
        """Whether it names the model."""
        return request.changes_something and (
            self.name in request.target.encode() or self.name in request.body
        )


class Lane:
    """Use as a context manager, in one thread."""

    def __init__(
        self,
        cluster: Cluster,
        credentials: Path,
        recorder: Recorder,
        client: httpx.Client,
        measured: MetricEndpoints,
        directory: Path,
    ) -> None:
        """`client` is the administrator's; `measured` has what the pods measure."""
        self.namespace = f"faults-{secrets.token_hex(3)}"
        self.log = directory / "operator.log"
        self._cluster, self._recorder, self._client, self._metric_endpoints = (
            cluster,
            recorder,
            client,
            measured,
        )
        self._flags = [measured.settings(directory / "settings.yaml")]
        self._names = (f"m{number}-{secrets.token_hex(2)}" for number in itertools.count(1))
        self._proxy = Proxy(credentials, directory / "proxy")
        self._gateway = Gateway(recorder, client, self.namespace)
        self._process: Forked | None = None

    def __enter__(self) -> Self:
        admin = Kubectl(self._cluster, self.namespace)
        admin("create", "namespace", self.namespace)
        admin("apply", "-f", str(ROLE))
        self._proxy.__enter__()
        self._proxy.kill = self._kill
        if "HTTPRoute" in self._recorder.kinds:
            self._gateway.__enter__()
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()
        if "HTTPRoute" in self._recorder.kinds:
            self._gateway.__exit__(None, None, None)
        self._proxy.__exit__(kind, error, trace)
        Kubectl(self._cluster)("delete", "namespace", self.namespace, "--wait=false")

    def run(
        self, workload: Workload, crash: Crash | None = None, undisturbed: Outcome | None = None
    ) -> Result:
        """Do a workload with a new model; kill the operator at a point, start it again, see what comes of it."""
        scene = Scene(
            model=next(self._names), namespace=self.namespace, recorder=self._recorder, client=self._client
        )
        result = Result(workload=workload.name, crash=crash)
        calm = OfModel(_NEVER, Moment.UNSENT, name=scene.model.encode())
        plan = replace(calm, number=crash.number, moment=crash.moment) if crash else calm
        self._proxy.reset(calm)
        self._recorder.begin(self.namespace)
        if workload.before is not None:
            self._set(workload, scene, workload.before)
            if not scene.wait(at_rest, SETUP_SECONDS):
                result.problems.append("L1: version 1 does not serve")
                return result
            scene.wait(lambda _: False, 0.1)
        before = list(self._proxy.stored)
        self._proxy.reset(plan)
        began = time.time()
        self._play(workload, scene, result)
        self._see_it_stays(workload, scene, result, undisturbed)
        result.seconds = self._recorder.last_change(self.namespace) - began
        self._judge(scene, result, before, undisturbed)
        if workload.measured and not self._metric_endpoints.asked(scene.model):
            result.problems.append("S9: nobody asked what its pods measure")
        result.struck, result.kills = str(plan.struck or ""), plan.kills
        self._proxy.reset()
        if not workload.gone:
            scene.delete()
        return result

    def _set(self, workload: Workload, scene: Scene, spec: Mapping[str, Any]) -> None:
        """What is there before the first act."""
        if workload.users_route:
            scene.apply_route(users_route(scene.model))
            spec = {**spec, "traffic": users_traffic(scene.model)}
        scene.apply(model(scene.model, "1", **spec))

    def _play(self, workload: Workload, scene: Scene, result: Result) -> None:
        """All acts at their moments, and the end; the operator is started again as soon as it is dead."""
        for number, act in enumerate(workload.acts, 1):
            if not self._await(scene, act.moment):
                result.problems.append(f"L1: the moment of act {number} does not come: {_reported(scene)}")
                return
            act.do(scene)
        if not self._await(scene, workload.end):
            result.problems.append(f"L1: no end after {END_SECONDS:.0f} s: {_reported(scene)}")

    def _await(self, scene: Scene, moment: When) -> bool:
        end = time.monotonic() + END_SECONDS
        while time.monotonic() < end:
            self._revive()
            if scene.wait(moment, 0.05):
                return True
        return False

    def _see_it_stays(
        self, workload: Workload, scene: Scene, result: Result, undisturbed: Outcome | None
    ) -> None:
        """L1: it becomes as it does without a kill and stays so; S11: nothing is written any more."""
        end = time.monotonic() + END_SECONDS
        enough = QUIET_SECONDS if undisturbed else CALM_SECONDS
        while time.monotonic() < end:
            self._revive()
            quiet = time.time() - self._recorder.last_change(self.namespace) >= enough
            if quiet and self._is_at_its_end(workload, scene.world(), undisturbed):
                return
            time.sleep(0.05)
        result.problems.append(f"L1: it does not become and stay as it should be: {_reported(scene)}")

    def _is_at_its_end(self, workload: Workload, world: World, undisturbed: Outcome | None) -> bool:
        same = undisturbed is None or outcome(world, ()).objects == undisturbed.objects
        return same and workload.end(world)

    def _judge(
        self,
        scene: Scene,
        result: Result,
        before: Sequence[tuple[Request, Answer]],
        undisturbed: Outcome | None,
    ) -> None:
        story, world = self._recorder.story(self.namespace), scene.world()
        stored = [*before, *self._proxy.stored]
        result.writes = len(self._proxy.requests)
        result.requests = [str(each) for each in self._proxy.requests]
        result.problems += broken(replay(scene.model, story, stored))
        result.problems += badly_written(stored)
        result.problems += unsettled(world)
        result.outcome = outcome(world, story)
        if undisturbed:
            result.problems += differences(result.outcome, undisturbed)

    # --- the operator ---------------------------------------------------------------------------------------

    def _start(self) -> None:
        argv = [
            PROGRAM[1],
            "run",
            f"--kubeconfig={self._proxy.kubeconfig}",
            f"--namespace={self.namespace}",
            f"--lease-namespace={self.namespace}",
            "--host=127.0.0.1",
            "--port=0",
            "--log-format=text",
            f"--settings={SETTINGS}",
            *self._flags,
        ]
        self._process = Forked(argv, self.log, os.environ | self._metric_endpoints.environment)

    def _kill(self) -> None:
        """Called by the proxy, in its thread."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def _revive(self) -> None:
        if self._process and self._process.poll() is not None:
            self._start()


def _reported(scene: Scene) -> str:
    status = scene.world().status
    rollout = status.get("rollout") or {}
    ready: Raw = next((each for each in status.get("conditions") or () if each["type"] == "Ready"), {})
    return f"{rollout.get('state', 'no rollout')} at {rollout.get('weightPercent', 0)}%, {ready.get('reason')}: {ready.get('message')}"
