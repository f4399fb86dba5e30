"""Whether a route shares out traffic as decided, and what keeps it from doing so.

A weight is in effect when every Gateway that the route names reports Accepted and ResolvedRefs for the route's
generation. Some implementations never raise the generation that they report; so both conditions of an older
generation count, too, once our write has been there for a while, and the message says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from modelward.api import names
from modelward.api.conditions import Blocked, Reason
from modelward.api.rollout_policy import WHOLE
from modelward.api.status import ModelDeploymentStatus
from modelward.rollout.observed import Observed, Route
from modelward.traffic_shares import Pair, names_any, pair

TAKEN_FOR_GRANTED_SECONDS: Final = 10
"""How long after our write an older report counts. Gateways follow within a second or two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """Whether requests go where they should."""

    done: bool
    message: str = ""
    """What it waits for; with `done`, what is odd about it. A message, to stand after a semicolon."""
    problem: Blocked | None = None
    """What somebody must change before it can be done."""
    percent: float | None = None
    """Share that the weights give the canary now, whether or not a Gateway has taken them; None: not known."""
    wake_after: float | None = None
    """Seconds until time alone may change it."""


def reached(
    observed: Observed, weight_percent: int, *, status: ModelDeploymentStatus | None = None
) -> Reached:
    """Whether the canary gets `weight_percent` of the requests, as far as the route shows.

    `status` names the revisions; the recorded one unless given. Without `spec.traffic` there is no route to ask.
    """
    route = observed.route
    if route is None:
        return Reached(done=True)
    percent = _percent(observed, route)
    if blocked := problem(observed, weight_percent):
        return Reached(done=False, message=blocked.message, problem=blocked, percent=percent)
    if awaited := _awaited(observed, route, weight_percent, status or observed.model.status):
        message = f"{_called(route)} {awaited}"
        return Reached(done=False, message=message, percent=percent, wake_after=wake_after(observed))
    if route.observed_generation >= route.generation:
        return Reached(done=True, message=_oddities(observed, route, weight_percent), percent=percent)
    return _of_an_older_generation(observed, route, percent)


def is_written(observed: Observed, weight_percent: int, status: ModelDeploymentStatus) -> bool:
    """Whether the object says what it should, whatever a Gateway makes of it. One that is gone sends nowhere."""
    route = observed.route
    return route is None or not route.exists or _weighs(observed, route, weight_percent, status)


def left_behind(observed: Observed, status: ModelDeploymentStatus) -> tuple[str, ...]:
    """Revisions that do not run any more and to whose Service our own route, which may not be written, still sends."""
    route, name = observed.route, observed.model.name
    if route is None or not route.own:
        return ()
    running = (status.stable_revision, status.canary_revision, status.previous_revision)
    past = (each for each in observed.revisions if each not in running)
    return tuple(each for each in past if route.weights.get(names.revision_service_name(name, each)))


def problem(observed: Observed, weight_percent: int = 0) -> Blocked | None:
    """What somebody must fix before the route of `spec.traffic` can share out traffic; None when it can."""
    route = observed.route
    if route is None:
        return None
    message = next(_problems(observed, route, weight_percent), "")
    return Blocked(reason=Reason.ROUTE_NOT_READY, message=message) if message else None


def wake_after(observed: Observed) -> float | None:
    """Seconds until what a Gateway complains about counts as a problem; None when nothing is pending."""
    route = observed.route
    if route is None or not route.answered or (route.accepted and route.resolved):
        return None
    return _fresh_for(observed, route)


def pairs(observed: Observed, route: Route) -> tuple[tuple[int, Pair], ...]:
    """Number (from 0) and weights of each rule of the user's route that shares out this model's traffic."""
    stable, canary = _services(observed)
    found = ((number, pair(rule, stable, canary)) for number, rule in enumerate(route.rules))
    return tuple((number, each) for number, each in found if each)


def _problems(observed: Observed, route: Route, weight_percent: int) -> Iterator[str]:
    if not route.exists:
        if route.message:
            yield route.message
        return  # ours is about to be made
    if not route.own:
        yield from _problems_of_user(observed, route, weight_percent)
    refused = route.answered and not (route.accepted and route.resolved) and not _is_behind(route)
    if refused and _fresh_for(observed, route) is None:
        yield f"{_called(route)} carries no traffic as it should. {route.message}."


def _problems_of_user(observed: Observed, route: Route, weight_percent: int) -> Iterator[str]:
    """In the order in which a person would fix them."""
    label = f"{names.WEIGHTS_LABEL}={names.WEIGHTS_MANAGED}"
    if not route.opted_in:
        yield (
            f"{_called(route)} (spec.traffic.httpRouteRef) does not allow its weights to be set:"
            f" label it {label}."
        )
        return
    stable, canary = _services(observed)
    weighed = dict(pairs(observed, route))
    if not weighed:
        yield (
            f"{_called(route)} (spec.traffic.httpRouteRef) has no rule that sends to both Services {stable} and"
            f" {canary}: give one rule both as backendRefs, each once, with the weights {WHOLE} and 0."
        )
    for number, each in weighed.items():
        if each.having(weight_percent).canary == 0 < weight_percent or not each.total:
            yield (
                f"{_called(route)}: the weights of {stable} and {canary} in rule {number + 1} sum to"
                f" {each.total}, which cannot be split into {weight_percent}%: let them sum to {WHOLE}."
            )


def _awaited(observed: Observed, route: Route, weight_percent: int, status: ModelDeploymentStatus) -> str:
    """What has not happened yet, as the end of a sentence; empty when only the generation may be an older one."""
    if not _weighs(observed, route, weight_percent, status):
        return "is being given its weights"
    refused = not (route.accepted and route.resolved) and not _is_behind(route)
    return f"waits: {route.message}" if refused or not route.answered else ""


def _weighs(observed: Observed, route: Route, weight_percent: int, status: ModelDeploymentStatus) -> bool:
    """Whether the weights in the object are those that are wanted."""
    if not route.exists:
        return False
    if not route.own:
        return all(each == each.having(weight_percent) for _, each in pairs(observed, route))
    name = observed.model.name
    weights = {service: weight for service, weight in route.weights.items() if weight}
    wanted = {names.revision_service_name(name, status.stable_revision): WHOLE - weight_percent}
    if weight_percent:
        wanted[names.revision_service_name(name, status.canary_revision)] = weight_percent
    return weights == {service: weight for service, weight in wanted.items() if weight}


def _percent(observed: Observed, route: Route) -> float | None:
    """The canary's share by the weights alone; of several rules the largest."""
    if not route.exists:
        return None
    if not route.own:
        return max((each.percent for _, each in pairs(observed, route)), default=None)
    canary = observed.model.status.canary_revision
    service = names.revision_service_name(observed.model.name, canary) if canary else ""
    return float(route.weights.get(service, 0))


def _of_an_older_generation(observed: Observed, route: Route, percent: float | None) -> Reached:
    """The Gateway has not reported for what the route says now: it lags, or never will."""
    waits, left = f"{_called(route)} waits for its Gateway", _fresh_for(observed, route)
    if not (route.accepted and route.resolved) or route.written is None:
        message = waits if left or not route.message else f"{waits}: {route.message}"
        return Reached(done=False, message=message, percent=percent, wake_after=left)
    if left:
        return Reached(done=False, message=waits, percent=percent, wake_after=left)
    message = (
        f"{_called(route)}: its Gateway reports on generation {route.observed_generation}, not yet on"
        f" {route.generation}; its weights are taken to be in effect"
    )
    return Reached(done=True, message=message, percent=percent)


def _oddities(observed: Observed, route: Route, weight_percent: int) -> str:
    """What a user should know of a route of their own that works."""
    if route.own:
        return ""
    stable, canary = _services(observed)
    weighed = dict(pairs(observed, route))
    coarse = [
        f"rule {number + 1} gives the canary {each.percent:g}%, because its weights sum to {each.total}"
        for number, each in weighed.items()
        if each.percent != weight_percent
    ]
    alone = [
        f"rule {number + 1} sends to {stable} and not to {canary}, so it has no canary"
        for number, rule in enumerate(route.rules)
        if number not in weighed and names_any(rule, (stable,))
    ]
    return "; ".join([f"{_called(route)}: {each}" for each in (*coarse, *alone)])


def _fresh_for(observed: Observed, route: Route) -> float | None:
    """Seconds for which what a Gateway says may be of the moment before our last write; None when it is not.

    A Service that was made just before the route may not be known to the Gateway yet.
    """
    if route.written is None:
        return None
    left = timedelta(seconds=TAKEN_FOR_GRANTED_SECONDS) - (observed.now - route.written)
    return left.total_seconds() if left > timedelta(0) else None


def _is_behind(route: Route) -> bool:
    """What is reported is not about the route as it is now."""
    return route.observed_generation < route.generation


def _services(observed: Observed) -> tuple[str, str]:
    name = observed.model.name
    return names.service_name(name), names.canary_service_name(name)


def _called(route: Route) -> str:
    return f"HTTPRoute {route.name}"
