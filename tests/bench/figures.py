"""Figures beside their targets: as a table for people, as JSON for machines."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number. The target is an upper bound."""

    key: str
    """Name in JSON."""
    title: str
    value: float
    unit: str = ""
    target: float | None = None
    note: str = ""

    @property
    def short(self) -> bool:
        """Whether the target is missed."""
        return self.target is not None and self.value > self.target


def as_table(figures: list[Figure]) -> str:
    """Aligned columns: figure, measured, target, and a word where it is missed."""
    rows = [("figure", "measured", "target", "")]
    rows += [
        (figure.title, _amount(figure.value, figure.unit), _target(figure), _remark(figure))
        for figure in figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        f"{title:<{widths[0]}}  {value:>{widths[1]}}  {target:>{widths[2]}}  {remark}".rstrip()
        for title, value, target, remark in rows
    )


def as_json(figures: list[Figure], **about: object) -> str:
    """One object: what was measured under which circumstances."""
    values = {
        figure.key: {key: value for key, value in asdict(figure).items() if key != "key"}
        | {"short": figure.short}
        for figure in figures
    }
    return json.dumps({**about, "figures": values}, indent=2)


def _amount(value: float, unit: str) -> str:
    digits = 0 if value == int(value) or abs(value) >= 1000 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}".rstrip()


def _target(figure: Figure) -> str:
    return "" if figure.target is None else f"<= {_amount(figure.target, figure.unit)}"


def _remark(figure: Figure) -> str:
    return "; ".join(part for part in ("FALLS SHORT" if figure.short else "", figure.note) if part)
