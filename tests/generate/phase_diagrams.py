"""The table of phases as Mermaid state diagrams: one arrow between two phases, whatever may cause it.

What may happen in three phases or more has a diagram of its own, with the phases in one box: drawn one by one
these arrows would hide the others.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from modelward.rollout.phases import TRANSITIONS, Phase, Trigger

_MANY: Final = 3
Arrow = tuple[tuple[Phase, ...], tuple[Trigger, ...], Phase]
"""From which phases, caused by what, to which phase."""


def forward() -> str:
    """The arrows between single phases."""
    arrows = [
        f"    {befores[0]} --> {after}: {_label(why)}" for befores, why, after in _arrows() if not befores[1:]
    ]
    return _diagram([f"    [*] --> {Phase.SERVING}", *arrows])


def from_many() -> str:
    """The arrows that leave many phases alike."""
    grouped = [arrow for arrow in _arrows() if arrow[0][1:]]
    boxes = {
        befores: f"Phases{number}" for number, befores in enumerate(dict.fromkeys(a[0] for a in grouped), 1)
    }
    named = [f'    state "{"<br/>".join(befores)}" as {box}' for befores, box in boxes.items()]
    return _diagram(
        [*named, *(f"    {boxes[befores]} --> {after}: {_label(why)}" for befores, why, after in grouped)]
    )


def _arrows() -> Iterable[Arrow]:
    """Arrows merged where they mean the same: all phases of a trigger, then all triggers of the same phases."""
    tails: dict[tuple[Trigger, Phase], list[Phase]] = defaultdict(list)
    for (before, trigger), after in TRANSITIONS.items():
        tails[trigger, after].append(before)
    causes: dict[tuple[tuple[Phase, ...], Phase], list[Trigger]] = defaultdict(list)
    for (trigger, after), befores in tails.items():
        groups = (
            [tuple(sorted(befores, key=list(Phase).index))]
            if len(befores) >= _MANY
            else [(b,) for b in befores]
        )
        for group in groups:
            causes[group, after].append(trigger)
    return [(befores, tuple(why), after) for (befores, after), why in causes.items()]


def _label(triggers: Iterable[Trigger]) -> str:
    return ", ".join(triggers)


def _diagram(lines: Iterable[str]) -> str:
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])
