"""Recordings made up from a fixed seed: pods with counters that only rise."""

import json
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

BOUNDS = ("0.05", "0.1", "0.25", "0.5", "1.0", "+Inf")
SHARES = (0.4, 0.35, 0.2, 0.046, 0.0035, 0.0005)
"""Of requests by bucket of latency."""


class Pod:
    """A pod with `requests` in each interval, of which the share `errors` fails."""

    def __init__(self, name: str, arm: str, requests: int, errors: float, past: int = 0) -> None:
        self.name, self.arm, self.requests, self.errors = name, arm, requests, errors
        self.total, self.hits = past * requests, 0
        self.buckets = [0] * len(BOUNDS)

    def passes(self, random: Random, errors: float | None = None) -> None:
        """An interval goes by."""
        share = self.errors if errors is None else errors
        self.total += self.requests
        self.hits += sum(random.random() < share for _ in range(self.requests))
        for bucket in random.choices(range(len(BOUNDS)), SHARES, k=self.requests):
            self.buckets[bucket] += 1

    def shown(self) -> dict[str, Any]:
        """As a line of a recording has it."""
        cumulative = {bound: sum(self.buckets[: n + 1]) for n, bound in enumerate(BOUNDS)}
        return {
            "pod": self.name,
            "arm": self.arm,
            "metrics": {
                "errors": {"hits": self.hits, "total": self.total},
                "latency": {"buckets": cumulative},
            },
        }


def at_rest(
    pods: int = 4, minutes: float = 90, errors: float = 0.01, requests: int = 60, seed: int = 7
) -> Iterator[dict[str, Any]]:
    """Polls of healthy pods every 15 s; each has so many requests in between."""
    random = Random(seed)
    made = [Pod(f"s{n}", "stable", requests, errors, past=1000) for n in range(pods)]
    for n in range(int(minutes * 4) + 1):
        yield {"rollout": "rest", "time": 15 * n, "weightPercent": 0, "pods": [pod.shown() for pod in made]}
        for pod in made:
            pod.passes(random)


def rollout(
    canary: float,
    stable: float = 0.001,
    minutes: float = 10,
    name: str = "r",
    interval: float = 15,
    seed: int = 3,
    **header: Any,
) -> Iterator[dict[str, Any]]:
    """A header with half an hour of reference, then a canary at 10 % of 100 requests/s."""
    random = Random(seed)
    old = [Pod(f"s{n}", "stable", round(30 * interval), stable, past=100) for n in range(3)]
    reference = []
    for n in range(120):
        for pod in old:
            pod.passes(random)
        reference.append({"time": interval * (n - 122), "pods": [pod.shown() for pod in old]})
    yield {"rollout": name, "reference": reference, **header}
    pods = [*old, Pod("c0", "canary", round(10 * interval), canary)]
    for n in range(int(minutes * 60 / interval) + 1):
        yield {
            "rollout": name,
            "time": interval * n,
            "weightPercent": 10,
            "pods": [pod.shown() for pod in pods],
        }
        for pod in pods:
            pod.passes(random)


def as_lines(*entries: Iterator[Mapping[str, Any]]) -> bytes:
    """The file."""
    return b"".join(json.dumps(entry).encode() + b"\n" for each in entries for entry in each)
