"""The queue of the models whose change waits for its turn. Whose turn it is, is decided in `rollout.fleet`.

Memory only, and it may be lost: that a model waits, and since when, is in the condition Ready of its status (reason
Queued), from which the queue is made again after a restart.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from modelward.api.conditions import ConditionType, Reason
from modelward.api.model import Model
from modelward.api.objects import Key
from modelward.cache.store import Store
from modelward.rollout import fleet
from modelward.rollout.decision import Decision
from modelward.rollout.fleet import NO_LIMITS, Limits
from modelward.rollout.observed import Turn


@dataclass(slots=True)
class Fleet:
    """Gives turns. Nothing here waits, so between `turn` and `decided` of one model no other is asked."""

    store: Store
    limits: Limits = NO_LIMITS
    _waiting: dict[Key, None] = field(default_factory=dict)
    """In the order of arrival."""
    _starting: set[Key] = field(default_factory=set)
    """Have taken their turn; the store does not show it yet."""
    _reported: frozenset[Key] = frozenset()
    """Their turn has come."""

    def __post_init__(self) -> None:
        if self.limits.any:
            models = (self.store.model(key) for key in self.store.models())
            since = sorted(
                (time, model.namespace, model.name)
                for model in models
                if model and (time := _queued_since(model))
            )
            self._waiting = dict.fromkeys((namespace, name) for _, namespace, name in since)

    def turn(self, key: Key) -> Turn:
        """Whether the change of a model may set out now."""
        if not self.limits.any:
            return Turn()
        return fleet.turn(key, self._waiting, self._running(), self.limits)

    def decided(self, key: Key, decision: Decision) -> None:
        """Note whether the model waits, and whether it took its turn."""
        if decision.waiting:
            self._waiting.setdefault(key)
        else:
            self._waiting.pop(key, None)
        if decision.status.canary_revision:
            self._starting.add(key)

    def finished(self, key: Key) -> None:
        """The model was reconciled: what it took is recorded now, or it never was."""
        self._starting.discard(key)

    def forget(self, key: Key) -> None:
        """The model is gone, or cannot be reconciled: it keeps nobody waiting, and comes last when it is back."""
        self._waiting.pop(key, None)
        self._starting.discard(key)

    def next(self) -> Iterator[Key]:
        """Models whose turn it is now, each once."""
        if not self._waiting:
            return
        running = self._running()
        queue = fleet.in_order(self._waiting, running)
        reported, self._reported = self._reported, fleet.granted(queue, running, self.limits)
        yield from (key for key in queue if key in self._reported - reported)

    def _running(self) -> frozenset[Key]:
        return self.store.rolling() | self._starting


def _queued_since(model: Model) -> str:
    """When the model began to wait, as its status shows; empty if it does not."""
    for condition in model.status.conditions:
        if condition.type == ConditionType.READY and condition.reason == Reason.QUEUED:
            return condition.last_transition_time
    return ""
