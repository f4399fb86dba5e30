"""What must hold at each state and at each write of the operator. S is safety; docs/faults.md lists what each id means.

Checked here: S1 to S8, S10, S11 and S13, on the states that the recorder saw and the requests that the proxy saw; S14 and
L1, L2 at the end of a run (see outcome.py). S9 (unknown is no success) is checked as far as time goes: a step is left
only after its full time; evidence is the business of the golden stories. S12 (planted secrets) is tested elsewhere.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from faults.plan import Answer, Request
from faults.recorder import Raw
from faults.story import (
    MANAGER,
    MODEL_LABEL,
    REVISION_LABEL,
    Change,
    World,
    answered,
    decision_of,
    revision_of,
)

WHOLE: Final = 100
STATUS_LIMIT: Final = 32 * 1024
HISTORY_LIMIT: Final = 10
DEFAULT_STEPS: Final = (5, 25, 50)
SLACK_SECONDS: Final = 5.0
"""How old the operator's knowledge of a pod's readiness may be, a restart included."""
CLOCK_SECONDS: Final = 0.2
"""By how much a step's time may seem too short: the write that ends it is stamped before it is sent."""

Check = Callable[[World, Change], str]
"""What is wrong with a change; the world is as it was before it."""


@dataclass(slots=True)
class Watch:
    """The checks that remember something."""

    capacity: int = 0
    """The most pods that served since spec asked for so many."""
    asked: int = 0
    _decisions: dict[str, int] = field(default_factory=dict)
    """By uid."""

    def serves_enough(self, world: World, change: Change) -> str:
        """S3: once so many pods serve as spec asks for, there are never fewer."""
        after = _after(world, change)
        cr = after.cr
        if not cr["metadata"] or _leaves(cr):
            return ""
        asked = int(cr["spec"].get("replicas", 1))
        serving = after.serving()
        if asked != self.asked:
            self.capacity, self.asked = min(self.capacity, asked), asked
        self.capacity = max(self.capacity, min(serving, asked))
        spare = 1 if _rollout_spec(cr).get("capacity") == "Shared" else 0
        if serving >= self.capacity - spare or _harmed(change):
            return ""
        return f"{serving} pods serve, {self.capacity} did before and {asked} are asked for"

    def decisions_rise(self, _: World, change: Change) -> str:
        """S8: the number of a decision never falls, in status or on a child."""
        if change.after is None or not change.by_operator:
            return ""
        uid, number = change.after["metadata"]["uid"], decision_of(change.after)
        known = self._decisions.get(uid, 0)
        self._decisions[uid] = max(number, known)
        return f"goes back from decision {known} to {number}" if number < known else ""


# --- traffic ------------------------------------------------------------------------------------------------


def selects_the_living(world: World, change: Change) -> str:
    """S1: the entry Service is never turned to a revision without a ready pod while another one has some."""
    if change.at != ("Service", world.model) or not change.by_operator or change.after is None:
        return ""
    revision = change.after["spec"]["selector"].get(REVISION_LABEL)
    ready = world.ready()
    was_ready = change.time - world.ready_at.get(revision or "", 0.0) <= SLACK_SECONDS
    if not revision or not ready or revision in ready or was_ready:
        return ""
    return f"the Service selects {revision}, ready are {sorted(ready)}"


def weights_are_whole(world: World, change: Change) -> str:
    """S1: weights of a route of ours are 0 to 100, and 100 in all; of the user's own the sum stays."""
    if change.at[0] != "HTTPRoute" or not change.by_operator or change.after is None:
        return ""
    for number, rule in enumerate(change.after["spec"]["rules"]):
        weights = [backend.get("weight", 1) for backend in rule["backendRefs"]]
        whole = WHOLE
        if not change.after["metadata"].get("ownerReferences") and change.before:
            whole = sum(
                each.get("weight", 1) for each in change.before["spec"]["rules"][number]["backendRefs"]
            )
        if sum(weights) != whole or min(weights) < 0:
            return f"weights {weights}, and not {whole} in all"
    return ""


def routes_to_the_living(world: World, change: Change) -> str:
    """S1: no weight rises for a revision without a ready pod while another one has some."""
    if change.at[0] != "HTTPRoute" or not change.by_operator or change.after is None:
        return ""
    ready, before = world.ready(), route_weights(world, change.before)
    for revision, weight in route_weights(world, change.after).items():
        alive = revision in ready or change.time - world.ready_at.get(revision, 0.0) <= SLACK_SECONDS
        if weight > before.get(revision, 0) and ready and not alive:
            return f"the route gives {weight} to {revision}, ready are {sorted(ready)}"
    return ""


def follows_the_status(world: World, change: Change) -> str:
    """S2, S8: a route gives the canary no more than the status that is stored."""
    if change.at[0] != "HTTPRoute" or not change.by_operator or change.after is None:
        return ""
    status = world.status
    canary, recorded = status.get("canaryRevision"), (status.get("rollout") or {}).get("weightPercent", 0)
    given = route_weights(world, change.after).get(canary or "", 0)
    return f"the route gives {canary} {given}, recorded is {recorded}" if canary and given > recorded else ""


def weight_of_a_step(_: World, change: Change) -> str:
    """S2: the recorded weight of a canary is never above its step."""
    rollout, after = _rollouts(change)[1], change.after
    if after is None or not rollout or not after["status"].get("canaryRevision"):
        return ""
    most = step_weight(after, rollout.get("step", 0))
    weight = rollout.get("weightPercent", 0)
    return f"weight {weight}, step {rollout.get('step', 0)} has {most}" if weight > most else ""


def steps_take_their_time(_: World, change: Change) -> str:
    """S2, S9: a step is left only after its full time, or by a person's wish, or with nothing to protect."""
    before, after = _rollouts(change)
    old, new = _statuses(change)
    canary = old.get("canaryRevision")
    if not before or not after or not canary or not before.get("weightPercent"):
        return ""
    goes_on = canary in (new.get("canaryRevision"), new.get("stableRevision"))
    if not goes_on or after.get("step", 0) <= before.get("step", 0):
        return ""
    if (new.get("commands") or {}).get("promote") == canary or not _available(old):
        return ""
    began = before.get("stepStartTime")
    assert change.after is not None
    least = _rollout_spec(change.after).get("stepMinSeconds", 120)
    took = change.time - _seconds(began) if began else 0.0
    return f"step {before.get('step', 0)} is left after {took:.2f} s" if took < least - CLOCK_SECONDS else ""


def share_of_the_pods(world: World, change: Change) -> str:
    """S2, without a router: the canary has no larger share of the pods than its step, or one pod."""
    if change.at[0] != "Deployment" or not change.by_operator or change.after is None:
        return ""
    status, rollout = world.status, world.status.get("rollout") or {}
    if revision_of(change.after) != status.get("canaryRevision") or world.cr["spec"].get("traffic"):
        return ""
    if rollout.get("state") == "RollingBack" or _rollout_spec(world.cr).get("capacity") == "Shared":
        return ""
    count = change.after["spec"]["replicas"]
    others = sum(
        each["spec"]["replicas"]
        for each in world.find("Deployment")
        if revision_of(each) == status.get("stableRevision")
    )
    share, step = WHOLE * count / max(1, count + others), step_weight(world.cr, rollout.get("step", 0))
    return f"{count} of {count + others} pods at a step of {step}%" if share > step and count > 1 else ""


# --- pods ---------------------------------------------------------------------------------------------------


def keeps_what_serves(world: World, change: Change) -> str:
    """S3: a Deployment that has traffic is not deleted."""
    if change.at[0] != "Deployment" or not change.by_operator or change.after is not None:
        return ""
    assert change.before is not None
    revision = revision_of(change.before)
    service = world.objects.get(("Service", world.model))
    selected = (service["spec"].get("selector") or {}).get(REVISION_LABEL) if service else None
    routed = max((route_weights(world, each).get(revision, 0) for each in world.find("HTTPRoute")), default=0)
    serves = routed > 0 if world.cr["spec"].get("traffic") else selected == revision
    return f"{change.at[1]} is deleted while it has traffic" if serves else ""


def stays_rejected(_: World, change: Change) -> str:
    """S4: what was rejected does not become stable, does not go on, and its weight only falls."""
    if change.at[0] != "ModelDeployment" or change.after is None:
        return ""
    old, new = _statuses(change)
    rejected = {entry["revision"] for entry in new.get("rejectedRevisions") or ()}
    before, after = _rollouts(change)
    stable, canary = new.get("stableRevision"), new.get("canaryRevision")
    if stable in rejected and stable != old.get("stableRevision"):
        return f"{stable} was rejected, and becomes stable"
    if canary not in rejected:
        return ""
    if (after or {}).get("state") != "RollingBack":
        return f"{canary} was rejected, and goes on"
    weights = [(each or {}).get("weightPercent", 0) for each in (before, after)]
    rises = canary == old.get("canaryRevision") and weights[1] > weights[0]
    return f"weight of a rejected revision rises from {weights[0]} to {weights[1]}" if rises else ""


def gets_no_pods_again(world: World, change: Change) -> str:
    """S4: a rejected revision gets no more pods than it has."""
    if change.at[0] != "Deployment" or change.after is None or not change.by_operator:
        return ""
    rejected = {entry["revision"] for entry in world.status.get("rejectedRevisions") or ()}
    revision, count = revision_of(change.after), change.after["spec"]["replicas"]
    before = change.before["spec"]["replicas"] if change.before else 0
    more = revision in rejected - {world.status.get("stableRevision")} and count > before
    return f"{revision} was rejected, and gets {count} pods" if more else ""


def leaves_the_count_to_the_autoscaler(world: World, change: Change) -> str:
    """S7: while an autoscaler is there, the operator does not set its Deployment's replicas; nor makes it one that dips."""
    if not change.by_operator or change.after is None:
        return ""
    if change.at[0] == "HorizontalPodAutoscaler" and change.before is None:
        target = world.objects.get(("Deployment", change.after["spec"]["scaleTargetRef"]["name"]))
        count, most = target["spec"]["replicas"] if target else 0, change.after["spec"]["maxReplicas"]
        return f"{count} pods, and the new autoscaler allows {most}" if count > most else ""
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in world.find("HorizontalPodAutoscaler")}
    if change.at[0] != "Deployment" or change.at[1] not in scaled or change.before is None:
        return ""
    old, new = change.before["spec"]["replicas"], change.after["spec"]["replicas"]
    return f"sets {new} pods beside an autoscaler that had {old}" if new != old and old else ""


# --- objects ------------------------------------------------------------------------------------------------


def leaves_spec_alone(_: World, change: Change) -> str:
    """S5: of the user's object the operator owns status and its finalizer only, as managedFields show."""
    if change.at[0] != "ModelDeployment" or change.after is None:
        return ""
    for entry in change.after["metadata"].get("managedFields") or ():
        fields = entry.get("fieldsV1") or {}
        meta = {key for key in fields.get("f:metadata") or {} if key != "f:finalizers"}
        if entry["manager"] == MANAGER and (meta or fields.keys() - {"f:status", "f:metadata"}):
            return f"{MANAGER} owns {sorted(fields)} of the user's object"
    if change.by_operator and change.before and change.before["spec"] != change.after["spec"]:
        return "spec is written"
    return ""


def writes_its_own(world: World, change: Change) -> str:
    """S6: what is written belongs to this model, by uid; or is the one route that the model names and that opts in."""
    if not change.by_operator or change.at[0] in ("ModelDeployment", "Event"):
        return ""
    owners = {
        (owner["uid"], owner.get("controller"))
        for raw in (change.before, change.after)
        if raw
        for owner in raw["metadata"].get("ownerReferences") or ()
    }
    if change.at[0] == "HTTPRoute" and not owners:
        return _opted_in(world, change)
    if change.at[0] == "ConfigMap" and change.before is None:
        return ""  # a pin: it goes with the snapshot of its revision, which is checked as what it is
    known = world.cr["metadata"].get("uid")
    wrong = not owners or any(not controls or (known and uid != known) for uid, controls in owners)
    return f"{'/'.join(change.at)} belongs to {owners}" if wrong else ""


def _opted_in(world: World, change: Change) -> str:
    named = ((world.cr["spec"].get("traffic") or {}).get("httpRouteRef") or {}).get("name")
    if change.before is None or change.after is None or (world.cr["metadata"] and change.at[1] != named):
        return f"{change} and is not the route that the model names"
    if (change.before["metadata"].get("labels") or {}).get("modelward.dev/weights") != "managed":
        return "a route is written that does not opt in"
    return "" if _but_weights(change.before) == _but_weights(change.after) else "more than weights is written"


def _but_weights(route: Raw) -> list[Any]:
    return [
        {**rule, "backendRefs": [{**each, "weight": None} for each in rule["backendRefs"]]}
        for rule in route["spec"]["rules"]
    ]


# --- status -------------------------------------------------------------------------------------------------


def tells_the_truth(_: World, change: Change) -> str:
    """S10: never ahead of spec; Ready only for this spec; times of conditions move only with their status."""
    if change.at[0] != "ModelDeployment" or change.after is None or not change.after.get("status"):
        return ""
    generation, status = change.after["metadata"]["generation"], change.after["status"]
    observed = status.get("observedGeneration", 0)
    now, before = _conditions(status), _conditions(_statuses(change)[0])
    if observed > generation:
        return f"observedGeneration {observed} is ahead of generation {generation}"
    reported = now.get("Ready", {})
    if (
        change.by_operator
        and reported.get("status") == "True"
        and reported.get("observedGeneration") != observed
    ):
        return "Ready is True for an older spec"
    for kind in now.keys() & before.keys():
        old, new = before[kind], now[kind]
        if old["status"] == new["status"] and old["lastTransitionTime"] != new["lastTransitionTime"]:
            return f"lastTransitionTime of {kind} moves without its status"
    return ""


def is_bounded(_: World, change: Change) -> str:
    """S13: status at most 32 KiB, lists at most ten."""
    if change.at[0] != "ModelDeployment" or change.after is None:
        return ""
    status = change.after.get("status") or {}
    size, lists = (
        len(msgspec.json.encode(status)),
        [len(status.get(key) or ()) for key in ("history", "rejectedRevisions")],
    )
    return f"{size} bytes, lists of {lists}" if size > STATUS_LIMIT or max(lists) > HISTORY_LIMIT else ""


CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("S1", selects_the_living),
    ("S1", weights_are_whole),
    ("S1", routes_to_the_living),
    ("S2", follows_the_status),
    ("S2", weight_of_a_step),
    ("S2", steps_take_their_time),
    ("S2", share_of_the_pods),
    ("S3", keeps_what_serves),
    ("S4", stays_rejected),
    ("S4", gets_no_pods_again),
    ("S5", leaves_spec_alone),
    ("S6", writes_its_own),
    ("S7", leaves_the_count_to_the_autoscaler),
    ("S10", tells_the_truth),
    ("S13", is_bounded),
)


def broken(story: Iterable[tuple[World, Change]]) -> Iterator[str]:
    """All that does not hold, in the order in which it happened."""
    watch = Watch()
    checks = (*CHECKS, ("S3", watch.serves_enough), ("S8", watch.decisions_rise))
    for world, change in story:
        for rule, check in checks:
            if problem := check(world, change):
                yield f"{rule}: {change}: {problem}"


def badly_written(stored: Iterable[tuple[Request, Answer]]) -> Iterator[str]:
    """S8 and S11: each change carries uid and resourceVersion, each new object is a POST, no change changes nothing."""
    for request, answer in stored:
        if request.method == "POST":
            continue
        if request.method == "PUT":
            yield f"S8: {request} is a PUT"
            continue
        uid, version = guard(request)
        if not uid or not version:
            yield f"S8: {request} is sent without uid and resourceVersion"
        elif request.method == "PATCH" and _is_the_same(answered(answer), version):
            yield f"S11: {request} changes nothing"


def _is_the_same(answer: Raw, version: str) -> bool:
    """Whether nothing was stored. The last finalizer that goes takes the object with it: it has no later version."""
    metadata = answer.get("metadata") or {}
    return metadata.get("resourceVersion") == version and "deletionTimestamp" not in metadata


def guard(request: Request) -> tuple[str, str]:
    """The uid and the resourceVersion that a PATCH or a DELETE insists on; "" for none."""
    body: Any = msgspec.json.decode(request.body) if request.body else None
    if isinstance(body, list):
        values = {each.get("path"): each.get("value") for each in body if each.get("op") in ("add", "test")}
        found = values.get("/metadata/uid"), values.get("/metadata/resourceVersion")
    else:
        conditions = (body or {}).get("preconditions") or {}
        found = conditions.get("uid"), conditions.get("resourceVersion")
    return str(found[0] or ""), str(found[1] or "")


# --- what is there ------------------------------------------------------------------------------------------


def step_weight(cr: Raw, step: int) -> int:
    """Weight of a step in percent; past the last it is 100."""
    policy = _rollout_spec(cr)
    given = [each["weightPercent"] for each in policy["steps"]] if "steps" in policy else list(DEFAULT_STEPS)
    steps = given if policy.get("strategy", "Canary") == "Canary" else []
    return int(steps[step]) if step < len(steps) else WHOLE


def route_weights(world: World, route: Raw | None) -> dict[str, int]:
    """What a route gives each revision of the model."""
    found: dict[str, int] = {}
    for rule in route["spec"]["rules"] if route else ():
        for backend in rule["backendRefs"]:
            service = world.objects.get(("Service", backend["name"]))
            selector = (service["spec"].get("selector") or {}) if service else {}
            if selector.get(MODEL_LABEL) and selector.get(REVISION_LABEL):
                revision = selector[REVISION_LABEL]
                found[revision] = found.get(revision, 0) + backend.get("weight", 1)
    return found


def _after(world: World, change: Change) -> World:
    objects = dict(world.objects)
    if change.after is None:
        objects.pop(change.at, None)
    else:
        objects[change.at] = change.after
    return World(world.model, objects)


def _harmed(change: Change) -> bool:
    """Whether a pod is no longer ready, and is not on its way out: somebody else's doing."""
    return change.at[0] == "Pod" and change.after is not None and not _leaves(change.after)


def _leaves(raw: Raw) -> bool:
    return "deletionTimestamp" in raw["metadata"]


def _statuses(change: Change) -> tuple[Raw, Raw]:
    found = [(raw or {}).get("status") or {} for raw in (change.before, change.after)]
    return found[0], found[1]


def _rollouts(change: Change) -> tuple[Raw | None, Raw | None]:
    if change.at[0] != "ModelDeployment":
        return None, None
    old, new = _statuses(change)
    return old.get("rollout"), new.get("rollout")


def _rollout_spec(cr: Raw) -> Raw:
    found: Raw = cr["spec"].get("rollout") or {}
    return found


def _conditions(status: Raw) -> dict[str, Raw]:
    return {each["type"]: each for each in status.get("conditions") or ()}


def _available(status: Raw) -> bool:
    return _conditions(status).get("Available", {}).get("status") == "True"


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
