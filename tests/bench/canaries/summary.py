"""Median, p95 and worst of a scenario's runs, beside targets and what the simulation predicts."""

import math
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence

from bench.canaries.predicted import Prediction
from bench.canaries.rollout import Outcome
from bench.canaries.scenarios import FAILED, Scenario
from bench.figures import Figure


def figures_of(scenario: Scenario, outcomes: Sequence[Outcome], about: Prediction | None) -> list[Figure]:
    """All of one scenario."""
    return list(_figures(scenario, outcomes, about))


def typical_noise(metric: str, outcomes: Sequence[Outcome]) -> tuple[float, ...]:
    """phi for each test of a metric, the median of all runs; empty if the judge never had one."""
    known = [outcome.noise[metric] for outcome in outcomes if outcome.noise.get(metric)]
    return tuple(statistics.median(each) for each in zip(*known, strict=True))


def _figures(
    scenario: Scenario, outcomes: Sequence[Outcome], prediction: Prediction | None
) -> Iterator[Figure]:
    others = Counter(outcome.ended for outcome in outcomes if outcome.ended != scenario.wanted)
    reported = ", ".join(f"{count} {ended}" for ended, count in others.items())
    title = f"runs of {len(outcomes)} that did not end as {scenario.wanted}"
    yield Figure(key="other_ends", title=title, value=others.total(), target=0, note=reported)
    for name in dict.fromkeys(name for outcome in outcomes for name in outcome.times):
        values = [outcome.times[name] for outcome in outcomes if name in outcome.times]
        notes = _predicted(prediction) if name == scenario.predicts and prediction else {}
        yield from _spread(name, values, "s", scenario.targets.get(name), notes)
    for name in dict.fromkeys(name for outcome in outcomes for name in outcome.counts):
        counts = [float(outcome.counts.get(name, 0)) for outcome in outcomes]
        target = scenario.targets.get(name)
        if target == 0:  # none at all, in no run
            yield Figure(key=_key(name), title=f"{name}: all runs", value=sum(counts), target=0)
            continue
        foretold = prediction.failed if prediction and name == FAILED else None
        notes = {} if foretold is None else {"median": f"simulation: {foretold:.0f}"}
        yield from _spread(name, counts, "", target, notes)


def _spread(
    name: str, values: Sequence[float], unit: str, target: float | None, notes: dict[str, str]
) -> Iterator[Figure]:
    """The target is the median's."""
    found = {"median": statistics.median(values), "p95": _p95(values), "worst": max(values)}
    for kind, value in found.items():
        yield Figure(
            key=f"{_key(name)}_{kind}",
            title=f"{name}: {kind}",
            value=value,
            unit=unit,
            target=target if kind == "median" else None,
            note=notes.get(kind, ""),
        )


def _p95(values: Sequence[float]) -> float:
    """The smallest value that 95 % do not exceed."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def _predicted(prediction: Prediction) -> dict[str, str]:
    found = prediction.seconds
    phi = ", ".join(f"{each:.2g}" for each in prediction.phi)
    return {
        "median": f"simulation: {found.median:.0f} s (phi {phi})",
        "p95": f"simulation: {found.p95:.0f} s",
    }


def _key(name: str) -> str:
    words = "".join(letter if letter.isalnum() else " " for letter in name.split("(", maxsplit=1)[0].lower())
    return "_".join(words.split())
