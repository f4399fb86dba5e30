"""Limits of the fleet: how many rollouts run at once, in all and in one namespace, and whose turn it is.

A rollout counts from the start of its canary's pods until the canary is promoted or taken back. The watch after a
promotion does not: it holds no decision back, and it may take hours. A first deployment does not either: it has
nothing beside it, and a new model must not wait for other people's experiments.

The order is fair between namespaces: the next turn is that of the namespace with the fewest rollouts under way, so
that a team which changes 500 models at once does not keep another team's single change waiting for hours. Within
a namespace, and between equals, who has waited longest is first. A turn that was granted and is not taken yet is
kept free, whoever asks meanwhile.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from modelward.api.objects import Key
from modelward.rollout.observed import Turn

_SHOW_PLACE_SECONDS: Final = 15.0
_SHOWN_PER_SECOND: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many rollouts may run at once; None for any number."""

    fleet: int | None = None
    namespace: int | None = None

    @property
    def any(self) -> bool:
        """Whether there is a limit at all."""
        return self.fleet is not None or self.namespace is not None


NO_LIMITS: Final = Limits()


def turn(key: Key, waiting: Collection[Key], running: Collection[Key], limits: Limits) -> Turn:
    """Whether the model may set out now, and its place if it may not.

    `waiting` is in the order of arrival; a model that is not in it yet comes last. A rollout that is
    under way has its turn: whatever takes its place (a newer change) does not wait again.
    """
    if not limits.any or key in running:
        return Turn()
    queue = in_order([*waiting, *(() if key in waiting else (key,))], running)
    free = granted(queue, running, limits)
    if key in free:
        return Turn()
    by_fleet = limits.fleet is not None and len(running) + len(free) >= limits.fleet
    return Turn(
        granted=False,
        place=queue.index(key) + 1,
        waiting=len(queue),
        running=len(running) if by_fleet else _count(running)[key[0]],
        limit=(limits.fleet if by_fleet else limits.namespace) or 0,
        scope="of the operator" if by_fleet else f"of namespace {key[0]}",
    )


def requeue_after(turn: Turn) -> float:
    """Seconds until a model that waits should show its place anew. Its turn wakes it at once, whatever this says.

    The whole queue together writes at most five times a second.
    """
    return max(_SHOW_PLACE_SECONDS, turn.waiting / _SHOWN_PER_SECOND)


def in_order(waiting: Iterable[Key], running: Collection[Key]) -> list[Key]:
    """Who waits, the next one first."""
    ranks = _count(running)
    ranked = []
    for position, key in enumerate(waiting):
        ranked.append((ranks[key[0]], position, key))
        ranks[key[0]] += 1
    return [key for _, _, key in sorted(ranked)]


def granted(queue: Iterable[Key], running: Collection[Key], limits: Limits) -> frozenset[Key]:
    """Those of the queue that may set out now."""
    return frozenset(_granted(queue, running, limits))


def _granted(queue: Iterable[Key], running: Collection[Key], limits: Limits) -> Iterator[Key]:
    under_way, count = _count(running), len(running)
    for key in queue:
        if limits.fleet is not None and count >= limits.fleet:
            return
        if limits.namespace is not None and under_way[key[0]] >= limits.namespace:
            continue
        under_way[key[0]] += 1
        count += 1
        yield key


def _count(keys: Iterable[Key]) -> Counter[str]:
    return Counter(namespace for namespace, _ in keys)
