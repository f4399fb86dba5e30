"""Who gets which share of the traffic, and whether it is so yet.

With a router (`spec.traffic`) shares are weights of a route. Without one, clients reach the Service, and its
pods share the requests: the canary's share is its share of the ready pods.

A Gateway may report a route before it sends by it: Traefik, for one, gathers changes for its
`providersThrottleDuration`. What the pods count is the only proof that it does.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from modelward.analysis.counters import Sample, Values
from modelward.api import names
from modelward.api.rollout_policy import WHOLE
from modelward.api.status import ModelDeploymentStatus, RolloutStatus
from modelward.api.times import parse
from modelward.rollout.observed import Observed
from modelward.rollout.phases import WAITING, Phase, phase_of
from modelward.rollout.routing import Reached, reached
from modelward.traffic_shares import Router, Split, is_shared_service, router

DRAIN_SECONDS: Final = 5
"""How long the previous revision stays after the Service has left it: endpoints and kube-proxy follow within
about a second, and clients that were just about to connect still find it."""
SWITCH_SECONDS: Final = 5
"""How long a Service may take to follow a switch of roles before it is said that it did not."""
_CERTAIN: Final = 10.0
"""So many requests were to come to the canary by its former weight, and none has: it has none any more. By chance
alone that happens once in 20,000 times (e to the power of -10)."""
_AT_STEP: Final = (Phase.ANALYZING, *WAITING)


def split(status: ModelDeploymentStatus) -> Split:
    """What is decided: after a promotion the previous revision gets nothing."""
    if not status.canary_revision:
        return Split(stable=status.stable_revision, other=status.previous_revision)
    rollout = status.rollout
    weight = rollout.weight_percent if rollout else 0
    left = rollout is not None and bool(
        phase_of(status) is Phase.ROLLING_BACK or rollout.withdrawn_weight_percent
    )
    return Split(
        stable=status.stable_revision,
        other=status.canary_revision,
        weight_percent=weight,
        leaves=left and not weight,
    )


def in_effect(observed: Observed, status: ModelDeploymentStatus) -> Reached:
    """Whether requests are split as decided, as far as it can be seen; the message says what it waits for."""
    if router(observed.model.spec) is not Router.NONE:
        found = reached(observed, split(status).weight_percent, status=status)
        return found if not found.done or _is_followed(observed, status) else _AWAITED
    wanted = None if is_shared_service(observed.model.spec, split(status)) else status.stable_revision
    done = (observed.service.selects if observed.service else status.stable_revision) == wanted
    return Reached(done=done, message="" if done else "the Service is being switched")


_AWAITED: Final = Reached(
    done=False, message="its Gateway has taken the weights, and no request has come by them yet"
)


def is_open(observed: Observed) -> bool:
    """Whether, without a router, pods of any revision get requests as soon as they are ready."""
    service = observed.service
    return router(observed.model.spec) is Router.NONE and service is not None and service.selects is None


def weight_left(observed: Observed, wanted: str) -> str:
    """Name of the route that would send to a new revision before it has weight; empty when it would not.

    It still has the weight of a canary before, because it may not be written.
    """
    model, route = observed.model, observed.route
    if route is None or model.status.canary_revision:
        return ""
    service = (
        names.revision_service_name(model.name, wanted)
        if route.own
        else names.canary_service_name(model.name)
    )
    return route.name if any(dict(rule).get(service) for rule in route.rules) else ""


def is_selected(observed: Observed, revision: str) -> bool:
    """Whether the Service of the model sends to that revision and to no other: without its pods nobody answers."""
    return observed.service is not None and observed.service.selects == revision


def is_over(observed: Observed, since: datetime, seconds: float) -> bool:
    """Whether so many seconds have passed since then. A time far ahead is that of another clock: it is over."""
    return abs(observed.now - since) >= timedelta(seconds=seconds)


def drain_seconds(observed: Observed) -> float:
    """How long a revision stays that has lost all its traffic to another one."""
    routed = router(observed.model.spec) is not Router.NONE
    return max(DRAIN_SECONDS, observed.lag_seconds) if routed else DRAIN_SECONDS


def _is_followed(observed: Observed, status: ModelDeploymentStatus) -> bool:
    """Whether requests come by the weights of the step that is to begin.

    As far as counters show, and for no longer than a Gateway may lag.
    """
    rollout, route = status.rollout, observed.route
    if rollout is None or rollout.step_start_time or phase_of(status) not in _AT_STEP:
        return True
    if not observed.evidence.is_followed or route is None or route.written is None:
        return True
    return is_over(observed, route.written, observed.lag_seconds) or arrived(observed, rollout) is not None


def arrived(observed: Observed, rollout: RolloutStatus) -> datetime | None:
    """When requests were seen to come to the canary by its present weight; None: not yet.

    At its first step any request shows it; later a share that is nearer to its weight than to that of the step before.
    """
    step, weight = rollout.step, rollout.weight_percent
    before = min(weight, observed.asked.steps.weight_of(step - 1)) if step else -weight
    least = (before + weight) / 2
    for sample in observed.evidence.samples:
        canary, stable = _requests(sample)
        of_weight = sample.weight_percent == weight
        if of_weight and canary and canary * WHOLE >= least * (canary + stable):
            return datetime.fromtimestamp(sample.time, UTC)
    return None


def is_quiet(observed: Observed, former_percent: int) -> bool:
    """Whether no request has come to the canary of late, though by its former weight some would have."""
    expected = 0.0
    for sample in reversed(observed.evidence.samples):
        canary, stable = _requests(sample)
        if canary or sample.weight_percent:
            break
        expected += stable * former_percent / WHOLE
    return expected >= _CERTAIN


def _requests(sample: Sample) -> tuple[float, float]:
    """How many requests came to the canary and to stable, by the metric that has counted the most."""
    counted = [
        (each.canary.total, each.stable.total)
        for each in sample.metrics.values()
        if not isinstance(each.canary, Values) and not isinstance(each.stable, Values)
    ]
    return max(counted, key=sum, default=(0.0, 0.0))


def leads_elsewhere(observed: Observed, status: ModelDeploymentStatus) -> str:
    """The revision that the Service still selects alone, long after another one became stable; empty if there is none.

    Without a router nobody else gets a request. Just after a switch the Service is about to follow.
    """
    selected = observed.service.selects if observed.service else None
    stable, since = status.stable_revision, status.rollout.step_start_time if status.rollout else None
    if router(observed.model.spec) is not Router.NONE or not stable or selected in (None, stable):
        return ""
    return "" if since and not is_over(observed, parse(since), SWITCH_SECONDS) else str(selected)


def actual_weight_percent(observed: Observed, status: ModelDeploymentStatus) -> int | None:
    """The share in percent that the canary, or after its promotion the new stable revision, gets now.

    None when it cannot be known.
    """
    if not status.rollout:
        return None
    if not status.canary_revision:
        return _promoted_percent(observed, status)
    if router(observed.model.spec) is Router.NONE:
        return _percent_of_pods(observed, status.canary_revision, status.stable_revision)
    canary, stable = _ready(observed, status)
    weight = split(status).weight_percent
    # What a Gateway does with the share of a Service without endpoints is its own affair.
    empty = (weight and not canary) or (weight < WHOLE and not stable)
    return None if empty or not in_effect(observed, status).done else weight


def _promoted_percent(observed: Observed, status: ModelDeploymentStatus) -> int | None:
    """What a promoted revision gets: all, but for a Service that could not be switched to it."""
    if phase_of(status) not in (Phase.WATCHING, Phase.DRAINING, Phase.DEPLOYING):
        return None
    if leads_elsewhere(observed, status):
        return _percent_of_pods(observed, status.stable_revision, status.previous_revision)
    return WHOLE


def _percent_of_pods(observed: Observed, revision: str, other: str) -> int:
    """The share of a revision, without a router: that of its ready pods behind the Service."""
    selected = observed.service.selects if observed.service else other
    if selected is not None:
        return WHOLE if selected == revision else 0
    mine, theirs = _ready_pods(observed, revision), _ready_pods(observed, other)
    return round(WHOLE * mine / (mine + theirs)) if mine + theirs else 0


def is_answered(observed: Observed, status: ModelDeploymentStatus) -> bool:
    """Whether each request finds a ready pod: without a router behind the Service, else each share needs one of its own."""
    canary, stable = _ready(observed, status)
    if router(observed.model.spec) is Router.NONE:
        selected = observed.service.selects if observed.service else status.stable_revision
        other = _ready_pods(observed, status.canary_revision or status.previous_revision)
        return stable + other > 0 if selected is None else _ready_pods(observed, selected) > 0
    weight = split(status).weight_percent
    return (canary > 0 or not weight) and (stable > 0 or weight == WHOLE)


def _ready(observed: Observed, status: ModelDeploymentStatus) -> tuple[int, int]:
    """Ready pods of the canary and of stable."""
    return _ready_pods(observed, status.canary_revision), _ready_pods(observed, status.stable_revision)


def _ready_pods(observed: Observed, revision: str | None) -> int:
    deployment = observed.deployment(revision)
    return deployment.ready if deployment else 0


def load_factor(observed: Observed, status: ModelDeploymentStatus) -> float:
    """How many times the load of a stable pod a canary pod carries (below 1: less); 1 when it is not known."""
    weight = split(status).weight_percent
    counts = _ready(observed, status)
    if router(observed.model.spec) is Router.NONE or not all(counts) or not 0 < weight < WHOLE:
        return 1.0
    return (weight / counts[0]) / ((WHOLE - weight) / counts[1])
