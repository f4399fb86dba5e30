"""Both arms hit together: error rates that change in time, pods that are not read at the same moment."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.analysis.arrays import Counts, Floats
from bench.analysis.pods import PODS
from bench.analysis.traffic import Arms

Seconds = Floats
_GRID: Final = np.arange(0.0, 1801.0)
"""Seconds of half an hour: error rates and weights are constant within one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """What happens in half an hour, second by second."""

    name: str
    rate: Callable[[Seconds], Floats]
    """Error rate of both arms."""
    apart: float = 0.0
    """Pods are read at most so many seconds apart; their order is drawn for each rollout."""
    weight: Callable[[Seconds], Floats] = lambda second: np.full_like(second, 0.1)
    canary_rate: Callable[[Seconds], Floats] | None = None
    """Error rate of the canary where it is not stable's."""
    gaps: float = 0.0
    """Share of scrapes that fail, for each arm."""


def arms_in(incident: Incident, rollouts: int, rng: np.random.Generator, *, rps: float, poll: float) -> Arms:
    """Counts as they are read. The canary is one pod, stable is nine."""
    seconds = _GRID[:-1]
    weight, rate = incident.weight(seconds), incident.rate(seconds)
    rate_c = incident.canary_rate(seconds) if incident.canary_rate else rate
    ends = np.arange(0.0, 1801.0, poll)
    edges_c = ends[:, None] - _offsets((1, rollouts), incident.apart, rng)
    e_c, n_c = _read(rps * weight, rate_c, edges_c, rng)
    parts = [
        _read(
            rps * (1.0 - weight) / (PODS - 1),
            rate,
            ends[:, None] - _offsets((1, rollouts), incident.apart, rng),
            rng,
        )
        for _ in range(PODS - 1)
    ]
    e_s, n_s = (np.sum(counts, axis=0) for counts in zip(*parts, strict=True))
    weights = tuple(float(weight[round(end) - 1]) for end in ends[1:])
    seen = Arms(seconds=poll, n_c=n_c, e_c=e_c, n_s=n_s, e_s=e_s, weights=weights)
    return with_gaps(seen, incident.gaps, rng) if incident.gaps else seen


def _offsets(shape: tuple[int, ...], apart: float, rng: np.random.Generator) -> Floats:
    return rng.uniform(0.0, apart, shape)


def _read(rps: Floats, rate: Floats, edges: Floats, rng: np.random.Generator) -> tuple[Counts, Counts]:
    """Errors and requests between neighbouring edges, [scrapes, rollouts], of one pod."""
    edges = np.maximum(edges, 0.0)
    bad = np.diff(np.interp(edges, _GRID, np.concatenate([[0.0], np.cumsum(rps * rate)])), axis=0)
    good = np.diff(np.interp(edges, _GRID, np.concatenate([[0.0], np.cumsum(rps * (1.0 - rate))])), axis=0)
    errors = rng.poisson(np.maximum(bad, 0.0))
    return errors, errors + rng.poisson(np.maximum(good, 0.0))


def with_gaps(arms: Arms, missing: float, rng: np.random.Generator) -> Arms:
    """The same counts when scrapes fail: both arms are handed on when both are fresh, else they wait."""
    shape = arms.n_c.shape
    fresh_c, fresh_s = rng.random(shape) >= missing, rng.random(shape) >= missing
    canary = [np.cumsum(counts, axis=0) for counts in (arms.n_c, arms.e_c)]
    stable = [np.cumsum(counts, axis=0) for counts in (arms.n_s, arms.e_s)]
    columns = np.arange(shape[1])
    read_c, read_s, reported_c, reported_s = (np.full(shape[1], -1) for _ in range(4))
    rows: list[list[Counts]] = []
    for row in range(shape[0]):
        read_c, read_s = np.where(fresh_c[row], row, read_c), np.where(fresh_s[row], row, read_s)
        both = (read_c > reported_c) & (read_s > reported_s)
        now_c, now_s = np.where(both, read_c, reported_c), np.where(both, read_s, reported_s)
        rows.append(
            [_between(counts, reported_c, now_c, columns) for counts in canary]
            + [_between(counts, reported_s, now_s, columns) for counts in stable]
        )
        reported_c, reported_s = now_c, now_s
    n_c, e_c, n_s, e_s = (np.stack(column) for column in zip(*rows, strict=True))
    return Arms(seconds=arms.seconds, n_c=n_c, e_c=e_c, n_s=n_s, e_s=e_s, weights=arms.weights)


def _between(summed: Counts, start: Counts, end: Counts, columns: Counts) -> Counts:
    padded = np.vstack([np.zeros_like(summed[:1]), summed])
    increments: Counts = padded[end + 1, columns] - padded[start + 1, columns]
    return increments
