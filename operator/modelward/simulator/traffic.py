"""Requests: sent to each model at a steady rate, split as its Service or its route does it, and counted by the pods.

Counts are the expected ones, without chance: a story is the same each time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import erf, floor, inf, log, sqrt
from typing import Final

from modelward.api.names import MODEL_LABEL, REVISION_LABEL, model_label
from modelward.api.objects import Manifest
from modelward.simulator.api_server import ApiServer
from modelward.simulator.gateway import Gateway
from modelward.simulator.nodes import Nodes
from modelward.simulator.world import Version, World

BOUNDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, inf)
"""Of the latency histogram, in seconds."""
_SPREAD: Final = 0.7
"""Of the logarithm: p99 is 5.1 times the median."""


@dataclass(slots=True)
class Counted:
    """The counters of one run of a container."""

    started: float
    total: float = 0.0
    errors: float = 0.0
    buckets: list[float] = field(default_factory=lambda: [0.0] * len(BOUNDS))
    """Cumulative, as in Prometheus."""


@dataclass(slots=True)
class Answered:
    """Requests that the pods of one revision answered."""

    total: float = 0.0
    errors: float = 0.0


@dataclass(slots=True, kw_only=True)
class Traffic:
    """Called for time that passes while nothing else does."""

    server: ApiServer
    world: World
    nodes: Nodes
    gateway: Gateway
    counted: dict[str, Counted] = field(default_factory=dict)
    """By uid of the pod."""
    answered: dict[str, Answered] = field(default_factory=dict)
    """By revision."""
    lost: float = 0.0
    """Requests that no pod got."""
    _key: tuple[int, ...] = ()
    _shares: dict[str, float] = field(default_factory=dict)

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass."""
        sent = self.world.requests_per_second * seconds
        shares = self.shares()
        models = sum(1 for _ in self.server.find("ModelDeployment"))
        self.lost += sent * max(0.0, models - sum(shares.values()))
        for uid, share in shares.items():
            self._count(uid, sent * share)
        self._probe(seconds)

    def _probe(self, seconds: float) -> None:
        """Have all servers that run count what no user has sent; it is answered well, and quickly."""
        for pod in self.server.find("Pod"):
            life, version = self.nodes.lives.get(pod["metadata"]["uid"]), self.world.version(pod)
            if version.probes_per_second and life and life.started is not None:
                counted = self._counted(pod["metadata"]["uid"], life.started)
                requests = version.probes_per_second * seconds
                counted.total += requests
                counted.buckets = [count + requests for count in counted.buckets]

    def shares(self) -> Mapping[str, float]:
        """The share of a model's requests that each ready pod gets now, by uid."""
        key = self.server.version, self.nodes.changes, self.gateway.changes
        if key != self._key:
            pods = [pod for pod in self.server.find("Pod") if self.nodes.is_ready(pod)]
            self._shares = {}
            for model in self.server.find("ModelDeployment"):
                self._shares |= _spread(self._entries(model), pods)
            self._key = key
        return self._shares

    def share(self, model: str, revision: str) -> float:
        """The share of a revision of a model."""
        labels = {MODEL_LABEL: model_label(model), REVISION_LABEL: revision}
        pods = self.server.find("Pod", **labels)
        shares = self.shares()
        return sum(shares.get(pod["metadata"]["uid"], 0.0) for pod in pods)

    def _count(self, uid: str, requests: float) -> None:
        pod, life = self._pod(uid), self.nodes.lives[uid]
        counted = self._counted(uid, life.started or 0.0)
        version = self.world.version(pod)
        answered = self.answered.setdefault(pod["metadata"]["labels"].get(REVISION_LABEL, ""), Answered())
        for each in (counted, answered):
            each.total += requests
            each.errors += requests * version.error_percent / 100
        for index, share in enumerate(_distribution(version)):
            counted.buckets[index] += requests * share

    def _counted(self, uid: str, started: float) -> Counted:
        """The counters of a container that has run since then."""
        counted = self.counted.get(uid)
        if counted is None or counted.started != started:
            counted = self.counted[uid] = Counted(started)
        return counted

    def _pod(self, uid: str) -> Manifest:
        return next(pod for pod in self.server.find("Pod") if pod["metadata"]["uid"] == uid)

    def _entries(self, model: Manifest) -> Iterator[tuple[Mapping[str, str], float]]:
        """Selectors of the Services that a model's requests come to, each with its share."""
        namespace, name = model["metadata"]["namespace"], model["metadata"]["name"]
        traffic = (model.get("spec") or {}).get("traffic")
        if not traffic:
            if service := self.server.objects.get(("Service", namespace, name)):
                yield service["spec"]["selector"], 1.0
            return
        route = (traffic.get("httpRouteRef") or {}).get("name", name)
        services = {at[2] for at in self.server.objects if at[0] == "Service" and at[1] == namespace}
        backends = self.gateway.backends(("HTTPRoute", namespace, route), services)
        for _, selector, weight in backends:
            if weight:
                yield selector, weight / sum(weight for _, _, weight in backends)


def floored(counts: list[float]) -> list[int]:
    """Whole counts, as a counter shows them."""
    return [floor(count + 1e-6) for count in counts]


def _spread(entries: Iterator[tuple[Mapping[str, str], float]], pods: list[Manifest]) -> dict[str, float]:
    found: dict[str, float] = {}
    for selector, share in entries:
        own = [pod for pod in pods if selector.items() <= pod["metadata"]["labels"].items()]
        for pod in own:
            uid = pod["metadata"]["uid"]
            found[uid] = found.get(uid, 0.0) + share / len(own)
    return found


def _distribution(version: Version) -> list[float]:
    """The share of requests up to each bound."""
    median = version.latency_milliseconds / 1000
    return [0.5 * (1 + erf(log(bound / median) / (_SPREAD * sqrt(2)))) for bound in BOUNDS]
