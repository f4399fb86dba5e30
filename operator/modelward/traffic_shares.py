"""What is decided about the revisions of a model: how many pods each has, and who gets which share of the traffic.

Values only: `rollout` makes them, `projection` turns them into objects.
"""

from dataclasses import dataclass
from enum import StrEnum

from modelward.api.model_deployment import ModelDeploymentSpec


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
