"""A rollout that is rolled back, second by second as status has it: for the picture of the README."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from demo.change import is_rolled_back
from demo.console import Console
from demo.errors import DemoError
from demo.objects import MODEL, NAMESPACE, model
from demo.places import Place
from demo.traffic import Traffic
from demo.waiting import PATIENCE_SECONDS, condition

ERROR_RATE = 0.05
"""Few enough that the evidence takes some polls to grow."""
_VERDICT = re.compile(r"\((\d+)/(\d+)\) vs .*?\((\d+)/(\d+)\).*?odds against chance ([\d,]+):1")
"""What the message of a rollback says: errors and requests of canary and stable, and the odds."""
AFTER_SECONDS = 5.0
"""What is shown after the rollback."""
STORY, CHANGED_AT = "a version that gets bad at the second step", 60


def record(place: Place, url: str, version: str, file: Path, console: Console) -> None:
    """Apply a version of which some answers are errors, and write what follows, a line for each second."""
    with Traffic(url, MODEL):
        place.kubectl.apply(model(version, place.store, error_rate=ERROR_RATE))
        points = list(_followed(place))
    write(file, points)
    console.say(f"{file}: {len(points)} seconds of a rollout with {ERROR_RATE:.0%} errors")
    place.kubectl.apply(model(version, place.store))


def simulated() -> list[dict[str, Any]]:
    """The same of a golden story, from the simulator: where no node can run."""
    from golden.scripts import SCRIPTS  # noqa: PLC0415 - only for this

    script = next(each for each in SCRIPTS if each.title == STORY)
    simulation, points = script.simulation(), []
    for second in range(CHANGED_AT, CHANGED_AT + 90):
        simulation.run(float(second))
        points.append(point(simulation.model(), float(second - CHANGED_AT)))
    return points


def write(file: Path, points: Iterable[dict[str, Any]]) -> None:
    """A line for each second."""
    file.write_text("".join(f"{json.dumps(each)}\n" for each in points), encoding="utf-8")


def _followed(place: Place) -> Iterator[dict[str, Any]]:
    """What status says each second, until some seconds after the rollback. Raises DemoError."""
    began = time.monotonic()
    end = None
    while time.monotonic() - began < PATIENCE_SECONDS:
        found = place.kubectl.get("modeldeployment", MODEL, NAMESPACE)
        if found is None:
            raise DemoError(f"somebody deleted ModelDeployment {NAMESPACE}/{MODEL}")
        second = time.monotonic() - began
        yield point(found, second)
        end = second + AFTER_SECONDS if end is None and is_rolled_back(found) else end
        if end is not None and second >= end:
            return
        time.sleep(1.0)
    raise DemoError(
        f"no rollback within {PATIENCE_SECONDS} s. See: kubectl describe mwd -n {NAMESPACE} {MODEL}"
    )


def point(found: dict[str, Any], second: float) -> dict[str, Any]:
    """One line: time, weight, errors and requests of both arms, odds, and the message of Ready."""
    status = found.get("status", {})
    rollout = status.get("rollout") or {}
    message = condition(found, "Ready").get("message", "")
    canary, stable, odds = _final(message) or _so_far(status.get("analysis") or {})
    return {
        "second": round(second, 1),
        "state": rollout.get("state", "Serving"),
        "weightPercent": rollout.get("actualWeightPercent", rollout.get("weightPercent", 0)),
        "canary": canary,
        "stable": stable,
        "odds": odds,
        "message": message,
    }


def _final(message: str) -> tuple[list[float], list[float], float] | None:
    """Status keeps no evidence of a canary that is gone, but the sentence that says why."""
    match = _VERDICT.search(message)
    if match is None:
        return None
    *counts, odds = (float(each.replace(",", "")) for each in match.groups())
    return counts[:2], counts[2:], odds


def _so_far(analysis: dict[str, Any]) -> tuple[list[float], list[float], float | None]:
    metrics: list[dict[str, Any]] = [*analysis.get("metrics", ()), {}]
    errors = next(each for each in metrics if each.get("name", "errors") == "errors")
    canary, stable = (
        [float(errors.get(f"{arm}{each}") or 0) for each in ("Hits", "Total")] for arm in ("canary", "stable")
    )
    return canary, stable, float(analysis["odds"]) if analysis.get("odds") else None
