"""Weights of a route's backends: whole numbers that share out traffic in proportion to their sum.

Source: Gateway API, `HTTPBackendRef.weight` (https://gateway-api.sigs.k8s.io/reference/spec/#httpbackendref).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

Rule = tuple[tuple[str, int], ...]
"""Services of the route's own namespace that one of its rules sends to, with their weights."""

WHOLE: Final = 100


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
