"""Several scrapes of one page: which labels distinguish them, so that nothing is counted twice, and which is the newest.

Replicas of a Prometheus read the same pods, and behind one address (Thanos, a federation) each series is there once
for each of them; a pod whose containers declare no port is scraped once for each container. What a scrape is called
shows in `up`, which has the labels of the target and of the server and none of the page's. Where a server has no
`up`, the times show it: all series of a page have the time of its scrape, and two who read it never read at one time.

Behind one address, answers go back in time. Replicas scrape at times of their own, and each query is answered by another one. So
a poll may show an older scrape than the poll before; so may the one replica that is left when the other has ended, or one
that was restarted and shows its last values from before. Read as they come, counters would fall and rise again, as those
of several workers do. An older scrape is no reading: the newest that was seen stays what is known.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from modelward.analysis.readings import Reading
from modelward.analysis.sampled_evidence import MetricsUnknown
from modelward.clients.prometheus import Series

APART_SECONDS: Final = 0.5
"""A scrape counts as newer by so much at least. The time of a scrape is that of its request: of two requests that are
closer, the later may have been answered first, or the clocks of who made them differ."""
REPLICA_LABELS: Final = ("__replica__", "prometheus_replica")
"""What replicas are called by the Prometheus Operator and by Mimir: always distinguished."""

Target = tuple[str, ...]
Labels = Mapping[str, str]


def differing(series: Iterable[Series], target: Target) -> set[str]:
    """The labels in which series of one target differ that are there at the same time: `up` has one of each scrape."""
    found: set[str] = set()
    for each in _by_target(series, target).values():
        at_once: dict[float, list[Labels]] = defaultdict(list)
        for one in each:
            for time, _ in one.points:
                at_once[time].append(one.labels)
        for together in at_once.values():
            found |= _varying(together)
    return found


def untimely(series: Iterable[Series], target: Target) -> set[str]:
    """The labels that distinguish series of one target which share no scrape; `series` are times of scrapes."""
    found: set[str] = set()
    for each in _by_target(series, target).values():
        scrapes = _scrapes(each)
        constant = [{label for label in one[0] if not _varies(label, one)} for one in scrapes]
        found |= set.intersection(*constant) & _varying([one[0] for one in scrapes])
    return found


def _by_target(series: Iterable[Series], target: Target) -> Mapping[Target, list[Series]]:
    found: dict[Target, list[Series]] = defaultdict(list)
    for each in series:
        found[tuple(each.labels.get(label, "") for label in target)].append(each)
    return found


def _varying(labels: list[Labels]) -> set[str]:
    return {label for label in {name for each in labels for name in each} if _varies(label, labels)}


def _varies(label: str, labels: list[Labels]) -> bool:
    return len({each.get(label, "") for each in labels}) > 1


def _scrapes(series: list[Series]) -> list[list[Labels]]:
    """The labels of the series, those together that share any scrape, directly or by others."""
    groups: list[tuple[set[float], list[Labels]]] = []
    for each in series:
        stamps, labels = {value for _, value in each.points}, [each.labels]
        apart = []
        for group in groups:
            if group[0] & stamps:
                stamps |= group[0]
                labels = [*group[1], *labels]
            else:
                apart.append(group)
        groups = [*apart, (stamps, labels)]
    return [labels for _, labels in groups]


@dataclass(frozen=True, slots=True)
class Scrape:
    """What one scrape says of a metric of a pod."""

    time: float
    outcome: Reading | MetricsUnknown
    """The reading, or why there is none."""


@dataclass(slots=True)
class Newest:
    """The newest scrape that was seen, by pod and metric. Polls are handed in in the order of their times."""

    _seen: dict[tuple[str, str], Scrape] = field(default_factory=dict)

    def of(self, pod: str, metric: str, scrape: Scrape) -> Scrape:
        """The scrape, or the one that was seen before, if that is newer."""
        before = self._seen.get((pod, metric))
        if before and scrape.time < before.time + APART_SECONDS:
            return before
        self._seen[pod, metric] = scrape
        return scrape

    def forget(self, before: float) -> None:
        """Forget what was scraped before a time: it is stale, and what is older is, too."""
        self._seen = {place: scrape for place, scrape in self._seen.items() if scrape.time >= before}
