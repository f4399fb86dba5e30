"""What the newest scrape says: behind one address, answers go back in time.

Replicas of a Prometheus behind one address scrape at times of their own, and each query is answered by another one. So
a poll may show an older scrape than the poll before; so may the one replica that is left when the other has ended, or one
that was restarted and shows its last values from before. Read as they come, counters would fall and rise again, as those
of several workers do. An older scrape is no reading: the newest that was seen stays what is known.
"""

from dataclasses import dataclass, field
from typing import Final

from modelward.analysis.readings import Reading
from modelward.analysis.sampled_evidence import MetricsUnknown

APART_SECONDS: Final = 0.5
"""A scrape counts as newer by so much at least. The time of a scrape is that of its request: of two requests that are
closer, the later may have been answered first, or the clocks of who made them differ."""


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
