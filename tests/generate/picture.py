"""The picture of the README: a rollout that was rolled back, as an SVG that is readable on light and dark pages.

It is drawn from `docs/images/rollback.jsonl`, which `python -m demo record` writes: what status said, second by second.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

RECORDING: Final = Path(__file__).parents[2] / "docs" / "images" / "rollback.jsonl"
WIDTH: Final = 760
LEFT, RIGHT, TOP = 180, 20, 64
PANEL, GAP = 96, 28
LEAST_ODDS, MOST_ODDS = 1e-3, 1e6
MOST_WEIGHT: Final = 50.0
LIMIT: Final = 100.0
"""Odds at which `confidencePercent: "99"` rolls back."""

STYLE: Final = """
    text { font-family: sans-serif; font-size: 13px; fill: #24292f } .title { font-size: 16px; font-weight: bold }
    .small { font-size: 11px; fill: #57606a } .axis { stroke: #8c959f; stroke-width: 1; fill: none }
    .line { fill: none; stroke-width: 2.5 } .canary { stroke: #bc4c00 } .stable { stroke: #0969da }
    .area { fill: #bc4c00; fill-opacity: .18 } .limit { stroke: #cf222e; stroke-dasharray: 5 4; fill: none }
    .mark { stroke: #8c959f; stroke-dasharray: 2 4 } text.canary { fill: #bc4c00; stroke: none } text.stable { fill: #0969da; stroke: none }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 } .small { fill: #9198a1 } .canary { stroke: #f0883e } .stable { stroke: #58a6ff }
      .area { fill: #f0883e } .limit { stroke: #ff7b72 } text.canary { fill: #f0883e } text.stable { fill: #58a6ff }
    }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One of the three charts."""

    top: float
    seconds: float
    """How long the whole is."""
    height_of: Callable[[float], float]
    """0 (bottom) to 1 (top)."""

    def x(self, second: float) -> float:
        """The place of a time."""
        return LEFT + (WIDTH - LEFT - RIGHT) * second / self.seconds

    def y(self, value: float) -> float:
        """The place of a value."""
        return self.top + PANEL * (1 - min(max(self.height_of(value), 0.0), 1.0))

    def steps(self, points: Iterable[tuple[float, float]]) -> str:
        """A line that keeps each value until the next."""
        path = ""
        for second, value in points:
            x, y = self.x(second), self.y(value)
            path += f"H{x:.1f}V{y:.1f}" if path else f"M{x:.1f},{y:.1f}"
        return f"{path}H{self.x(self.seconds):.1f}" if path else ""


def svg(recording: Path = RECORDING) -> str:
    """The picture."""
    points = [json.loads(line) for line in recording.read_text(encoding="utf-8").splitlines()]
    seconds = max(point["second"] for point in points)
    most = max(100 * max(_rate(point, "canary"), _rate(point, "stable")) for point in points) or 1.0
    panels = [
        Panel(top=TOP + number * (PANEL + GAP), seconds=seconds, height_of=height_of)
        for number, height_of in enumerate(
            (lambda value: value / MOST_WEIGHT, lambda value: value / (1.15 * most), _of_odds)
        )
    ]
    height = panels[-1].top + PANEL + 44
    body = [*_weight(panels[0], points), *_rates(panels[1], points, most), *_odds(panels[2], points)]
    body += [*_times(panels[-1]), *_rolled_back(panels, points)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img">\n'
        f"  <title>A rollout that was rolled back</title>\n  <style>{STYLE}  </style>\n"
        + "".join(f"  {line}\n" for line in (*_heading(points), *body))
        + "</svg>\n"
    )


def _rate(point: dict[str, Any], arm: str) -> float:
    hits, total = point[arm]
    return hits / total if total else 0.0


def _of_odds(value: float) -> float:
    least, most = math.log10(LEAST_ODDS), math.log10(MOST_ODDS)
    return (math.log10(min(max(value, LEAST_ODDS), MOST_ODDS)) - least) / (most - least)


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def _heading(points: list[dict[str, Any]]) -> Iterator[str]:
    yield _text(12, 24, "A bad version is rolled back", "title")
    found = (re.search(r"Rolled back after .*? vs [^;]*; odds [^(]*", point["message"]) for point in points)
    if message := next((each.group().strip() for each in found if each), ""):
        yield _text(12, 44, message, "small")


def _frame(panel: Panel, label: str, detail: str, ticks: Iterable[tuple[float, str]]) -> Iterator[str]:
    yield f'<path class="axis" d="M{LEFT},{panel.top}V{panel.top + PANEL}H{WIDTH - RIGHT}"/>'
    yield _text(12, panel.top + 20, label)
    yield _text(12, panel.top + 36, detail, "small")
    for value, text in ticks:
        yield _text(LEFT - 6, panel.y(value) + 4, text, "small", "end")


def _weight(panel: Panel, points: list[dict[str, Any]]) -> Iterator[str]:
    yield from _frame(panel, "traffic", "share of the canary", ((0, "0"), (25, "25 %"), (50, "50 %")))
    line = panel.steps((point["second"], point["weightPercent"]) for point in points)
    y = panel.y(0)
    yield f'<path class="area" d="{line}V{y:.1f}H{panel.x(points[0]["second"]):.1f}Z"/>'
    yield f'<path class="line canary" d="{line}"/>'


def _rates(panel: Panel, points: list[dict[str, Any]], most: float) -> Iterator[str]:
    yield from _frame(panel, "errors", "of all requests so far", ((0, "0"), (most, f"{most:.2g} %")))
    for arm in ("stable", "canary"):
        known = [(point["second"], 100 * _rate(point, arm)) for point in points if point[arm][1]]
        if known:
            yield f'<path class="line {arm}" d="{panel.steps(known)}"/>'
            second, value = known[-1]
            yield _text(
                panel.x(second) + 6,
                panel.y(value) - 6,
                arm,
                arm,
                "end" if second > 0.8 * panel.seconds else "start",
            )


def _odds(panel: Panel, points: list[dict[str, Any]]) -> Iterator[str]:
    yield from _frame(
        panel,
        "evidence",
        "odds that it is worse",
        ((1e-3, "1:1000"), (1, "1:1"), (LIMIT, "100:1"), (1e6, "10\N{SUPERSCRIPT SIX}:1")),
    )
    yield f'<path class="limit" d="M{LEFT},{panel.y(LIMIT):.1f}H{WIDTH - RIGHT}"/>'
    known = [(point["second"], point["odds"]) for point in points if point["odds"] is not None]
    yield f'<path class="line canary" d="{panel.steps(known)}"/>'


def _times(panel: Panel) -> Iterator[str]:
    every = next(each for each in (5, 10, 15, 30, 60, 120, 300, 600, 3600) if panel.seconds / each <= 8)
    for second in range(0, int(panel.seconds) + 1, every):
        yield _text(panel.x(second), panel.top + PANEL + 16, f"{second} s", "small", "middle")
    yield _text(WIDTH - RIGHT, panel.top + PANEL + 34, "since the change was applied", "small", "end")


def _rolled_back(panels: list[Panel], points: list[dict[str, Any]]) -> Iterator[str]:
    """A line at the first moment of the rollback, through all charts."""
    second = next((point["second"] for point in points if point["message"].startswith("Rolled back")), None)
    if second is not None:
        x = panels[0].x(second)
        yield f'<path class="mark" d="M{x:.1f},{panels[0].top}V{panels[-1].top + PANEL}"/>'
        yield _text(x - 6, panels[0].top + 12, f"rolled back after {second:.0f} s", "small", "end")
