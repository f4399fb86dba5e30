"""Tables and goals: as text for people, as JSON for machines."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of words under a header."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One promise and what was measured."""

    number: str
    """G1 to G17."""
    target: str
    measured: str
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one measurement says."""

    tables: tuple[Table, ...] = ()
    goals: tuple[Goal, ...] = ()


@dataclass(slots=True)
class Report:
    """All that was measured, and how."""

    about: dict[str, object]
    outcomes: list[tuple[str, Outcome]] = field(default_factory=list)
    """With the distance of polls, in words."""

    @property
    def short(self) -> list[Goal]:
        """The goals that are missed."""
        return [goal for _, goal in self._goals() if not goal.ok]

    def _goals(self) -> Iterator[tuple[str, Goal]]:
        return ((poll, goal) for poll, outcome in self.outcomes for goal in outcome.goals)

    def as_json(self) -> str:
        """One object."""
        tables = [
            {"poll": poll, **asdict(table)} for poll, outcome in self.outcomes for table in outcome.tables
        ]
        goals = [{"poll": poll, **asdict(goal)} for poll, goal in self._goals()]
        return json.dumps({**self.about, "goals": goals, "tables": tables}, indent=2)

    def goal_table(self) -> Table:
        """Goal, target, and what was measured at each distance of polls, in the order of the goals."""
        polls = list(dict.fromkeys(poll for poll, _ in self.outcomes))
        rows: dict[tuple[str, str], dict[str, str]] = {}
        for poll, goal in self._goals():
            words = f"{goal.measured} {'ok' if goal.ok else 'SHORT'}"
            rows.setdefault((goal.number, goal.target), {})[poll] = words
        ordered = sorted(rows.items(), key=lambda row: int(row[0][0][1:]))
        return Table(
            title="Goals",
            header=("goal", "target", *(f"poll {poll}" for poll in polls)),
            rows=tuple((*goal, *(cells.get(poll, "") for poll in polls)) for goal, cells in ordered),
        )


def as_text(table: Table, before: str = "") -> str:
    """Markdown with aligned columns."""
    rows = [table.header, *table.rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.header))]
    lines = [
        "| " + " | ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join([f"**{before}{table.title}**", "", *lines])
