"""How many pods each revision has, who says so, and what happens when that changes hands.

A canary pod should carry what a pod of stable carries, or the judge compares unlike things. With `Surge` the
canary's pods come on top, and stable keeps all of its own. With `Shared` both together have no more pods than
the model has at rest: pod by pod, weight moves first, then stable gives up a pod and the canary takes it.
"""

from modelward.api.fields import MOST_REPLICAS
from modelward.api.rollout_policy import WHOLE, Capacity
from modelward.api.scaling_policy import Autoscaling
from modelward.api.status import ModelDeploymentStatus, RolloutStatus, ScalingStatus
from modelward.rollout.observed import Observed
from modelward.rollout.phases import Phase, phase_of
from modelward.rollout.traffic import in_effect
from modelward.traffic_shares import Size


def sizes(observed: Observed, status: ModelDeploymentStatus) -> dict[str, Size]:
    """The size of every revision that runs, by name."""
    asked = replicas_of_user(observed, status)
    if not status.canary_revision:
        watched = phase_of(status) is Phase.WATCHING
        live = [status.stable_revision, *([status.previous_revision] if watched else [])]
        return {name: _full(observed, status, name, asked, shrinks=not watched) for name in live if name}
    if total := shared_replicas(observed, status):
        return _shared(observed, status, total)
    return {
        status.stable_revision: _full(observed, status, status.stable_revision, asked, shrinks=False),
        status.canary_revision: _surging(observed, status),
    }


def next_scaling(observed: Observed, stable_revision: str | None = None) -> ScalingStatus | None:
    """What status must remember about replicas, so that switching an autoscaler off is no jump.

    While one is on, `spec.replicas` is ignored, and remembered. When it goes and the user has not changed
    `spec.replicas` since, the count that it left behind is held until they do: 10 pods stay 10 pods.
    """
    spec, before = observed.model.spec, observed.model.status.scaling
    if spec.autoscaling:
        return ScalingStatus(ignored_replicas=spec.replicas)
    if not before or before.ignored_replicas != spec.replicas:
        return None
    stable = observed.deployment(stable_revision or observed.model.status.stable_revision)
    if before.held_replicas is not None or stable is None:
        return before  # what cannot be seen just now is not forgotten
    return ScalingStatus(ignored_replicas=spec.replicas, held_replicas=min(stable.replicas, MOST_REPLICAS))


def replicas_of_user(observed: Observed, status: ModelDeploymentStatus) -> int | None:
    """How many pods the user's spec asks for; None when an autoscaler owns the count."""
    if observed.model.spec.autoscaling:
        return None
    if status.scaling and status.scaling.held_replicas is not None:
        return status.scaling.held_replicas
    return observed.model.spec.replicas


def whole(observed: Observed, status: ModelDeploymentStatus) -> int:
    """How many pods stable has at full size: the user's spec, or what its autoscaler has come to."""
    asked = replicas_of_user(observed, status)
    if asked is not None:
        return asked
    autoscaling = observed.model.spec.autoscaling
    stable = observed.deployment(status.stable_revision)
    least = autoscaling.min_replicas if autoscaling else 1
    most = autoscaling.max_replicas if autoscaling else least
    return min(most, max(least, stable.replicas)) if stable else least


def shared_replicas(observed: Observed, status: ModelDeploymentStatus) -> int:
    """How many pods both revisions have together when they share; 0 when they do not."""
    held = status.rollout.shared_replicas if status.rollout else None
    if held is None:
        return 0
    asked = replicas_of_user(observed, status)
    total = held if asked is None else asked
    return total if total > 1 else 0  # one pod cannot be shared


def shares(observed: Observed, status: ModelDeploymentStatus) -> int | None:
    """What `status.rollout.sharedReplicas` is at the start of a rollout: None unless capacity is Shared."""
    if observed.model.spec.rollout.capacity is not Capacity.SHARED:
        return None
    return whole(observed, status)


def canary_replicas(weight_percent: int, of: int, *, routed: bool) -> int:
    """How many pods a canary beside `of` pods of stable needs, for pods of both to carry the same.

    With a router the share is exact, and the count is rounded up; without one the count is what makes the
    share, and is rounded down: the share stays below the step, or is the smallest that can be had.
    """
    if weight_percent >= WHOLE:
        return of
    rest = WHOLE - weight_percent
    count = -(-weight_percent * of // rest) if routed else weight_percent * of // rest
    return min(of, max(1, count))


def shared_target(observed: Observed, status: ModelDeploymentStatus, total: int) -> int:
    """How many pods the canary has or gets next, one at a time, of those that both share."""
    canary = observed.deployment(status.canary_revision)
    ready, current = (canary.ready, canary.replicas) if canary else (0, 0)
    if status.rollout and phase_of(status) is Phase.ROLLING_BACK:
        return max(0, min(_kept(status.rollout, current), total - 1))
    if not (status.rollout and status.rollout.weight_percent):
        return 1  # stable carries everything: it gives up no more than one pod to start with
    # Stable gives up the next pod when the share that this pod carried has reached the canary.
    more = max(ready + 1, current) if in_effect(observed, status).done else max(1, current)
    return min(shared_wanted(observed, status, total), more)


def shared_wanted(observed: Observed, status: ModelDeploymentStatus, total: int) -> int:
    """How many of the shared pods the canary has at its step."""
    weight = observed.asked.steps.weight_of(status.rollout.step if status.rollout else 0)
    return total if weight >= WHOLE else max(1, weight * total // WHOLE)


# --- one revision -------------------------------------------------------------------------------------------


def _full(
    observed: Observed, status: ModelDeploymentStatus, revision: str, asked: int | None, *, shrinks: bool
) -> Size:
    autoscaling = observed.model.spec.autoscaling
    if asked is not None or autoscaling is None:
        count = asked or 0
        return Size(first=count, scale=count)
    first = autoscaling.min_replicas if revision == status.stable_revision else whole(observed, status)
    return _scaling(autoscaling, first=first, least=autoscaling.min_replicas, shrinks=shrinks)


def _surging(observed: Observed, status: ModelDeploymentStatus) -> Size:
    """The canary beside a stable that keeps all its pods."""
    spec, rollout = observed.model.spec, status.rollout
    canary = observed.deployment(status.canary_revision)
    if rollout and phase_of(status) is Phase.ROLLING_BACK:
        # Nothing revives it, no autoscaler either.
        count = _kept(rollout, canary.replicas if canary else 0)
        return Size(first=count, scale=count)
    weight = observed.asked.steps.weight_of(rollout.step if rollout else 0)
    full = whole(observed, status)
    count = canary_replicas(weight, full, routed=spec.traffic is not None)
    # Without a router the count is what makes the share: no autoscaler may touch it.
    if spec.autoscaling is None or (spec.traffic is None and weight < WHOLE):
        return Size(first=count, scale=count)
    return _scaling(spec.autoscaling, first=count, least=count, shrinks=False)


def _kept(rollout: RolloutStatus, current: int) -> int:
    """How many pods a canary on its way back has: none more, and fewer once stable needs their room."""
    return current if rollout.kept_replicas is None else min(current, rollout.kept_replicas)


def _scaling(policy: Autoscaling, *, first: int, least: int, shrinks: bool) -> Size:
    return Size(first=first, scale=None, least=least, most=max(least, policy.max_replicas), shrinks=shrinks)


def _shared(observed: Observed, status: ModelDeploymentStatus, total: int) -> dict[str, Size]:
    """Both revisions; together they have `total` pods. An autoscaler is held to the count meanwhile."""
    target = shared_target(observed, status, total)
    counts = {status.stable_revision: total - target, status.canary_revision: target}
    if observed.model.spec.autoscaling is None:
        return {name: Size(first=count, scale=count) for name, count in counts.items()}
    return {
        name: Size(first=count, scale=None, least=count, most=count) if count else Size(first=0, scale=0)
        for name, count in counts.items()
    }
