"""What must hold after every single write, whoever made it, and at every moment before time moves on.

Ids as in docs/design: S is safety. A clause that speaks of what the operator sees has a slack: 0 s where events come at
once, and as long as they may be late (with a restart: as long as that takes) where a story is disturbed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from builders import NAMESPACE
from modelward.api.decode import decode_status
from modelward.api.names import DECISION_ANNOTATION, KIND, MANAGER, REVISION_LABEL, child_name
from modelward.api.objects import Manifest
from modelward.api.revision import revision_hash
from modelward.api.rollout_policy import WHOLE, PlannedSteps, RolloutPolicy
from modelward.api.status import ModelDeploymentStatus
from modelward.api.times import parse
from modelward.cache import convert
from modelward.cache.convert import is_labelled, owner_uid
from modelward.simulator.api_server import Write
from modelward.simulator.simulation import Simulation, by_operator

STATUS_LIMIT: Final = 32 * 1024
HISTORY_LIMIT: Final = 10
UNAVAILABLE_SECONDS: Final = 65.0
"""Stable without a ready pod keeps its share for a minute (a mere restart), plus one reconcile; then the canary, which is not
judged yet, takes over."""
PROMOTED_SECONDS: Final = 9.0
"""A promoted revision without a ready pod keeps the traffic for 3 s, until that counts as ill, plus one reconcile."""
FRESH_SECONDS: Final = 60.0
"""No step is passed on evidence that is older."""


class Broken(AssertionError):
    """An invariant does not hold."""

    def __init__(self, rule: str, sim: Simulation, what: str) -> None:
        super().__init__(f"{rule} at {sim.second:.1f} s: {what}")


@dataclass(slots=True)
class Invariants:
    """Reconciles on at a simulation."""

    slack: float = 0.0
    _decisions: dict[str, int] = field(default_factory=dict)
    """Highest decision number seen, by uid."""
    _last_ready: dict[str, float] = field(default_factory=dict)
    """When a revision had a ready pod last."""
    _misrouted: dict[str, float] = field(default_factory=dict)
    """Since when a revision without a ready pod gets traffic while another has one."""
    _events: dict[str, tuple[str, str, float]] = field(default_factory=dict)
    """The last Event about each model, and its second."""

    def written(self, sim: Simulation, write: Write) -> None:
        """Check all that a write may break."""
        for revision in _ready(sim):
            self._last_ready[revision] = sim.second
        for rule, check in _CHECKS:
            if problem := check(sim, write):
                raise Broken(rule, sim, problem)
        for rule, problem in (
            ("S1", self._given_to_the_dead(sim, write)),
            ("S8", self._falls(write)),
            ("S13", self._says_twice(sim, write)),
        ):
            if problem:
                raise Broken(rule, sim, problem)

    def settled(self, sim: Simulation, until: float) -> None:
        """S1: traffic does not stay where no pod is ready."""
        dead = dict(_sent_to_the_dead(sim))
        for revision in self._misrouted.keys() - dead.keys():
            del self._misrouted[revision]
        for revision, patience in dead.items():
            since = self._misrouted.setdefault(revision, sim.second)
            if until - since > patience + self.slack:
                raise Broken(
                    "S1", sim, f"{revision} has no ready pod and keeps its traffic since {since:.1f} s"
                )

    def _given_to_the_dead(self, sim: Simulation, write: Write) -> str:
        """S1: no write gives traffic to a revision that has no ready pod while another one has."""
        if not by_operator(write) or write.after is None or write.place[0] not in ("Service", "HTTPRoute"):
            return ""
        ready = _ready(sim)
        for revision, weight in _weights(sim, write.object).items():
            before = _weights(sim, write.before).get(revision, 0) if write.before else 0
            dead = sim.second - self._last_ready.get(revision, float("-inf")) > self.slack
            if weight > before and ready and dead:
                return f"{write.place[0]} {write.place[2]} gives {weight} to {revision}, ready are {sorted(ready)}"
        return ""

    def _falls(self, write: Write) -> str:
        """S8: a decision number never falls, in status or on a child, but when status is lost."""
        if not by_operator(write) or write.after is None:
            return ""
        uid, number = write.object["metadata"]["uid"], _decision(write.object)
        if number < self._decisions.get(uid, 0):
            return f"{write.place} goes back from decision {self._decisions[uid]} to {number}"
        self._decisions[uid] = number
        return ""

    def _says_twice(self, sim: Simulation, write: Write) -> str:
        """S13: one Event for a transition."""
        if write.place[0] != "Event" or not by_operator(write):
            return ""
        about, said = write.object["regarding"]["name"], (write.object["reason"], write.object["note"])
        again = self._events.get(about) == (*said, sim.second)
        self._events[about] = (*said, sim.second)
        return f"says {said[0]} twice" if again else ""


# --- traffic ------------------------------------------------------------------------------------------------


def _sums_to_a_hundred(_: Simulation, write: Write) -> str:
    """S1: our own route's weights sum to 100; of a user's route the sum stays what they wrote."""
    if write.place[0] != "HTTPRoute" or not by_operator(write) or write.after is None:
        return ""
    for number, rule in enumerate(write.object["spec"]["rules"]):
        weights = [backend.get("weight", 1) for backend in rule["backendRefs"]]
        old = (write.before or {}).get("spec", {}).get("rules", [])
        own = bool(owner_uid(write.object["metadata"]))
        whole = WHOLE if own else sum(each.get("weight", 1) for each in old[number]["backendRefs"])
        if sum(weights) != whole or not all(0 <= weight <= WHOLE for weight in weights):
            return f"weights {weights}, and not {whole} in all"
    return ""


def _stays_below_its_step(sim: Simulation, write: Write) -> str:
    """S2: the canary's weight is never above its step: in status, nor in a route; and route follows status."""
    if not by_operator(write) or write.after is None:
        return ""
    if write.place[0] == KIND:
        status = _status(write.object)
        if not status.canary_revision or not status.rollout:
            return ""
        weight, most = status.rollout.weight_percent, _steps(write.object).weight_of(status.rollout.step)
        before = _status(write.before or {})
        edited = (
            before.rollout is not None and before.rollout.weight_percent == weight
        )  # by a change of the steps
        return (
            f"weight {weight}, step {status.rollout.step} has {most}" if weight > most and not edited else ""
        )
    if write.place[0] == "HTTPRoute":
        status = _status(_model_of(sim, write.object))
        weights = _weights(sim, write.object)
        wanted = status.rollout.weight_percent if status.rollout else 0
        if status.canary_revision and round(weights.get(status.canary_revision, 0)) > wanted:
            return f"the route gives the canary {weights[status.canary_revision]}, recorded is {wanted}"
    return ""


def _has_no_more_pods_than_its_share(sim: Simulation, write: Write) -> str:
    """S2, without a router: the canary's share of the pods is at most its step, or one pod."""
    if write.place[0] != "Deployment" or not by_operator(write) or write.after is None:
        return ""
    model = _model_of(sim, write.object)
    status, count = _status(model), write.object["spec"]["replicas"]
    if (
        model["spec"].get("traffic")
        or _revision(write.object) != status.canary_revision
        or not status.rollout
    ):
        return ""
    if status.rollout.state == "RollingBack" or model["spec"].get("rollout", {}).get("capacity") == "Shared":
        return ""
    beside = sim.server.objects.get(
        ("Deployment", NAMESPACE, f"{model['metadata']['name']}-{status.stable_revision}")
    )
    others = beside["spec"]["replicas"] if beside else 0
    share, step = WHOLE * count / max(1, count + others), _steps(model).weight_of(status.rollout.step)
    return f"{count} of {count + others} pods at a step of {step}%" if share > step and count > 1 else ""


def _advances_on_a_pass(sim: Simulation, write: Write) -> str:
    """S2, S9: a step is left only after its full time, on fresh evidence; by hand; or with nothing to protect."""
    if write.place[0] != KIND or not by_operator(write) or write.before is None or write.after is None:
        return ""
    before, after = _status(write.before), _status(write.object)
    if not before.rollout or not after.rollout or not before.canary_revision:
        return ""
    promoted = after.stable_revision == before.canary_revision
    same = after.canary_revision == before.canary_revision
    if (
        not (promoted or same)
        or after.rollout.step <= before.rollout.step
        or not before.rollout.weight_percent
    ):
        return ""
    if after.commands.promote == before.canary_revision or _nothing_to_protect(write.before):
        return ""
    return _window_of(before, _policy(write.object), sim)


def _window_of(before: ModelDeploymentStatus, policy: RolloutPolicy, sim: Simulation) -> str:
    """What is wrong with the evidence by which a step is left."""
    rollout, analysis, now = before.rollout, before.analysis, sim.now()
    began = rollout.step_start_time if rollout else None
    if not began or (now - parse(began)).total_seconds() < policy.step_min_seconds - 1:
        return f"a step is left that began at {began or 'no time'}"
    if analysis is None or not analysis.state:
        return ""  # nothing is measured: pods' health alone
    last = analysis.last_sample_time
    stale = not last or (now - parse(last)).total_seconds() > FRESH_SECONDS
    return f"a step is left on evidence of {last or 'never'}" if stale else ""


def _starts_the_clock_with_traffic(sim: Simulation, write: Write) -> str:
    """S2: the clock of a step starts only when requests reach the canary."""
    if write.place[0] != KIND or not by_operator(write) or write.before is None or write.after is None:
        return ""
    before, after = _status(write.before), _status(write.object)
    if not after.rollout or not after.canary_revision or after.rollout.state == "RollingBack":
        return ""
    if not (model_of := write.object["spec"].get("runtime")) or "signals" not in model_of:
        return ""  # nothing counts requests: the Gateway's word is all there is
    started = after.rollout.step_start_time and not (before.rollout and before.rollout.step_start_time)
    if started and not sim.traffic.share(write.place[2], after.canary_revision):
        return (
            f"the clock of step {after.rollout.step} starts, and no request reaches {after.canary_revision}"
        )
    return ""


# --- pods ---------------------------------------------------------------------------------------------------


def _keeps_stable(sim: Simulation, write: Write) -> str:
    """S3: what has traffic is not deleted, and never made smaller than its share of what spec asks for."""
    if write.place[0] != "Deployment" or not by_operator(write) or write.before is None:
        return ""
    model, revision = _model_of(sim, write.before), _revision(write.before)
    status = _status(model)
    if sim.traffic.share(model["metadata"]["name"], revision) == 0 and not _selected(sim, model, revision):
        return ""
    if sim.world.refused and revision != status.stable_revision:
        return ""  # where its traffic may not be taken from it, its pods go
    if write.after is None:
        others = sim.traffic.shares()
        return f"{write.place[2]} is deleted while it has traffic" if others else ""
    before, after = write.before["spec"]["replicas"], write.after["spec"]["replicas"]
    asked = model["spec"].get("replicas", 1)
    if model["spec"].get("rollout", {}).get("capacity") == "Shared" and status.canary_revision:
        weight = status.rollout.weight_percent if status.rollout else 0
        # One pod less: the canary has no pod to give weight to before stable has given up one.
        asked = asked * (WHOLE - weight) // WHOLE - 1
    if revision == status.canary_revision:
        return ""
    return f"{write.place[2]} goes from {before} to {after}" if after < min(before, asked) else ""


def _is_not_revived(sim: Simulation, write: Write) -> str:
    """S4: what was rejected gets no pods, and no weight, unless it is retried - whoever would give them."""
    if (
        write.after is None
        or write.place[0] not in ("Deployment", "HTTPRoute")
        or write.subresource == "status"
    ):
        return ""
    model = _model_of(sim, write.object)
    rejected = {entry.revision for entry in _status(model).rejected_revisions}
    if write.place[0] == "HTTPRoute" and by_operator(write):
        for revision, weight in _weights(sim, write.object).items():
            before = _weights(sim, write.before).get(revision, 0) if write.before else 0
            if revision in rejected - {_status(model).stable_revision} and weight > before:
                return f"{revision} was rejected, and its weight rises to {weight}"
    revision = _revision(write.object)
    if write.place[0] == "Deployment" and revision in rejected - {_status(model).stable_revision}:
        before = write.before["spec"]["replicas"] if write.before else 0
        if write.object["spec"]["replicas"] > before:
            return f"{revision} was rejected, and gets {write.object['spec']['replicas']} pods"
    return ""


def _is_not_promoted_after_all(_: Simulation, write: Write) -> str:
    """S4: a rejected revision never becomes stable, or canary again, while it is rejected; its weight only falls."""
    if write.place[0] != KIND or not by_operator(write) or write.before is None or write.after is None:
        return ""
    before, after = _status(write.before), _status(write.object)
    rejected = {entry.revision for entry in after.rejected_revisions}
    if after.stable_revision in rejected and after.stable_revision != before.stable_revision:
        return f"{after.stable_revision} was rejected, and becomes stable"
    if after.canary_revision in rejected and after.rollout and after.rollout.state != "RollingBack":
        return f"{after.canary_revision} was rejected, and goes on"
    if after.canary_revision in rejected and after.canary_revision == before.canary_revision:
        old = before.rollout.weight_percent if before.rollout else 0
        new = after.rollout.weight_percent if after.rollout else 0
        return f"weight of a rejected revision rises from {old} to {new}" if new > old else ""
    return ""


# --- objects ------------------------------------------------------------------------------------------------


def _leaves_spec_alone(_: Simulation, write: Write) -> str:
    """S5: of the user's object the operator writes status and its own finalizer, and nothing else."""
    if write.place[0] != KIND or not by_operator(write):
        return ""
    if write.before is None or write.after is None:
        finalized = write.before is not None and "deletionTimestamp" in write.before["metadata"]
        return "" if finalized else f"{write.verb} of the object itself"
    if write.subresource != "status" and _but_finalizers(write.before) != _but_finalizers(write.after):
        return "more than the finalizer is written"
    return "spec is written" if write.before["spec"] != write.after["spec"] else ""


def _but_finalizers(raw: Manifest) -> Manifest:
    metadata = {
        key: value for key, value in raw["metadata"].items() if key not in ("finalizers", "resourceVersion")
    }
    return {**raw, "metadata": metadata}


def _writes_its_own(sim: Simulation, write: Write) -> str:
    """S6: only objects of this model are written, by uid, in its namespace; of a user's route weights only."""
    kind, namespace, name = write.place
    if not by_operator(write) or kind in (KIND, "Event"):
        return ""
    # A model that is deleted meanwhile is still the right owner: the garbage collector takes the child.
    models = {made.object["metadata"]["uid"] for _, made in sim.writes if made.place[0] == KIND}
    owners = {owner_uid(raw["metadata"]) for raw in (write.before, write.after) if raw}
    if (
        owner_uid((write.before or write.object)["metadata"]) is None
        and owner_uid(write.object["metadata"]) in models
    ):
        return "" if _may_adopt(sim, write) else f"{kind} {name} is taken, and nobody asked for it"
    if kind == "HTTPRoute" and owners == {None}:
        return _weights_only(write)
    if kind == "ConfigMap":  # goes with the snapshot of its revision
        snapshots = {
            made.object["metadata"]["uid"]
            for _, made in sim.writes
            if by_operator(made) and made.place[0] == "ControllerRevision"
        }
        models |= snapshots if write.verb == "create" else set()
    return "" if owners <= models and namespace == NAMESPACE else f"{kind} {name} belongs to {owners}"


def _may_adopt(sim: Simulation, write: Write) -> bool:
    """Whether a person has asked for it, and nothing but the owner is written."""
    uid, labels = owner_uid(write.object["metadata"]), write.object["metadata"].get("labels") or {}
    model = next((raw for raw in sim.server.find(KIND) if raw["metadata"]["uid"] == uid), {})
    asked = "modelward.dev/adopt" in (model.get("metadata", {}).get("annotations") or {})
    named = model.get("metadata", {}).get("name") == labels.get("modelward.dev/model")
    same = write.before is not None and write.before.get("spec") == write.object.get("spec")
    return asked and named and same


def _weights_only(write: Write) -> str:
    if write.before is None or write.after is None or not is_labelled(write.before):
        return f"{write.verb} of a user's route that does not allow it"
    return "" if _but_weights(write.before) == _but_weights(write.after) else "more than weights is written"


def _but_weights(raw: Manifest) -> list[Manifest]:
    return [
        {
            **rule,
            "backendRefs": [
                {key: value for key, value in each.items() if key != "weight"} for each in rule["backendRefs"]
            ],
        }
        for rule in raw["spec"]["rules"]
    ]


def _leaves_replicas_to_the_autoscaler(sim: Simulation, write: Write) -> str:
    """S7: turning an autoscaler on shows no dip: it is made only for a Deployment whose count it would keep."""
    if write.place[0] != "HorizontalPodAutoscaler" or write.verb != "create" or not by_operator(write):
        return ""
    target = ("Deployment", write.place[1], write.object["spec"]["scaleTargetRef"]["name"])
    count = sim.server.objects[target]["spec"]["replicas"] if target in sim.server.objects else 0
    most = write.object["spec"]["maxReplicas"]
    return f"{target[2]} has {count} pods, and its autoscaler allows {most}" if count > most else ""


def _changes_something(_: Simulation, write: Write) -> str:
    """S11: no write that changes nothing."""
    same = by_operator(write) and write.before is not None and write.before == write.after
    return f"{write.verb} of {write.place} changes nothing" if same else ""


# --- status -------------------------------------------------------------------------------------------------


def _tells_the_truth(_: Simulation, write: Write) -> str:
    """S10: never ahead of spec; Ready only for this spec; times move only with a status."""
    if write.place[0] != KIND or not by_operator(write) or write.after is None:
        return ""
    generation, status = write.object["metadata"]["generation"], write.object["status"]
    observed = status.get("observedGeneration", 0)
    conditions = _conditions(write.object)
    if observed > generation:
        return f"observedGeneration {observed} is ahead of generation {generation}"
    if conditions["Ready"]["status"] == "True" and observed != generation:
        return "Ready is True for an older spec"
    for kind, old in _conditions(write.before or {}).items():
        new = conditions.get(kind)
        if new and new["status"] == old["status"] and new["lastTransitionTime"] != old["lastTransitionTime"]:
            return f"lastTransitionTime of {kind} moves without its status"
    return ""


def _says_what_serves(sim: Simulation, write: Write) -> str:
    """F15: RolloutSucceeded, and Ready, are True only while the stable revision is what spec asks for."""
    if write.place[0] != KIND or not by_operator(write) or write.after is None:
        return ""
    model, conditions = convert.model(write.object), _conditions(write.object)
    claims = [kind for kind in ("RolloutSucceeded", "Ready") if conditions[kind]["status"] == "True"]
    if not claims:
        return ""
    stable = model.status.stable_revision
    content = revision_hash(model.fields)
    snapshot = sim.server.objects.get(("ControllerRevision", model.namespace, child_name(model.name, stable)))
    if stable != content and (snapshot or {}).get("data", {}).get("content") != content:
        return f"{claims} True while {stable} serves, and spec asks for {content}"
    return ""


def _is_bounded(_: Simulation, write: Write) -> str:
    """S13: status is small, and the API server would take it."""
    if write.place[0] != KIND or not by_operator(write) or write.after is None:
        return ""
    status = write.object["status"]
    size = len(msgspec.json.encode(status))
    if size > STATUS_LIMIT:
        return f"status has {size} bytes"
    if dropped := decode_status(status).dropped:
        return f"status does not fit its schema: {dropped}"
    lists = [len(status.get(key) or ()) for key in ("history", "rejectedRevisions")]
    return f"lists of {lists} entries" if max(lists) > HISTORY_LIMIT else ""


_CHECKS: Final[tuple[tuple[str, Callable[[Simulation, Write], str]], ...]] = (
    ("S1", _sums_to_a_hundred),
    ("S2", _stays_below_its_step),
    ("S2", _has_no_more_pods_than_its_share),
    ("S2, S9", _advances_on_a_pass),
    ("S2", _starts_the_clock_with_traffic),
    ("S3", _keeps_stable),
    ("S4", _is_not_revived),
    ("S4", _is_not_promoted_after_all),
    ("S5", _leaves_spec_alone),
    ("S6", _writes_its_own),
    ("S7", _leaves_replicas_to_the_autoscaler),
    ("S10", _tells_the_truth),
    ("F15", _says_what_serves),
    ("S11", _changes_something),
    ("S13", _is_bounded),
)


# --- the end ------------------------------------------------------------------------------------------------


def end_state(sim: Simulation, *, with_history: bool = True) -> dict[str, Any]:
    """What a story comes to, without times and numbers that depend on how it got there."""
    found: dict[str, Any] = {}
    for at, raw in sim.server.objects.items():
        if at[0] == KIND:
            found[at[2]] = _outcome(raw.get("status") or {}, with_history=with_history)
        elif at[0] not in ("Event", "Pod", "ControllerRevision", "ConfigMap"):
            found["/".join(at)] = {
                "spec": raw.get("spec"),
                "labels": raw["metadata"].get("labels"),
                "ready": (raw.get("status") or {}).get("readyReplicas"),
            }
    return found


def replicas_owned_beside_an_autoscaler(sim: Simulation) -> list[str]:
    """S7: Deployments that have an autoscaler, and whose count is still ours."""
    scaled = {raw["spec"]["scaleTargetRef"]["name"] for raw in sim.server.find("HorizontalPodAutoscaler")}
    return [
        raw["metadata"]["name"]
        for raw in sim.server.find("Deployment")
        if raw["metadata"]["name"] in scaled
        and any(
            entry["manager"] == MANAGER and "f:replicas" in entry["fieldsV1"]["f:spec"]
            for entry in raw["metadata"].get("managedFields") or ()
        )
    ]


def _outcome(status: Manifest, *, with_history: bool) -> Manifest:
    history = status.get("history") or () if with_history else ()
    return {
        "conditions": {
            each["type"]: (each["status"], each["reason"] if with_history else "")
            for each in status.get("conditions") or ()
            if with_history or each["type"] != "RolloutSucceeded"
        },
        "history": [(each["revision"], each["result"]) for each in history],
        "rejected": [each["revision"] for each in status.get("rejectedRevisions") or ()],
        "revisions": {
            key: status.get(key) for key in ("stableRevision", "canaryRevision", "previousRevision")
        },
        "rollout": (status.get("rollout") or {}).get("state"),
        "scaling": status.get("scaling"),
        "fetched": [(each["revision"], each.get("digest")) for each in status.get("fetched") or ()],
        "commands": status.get("commands"),
    }


# --- what is there ------------------------------------------------------------------------------------------


def _ready(sim: Simulation) -> set[str]:
    """Revisions with a ready pod."""
    return {_revision(pod) for pod in sim.server.find("Pod") if sim.nodes.is_ready(pod)}


def _revision(raw: Manifest) -> str:
    return str((raw["metadata"].get("labels") or {}).get(REVISION_LABEL, ""))


def _model_of(sim: Simulation, child: Manifest) -> Manifest:
    """The model that an object belongs to, or whose route it is; an empty one if it is gone."""
    owner = owner_uid(child["metadata"])
    for raw in sim.server.find(KIND):
        ref = ((raw["spec"].get("traffic") or {}).get("httpRouteRef") or {}).get("name")
        if raw["metadata"]["uid"] == owner or (owner is None and ref == child["metadata"]["name"]):
            return raw
    return {"metadata": {"name": ""}, "spec": {}, "status": {}}


def _status(model: Manifest) -> ModelDeploymentStatus:
    return decode_status(model.get("status")).status


def _steps(model: Manifest) -> PlannedSteps:
    return _policy(model).planned_steps


def _policy(model: Manifest) -> RolloutPolicy:
    return convert.model(model).spec.rollout


def _nothing_to_protect(model: Manifest) -> bool:
    """Nobody serves, or nobody is to."""
    available = _conditions(model).get("Available", {}).get("status") == "True"
    return not available or model["spec"].get("replicas") == 0


def _selected(sim: Simulation, model: Manifest, revision: str) -> bool:
    service = sim.server.objects.get(("Service", NAMESPACE, model["metadata"]["name"]))
    routed = bool(model["spec"].get("traffic"))
    return not routed and service is not None and service["spec"]["selector"].get(REVISION_LABEL) == revision


def _weights(sim: Simulation, raw: Manifest | None) -> dict[str, float]:
    """What a Service or a route gives each revision, in percent."""
    if raw is None:
        return {}
    if raw["kind"] == "Service":
        revision = raw["spec"]["selector"].get(REVISION_LABEL)
        name, model = raw["metadata"]["name"], _model_of(sim, raw)
        entry = name == model["metadata"]["name"] and not model["spec"].get("traffic")
        return {revision: float(WHOLE)} if revision and entry else {}
    found: dict[str, float] = {}
    for rule in raw["spec"]["rules"]:
        weights = {each["name"]: each.get("weight", 1) for each in rule["backendRefs"]}
        for name, weight in weights.items():
            service = sim.server.objects.get(("Service", raw["metadata"]["namespace"], name))
            if service and sum(weights.values()):
                revision = service["spec"]["selector"].get(REVISION_LABEL, "")
                found[revision] = found.get(revision, 0.0) + WHOLE * weight / sum(weights.values())
    return found


def _sent_to_the_dead(sim: Simulation) -> Iterator[tuple[str, float]]:
    """Revisions that are to get traffic and have no ready pod while another has; each with the operator's patience."""
    for model in sim.server.find(KIND):
        status, name = _status(model), model["metadata"]["name"]
        traffic = model["spec"].get("traffic")
        ref = ((traffic or {}).get("httpRouteRef") or {}).get("name", name)
        at = ("HTTPRoute", NAMESPACE, ref) if traffic else ("Service", NAMESPACE, name)
        alive = _ready(sim) & {status.stable_revision, status.canary_revision, status.previous_revision}
        for revision, weight in _weights(sim, sim.server.objects.get(at)).items():
            if weight and revision not in alive and alive:
                yield revision, _patience(status, revision)


def _patience(status: ModelDeploymentStatus, revision: str) -> float:
    if revision == status.canary_revision:
        return 0.0
    return UNAVAILABLE_SECONDS if status.canary_revision else PROMOTED_SECONDS


def _conditions(raw: Manifest) -> dict[str, Manifest]:
    return {each["type"]: each for each in (raw.get("status") or {}).get("conditions") or ()}


def _decision(raw: Manifest) -> int:
    if raw["kind"] == KIND:
        return int((raw.get("status") or {}).get("decision", 0))
    return int((raw["metadata"].get("annotations") or {}).get(DECISION_ANNOTATION, 0))
