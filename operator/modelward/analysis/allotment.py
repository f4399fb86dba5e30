"""How much of the memory each metric may take, so that all of them together always fit into their field of status.

Whatever a policy asks for and a page shows, a metric keeps at most so many bounds and so much of a pod's name. The
sums below are of the longest form that `modelward.analysis.state` writes: a number of eight bytes takes 11 characters.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from modelward.api.analysis_policy import MetricKind
from modelward.api.status import ANALYSIS_STATE_LENGTH

LEAST_BUCKETS: Final = 3
MOST_BUCKETS: Final = 10
"""Of a distribution, after its buckets were joined."""
LEAST_BOUNDS: Final = 5
MOST_BOUNDS: Final = 100
"""Of a latency's past, until the bounds that judge it are chosen."""
MOST_POD_CHARACTERS: Final = 512
_ALL_POD_CHARACTERS: Final = 1024

_NUMBER: Final = 32 / 3
"""Characters of a number in a vector."""
_HEADER: Final = 480
"""What is remembered once for all metrics."""
_METRIC: Final = 230
"""Of a metric, without its vectors and the pod: its name of 63 characters, its kind, counts and times."""
_PADDING: Final = 20
"""What its vectors take beyond their numbers."""
_NUMBERS: Final = {
    MetricKind.RATIO: 19,
    MetricKind.GUARD: 26,
    MetricKind.GAUGE: 19,
    MetricKind.LATENCY: 48,
    MetricKind.DISTRIBUTION: 4,
}
"""Numbers in all vectors: e-values, noise, bounds, and three tables. A distribution has those of its buckets
besides; it has no value and nothing that is due, which is as much as two numbers."""
_OF_A_BUCKET: Final = 20
"""Two tests of six e-values, noise and bound, and its hits in both arms in three tables."""
_OF_A_BOUND: Final = 3
"""A bound of the past, with the cases below it and its noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allotment:
    """What each metric of a policy may keep."""

    buckets: int
    """Of a distribution."""
    latency_bounds: int
    """Of a latency's past."""
    pod_characters: int

    def bounds(self, kind: MetricKind) -> int:
        """Bounds of a histogram's past; that of a distribution is dropped when its buckets are laid out."""
        return self.latency_bounds if kind is MetricKind.LATENCY else 6 * self.buckets + 2


def allotted(kinds: Iterable[MetricKind]) -> Allotment:
    """What each may keep: the least that all need first, then buckets of distributions, then bounds of latencies."""
    return _allotted(tuple(kinds))


@lru_cache(maxsize=1024)
def _allotted(all_kinds: tuple[MetricKind, ...]) -> Allotment:
    drifting = all_kinds.count(MetricKind.DISTRIBUTION)
    slow = all_kinds.count(MetricKind.LATENCY)
    pod = min(MOST_POD_CHARACTERS, _ALL_POD_CHARACTERS // max(1, len(all_kinds)))
    numbers = (ANALYSIS_STATE_LENGTH - _HEADER - len(all_kinds) * (_METRIC + _PADDING + pod)) / _NUMBER
    numbers -= sum(_NUMBERS[kind] for kind in all_kinds)
    numbers -= drifting * LEAST_BUCKETS * _OF_A_BUCKET + slow * LEAST_BOUNDS * _OF_A_BOUND
    more = _shared(numbers, drifting * _OF_A_BUCKET, MOST_BUCKETS - LEAST_BUCKETS)
    numbers -= more * drifting * _OF_A_BUCKET
    return Allotment(
        buckets=LEAST_BUCKETS + more,
        latency_bounds=LEAST_BOUNDS + _shared(numbers, slow * _OF_A_BOUND, MOST_BOUNDS - LEAST_BOUNDS),
        pod_characters=pod,
    )


def _shared(numbers: float, each: int, most: int) -> int:
    """How many more fit into `numbers` where one more for every metric takes `each`; at most `most`."""
    return min(most, max(0, int(numbers / each))) if each else most
