"""Versions go out while requests flow: who answers, second by second, with which weight, and what fails."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from demo import traffic
from demo.console import Console
from demo.errors import DemoError
from demo.objects import MODEL, NAMESPACE, model, uri
from demo.places import Place
from demo.traffic import Sample, Traffic
from demo.waiting import PATIENCE_SECONDS, condition, is_ready

BEAT_SECONDS = 1.0
BAD_SHARE = 0.2
_WIDTHS = (16, 14, 8, 8)
_LONGEST_MESSAGE = 110


def good_change(place: Place, url: str, version: str, console: Console) -> int:
    """A version that is as good as the one before; returns how many requests failed."""
    with Traffic(url, MODEL) as load:
        _headings(place, load, console)
        place.kubectl.apply(model(version, place.store))
        changed = time.monotonic()
        console.say(
            f"spec.model.uri is {uri(version)} now" if place.store else f"spec.model.version is {version} now"
        )
        _follow(place, load, console, lambda found: _has_taken_over(found, load, version), version)
    console.say(f"{len(load.samples())} requests, {len(load.failures())} failed")
    console.show([*_summary(load.samples(), version, changed), *load.failures()[:3]])
    return len(load.failures())


def bad_change(place: Place, url: str, version: str, console: Console) -> None:
    """A version of which every fifth answer is an error: it is rolled back automatically."""
    with Traffic(url, MODEL) as load:
        _headings(place, load, console)
        place.kubectl.apply(model(version, place.store, error_rate=BAD_SHARE))
        console.say(f"the new revision answers {BAD_SHARE:.0%} of its requests with an error")
        _follow(place, load, console, is_rolled_back, "the bad revision")
    failed = [each.time for each in load.samples() if each.failure]
    if not failed:
        raise DemoError("the bad revision was rolled back, but not one of its errors was seen")
    console.say(
        f"{len(load.samples())} requests, {len(failed)} failed, all within {max(failed) - min(failed):.1f} s"
    )
    place.kubectl.apply(model(version, place.store))
    console.say("spec asks for the good revision again, as it was")


def _headings(place: Place, load: Traffic, console: Console) -> None:
    """What the columns are, and a second of the version before."""
    console.show(
        ["answers in a second, on", f"{_row('new connections', 'a kept one', 'failed', 'weight')}status"]
    )
    _beat(place, load, console)


def _row(*cells: str) -> str:
    return "".join(f"{cell:{width}}" for cell, width in zip(cells, _WIDTHS, strict=True))


def _summary(samples: list[Sample], version: str, changed: float) -> list[str]:
    """When the versions answered first and last, in seconds after the change, and how quickly."""
    new = [each.time - changed for each in samples if each.version == version]
    old = [each for each in samples if each.version not in ("", version)]
    latencies = [each.seconds * 1000 for each in samples if not each.failure]
    if not new or not old:
        return []
    last = max(old, key=lambda each: each.time)
    where = (
        "the kept connection, which stays with its pod until that ends" if last.kept else "a new connection"
    )
    half, most = traffic.percentile(latencies, 0.5), traffic.percentile(latencies, 0.99)
    return [
        f"version {version} answered first {min(new):.1f} s after the change;",
        f"the version before answered last {last.time - changed:.1f} s after it, on {where}",
        f"latency: median {half:.1f} ms, 99 % below {most:.1f} ms",
    ]


def _has_taken_over(found: dict[str, Any], load: Traffic, version: str) -> bool:
    """The change is through, and the version before is gone."""
    answering = load.versions(since=time.monotonic() - BEAT_SECONDS)
    return is_ready(found) and not found["status"].get("rollout") and set(answering) == {version}


def is_rolled_back(found: dict[str, Any]) -> bool:
    """Nothing is left of the rollout but its rejection."""
    return condition(found, "Ready").get("reason") == "RolledBack" and not found["status"].get("rollout")


def _follow(
    place: Place, load: Traffic, console: Console, done: Callable[[dict[str, Any]], bool], what: str
) -> None:
    """Show each second which version answers, until the change is through."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if done(_beat(place, load, console)):
            return
    raise DemoError(f"{what} is not through. See: kubectl describe mwd -n {NAMESPACE} {MODEL}")


def _beat(place: Place, load: Traffic, console: Console) -> dict[str, Any]:
    """Wait a second, show who answered in it; returns the model as it is then."""
    since = time.monotonic()
    time.sleep(BEAT_SECONDS)
    samples = load.samples(since)
    found = place.kubectl.get("modeldeployment", MODEL, NAMESPACE)
    if found is None:
        raise DemoError(f"somebody deleted ModelDeployment {NAMESPACE}/{MODEL}")
    rollout = found.get("status", {}).get("rollout") or {}
    weight = f"{rollout.get('actualWeightPercent', 0)}%" if found["status"].get("canaryRevision") else "-"
    answers = [_answers(samples, kept=kept) for kept in (False, True)]
    message = condition(found, "Ready").get("message", "")
    console.say(f"{_row(*answers, str(len(load.failures())), weight)}{message[:_LONGEST_MESSAGE]}")
    return found


def _answers(samples: list[Sample], *, kept: bool) -> str:
    """Which versions answered on such connections, and how often."""
    versions = Counter(each.version for each in samples if each.kept == kept and not each.failure)
    return ", ".join(f"v{version}: {count}" for version, count in sorted(versions.items()))
