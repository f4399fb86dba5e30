"""A crowd: one operator behind the fault proxy, and many models at once, each with a fault of its own.

A watch or a request is about a model if it names it; so each fault strikes one model, and a hundred of them take
hardly longer than one. What holds is checked as for a single model.
"""

import itertools
import re
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from devcluster import Cluster
from faults.invariants import badly_written, broken
from faults.metric_endpoints import PROGRAM, MetricEndpoints
from faults.outcome import Outcome, differences, outcome, unsettled
from faults.plan import PASS, Answer, Fault, Frame, FrameFault, Plan, Request
from faults.proxy import Proxy
from faults.recorder import KINDS, Recorder
from faults.scene import Scene
from faults.story import replay
from faults.workloads import Workload, at_rest, model
from support.api_server import administrator
from support.kubectl import Kubectl
from support.operator import OperatorProcess

PATIENCE_SECONDS: Final = 120.0
"""How long an end is waited for: far beyond what is promised, so that what is slow is distinguished from what hangs."""
QUIET_SECONDS: Final = 1.5
_NAME: Final = re.compile(rb"crowd\d{4}")


class OfOne(Plan):
    """What happens to the requests and the events that are about one model, numbered from 1."""

    frames = 0
    asked = 0
    struck = ""
    """What the fault did strike; "" while it has not."""

    def sooner(self) -> "OfOne | None":
        """The same fault at the last that was seen, when its own number did not come; None if nothing was."""
        return None

    def of_frame(self, watch: Request, frame: Frame, number: int) -> FrameFault:
        """What happens to an event about the model."""
        del watch, frame, number
        return PASS

    def of_request(self, request: Request, number: int) -> Fault:
        """What happens to a request about the model."""
        del request, number
        return PASS

    def frame(self, watch: Request, frame: Frame) -> FrameFault:
        """Count it."""
        self.frames += 1
        return self.of_frame(watch, frame, self.frames)

    def request(self, request: Request) -> Fault:
        """Count it."""
        self.asked += 1
        return self.of_request(request, self.asked)


@dataclass(slots=True)
class Each(Plan):
    """The plan of each model, by its name."""

    plans: dict[bytes, OfOne] = field(default_factory=dict)
    lists: int = 0
    """How many full lists were asked for."""
    always: Plan = field(default_factory=Plan)
    """What happens to all of them, before their own."""

    def request(self, request: Request) -> Fault:
        """As the model's own plan says."""
        self.lists += request.lists and "PartialObjectMetadata" not in request.headers.get("Accept", "")
        fault = self.always.request(request)
        own = self._own(request.path.encode() + request.body)
        return own.request(request) if own and fault is PASS else fault

    def answer(self, request: Request, answer: Answer) -> Answer:
        """As the model's own plan says."""
        own = self._own(request.path.encode() + request.body)
        return own.answer(request, answer) if own else self.always.answer(request, answer)

    def frame(self, watch: Request, frame: Frame) -> FrameFault:
        """As the model's own plan says."""
        fault = self.always.frame(watch, frame)
        own = self._own(frame.line)
        return own.frame(watch, frame) if own and fault is PASS else fault

    def _own(self, text: bytes) -> OfOne | None:
        found = _NAME.search(text)
        return self.plans.get(found.group()) if found else None


@dataclass(slots=True)
class Trial:
    """One model, what is done to it, and what strikes it."""

    workload: Workload
    plan: OfOne
    says: str
    """The fault, in words."""
    scene: Scene
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    """From the first act to the end."""
    late: float = 0.0
    """By how much that is more than without a fault, beside as many others."""
    outcome: Outcome | None = None
    _done: int = 0
    _began: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether it is where it should be, or never will be."""
        return bool(self.seconds)

    def go_on(self) -> None:
        """Do the acts whose moment has come."""
        self._began = self._began or time.monotonic()
        world, acts = self.scene.world(), self.workload.acts
        if self._done < len(acts):
            if acts[self._done].moment(world):
                acts[self._done].do(self.scene)
                self._done += 1
        elif self.workload.end(world):
            self.seconds = time.monotonic() - self._began

    def give_up(self) -> None:
        """It takes too long."""
        self.seconds = time.monotonic() - self._began
        status = self.scene.world().status
        self.problems.append(f"L1: no end: {status.get('rollout')}, {status.get('conditions')}")


class Crowd:
    """Use as a context manager, in one thread."""

    def __init__(self, cluster: Cluster, credentials: Path, directory: Path, *flags: str) -> None:
        """`flags` are the operator's."""
        self.namespace = f"crowd-{secrets.token_hex(3)}"
        self.plan = Each()
        self._cluster, self._directory, self._flags = cluster, directory, flags
        self._stack = ExitStack()
        self.proxy = Proxy(credentials, directory / "proxy")
        self.operator: OperatorProcess
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        Kubectl(self._cluster)("create", "namespace", self.namespace)
        kinds = [kind for kind in KINDS if kind != "HTTPRoute"]
        self._recorder = self._stack.enter_context(Recorder(self._cluster, kinds))
        self._metric_endpoints = self._stack.enter_context(MetricEndpoints(self._recorder))
        self._client = self._stack.enter_context(administrator(self._cluster))
        self._stack.enter_context(self.proxy)
        settings = self._metric_endpoints.settings(self._directory / "settings.yaml")
        self.operator = OperatorProcess(self.proxy.kubeconfig, self._directory, settings, *self._flags)
        self.operator.environment = self._metric_endpoints.environment
        self._stack.callback(self.operator.stop)
        self.operator.start(program=PROGRAM)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        Kubectl(self._cluster)("delete", "namespace", self.namespace, "--wait=false")

    def run(
        self,
        strikes: Sequence[tuple[Workload, str, OfOne]],
        undisturbed: dict[str, Outcome] | None = None,
        disturb: Callable[[], None] = lambda: None,
        patience: float = PATIENCE_SECONDS,
    ) -> list[Trial]:
        """All at once; `disturb` is called once, when all are under way; their ends are awaited `patience` seconds."""
        trials = [self._trial(*strike) for strike in strikes]
        self._set_up(trials)
        self.plan.plans = {each.scene.model.encode(): each.plan for each in trials}
        self.proxy.reset(self.plan)
        self._play(trials, disturb, patience)
        time.sleep(QUIET_SECONDS)
        for each in trials:
            self._judge(each, (undisturbed or {}).get(each.workload.name))
        self.proxy.reset()
        for each in trials:
            if not each.workload.gone:
                each.scene.delete()
        return trials

    def _trial(self, workload: Workload, says: str, plan: OfOne) -> Trial:
        scene = Scene(
            model=f"crowd{next(self._numbers):04d}",
            namespace=self.namespace,
            recorder=self._recorder,
            client=self._client,
        )
        return Trial(workload, plan, says, scene)

    def _set_up(self, trials: Sequence[Trial]) -> None:
        self._recorder.begin(self.namespace)
        self.proxy.reset()
        before = [each for each in trials if each.workload.before is not None]
        for each in before:
            each.scene.apply(model(each.scene.model, "1", **(each.workload.before or {})))
        for each in before:
            assert each.scene.wait(at_rest, PATIENCE_SECONDS), f"{each.scene.model}: version 1 serves"
        self._stored = list(self.proxy.stored)

    def _play(self, trials: Sequence[Trial], disturb: Callable[[], None], patience: float) -> None:
        end = time.monotonic() + patience
        for each in trials:
            each.go_on()
        disturb()
        while left := [each for each in trials if not each.ended]:
            for each in left:
                each.go_on()
                if time.monotonic() > end and not each.ended:
                    each.give_up()
            time.sleep(0.05)

    def _judge(self, trial: Trial, undisturbed: Outcome | None) -> None:
        story, world = self._recorder.story(self.namespace), trial.scene.world()
        name = trial.scene.model.encode()
        stored = [
            each
            for each in [*self._stored, *self.proxy.stored]
            if name in each[0].target.encode() + each[0].body
        ]
        trial.problems += broken(replay(trial.scene.model, story, stored))
        trial.problems += badly_written(stored)
        trial.problems += unsettled(world)
        if trial.workload.measured and not self._metric_endpoints.asked(trial.scene.model):
            trial.problems.append("S9: nobody asked what its pods measure")
        trial.outcome = outcome(world, story)
        if not trial.workload.end(world):
            trial.problems.append("L1: it does not stay as it should be")
        if undisturbed:
            trial.problems += differences(trial.outcome, undisturbed)
