"""What was counted in both arms over some time, and the memory of one metric that is made of it."""

from dataclasses import dataclass, field
from typing import NamedTuple

from modelward.analysis.core import Logs
from modelward.analysis.counters import BucketCounts
from modelward.analysis.idle import MARGIN
from modelward.api.analysis_policy import MetricKind


class Table(NamedTuple):
    """Cases of both arms, and the hits of each test among them."""

    canary: int
    stable: int
    canary_hits: tuple[int, ...]
    stable_hits: tuple[int, ...]

    def plus(self, other: "Table") -> "Table":
        """The counts of both. An empty table has no tests yet."""
        if not self.canary_hits:
            return other
        return Table(
            self.canary + other.canary,
            self.stable + other.stable,
            tuple(a + b for a, b in zip(self.canary_hits, other.canary_hits, strict=True)),
            tuple(a + b for a, b in zip(self.stable_hits, other.stable_hits, strict=True)),
        )


EMPTY = Table(0, 0, (), ())


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricState:
    """What is remembered of one metric. Vectors have one entry per test."""

    name: str
    kind: MetricKind
    joined: bool = False
    """Whether both arms had it when the canary's first traffic flowed: the set is frozen then."""
    known: float | None = None
    """Time of the last sample that had it."""
    bounds: tuple[float, ...] = ()
    """Of a latency: the bound of each test, NaN while it is not chosen. Of a distribution: the upper bounds.
    Of a gauge: the seconds between two values that count."""
    phis: tuple[float, ...] = ()
    """The noise that is known today, by which the evidence of each test is read."""
    freedom: float = 0
    """How much is known of it: degrees of freedom."""
    tests: tuple[Logs, ...] = ()
    strata: int = 0
    open: Table = EMPTY
    """The stratum that is not closed yet."""
    polls: int = 0
    """Samples in the open stratum."""
    step: Table = EMPTY
    """Since this step began."""
    total: Table = EMPTY
    """Since the canary's first traffic."""
    pod: str = ""
    lead: int = 0
    """By how many hits `pod` is ahead of all other canary pods together."""
    due: float | None = None
    """Of a gauge: when the next value counts."""
    values: tuple[float, ...] = ()
    """Of a gauge: the last values of canary and stable."""
    own_rate: float = 0
    """Requests a second of each canary pod that may be of no user: probes, scrapes."""
    fresh: float = 0
    """Cases in the canary since this step began from pods that were not Ready, or read for the first time."""
    history: BucketCounts = field(default_factory=BucketCounts)
    """Of a histogram, until its bounds are chosen: what stable did."""
    history_phis: tuple[float, ...] = ()
    """The noise at each bound of `history`."""

    def users_cases(self, pod_seconds: float) -> int:
        """Cases in the canary in this step that users have made, for certain, when pods ran for so long together."""
        unasked = self.fresh + MARGIN * self.own_rate * pod_seconds
        return max(0, int(self.step.canary - unasked))
