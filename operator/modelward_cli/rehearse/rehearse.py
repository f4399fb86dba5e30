"""A user's own change, played from a model that has served for ten minutes: what would happen, when, and why."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from modelward.api import names
from modelward.api.conditions import Blocked
from modelward.api.decode import decode_status
from modelward.api.model import Model
from modelward.api.objects import Manifest
from modelward.api.revision import revision_fields, revision_hash
from modelward.api.status import ModelDeploymentStatus, RolloutResult
from modelward.api.traffic_policy import Traffic
from modelward.cache import convert
from modelward.rollout.phases import WAITING, Phase, phase_of
from modelward.runtimes.choose import choose
from modelward.simulator.api_server import Place, Write, place
from modelward.simulator.simulation import Act, Simulation
from modelward.simulator.story import Line, lines
from modelward.simulator.traffic import Answered
from modelward.simulator.world import Version, World
from modelward_cli.rehearse.manifests import InvalidManifest, Manifests
from modelward_cli.rehearse.scenarios import End, Scenario

USER: Final = "kubectl"
AT_REST_SECONDS: Final = 600.0
"""How long the model has served before the change."""
APPROVED_AFTER_SECONDS: Final = 60.0
BAD_AFTER_SECONDS: Final = 30.0
LONGEST_SECONDS: Final = 24 * 3600.0
_WAITS_SECONDS: Final = 120.0
"""A rollout that has waited for so long waits for something that will not come by itself."""
_CHUNK_SECONDS: Final = 15.0
_KEPT_SECONDS: Final = 3600.0
"""A watch after the promotion that is longer than this is not played to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is the same in all scenarios."""

    before: Manifests
    after: Manifest
    """The ModelDeployment as it is changed to."""
    requests_per_second: float = 60.0
    load_seconds: float = 5.0
    approve: bool = True
    """Whether a person approves each step that asks for it, after a minute."""
    assumptions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """How a scenario went."""

    scenario: Scenario
    end: End
    message: str
    """Why, in the operator's words."""
    seconds: float
    """From the change to the end."""
    lines: tuple[Line, ...]
    """Seconds count from the change."""
    canary: Answered
    """Requests that the new version answered."""
    lost: float
    """Requests that no pod took, from the change on."""
    assumptions: tuple[str, ...]

    @property
    def as_expected(self) -> bool:
        """Whether this is an end that the scenario should come to."""
        return self.end in self.scenario.ends


def completed(setting: Setting) -> Setting:
    """The setting with everything assumed that the manifests do not have, and said so."""
    assumptions = [f"{each} plays no part" for each in setting.before.ignored]
    model = _model(setting.before.model)
    choice = choose(model.spec, [convert.runtime(raw) for raw in setting.before.runtimes])
    before = setting.before
    if isinstance(choice, Blocked):
        runtime = _assumed_runtime(model)
        before = replace(before, runtimes=(*before.runtimes, runtime))
        assumptions.append(
            f"a {runtime['kind']} {runtime['metadata']['name']} whose server shows errors and latency"
        )
    route = _route_of_user(model.spec.traffic)
    if route and route not in {raw["metadata"]["name"] for raw in before.routes}:
        before = replace(before, routes=(*before.routes, _assumed_route(model, route)))
        assumptions.append(f"an HTTPRoute {route} that allows weights")
    if model.spec.traffic:
        assumptions.append("a Gateway that takes routes within a second")
    if setting.before.model["spec"] == setting.after["spec"]:
        raise ValueError("a setting needs a change")
    return replace(setting, before=before, assumptions=(*setting.assumptions, *assumptions))


def rehearse(setting: Setting, scenario: Scenario) -> Rehearsal:
    """Play one scenario to its end. Raises InvalidManifest if the model does not even start."""
    play = _Play(setting=setting, scenario=scenario)
    play.run()
    return play.rehearsal()


@dataclass(slots=True)
class _Play:
    setting: Setting
    scenario: Scenario
    simulation: Simulation = field(init=False)
    stable: str = field(init=False)
    canary: str = ""
    lost_before: float = 0.0
    _planned: set[str] = field(default_factory=set)
    """What was reacted to."""

    def __post_init__(self) -> None:
        rate = self.scenario.requests_per_second
        world = World(
            others=Version(load_seconds=self.setting.load_seconds),
            requests_per_second=self.setting.requests_per_second if rate is None else rate,
        )
        self.simulation = Simulation(list(self._acts()), world=world, watch=self)
        self.stable = revision_hash(revision_fields(self.setting.before.model["spec"]))

    @property
    def change_second(self) -> float:
        return AT_REST_SECONDS + self.setting.load_seconds

    def run(self) -> None:
        """Play until nothing more is to be expected."""
        simulation, since = self.simulation, None
        simulation.run(until=self.change_second - 1)
        self._check_started()
        simulation.run(until=self.change_second)
        while simulation.second < self.change_second + LONGEST_SECONDS:
            simulation.run(until=simulation.second + _CHUNK_SECONDS)
            phase = self._phase()
            if phase is Phase.SERVING or (phase is Phase.WATCHING and self._keeps_long()):
                return
            waits = self._waits(phase)
            since = (since or simulation.second) if waits else None
            if since is not None and simulation.second - since >= _WAITS_SECONDS:
                return

    def _check_started(self) -> None:
        model = self._model()
        conditions = {each.type: each for each in model.status.conditions}
        ready = conditions["Ready"]
        if ready.status != "True":
            raise InvalidManifest(f"{names.KIND} {model.name}: does not even start: {ready.message}")

    def rehearsal(self) -> Rehearsal:
        """How it went."""
        simulation, reported = self.simulation, list(lines(self.simulation))
        after = [
            replace(line, second=round(line.second - self.change_second, 3))
            for line in reported
            if line.second >= self.change_second
        ]
        end, message = self._end()
        return Rehearsal(
            scenario=self.scenario,
            end=end,
            message=message,
            seconds=after[-1].second if after and end is not End.UNFINISHED else LONGEST_SECONDS,
            lines=tuple(after),
            canary=simulation.traffic.answered.get(self.canary, Answered()),
            lost=max(0.0, simulation.traffic.lost - self.lost_before),
            assumptions=self.setting.assumptions,
        )

    # --- the script -----------------------------------------------------------------------------------------

    def _acts(self) -> Iterator[Act]:
        before = self.setting.before
        for raw in (*before.runtimes, *before.routes, before.model):
            yield Act(second=0, words=f"creates {raw['kind']} {raw['metadata']['name']}", do=_creating(raw))
        yield Act(second=self.change_second, words="", do=self._change)

    def _change(self, simulation: Simulation) -> None:
        world = simulation.world
        world.versions[self.stable] = world.others
        world.others = self.scenario.version(world.others)
        if not self.scenario.room:
            world.room = sum(1 for _ in simulation.server.find("Pod"))
        self.lost_before = simulation.traffic.lost
        simulation.note("user", f"changes {'; '.join(differences(self.setting))}")
        after = self.setting.after

        def edit(raw: Manifest) -> None:
            raw["spec"] = after["spec"]

        simulation.server.change(self._at, USER, edit)

    @property
    def _at(self) -> Place:
        return place(self.setting.before.model)

    def written(self, _simulation: Simulation, write: Write, /) -> None:
        """React to what the operator decides: approve, or turn bad once promoted."""
        if write.place != self._at or write.subresource != "status" or write.after is None:
            return
        status = decode_status(write.after["status"]).status
        self.canary = status.canary_revision or self.canary
        rollout = status.rollout
        if rollout and phase_of(status) is Phase.AWAITING_APPROVAL and self.setting.approve:
            self._once(f"approve {rollout.step}", APPROVED_AFTER_SECONDS, self._approve)
        promoted = status.stable_revision not in ("", self.stable)
        if promoted and self.scenario.after_promotion:
            self._once("promoted", BAD_AFTER_SECONDS, self._turn_bad)

    def settled(self, _simulation: Simulation, _until: float, /) -> None:
        """Nothing to do."""

    def _once(self, what: str, after: float, do: Any) -> None:
        if what not in self._planned:
            self._planned.add(what)
            self.simulation.plan(Act(second=self.simulation.second + after, words="", do=do))

    def _approve(self, simulation: Simulation) -> None:
        status = self._status()
        if not status.rollout or phase_of(status) is not Phase.AWAITING_APPROVAL:
            return
        step = self._model().spec.rollout.planned_steps.step_above(status.rollout.weight_percent)
        value = f"{status.canary_revision}/{step}"
        simulation.note("user", f"approves: modelward.dev/approve={value}")

        def edit(raw: Manifest) -> None:
            raw["metadata"].setdefault("annotations", {})["modelward.dev/approve"] = value

        simulation.server.change(self._at, USER, edit)

    def _turn_bad(self, simulation: Simulation) -> None:
        simulation.note("cluster", "the new version begins to crash")
        world = simulation.world
        world.others = replace(world.others, **self.scenario.after_promotion)

    # --- where it is ----------------------------------------------------------------------------------------

    def _status(self) -> ModelDeploymentStatus:
        return self._model().status

    def _model(self) -> Model:
        return convert.model(self.simulation.model())

    def _phase(self) -> Phase:
        return phase_of(self._status())

    def _keeps_long(self) -> bool:
        model = self._model()
        bad = bool(self.scenario.after_promotion)
        return model.spec.rollout.keep_previous_seconds > _KEPT_SECONDS and not bad

    def _waits(self, phase: Phase) -> bool:
        """Whether it waits for what will not come by itself."""
        if phase is Phase.AWAITING_APPROVAL:
            return not self.setting.approve
        unscheduled = any(
            (pod.get("status") or {}).get("phase") == "Pending" for pod in self.simulation.server.find("Pod")
        )
        return phase in WAITING or unscheduled

    def _end(self) -> tuple[End, str]:
        model = self._model()
        status, phase = model.status, self._phase()
        latest = status.history[0] if status.history else None
        ready = next((each for each in status.conditions if each.type == "Ready"), None)
        if latest and latest.revision != self.stable and phase in (Phase.SERVING, Phase.WATCHING):
            promoted = latest.result is RolloutResult.PROMOTED
            return (End.PROMOTED if promoted else End.ROLLED_BACK), latest.message
        message = ready.message if ready else ""
        if phase is Phase.SERVING:
            return End.NO_ROLLOUT, message
        if self.simulation.second >= self.change_second + LONGEST_SECONDS:
            return End.UNFINISHED, message
        return End.WAITING, message


def differences(setting: Setting) -> list[str]:
    """The fields that change, with their values, in words."""
    return list(_differences(setting.before.model["spec"], setting.after["spec"], "spec"))


def _differences(before: Any, after: Any, path: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from _differences(before.get(key), after.get(key), f"{path}.{key}")
    elif before != after:
        yield f"{path} from {_shown(before)} to {_shown(after)}"


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)


def _creating(raw: Manifest) -> Any:
    def do(simulation: Simulation) -> None:
        simulation.server.create(raw, USER)

    return do


def _model(raw: Manifest) -> Model:
    metadata = {**raw["metadata"], "uid": "", "resourceVersion": "0"}
    return convert.model({**raw, "metadata": metadata})


def _route_of_user(traffic: Traffic | None) -> str:
    return traffic.http_route_ref.name if traffic and traffic.http_route_ref else ""


def _assumed_runtime(model: Model) -> Manifest:
    runtime, source = model.spec.runtime, model.spec.model
    name = (runtime.name if runtime else None) or (source.format if source else None) or "assumed"
    return {
        "apiVersion": f"{names.GROUP}/{names.VERSION}",
        "kind": "ClusterModelRuntime",
        "metadata": {"name": name.lower()},
        "spec": {
            "formats": [{"name": source.format}] if source and source.format else [],
            "container": {
                "image": "registry.example.com/assumed:1",
                "ports": {"http": 8080, "metrics": 8082},
            },
            "metrics": {"port": "metrics", "path": "/metrics"},
            "signals": {
                "errors": {"hits": "errors_total", "total": "requests_total"},
                "latency": {"histogram": "request_seconds"},
            },
        },
    }


def _assumed_route(model: Model, name: str) -> Manifest:
    backends = [(names.service_name(model.name), 100), (names.canary_service_name(model.name), 0)]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "namespace": model.namespace,
            "name": name,
            "labels": {names.WEIGHTS_LABEL: names.WEIGHTS_MANAGED},
        },
        "spec": {
            "parentRefs": [{"name": "assumed"}],
            "rules": [
                {
                    "backendRefs": [
                        {"name": service, "port": 80, "weight": weight} for service, weight in backends
                    ]
                }
            ],
        },
    }
