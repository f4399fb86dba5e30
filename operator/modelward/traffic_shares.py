"""What is decided about the revisions of a model: how many pods each has, and who gets which share of the traffic.

Values only: `rollout` makes them, `projection` turns them into objects. A route has shares as weights of its backends: whole
numbers that share out traffic in proportion to their sum. Source: Gateway API, `HTTPBackendRef.weight`
(https://gateway-api.sigs.k8s.io/reference/spec/#httpbackendref).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from modelward.api.model_deployment import ModelDeploymentSpec
from modelward.api.rollout_policy import WHOLE

Rule = tuple[tuple[str, int], ...]
"""Services of the route's own namespace that one of its rules sends to, with their weights."""


class Router(StrEnum):
    """What splits the traffic."""

    NONE = "None"
    """The Service alone: its pods share the requests."""
    OWN = "Own"
    """An HTTPRoute that the operator makes."""
    USERS = "Users"
    """The user's own HTTPRoute, of which the operator sets weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The traffic of two revisions."""

    stable: str
    other: str = ""
    """The canary, or the previous revision while it is kept warm; empty when there is none."""
    weight_percent: int = 0
    """What the other one is to get."""
    leaves: bool = False
    """The other one gets nothing any more: what still leads to it leads to stable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many pods one revision has."""

    first: int
    """What its Deployment is created with."""
    scale: int | None
    """The count that is kept; None when an autoscaler owns it."""
    least: int = 0
    """The autoscaler's bounds."""
    most: int = 0
    shrinks: bool = True
    """Whether the autoscaler may scale down: not stable's, nor the kept one's, while a rollout needs them."""


def router(spec: ModelDeploymentSpec) -> Router:
    """What splits the traffic of a model."""
    if spec.traffic is None:
        return Router.NONE
    return Router.OWN if spec.traffic.gateway else Router.USERS


def is_shared_service(spec: ModelDeploymentSpec, split: Split) -> bool:
    """Whether the Service is to select the pods of both revisions: a canary with weight, and no router."""
    return router(spec) is Router.NONE and split.weight_percent > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The two weights of a rule that share out a model's traffic."""

    stable: int
    canary: int

    @property
    def total(self) -> int:
        """Their sum, which never changes."""
        return self.stable + self.canary

    def having(self, percent: int) -> "Pair":
        """The same sum, of which the canary has `percent`: never more, so a small sum may give it less."""
        canary = self.total * percent // WHOLE
        return Pair(stable=self.total - canary, canary=canary)

    @property
    def percent(self) -> float:
        """Share of the canary in percent; 0 for a sum of 0, which gets no request at all."""
        return WHOLE * self.canary / self.total if self.total else 0.0


def pair(rule: Rule, stable: str, canary: str) -> Pair | None:
    """The weights of these two Services; None unless the rule names each of them exactly once."""
    weights = [[weight for name, weight in rule if name == service] for service in (stable, canary)]
    if any(len(found) != 1 for found in weights):
        return None
    return Pair(stable=weights[0][0], canary=weights[1][0])


def names_any(rule: Rule, services: Sequence[str]) -> bool:
    """Whether the rule sends to any of these Services."""
    return any(name in services for name, _ in rule)
