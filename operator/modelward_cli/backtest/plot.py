"""A picture of a rollout: the odds against the canary, on a scale of powers of ten, and both failure rates."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from modelward.errors import ModelwardError
from modelward_cli.backtest.play import Picture
from modelward_cli.backtest.series import Counted

RATE_SECONDS = 60.0
"""Rates are those of the last minute."""
_LEAST_ODDS = 1e-3
_MOST_ODDS = 1e9


class NoPlot(ModelwardError):
    """A plot cannot be drawn; the message says what would help."""


def draw(picture: Picture, file: Path) -> None:
    """Write the picture as PNG or SVG, by the ending of `file`. Raises NoPlot."""
    library = _matplotlib()
    # The same data give the same SVG, and text that can be searched for.
    with library.rc_context({"svg.hashsalt": "modelward", "svg.fonttype": "none"}):
        figure = _figure(library, picture)
        try:
            figure.savefig(file, metadata={"Date": None} if _is_svg(file) else None)
        except OSError as error:
            raise NoPlot(f"{file}: {error.strerror}") from error


def _is_svg(file: Path) -> bool:
    return file.suffix.lower() == ".svg"


def check(file: Path) -> None:
    """Nothing, if `file` can be drawn. Raises NoPlot: better before an hour of computing than after."""
    if file.suffix.lower() not in {".png", ".svg"}:
        raise NoPlot(f"{file}: a plot is .png or .svg")
    _matplotlib()


def _matplotlib() -> Any:
    """The library, which is an extra and slow to load."""
    try:
        import_module("matplotlib.figure")
        return import_module("matplotlib")
    except ImportError as error:
        raise NoPlot("plots need matplotlib: pip install 'modelward[plot]'") from error


def _figure(library: Any, picture: Picture) -> Any:
    figure = library.figure.Figure(figsize=(9, 6), layout="constrained")
    odds, rates = figure.subplots(2, 1, sharex=True)
    _draw_odds(odds, picture)
    _draw_rates(rates, picture)
    figure.suptitle(picture.title)
    return figure


def _draw_odds(axes: Any, picture: Picture) -> None:
    times = [point.time - picture.began for point in picture.points]
    values = [min(max(point.odds, _LEAST_ODDS), _MOST_ODDS) for point in picture.points]
    axes.step(times, values, where="post", color="tab:blue", label="odds against the canary")
    axes.axhline(picture.limit, color="tab:red", linestyle="--", label=f"limit {picture.limit:,.0f}:1")
    for number, (rule, time) in enumerate(picture.marks.items()):
        axes.axvline(time - picture.began, color=f"C{number + 2}", linestyle=":", label=f"{rule} rolls back")
    axes.set_yscale("log")
    axes.set_ylabel("odds (to 1)")
    axes.legend(loc="best", fontsize="small")


def _draw_rates(axes: Any, picture: Picture) -> None:
    for arm, colour in (("canary", "tab:orange"), ("stable", "tab:green")):
        rates = list(_rates(picture, arm))
        times = [time - picture.began for time, _ in rates]
        axes.step(times, [100 * rate for _, rate in rates], where="post", color=colour, label=arm)
    axes.set_ylabel("errors in the last minute (%)")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds since the canary's traffic began")
    axes.legend(loc="best", fontsize="small")


def _rates(picture: Picture, arm: str) -> Iterator[tuple[float, float]]:
    """Time and share of failures in the minute before; times without requests are left out."""
    first = 0
    for last, point in enumerate(picture.points):
        while first < last and picture.points[first + 1].time <= point.time - RATE_SECONDS:
            first += 1
        now: Counted = getattr(point, arm)
        before: Counted = getattr(picture.points[first], arm)
        errors = now.since(before).errors if first < last else now.errors
        if errors and errors.total > 0:
            yield point.time, errors.hits / errors.total
