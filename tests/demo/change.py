"""A new version goes out while requests flow: who answers, second by second, and whether anything fails."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from demo import traffic
from demo.console import Console
from demo.errors import DemoError
from demo.objects import MODEL, NAMESPACE
from demo.places import Place
from demo.traffic import Sample, Traffic
from demo.waiting import PATIENCE_SECONDS, condition, is_ready

BEAT_SECONDS = 1.0


def change(place: Place, url: str, version: str, console: Console) -> int:
    """Change the version under load; returns how many requests failed."""
    with Traffic(url, MODEL) as load:
        console.show(["answers in a second, on", f"{'new connections':18}{'a kept one':18}{'failed':9}Ready"])
        _beat(place, load, console)  # a second of the version before
        place.kubectl(
            *("patch", "modeldeployment", MODEL, f"--namespace={NAMESPACE}", "--type=merge"),
            *("--patch", f'{{"spec": {{"model": {{"version": "{version}"}}}}}}'),
        )
        changed = time.monotonic()
        console.say(f"spec.model.version is {version} now")
        _follow(place, load, version, console)
    console.say(f"{len(load.samples())} requests, {len(load.failures())} failed")
    console.show([*_summary(load.samples(), version, changed), *load.failures()[:3]])
    return len(load.failures())


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


def _follow(place: Place, load: Traffic, version: str, console: Console) -> None:
    """Show each second which version answers, until the change is through and the version before is gone."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        model = _beat(place, load, console)
        answering = load.versions(since=time.monotonic() - BEAT_SECONDS)
        if is_ready(model) and not model["status"].get("rollout") and set(answering) == {version}:
            return
    raise DemoError(
        f"version {version} has not taken over. Look: kubectl describe mwd -n {NAMESPACE} {MODEL}"
    )


def _beat(place: Place, load: Traffic, console: Console) -> dict[str, Any]:
    """Wait a second, tell who answered in it; returns the model as it is then."""
    since = time.monotonic()
    time.sleep(BEAT_SECONDS)
    samples = load.samples(since)
    model = place.kubectl.get("modeldeployment", MODEL, NAMESPACE)
    if model is None:
        raise DemoError(f"somebody deleted ModelDeployment {NAMESPACE}/{MODEL}")
    answers = "".join(f"{_answers(samples, kept=kept):18}" for kept in (False, True))
    ready = condition(model, "Ready")
    console.say(f"{answers}{len(load.failures()):<9}{ready.get('message', '')}")
    return model


def _answers(samples: list[Sample], *, kept: bool) -> str:
    """Which versions answered on such connections, and how often."""
    versions = Counter(each.version for each in samples if each.kept == kept and not each.failure)
    return ", ".join(f"v{version}: {count}" for version, count in sorted(versions.items()))
